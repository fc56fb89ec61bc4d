//! MeshRootCertificates: which roots the mesh uses, and how it gets from one to the next.
//!
//! ```text
//! objects ──► set         which signs, which is trusted besides; or why this cannot be
//!         ──► Succession  the sans-IO state machine: the next step from the roots in force to those that are wanted
//!         ──► status      what each object is told about itself
//! drive     the driver: opens providers, waits for proxies, takes steps, writes status
//! ```
//!
//! Two roots at most are in force at any time. What the objects want is reached in steps, each taken only after every proxy
//! has acknowledged the one before, whatever the order in which objects were edited. While the objects contradict each
//! other no step is taken: the roots in force stay, and each object's status says why.

pub mod drive;
mod set;
mod status;
mod succession;
pub mod write;

use std::collections::BTreeMap;

pub use set::{Goal, SetError};
pub use status::{Component, Components, MrcStatus, Spread, State, Told};
pub use succession::{Step, Succession};

use crate::{
    api::{Fault, mesh_root_certificate::MeshRootCertificateSpec},
    model::ObjectName,
};

/// All MeshRootCertificates.
pub type Objects = BTreeMap<ObjectName, Mrc>;

/// One MeshRootCertificate, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mrc {
    /// `spec`, or why it cannot be read.
    pub spec: Result<MeshRootCertificateSpec, Fault>,
    /// When it came to be, in seconds since the Unix epoch.
    pub created: Option<i64>,
    /// `metadata.generation`.
    pub generation: i64,
    /// `status.state`, as a control plane wrote it before. Read only when this one starts.
    pub written: Option<State>,
}

#[cfg(test)]
mod tests;
