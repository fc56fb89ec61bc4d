//! Sidecar injection: a pod and the settings become a JSON patch (pure); the mutating webhook serves it.
//!
//! ```text
//! decision    whether a pod gets a sidecar, and why not
//! exclusions  what bypasses the sidecar: MeshConfig's lists and the pod's annotations
//! probes      kubelet's probes, led through the sidecar without opening the application to everyone
//! iptables    the rules that lead connections into the sidecar
//! bootstrap   what Envoy starts with
//! container   the two containers and the volume that a pod gets
//! origin      what a pod was before, so that a second pass finds it again
//! patch       all of that, as one JSON patch
//! router      the webhook; `webhook` its registration
//! ```
//!
//! Nothing here has a side effect, so a dry run needs no special case. There is no Secret and no random name: a sidecar proves
//! who it is by a ServiceAccount token that the kubelet projects into the pod.

pub mod bootstrap;
pub mod container;
pub mod decision;
mod document;
pub mod exclusions;
pub mod iptables;
mod origin;
pub mod patch;
pub mod probes;
pub mod refusal;
pub mod router;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod webhook;

pub use decision::{Namespace, Skip};
pub use origin::remove;
pub use patch::{Decision, Injection, patch};
pub use refusal::Refusal;
pub use router::{Injector, router};
pub use settings::{Installation, Settings};

/// The user id of Envoy. Whatever runs as this user bypasses interception.
pub const PROXY_UID: i64 = 1500;
/// Envoy's administration interface, on 127.0.0.1 only.
pub const ADMIN_PORT: u16 = 15000;
/// Envoy's statistics for Prometheus, if metrics are on.
pub const METRICS_PORT: u16 = 15010;
/// Rewritten HTTP, HTTPS and TCP probes and hooks, and Envoy's own readiness.
pub const PROBE_PORT: u16 = 15901;
/// The first of the ports for rewritten gRPC probes: one for each port that is probed.
pub const FIRST_GRPC_PROBE_PORT: u16 = 15911;
/// The last of these.
pub const LAST_GRPC_PROBE_PORT: u16 = 15999;
/// Where the mutating webhook is served.
pub const WEBHOOK_PATH: &str = "/mutate-pod-creation";
