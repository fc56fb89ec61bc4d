//! Runs SMI scenarios on real Envoys that our own control plane configures.
//!
//! ```text
//! scenario   files: types, reading, checking, expanding, JSON Schema, and a builder for Rust
//! lab        one scenario's world: topology, addresses, certificates, control plane, sidecars
//!   workload   fake applications that record what they saw
//!   client     fake clients that send like an application in a pod would
//!   collector  fake receivers of log entries and spans: OTLP, Zipkin
//!   envoy      finding, installing and running real Envoys, as processes and in containers
//!   adapt      the three places in which a snapshot is changed so that it runs without iptables
//! evaluator  the generated configuration, judged without any Envoy: exact outcomes with the way that led there
//! judge      verdicts with stated error probabilities
//! run        scenarios step by step, on the evaluator alone or on real Envoys with the evaluator beside them
//! verify     one scenario from Rust, for `cargo test` in other people's repositories
//! report     what a run found: JSON, and text and JUnit made from it
//! cli        the `simulator` command
//! ```

pub mod adapt;
pub mod cli;
pub mod client;
pub mod collector;
pub mod envoy;
pub mod evaluator;
pub mod exchange;
pub mod extension;
pub mod judge;
pub mod lab;
pub mod report;
pub mod run;
pub mod scenario;
mod verify;
pub mod workload;

pub use scenario::Scenario;
pub use verify::Failure;
