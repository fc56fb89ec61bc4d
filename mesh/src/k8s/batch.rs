//! What the watches hand over.

use std::{collections::BTreeSet, fmt, sync::Arc};

use super::{Directory, Namespaces};
use crate::{
    api::{Fault, mesh_config::MeshConfigSpec},
    model::{Kind, ObjectRef, TrustDomain},
    world::Change,
};

/// What has changed since the last batch. The first one is everything.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// What the world has to take in; each object at most once. Settings are not among them: see [`Batch::changes_under`].
    pub changes: Vec<Change>,
    /// Objects that cannot be read, and (`None`) those that no longer are so.
    pub unreadable: Vec<(ObjectRef, Option<Unreadable>)>,
    /// All namespaces, as of now.
    pub namespaces: Namespaces,
    /// The MeshConfig, if it has changed: the default if there is none. Always in the first batch.
    pub mesh_config: Option<Arc<MeshConfigSpec>>,
    /// What there is to write status to, as of now.
    pub directory: Directory,
    /// Kinds that the cluster does not define, as of now.
    pub missing: BTreeSet<Kind>,
}

impl Batch {
    /// The changes, with the settings of the MeshConfig if it has changed.
    pub fn changes_under(&self, trust_domain: &TrustDomain) -> Vec<Change> {
        let settings = self.mesh_config.as_ref().map(|spec| Change::Settings(spec.settings(trust_domain.clone())));
        settings.into_iter().chain(self.changes.iter().cloned()).collect()
    }
}

/// Why an object cannot be read. Displays as `field: message (hint)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The field at fault; empty if the object as a whole is.
    pub field: String,
    /// What is wrong, and what is expected.
    pub message: String,
}

impl Unreadable {
    /// `message` about `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl From<Fault> for Unreadable {
    fn from(fault: Fault) -> Self {
        let hint = fault.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        Self { field: fault.field, message: format!("{}{hint}", fault.message) }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.field, self.message) }
    }
}
