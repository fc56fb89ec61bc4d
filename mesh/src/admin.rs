//! What an operator sees of the control plane: health, metrics, version, and the debug endpoints.
//!
//! Health and metrics have a listener of their own that tells nothing secret. The debug endpoints tell who may call whom
//! and what every proxy holds: they have another listener, on the loopback address unless a bearer token guards it, and
//! are off until a MeshConfig turns them on. No endpoint ever gives out a private key.

pub mod debug;
mod explain;
pub mod health;
pub mod http;
pub mod log;
pub mod metrics;
mod profile;
pub mod routes;

pub use explain::{Explanation, Verdict, explain};
pub use health::{Check, Health};
pub use http::HttpServer;
pub use log::{Format, Level};
pub use metrics::Metrics;
use serde::Serialize;

/// What runs here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Version {
    /// Of this crate.
    pub version: &'static str,
    /// When it was built, as the build told in `SMI_BUILD_DATE`; `unknown` if it did not.
    pub build_date: &'static str,
    /// From which sources, as the build told in `SMI_GIT_COMMIT`; `unknown` if it did not.
    pub git_commit: &'static str,
}

/// What runs here.
pub const VERSION: Version = Version {
    version: env!("CARGO_PKG_VERSION"),
    build_date: match option_env!("SMI_BUILD_DATE") {
        Some(date) => date,
        None => "unknown",
    },
    git_commit: match option_env!("SMI_GIT_COMMIT") {
        Some(commit) => commit,
        None => "unknown",
    },
};
