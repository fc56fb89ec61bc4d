//! `metrics.smi-spec.io/v1alpha1`: TrafficMetrics as an aggregated API of Kubernetes.
//!
//! ```text
//! PURE  exposition   what a sidecar tells Prometheus -> Page
//!       flow         who called whom, how often, how it ended, how long it took
//!       histogram    latencies in buckets; percentiles by interpolation
//!       history      pages over time -> what was added in a window, restarts of sidecars included
//!       resource     the kinds of resource, and what a pod belongs to
//!       aggregate    flows + World -> totals, edges, backends of splits
//!       selector     label selectors
//!       wire         the JSON of the API
//!       question     paths -> questions
//!       answer       question -> JSON
//! IO    observer     asks every sidecar, keeps the pages
//!       admission    who may ask: the API server's front proxy, SubjectAccessReview
//!       server       HTTP
//! ```
//!
//! The client's sidecar measures requests within the mesh: it alone sees every end that a request can have. So `side` is
//! `client` for both directions of an edge. Requests from outside of the mesh are measured at the server's sidecar, have
//! no peer, and count among all that a resource received.
//!
//! A failure is a status of 500 and above, or no answer at all. All else is a success: what a client did wrong is not the
//! failure of the server.

pub mod admission;
pub mod aggregate;
pub mod answer;
pub mod exposition;
pub mod flow;
pub mod histogram;
pub mod history;
pub mod observer;
pub mod question;
pub mod resource;
pub mod selector;
pub mod server;
pub mod wire;

pub use aggregate::MetricsMutation;
pub use observer::{Observer, Source};
pub use server::Api;

/// The API group.
pub const GROUP: &str = "metrics.smi-spec.io";
/// Its version.
pub const VERSION: &str = "v1alpha1";
