//! The control plane of the mesh: Kubernetes and SMI objects in, the exact Envoy configuration of every sidecar out.
//!
//! ```text
//! PURE  api        Kubernetes and SMI objects as wire types, every served version, converted into the model
//!       model      the domain in its own words: identity, service, workload, route, target, split, settings
//!       world      World: everything known, as one immutable value; World::apply(Change)
//!       policy     World -> decisions: who may call what, how traffic splits, each with the object that caused it
//!       snapshot   decisions -> the Envoy resources of one proxy
//! IO    k8s        watch -> Change; status, Events and leases back
//!       xds        session (sans-IO state machine) and the ADS server
//!       ca         Issuer: built-in, Vault, cert-manager; rotation over an injected clock
//!       inject     pod + settings -> JSON patch (pure), mutating webhook
//!       validate   admission rules (pure), validating and conversion webhook
//!       admin      health, metrics, debug endpoints
//!       metrics    TrafficMetrics: an aggregated API of Kubernetes
//!       run        the one writer, and the ADS server that it feeds
//!       controller the only part that knows every other: `osm-controller`
//! ```
//!
//! # Invariants
//!
//! 1. The pure half has no async, no network, no file, no clock, no randomness and no map with a random order.
//!    `tests/tidy.rs` reads the sources and fails on a forbidden import.
//! 2. All that happens enters as a [`world::Change`], through one writer. The simulator and a real cluster use the same door.
//! 3. [`snapshot::build`] cannot fail. A user's mistake is a [`model::Diagnostic`], never an `Err`.
//! 4. Every route, cluster and RBAC policy names the object that caused it in its metadata.
//! 5. Only what changed is recomputed, and only what differs is sent: resources are encoded so that equal content has
//!    equal bytes, and their version is a hash of those bytes.

pub mod admin;
pub mod api;
pub mod ca;
pub mod controller;
pub mod inject;
pub mod k8s;
pub mod metrics;
pub mod model;
pub mod policy;
pub mod run;
pub mod snapshot;
#[cfg(test)]
mod testing;
pub mod validate;
pub mod world;
pub mod xds;
