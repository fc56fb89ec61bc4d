//! Kubernetes and SMI objects as wire types, one per served version, and their way into the [`model`](crate::model).
//!
//! ```text
//! YAML text ── tree (values with places) ── decode ──► wire type ── TryFrom ──► model
//!                     ▲                        │                       │
//!                     └── line and column ── field path ◄── mistake ───┘
//! ```
//!
//! [`parse`] does it all; [`read`] takes an object from an API server the same way. Wire types are plain serde types with a JSON Schema, all closed: an unknown field is an error.
//! They read JSON from an API server just as well; a conversion's [`Fault`] names the field in either case.
//!
//! What is checked here is what one object alone can tell: syntax, types, names, ports, weights. What takes the rest of the
//! world, or is left to an implementation by the specification, goes into the model as written, and policy judges it.
//!
//! Choices where Kubernetes and the specification leave one:
//!
//! | question | answer |
//! |---|---|
//! | a field that is null | counts as absent; its name must be known all the same |
//! | `status` and what servers add to `metadata` | accepted and ignored, so that `kubectl get -o yaml` can be read |
//! | plain `true`, `1`, `1.5` where text belongs | an error that says to quote it, as with kubectl |
//! | plain `yes`, `on` | text, as in YAML 1.2 (kubectl still reads booleans) |
//! | the same object twice in one text | an error |
//! | TCP and UDP on one number of a Service | the TCP port; sidecars carry no UDP |
//! | a dot that ends a host name in a TrafficSplit | dropped |
//! | weights above 10⁹ | an error: sums must stay within 64 bits |

mod convert;
pub mod crd;
mod decode;
pub mod duration;
pub mod egress;
mod error;
pub mod extension_service;
mod headers;
pub mod ingress_backend;
mod json;
mod manifest;
pub mod mesh_config;
pub mod mesh_root_certificate;
mod metadata;
mod name;
mod protocol;
mod quantity;
pub mod rate_limit;
pub mod retry;
pub mod route_group;
mod served;
pub mod service;
pub mod stream_route;
mod suggest;
pub mod telemetry;
#[cfg(test)]
mod tests;
mod tls_names;
pub mod traffic_split;
pub mod traffic_target;
mod tree;
pub mod upstream_traffic_setting;

pub use convert::convert;
pub use error::{Fault, ManifestError};
pub use json::read;
pub use manifest::{Manifest, locate, parse};
pub use metadata::{Ignored, ObjectMeta, Port, Resource};
pub use protocol::{Transport, protocol};
pub use quantity::MAX_WEIGHT;
pub use service::UnassignedService;
