//! Why a scenario could not be carried out: never a verdict about the mesh.

use std::time::Duration;

use mesh::{api::ManifestError, model::ObjectName};

use super::{certificates::CertificateError, subnet::NoSubnet, topology::TopologyError};

/// The lab does not do what a scenario asks.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "variants that only carry another error are told by it")]
pub enum LabError {
    #[error(transparent)]
    Topology(#[from] TopologyError),
    #[error(transparent)]
    Subnet(#[from] NoSubnet),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Issue(#[from] mesh::ca::IssueError),
    #[error(transparent)]
    Tls(#[from] mesh::xds::tls::TlsError),
    #[error("TLS credentials: {0}")]
    Rustls(#[from] rustls::Error),
    #[error("PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    #[error(transparent)]
    Control(#[from] mesh::run::StartError),
    #[error(transparent)]
    Stopped(#[from] mesh::run::Stopped),
    #[error(transparent)]
    NotSynced(#[from] mesh::run::NotSynced),
    #[error(transparent)]
    Sidecar(#[from] crate::envoy::SidecarError),
    #[error(transparent)]
    Admin(#[from] crate::envoy::AdminError),
    #[error(transparent)]
    Application(#[from] crate::workload::StartError),
    #[error(transparent)]
    Respond(#[from] crate::workload::RespondError),
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// A resource is not a sound manifest.
    #[error("resource {resource}: {}", .errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Manifest {
        /// The name that steps use.
        resource: String,
        /// What is wrong.
        errors: Vec<ManifestError>,
    },
    /// A name that the checks of the file should have caught.
    #[error("{0}")]
    Unknown(String),
    /// Nothing can be asked of a control plane that is down.
    #[error("the control plane is down")]
    Down,
    /// A sidecar does not connect.
    #[error("the sidecar of {pod} is not connected after {within:?}")]
    NotConnected {
        /// Its pod.
        pod: ObjectName,
        /// How long was waited.
        within: Duration,
    },
    /// A sidecar has acknowledged its configuration and does not use it.
    #[error("the sidecar of {pod} does not get ready: {what}")]
    Unsettled {
        /// Its pod.
        pod: ObjectName,
        /// What is still warming up.
        what: String,
    },
    /// A sidecar accepts what it should refuse.
    #[error("no sidecar of {pods:?} refused its configuration within {within:?}")]
    NotRejected {
        /// The pods.
        pods: Vec<ObjectName>,
        /// How long was waited.
        within: Duration,
    },
    /// This backend cannot do what a step asks. A verdict of its own.
    #[error("{0}")]
    Unobservable(String),
}
