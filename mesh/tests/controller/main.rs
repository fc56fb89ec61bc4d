//! The controller as a whole, from outside: its probes, debug endpoints, webhooks and its end; with a real API server, who
//! may open a stream and what is kept in the cluster.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod api;
mod bench;
mod cluster;
mod debug;
mod life;
mod process;
