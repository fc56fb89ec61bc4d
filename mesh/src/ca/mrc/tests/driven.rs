//! The driver, with real roots, real leaves and real handshakes.

use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use tokio::sync::watch;

use super::{objects, *};
use crate::{
    ca::{
        BuiltinCa, Clock as _, Issuer, LeafPolicy, ManualClock, SystemClock,
        mrc::drive::{self, Mesh, Parts, Running},
        provider::{Open, OpenError},
        testing::{End, account, handshake},
    },
    model::{Leaf, TrustBundle, TrustDomain},
    world::Change,
};

/// A root for each Secret.
#[derive(Default)]
struct Secrets(Mutex<BTreeMap<String, BuiltinCa>>);

impl Open for Secrets {
    fn open<'a>(&'a self, spec: &'a MeshRootCertificateSpec) -> BoxFuture<'a, Result<Arc<dyn Issuer>, OpenError>> {
        let secret = spec.provider.tresor.as_ref().unwrap().ca.secret_ref.name.clone();
        let new = || BuiltinCa::generate(SystemClock.now()).unwrap();
        let ca = self.0.lock().unwrap().entry(secret).or_insert_with(new).clone();
        Box::pin(async move { Ok(Arc::new(ca) as Arc<dyn Issuer>) })
    }
}

/// What one proxy holds.
#[derive(Clone, Debug, Default)]
struct Held {
    trust: TrustBundle,
    leaf: Option<Arc<Leaf>>,
}

/// Two proxies. Each takes what was sent when the test lets it.
struct Proxies {
    sent: watch::Sender<(usize, BTreeMap<String, Held>)>,
    acknowledged: watch::Sender<usize>,
}

impl Mesh for Proxies {
    fn apply(&self, changes: Vec<Change>) -> BoxFuture<'_, ()> {
        self.sent.send_modify(|(count, held)| {
            *count += 1;
            for change in changes {
                match change {
                    Change::Trust(trust) => held.values_mut().for_each(|held| held.trust = trust.clone()),
                    Change::Certificate(leaf) => held.get_mut(&*leaf.account.name).unwrap().leaf = Some(leaf.clone()),
                    other => panic!("{other:?}"),
                }
            }
        });
        Box::pin(std::future::ready(()))
    }

    fn acknowledged(&self) -> BoxFuture<'_, ()> {
        let sent = self.sent.borrow().0;
        let mut acknowledged = self.acknowledged.subscribe();
        Box::pin(async move {
            acknowledged.wait_for(|count| *count >= sent).await.unwrap();
        })
    }

    fn followed<'a>(&'a self, _: &'a Roots<Arc<dyn Issuer>>) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

async fn talk(a: &Held, b: &Held) {
    let (from, to) = (a.leaf.as_ref().unwrap(), b.leaf.as_ref().unwrap());
    let name = to.account.principal(&TrustDomain::default());
    handshake(End::of(from, &a.trust.roots_pem), End::of(to, &b.trust.roots_pem), &name).await.unwrap();
}

/// Lets the proxies take what was sent, one after the other: whoever is ahead must get on with who is behind.
async fn acknowledge(proxies: &Proxies, held: &mut BTreeMap<String, Held>) {
    let (count, new) = proxies.sent.borrow().clone();
    for name in ["buyer", "store"] {
        // Roots and certificate come one after the other.
        for part in 0..2 {
            let now = held.get_mut(name).unwrap();
            if part == 0 {
                now.trust = new[name].trust.clone();
            } else {
                now.leaf = new[name].leaf.clone();
            }
            if held.values().all(|held| held.leaf.is_some() && held.trust != TrustBundle::default()) {
                talk(&held["buyer"], &held["store"]).await;
                talk(&held["store"], &held["buyer"]).await;
            }
        }
    }
    proxies.acknowledged.send_replace(count);
}

struct Stage {
    proxies: Arc<Proxies>,
    held: BTreeMap<String, Held>,
    objects: watch::Sender<Option<Objects>>,
    running: Running,
}

