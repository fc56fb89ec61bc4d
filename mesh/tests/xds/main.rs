//! The ADS server and the control plane from outside: over real mTLS, with a client of our own and with a real Envoy.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should say where")]

mod bench;
mod client;
mod config;
mod control_plane;
mod envoy;
mod pki;
mod server;
mod token;
mod token_envoy;
