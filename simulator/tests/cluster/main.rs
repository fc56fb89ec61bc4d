//! The whole mesh on one machine, with nothing adapted: a real API server, the real controller with its webhooks, and pods that
//! are network namespaces in which the injected init container's iptables rules and the injected Envoy really run.
//!
//! What is played here is the rest of a cluster: the kubelet ([`kubelet`]) starts what the *patched* pod says, and writes
//! the pod's status; the endpoint controller ([`endpoints`]) writes EndpointSlices. Everything happens inside a network,
//! mount and process namespace that the test makes for itself ([`node`]): nothing can leave it, and nothing is left behind.
//!
//! Needs root, `unshare`, `ip`, `iptables-restore`, `setpriv`, etcd, kube-apiserver and Envoy. Where one is missing, the tests are
//! ignored with the reason; under `REQUIRE_REAL=1` that is an error.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod bookstore;
mod chaos;
mod endpoints;
#[expect(dead_code, unused_imports, reason = "a link: shared with the tests of the API server, which use all of it")]
mod harness;
mod kubelet;
mod mesh;
mod node;
mod pod;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = node::missing();
    if let Some(reason) = &missing
        && std::env::var_os("REQUIRE_REAL").is_some_and(|v| v == "1")
    {
        eprintln!("REQUIRE_REAL is set, and {reason}");
        return ExitCode::FAILURE;
    }
    if missing.is_none() && !arguments.list && !node::is_inside() {
        return node::enter();
    }
    let trial = |name: &str, run: fn()| {
        let kind = missing.as_deref().unwrap_or_default();
        Trial::test(name, move || {
            run();
            Ok(())
        })
        .with_kind(kind)
        .with_ignored_flag(missing.is_some())
    };
    let trials = [bookstore::TESTS, chaos::TESTS].concat();
    let trials = trials.iter().map(|(name, run)| trial(name, *run)).collect();
    // One machine, one API server, one mesh at a time.
    let arguments = Arguments { test_threads: Some(1), ..arguments };
    libtest_mimic::run(&arguments, trials).exit_code()
}
