//! Why a pod is refused.

/// A pod that cannot be injected as its author or the mesh's settings demand. It is not admitted, because without a sidecar it
/// would run unprotected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An annotation has a value that means nothing.
    #[error("annotation `{name}` of the {object} has the value {value:?}: {expected}")]
    Annotation {
        /// `pod` or `namespace`.
        object: &'static str,
        /// The annotation's name.
        name: String,
        /// Its value, or the part of it that is wrong.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// MeshConfig has a value that cannot be used.
    #[error("MeshConfig field `{field}` has the value {value:?}: {expected}")]
    MeshConfig {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A container bears the name of one that injection adds.
    #[error("container `{0}` has the name of a container of the mesh; rename it")]
    ContainerName(String),
    /// A volume bears the name of one that injection adds.
    #[error("volume `{0}` has the name of a volume of the mesh; rename it")]
    VolumeName(String),
    /// A container claims a port that the sidecar listens on.
    #[error("container `{container}` declares port {port}, on which the sidecar listens; use another port")]
    Port {
        /// The container.
        container: String,
        /// The port.
        port: u16,
    },
    /// A container runs as the sidecar's user, whose connections are not intercepted.
    #[error("container `{0}` runs as user 1500, whose connections bypass the sidecar; set another `runAsUser`")]
    ProxyUser(String),
    /// A probe or a hook that cannot be led through the sidecar.
    #[error("{probe} of container `{container}` {why}")]
    Probe {
        /// The container.
        container: String,
        /// `livenessProbe`, `readinessProbe`, `startupProbe`, `lifecycle.postStart` or `lifecycle.preStop`.
        probe: &'static str,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// What was given is no pod.
    #[error("this is not a pod: {0}")]
    Unreadable(String),
}