impl Stage {
    fn new() -> Self {
        let nobody = BTreeMap::from(["buyer", "store"].map(|name| (name.to_owned(), Held::default())));
        let proxies =
            Arc::new(Proxies { sent: watch::Sender::new((0, nobody.clone())), acknowledged: watch::Sender::new(0) });
        let (objects, seen) = watch::channel(None);
        let (_, policy) = watch::channel(LeafPolicy::default());
        let parts = Parts {
            open: Arc::new(Secrets::default()),
            mesh: proxies.clone(),
            clock: Arc::new(ManualClock::at_system_time()),
            policy,
            objects: seen,
            gateway: false,
        };
        Self { proxies, held: nobody, objects, running: drive::start(parts) }
    }

    /// Acknowledges whatever comes until the objects have reached these states.
    async fn reach(&mut self, roles: &[(&str, Role)], states: &[(&str, State)]) {
        self.objects.send_replace(Some(objects(roles)));
        let mut status = self.running.status.clone();
        let mut sent = self.proxies.sent.subscribe();
        loop {
            acknowledge(&self.proxies, &mut self.held).await;
            let reached = |told: &BTreeMap<ObjectName, MrcStatus>| {
                told.len() == roles.len() && states.iter().all(|(object, state)| told[&name(object)].state == *state)
            };
            if reached(&status.borrow_and_update()) {
                return;
            }
            tokio::select! {
                changed = status.changed() => changed.unwrap(),
                changed = sent.changed() => changed.unwrap(),
            }
        }
    }
}

#[tokio::test]
async fn no_handshake_fails_from_the_first_root_to_the_third() {
    let mut stage = Stage::new();
    stage.objects.send_replace(Some(objects(&[("a", Active)])));
    let mut authority = stage.running.authority.clone();
    let authority = authority.wait_for(Option::is_some).await.unwrap().clone().unwrap();
    authority.want(account("buyer")).await.unwrap();
    authority.want(account("store")).await.unwrap();
    stage.reach(&[("a", Active)], &[("a", State::Active)]).await;
    let mut issued = authority.status();
    issued.wait_for(|status| status.held == 2).await.unwrap();
    let first = stage.running.roots.borrow().clone().unwrap();

    let both = [("a", State::Active), ("b", State::ValidatingRollout)];
    stage.reach(&[("a", Active), ("b", Passive)], &both).await;
    let rolled = [("a", State::ValidatingRollback), ("b", State::Active)];
    stage.reach(&[("a", Passive), ("b", Active)], &rolled).await;
    let back = [("a", State::Active), ("b", State::ValidatingRollback)];
    stage.reach(&[("a", Active), ("b", Passive)], &back).await;
    // All at once.
    stage.reach(&[("c", Active)], &[("c", State::Active)]).await;
    let (mut roots, mut sent) = (stage.running.roots.clone(), stage.proxies.sent.subscribe());
    while !matches!(*roots.borrow_and_update(), Some(Roots::Stable(_))) {
        acknowledge(&stage.proxies, &mut stage.held).await;
        tokio::select! {
            changed = roots.changed() => changed.unwrap(),
            changed = sent.changed() => changed.unwrap(),
        }
    }
    let last = roots.borrow().clone().unwrap();
    assert_ne!(last.bundle(), first.bundle());
    stage.reach(&[("c", Active)], &[("c", State::Active)]).await;
}

#[tokio::test]
async fn no_step_is_taken_before_the_one_before_has_arrived() {
    let mut stage = Stage::new();
    stage.reach(&[("a", Active)], &[("a", State::Active)]).await;
    stage.objects.send_replace(Some(objects(&[("b", Active)])));
    let mut sent = stage.proxies.sent.subscribe();
    // The new root is on its way, and nobody has acknowledged it.
    sent.wait_for(|(_, held)| held["buyer"].trust.roots_pem.matches("BEGIN").count() == 2).await.unwrap();
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    let status = stage.running.status.borrow()[&name("b")].clone();
    assert_eq!(status.state, State::ValidatingRollout);
    let (reason, message) = (status.conditions[1].reason, &*status.conditions[1].message);
    assert_eq!((reason, message), ("Pending", "waiting for every proxy to have acknowledged the roots"));
    stage.reach(&[("b", Active)], &[("b", State::Active)]).await;
}
