//! What there is to write status to.

use std::sync::Arc;

use imbl::OrdMap;

use super::{Unreadable, status::Condition};
use crate::model::ObjectRef;

/// An object of the mesh, as far as whoever writes its status must know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `apiVersion` under which it was read.
    pub api_version: Arc<str>,
    /// `metadata.uid`.
    pub uid: Arc<str>,
    /// `metadata.generation`.
    pub generation: i64,
    /// `status.conditions` as they are written now.
    pub conditions: Vec<Condition>,
    /// Why it cannot be read, if so.
    pub unreadable: Option<Unreadable>,
}

/// All objects of monitored namespaces. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Directory {
    entries: OrdMap<ObjectRef, Arc<Entry>>,
}

impl Directory {
    /// The entry of an object.
    pub fn get(&self, object: &ObjectRef) -> Option<&Arc<Entry>> {
        self.entries.get(object)
    }

    /// All, by kind and name.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectRef, &Arc<Entry>)> {
        self.entries.iter()
    }

    /// Enters an object, or (`None`) takes it out; tells whether that changes anything.
    pub fn set(&mut self, object: &ObjectRef, entry: Option<Arc<Entry>>) -> bool {
        match entry {
            None => self.entries.remove(object).is_some(),
            Some(entry) if self.get(object) == Some(&entry) => false,
            Some(entry) => {
                self.entries.insert(object.clone(), entry);
                true
            }
        }
    }
}
