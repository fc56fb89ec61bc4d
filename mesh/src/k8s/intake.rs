//! From what single watches tell to what the world has to take in. No IO, no clock.
//!
//! All objects are kept, also those of namespaces that the mesh does not look into: when a namespace is labelled, its
//! objects enter at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use super::{
    Batch, Directory, MESH_CONFIG, Namespace, Namespaces, Unreadable,
    event::Event,
    source::KINDS,
    told::{Content, Item, Told},
};
use crate::{
    api::mesh_config::MeshConfigSpec,
    model::{Kind, ObjectName, ObjectRef},
    world::Change,
};

/// Gathers what watches tell.
#[derive(Debug)]
pub struct Intake {
    mesh: String,
    home: Arc<str>,
    namespaces: Namespaces,
    directory: Directory,
    known: BTreeMap<Kind, BTreeMap<ObjectName, Item>>,
    waiting: BTreeSet<Option<Kind>>,
    missing: BTreeSet<Kind>,
    changes: BTreeMap<ObjectRef, Change>,
    unreadable: BTreeMap<ObjectRef, Option<Unreadable>>,
    mesh_config: Setting,
    dirty: bool,
}

/// The MeshConfig in force.
#[derive(Debug, Default)]
struct Setting {
    /// `None` before any could be read.
    current: Option<Arc<MeshConfigSpec>>,
    /// Whether it is to be told.
    fresh: bool,
}

impl Intake {
    /// Knows nothing yet. `mesh` is the mesh's name, `home` the namespace of the control plane.
    pub fn new(mesh: impl Into<String>, home: impl Into<Arc<str>>) -> Self {
        let kinds = KINDS.into_iter().chain([Kind::MeshConfig]).map(Some);
        Self {
            mesh: mesh.into(),
            home: home.into(),
            namespaces: Namespaces::default(),
            directory: Directory::default(),
            known: BTreeMap::new(),
            waiting: kinds.chain([None]).collect(),
            missing: BTreeSet::new(),
            changes: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            mesh_config: Setting::default(),
            dirty: false,
        }
    }

    /// Takes in what a watch tells.
    pub fn take(&mut self, told: Told) {
        match told {
            Told::Namespaces(event) => self.take_namespaces(event),
            Told::Objects(kind, event) => self.take_objects(kind, event),
        }
    }

    /// Whether every kind has been listed once, and the settings could be read.
    pub fn is_complete(&self) -> bool {
        self.waiting.is_empty() && self.mesh_config.current.is_some()
    }

