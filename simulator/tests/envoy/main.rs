//! The sidecars of the simulator are real Envoys: processes, and containers if there is a Docker engine.
//!
//! Without Envoy or Docker the tests say so and pass, unless `REQUIRE_REAL=1`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod ads;
mod containers;
mod installation;
mod pod;
mod processes;

/// What is missing for a test is an error only where it must not be missing.
fn skip(reason: &str) {
    assert!(std::env::var("REQUIRE_REAL").is_err_and(|_| true), "REQUIRE_REAL is set, and {reason}");
    eprintln!("skipped: {reason}");
}
