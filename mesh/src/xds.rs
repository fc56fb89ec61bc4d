//! Snapshots → proxies: the xDS transport protocol and the server that speaks it.
//!
//! [`Session`] is the protocol without IO: requests and snapshots in, responses out. [`server`] carries it over gRPC and TLS.

pub mod server;
pub mod session;
pub mod tls;

pub use server::{Feed, Identify, Identity, Limits, Server, Source};
pub use session::{Delta, Dispatch, Heading, Protocol, Session, Sotw, Variant};
