//! Meshes that are broken on purpose: what proves that a scenario can fail.
//!
//! A lab with a [`Mutation`] has a control plane that takes something else for true than it is told, or sidecars that get something
//! else than it says. It holds for the evaluator and for real Envoys alike: both see the same wrong world.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use mesh::{
    model::{Kind, ObjectName, ObjectRef, Settings},
    snapshot::Snapshot,
    world::{Change, Object, World},
};

/// One way in which a mesh is broken. Each method is right as it is; a mutation gets one of them wrong.
pub trait Mutation: fmt::Debug + Send + Sync {
    /// What is stored in place of the text of a manifest.
    fn read(&self, manifest: String) -> String {
        manifest
    }

    /// What the control plane takes for true, where this is.
    fn believe(&self, truth: Known, _past: &Past) -> Known {
        truth
    }

    /// What the sidecar of a pod gets, where the control plane made this snapshot of the world that it believes in.
    fn deliver(&self, _world: &World, _pod: &ObjectName, snapshot: Snapshot) -> Snapshot {
        snapshot
    }
}

/// Objects, settings, and in which order they came to be as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// The mesh-wide settings.
    pub settings: Settings,
    /// All objects.
    pub objects: BTreeMap<ObjectRef, Object>,
    /// When each object was last written: a number that grows.
    pub written: BTreeMap<ObjectRef, u64>,
}

/// What went before, as a control plane sees it.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// What it has taken for true until now. Empty after a restart.
    pub believed: BTreeMap<ObjectRef, Object>,
    /// The policies that went away while it was down.
    pub missed: BTreeMap<ObjectRef, Object>,
    /// How far [`Known::written`] had come when it was restarted; `None` if it never was.
    pub restarted: Option<u64>,
}

impl Known {
    /// Takes a change in; returns what is no part of it.
    fn take(&mut self, change: Change) -> Option<Change> {
        match change {
            Change::Put(object) => {
                let reference = object.reference();
                if self.objects.get(&reference) != Some(&object) {
                    self.written.insert(reference.clone(), self.now() + 1);
                    self.objects.insert(reference, object);
                }
            }
            Change::Gone(reference) => {
                self.objects.remove(&reference);
                self.written.remove(&reference);
            }
            Change::Settings(settings) => self.settings = settings,
            other => return Some(other),
        }
        None
    }

    fn now(&self) -> u64 {
        self.written.values().copied().max().unwrap_or_default()
    }
}

/// Whether the kind is one that users write to steer traffic (SMI).
pub fn is_policy(kind: Kind) -> bool {
    matches!(kind, Kind::TrafficTarget | Kind::TrafficSplit | Kind::HttpRouteGroup | Kind::TcpRoute | Kind::UdpRoute)
}

/// A control plane's way of hearing things wrong.
#[derive(Debug)]
pub(super) struct Mind {
    mutation: Arc<dyn Mutation>,
    truth: Known,
    past: Past,
    /// The settings that it was told last.
    settings: Option<Settings>,
}

impl Mind {
    pub(super) fn new(mutation: Arc<dyn Mutation>) -> Self {
        Self { mutation, truth: Known::default(), past: Past::default(), settings: None }
    }

    pub(super) fn read(&self, manifest: String) -> String {
        self.mutation.read(manifest)
    }

    /// What the control plane hears in place of `changes`.
    pub(super) fn hear(&mut self, changes: Vec<Change>) -> Vec<Change> {
        let others: Vec<Change> = changes.into_iter().filter_map(|change| self.truth.take(change)).collect();
        let Known { settings, objects, .. } = self.mutation.believe(self.truth.clone(), &self.past);
        let before = std::mem::replace(&mut self.past.believed, objects);
        let objects = &self.past.believed;
        let changed = self.settings.as_ref() != Some(&settings);
        self.settings = Some(settings.clone());
        let put = objects.iter().filter(|(name, object)| before.get(name) != Some(object));
        let gone = before.keys().filter(|name| !objects.contains_key(name));
        changed
            .then_some(Change::Settings(settings))
            .into_iter()
            .chain(put.map(|(_, object)| Change::Put(object.clone())))
            .chain(gone.map(|name| Change::Gone(name.clone())))
            .chain(others)
            .collect()
    }

    /// What a control plane that starts again hears, where `everything` is all there is now.
    pub(super) fn restart(&mut self, everything: Vec<Change>) -> Vec<Change> {
        let there: BTreeSet<ObjectRef> = everything
            .iter()
            .filter_map(|change| if let Change::Put(object) = change { Some(object.reference()) } else { None })
            .collect();
        let mut missed = std::mem::take(&mut self.past.believed);
        missed.retain(|name, _| is_policy(name.kind) && !there.contains(name));
        self.truth.objects.retain(|name, _| there.contains(name));
        self.truth.written.retain(|name, _| there.contains(name));
        everything.iter().cloned().for_each(|change| drop(self.truth.take(change)));
        self.settings = None;
        self.past = Past { believed: BTreeMap::new(), missed, restarted: Some(self.truth.now()) };
        self.hear(everything)
    }
}

/// A mutation on the way to the sidecars, with the world that the control plane believes in.
#[derive(Clone, Debug)]
pub struct Delivery {
    mutation: Arc<dyn Mutation>,
    world: Arc<RwLock<World>>,
}

impl Delivery {
    /// Of a control plane that knows nothing yet.
    pub fn new(mutation: Arc<dyn Mutation>) -> Self {
        Self { mutation, world: Arc::default() }
    }

    /// The control plane believes in this world now.
    pub(super) fn know(&self, world: &World) {
        *self.world.write().unwrap_or_else(PoisonError::into_inner) = world.clone();
    }

    /// What the sidecar gets in place of `snapshot`.
    pub(super) fn of(&self, pod: &ObjectName, snapshot: Snapshot) -> Snapshot {
        let world = self.world.read().unwrap_or_else(PoisonError::into_inner).clone();
        self.mutation.deliver(&world, pod, snapshot)
    }
}

#[cfg(test)]
mod tests;
