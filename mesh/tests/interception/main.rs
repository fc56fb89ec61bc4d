//! What injection adds to a pod, tried on what it is made for: the init container's script on real iptables in a network
//! namespace, the bootstrap on a real Envoy.
//!
//! Needs Envoy, and for `rules` and `probing` root, `ip` and `iptables`. What is not there is told and the test passes, unless
//! `REQUIRE_REAL=1`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should say where")]

mod bootstrap;
mod envoy;
mod lab;
mod pods;
mod probing;
mod rules;
mod token;

/// Tells that a test cannot run here.
fn skip(reason: &str) {
    assert!(std::env::var_os("REQUIRE_REAL").is_none_or(|value| value != "1"), "{reason}");
    eprintln!("skipped: {reason}");
}