    /// What is still waited for, to be shown: kinds, and `Namespace`.
    pub fn waits_for(&self) -> Vec<&'static str> {
        let unread = self.waiting.is_empty() && self.mesh_config.current.is_none();
        let names = self.waiting.iter().map(|kind| kind.map_or("Namespace", Kind::as_str));
        names.chain(unread.then_some("a readable MeshConfig")).collect()
    }

    /// Whether there is something to hand over.
    pub fn is_due(&self) -> bool {
        self.dirty && self.is_complete()
    }

    /// Everything new since the last call.
    pub fn batch(&mut self) -> Batch {
        self.dirty = false;
        let fresh = mem::take(&mut self.mesh_config.fresh);
        Batch {
            changes: mem::take(&mut self.changes).into_values().collect(),
            unreadable: mem::take(&mut self.unreadable).into_iter().collect(),
            namespaces: self.namespaces.clone(),
            mesh_config: self.mesh_config.current.clone().filter(|_| fresh),
            directory: self.directory.clone(),
            missing: self.missing.clone(),
        }
    }

    fn take_namespaces(&mut self, event: Event<(Arc<str>, Namespace), Arc<str>>) {
        match event {
            Event::Listed(all) => {
                let listed: BTreeSet<_> = all.iter().map(|(name, _)| name.clone()).collect();
                let gone = self.namespaces.iter().map(|(name, _)| name.clone()).filter(|name| !listed.contains(name));
                for name in gone.collect::<Vec<_>>() {
                    self.set_namespace(name, None);
                }
                all.into_iter().for_each(|(name, namespace)| self.set_namespace(name, Some(namespace)));
                self.listed(None);
            }
            Event::Put((name, namespace)) => self.set_namespace(name, Some(namespace)),
            Event::Gone(name) => self.set_namespace(name, None),
            Event::Missing => {}
        }
    }

    fn set_namespace(&mut self, name: Arc<str>, namespace: Option<Namespace>) {
        let before = self.namespaces.is_monitored(&name, &self.mesh);
        if !self.namespaces.set(name.clone(), namespace) {
            return;
        }
        self.dirty = true;
        if before == self.namespaces.is_monitored(&name, &self.mesh) {
            return;
        }
        let first = ObjectName::new(name, "");
        for kind in KINDS {
            let objects = self.known.get(&kind).into_iter().flat_map(|objects| objects.range(first.clone()..));
            let inside = objects.take_while(|(object, _)| object.namespace == first.namespace);
            for item in inside.map(|(_, item)| item.clone()).collect::<Vec<_>>() {
                let counts = self.counts(kind, &item.name);
                let (old, new) = if counts { (None, Some(&item)) } else { (Some(&item), None) };
                self.tell(&ObjectRef::new(kind, item.name.clone()), old, new);
            }
        }
    }

    fn take_objects(&mut self, kind: Kind, event: Event<Item, ObjectName>) {
        if !matches!(event, Event::Missing) {
            self.dirty |= self.missing.remove(&kind);
        }
        match event {
            Event::Listed(all) => {
                self.only(kind, &all.iter().map(|item| item.name.clone()).collect());
                all.into_iter().for_each(|item| self.set(kind, item));
                self.listed(Some(kind));
            }
            Event::Put(item) => self.set(kind, item),
            Event::Gone(name) => self.forget(kind, &name),
            Event::Missing => {
                self.only(kind, &BTreeSet::new());
                self.dirty |= self.missing.insert(kind);
                self.listed(Some(kind));
            }
        }
    }

    /// A kind has been listed: what is not known of it by now does not exist.
    fn listed(&mut self, kind: Option<Kind>) {
        self.dirty |= self.waiting.remove(&kind);
        let readable = self.known.get(&Kind::MeshConfig).is_none_or(|known| !known.contains_key(&self.settings_name()));
        if kind == Some(Kind::MeshConfig) && readable && self.mesh_config.current.is_none() {
            self.configure(Arc::default());
        }
    }

    fn only(&mut self, kind: Kind, names: &BTreeSet<ObjectName>) {
        let known = self.known.get(&kind).into_iter().flat_map(BTreeMap::keys);
        for name in known.filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>() {
            self.forget(kind, &name);
        }
    }

    fn set(&mut self, kind: Kind, item: Item) {
        let name = item.name.clone();
        let old = self.known.get_mut(&kind).and_then(|known| known.remove(&name));
        self.replaced(kind, &name, old.as_ref(), Some(&item));
        self.known.entry(kind).or_default().insert(name, item);
    }

    fn forget(&mut self, kind: Kind, name: &ObjectName) {
        let old = self.known.get_mut(&kind).and_then(|known| known.remove(name));
        self.replaced(kind, name, old.as_ref(), None);
    }

    fn replaced(&mut self, kind: Kind, name: &ObjectName, old: Option<&Item>, new: Option<&Item>) {
        if old == new || !self.counts(kind, name) {
            return;
        }
        if kind == Kind::MeshConfig {
            match new.map(|item| &item.content) {
                Some(Content::MeshConfig(spec)) => self.configure(spec.clone()),
                None => self.configure(Arc::default()),
                // The last good one stays.
                Some(_) => {}
            }
        }
        self.tell(&ObjectRef::new(kind, name.clone()), old, new);
    }

    fn configure(&mut self, spec: Arc<MeshConfigSpec>) {
        if self.mesh_config.current.as_ref() != Some(&spec) {
            self.mesh_config = Setting { current: Some(spec), fresh: true };
            self.dirty = true;
        }
    }

    /// Whether the mesh looks at an object of this kind and name.
    fn counts(&self, kind: Kind, name: &ObjectName) -> bool {
        match kind {
            Kind::MeshConfig => *name == self.settings_name(),
            Kind::ExtensionService | Kind::Telemetry if name.namespace == self.home => true,
            _ => self.namespaces.is_monitored(&name.namespace, &self.mesh),
        }
    }

    fn settings_name(&self) -> ObjectName {
        ObjectName::new(self.home.clone(), MESH_CONFIG)
    }

    /// Notes the difference between what an object was and what it is; `None` is an object that does not count.
    fn tell(&mut self, object: &ObjectRef, old: Option<&Item>, new: Option<&Item>) {
        let (was, is) = (old.and_then(Item::object), new.and_then(Item::object));
        if was != is {
            let change = match is {
                Some(is) => Change::Put(is.clone()),
                None => Change::Gone(object.clone()),
            };
            self.changes.insert(object.clone(), change);
            self.dirty = true;
        }
        let (was, is) = (old.and_then(Item::unreadable), new.and_then(Item::unreadable));
        if was != is {
            self.unreadable.insert(object.clone(), is.cloned());
            self.dirty = true;
        }
        self.dirty |= self.directory.set(object, new.and_then(|item| item.entry.clone()));
    }
}

#[cfg(test)]
mod tests;
