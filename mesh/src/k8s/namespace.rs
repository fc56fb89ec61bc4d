//! Namespaces: which belong to the mesh, and what is written on them.

use std::{collections::BTreeMap, sync::Arc};

use imbl::OrdMap;
use k8s_openapi::api::core::v1;

use super::{IGNORE, MONITORED_BY};

/// Labels and annotations of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
}

impl Namespace {
    /// Whether the mesh called `mesh` looks into it.
    pub fn is_monitored_by(&self, mesh: &str) -> bool {
        self.labels.get(MONITORED_BY).is_some_and(|name| name == mesh) && !self.labels.contains_key(IGNORE)
    }
}

impl From<v1::Namespace> for Namespace {
    fn from(wire: v1::Namespace) -> Self {
        Self {
            labels: wire.metadata.labels.unwrap_or_default(),
            annotations: wire.metadata.annotations.unwrap_or_default(),
        }
    }
}

/// All namespaces of the cluster, by name. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Namespaces {
    by_name: OrdMap<Arc<str>, Arc<Namespace>>,
}

impl Namespaces {
    /// The namespace called `name`.
    pub fn get(&self, name: &str) -> Option<&Arc<Namespace>> {
        self.by_name.get(name)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Namespace>)> {
        self.by_name.iter()
    }

    /// Whether the mesh called `mesh` looks into the namespace called `name`.
    pub fn is_monitored(&self, name: &str, mesh: &str) -> bool {
        self.get(name).is_some_and(|namespace| namespace.is_monitored_by(mesh))
    }

    /// Enters a namespace, or (`None`) takes it out; tells whether that changes anything.
    pub fn set(&mut self, name: Arc<str>, namespace: Option<Namespace>) -> bool {
        match namespace {
            None => self.by_name.remove(&name).is_some(),
            Some(namespace) if self.get(&name).is_some_and(|old| **old == namespace) => false,
            Some(namespace) => {
                self.by_name.insert(name, Arc::new(namespace));
                true
            }
        }
    }
}
