//! The indexes are what they should be, and no change forgets a proxy.

mod slices;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
};

use proptest::{collection::vec, prelude::*};

use super::{Affected, Change, World};
use crate::{
    model::{Kind, ObjectName, ObjectRef, Settings},
    snapshot::{self, Snapshot},
    testing::{cases, strategy},
    world::Object,
};

/// What is left of a history: the last word on every object, certificate and setting.
#[derive(Default)]
struct Survivors {
    settings: Settings,
    trust: Option<Change>,
    objects: BTreeMap<ObjectRef, Object>,
    certificates: BTreeMap<crate::model::ServiceAccount, Change>,
}

impl Survivors {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Put(object) => drop(self.objects.insert(object.reference(), object.clone())),
            Change::Gone(gone) if gone.kind == Kind::MeshConfig => {
                let trust_domain = self.settings.trust_domain.clone();
                self.settings = Settings { trust_domain, ..Settings::default() };
            }
            Change::Gone(gone) => drop(self.objects.remove(gone)),
            Change::Settings(settings) => self.settings = settings.clone(),
            Change::Trust(_) => self.trust = Some(change.clone()),
            Change::Certificate(leaf) => drop(self.certificates.insert(leaf.account.clone(), change.clone())),
            Change::CertificateGone(account) => drop(self.certificates.remove(account)),
        }
    }

    /// The survivors, the last object first.
    fn world(self) -> World {
        let mut world = World::default();
        for object in self.objects.into_values().rev() {
            world.apply(Change::Put(object));
        }
        for change in self.trust.into_iter().chain(self.certificates.into_values()) {
            world.apply(change);
        }
        world.apply(Change::Settings(self.settings));
        world
    }
}

fn snapshots(world: &World) -> BTreeMap<ObjectName, Snapshot> {
    world.workloads().map(|pod| (pod.name.clone(), snapshot::build(world, &pod.name))).collect()
}

/// The proxies whose configuration `change` changes, and those that the world names.
fn check_affected(
    world: &mut World,
    before: &mut BTreeMap<ObjectName, Snapshot>,
    change: &Change,
) -> Result<bool, TestCaseError> {
    let affected = world.apply(change.clone());
    let after = snapshots(world);
    for (pod, snapshot) in &after {
        let changed = before.get(pod).is_none_or(|before| before != snapshot);
        let told = match &affected {
            Affected::All => true,
            Affected::Pods(pods) => pods.contains(pod),
        };
        prop_assert!(told || !changed, "{change:?} changes the proxy of {pod}, but {affected:?} does not name it");
    }
    *before = after;
    Ok(affected == Affected::All)
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn a_history_leaves_the_world_of_its_survivors(history in vec(strategy::change(), 0..60)) {
        let (mut world, mut survivors) = (World::default(), Survivors::default());
        for change in history {
            survivors.apply(&change);
            world.apply(change);
        }
        prop_assert_eq!(world, survivors.world());
    }
}

#[test]
fn every_proxy_whose_snapshot_changes_is_affected() {
    let (all, few) = (AtomicU32::new(0), AtomicU32::new(0));
    proptest!(cases(24), |(base in strategy::world(), changes in vec(strategy::change(), 8))| {
        let mut world = World::default();
        base.into_iter().for_each(|change| drop(world.apply(change)));
        let mut before = snapshots(&world);
        for change in &changes {
            let everyone = check_affected(&mut world, &mut before, change)?;
            if everyone { &all } else { &few }.fetch_add(1, Ordering::Relaxed);
        }
    });
    // A world that always answers "all" would pass: it must know better most of the time.
    let (all, few) = (all.into_inner(), few.into_inner());
    assert!(few > all, "{few} answers name pods, {all} say all");
}

#[test]
fn what_changes_nothing_affects_nobody() {
    let mut world = World::default();
    assert_eq!(world.apply(Change::Settings(Settings::default())), Affected::none());
    let unknown = ObjectRef::new(Kind::Service, ObjectName::new("a", "s"));
    assert_eq!(world.apply(Change::Gone(unknown)), Affected::none());
    assert_eq!(world, World::default());
}
