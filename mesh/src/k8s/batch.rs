//! What the watches hand over.

use std::{collections::BTreeSet, fmt, sync::Arc};

use super::{Directory, Namespaces};
use crate::{
    api::{Fault, mesh_config::MeshConfigSpec},
    model::{ControlPlaneNamespace, Kind, ObjectRef, Settings, TrustDomain},
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
    /// The changes, with the settings of the MeshConfig if it has changed. `namespace` is the control plane's.
    pub fn changes_under(&self, trust_domain: &TrustDomain, namespace: &str) -> Vec<Change> {
        let settings = self.mesh_config.as_ref().map(|spec| {
            let settings = spec.settings(trust_domain.clone());
            Change::Settings(Settings { namespace: ControlPlaneNamespace(namespace.into()), ..settings })
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_know_where_the_control_plane_is() {
        let batch = Batch { mesh_config: Some(Arc::default()), ..Batch::default() };
        let changes = batch.changes_under(&TrustDomain::new("here"), "mesh");
        let [Change::Settings(settings)] = changes.as_slice() else { panic!("{changes:?}") };
        assert_eq!((&*settings.namespace.0, settings.trust_domain.as_str()), ("mesh", "here"));
        assert!(Batch::default().changes_under(&TrustDomain::default(), "mesh").is_empty());
    }
}
