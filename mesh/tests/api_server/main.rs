//! What the control plane does at a real Kubernetes API server: etcd and kube-apiserver, no mock.
//!
//! One file per topic, each with `pub(crate) fn tests() -> Vec<Test>`. Tests share one API server and each takes a namespace of its
//! own; those that kill the API server start another with [`harness::ApiServer::start`].
//!
//! Where etcd or kube-apiserver is missing the tests are ignored, with the reason, unless `REQUIRE_REAL=1`: then
//! `deploy/local-api/build` makes what is missing.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod certificates;
mod chaos;
mod conversion;
mod harness;
mod injection;
mod leases;
mod local_api;
mod metrics;
mod statuses;
mod validation;
mod watches;

use std::process::ExitCode;

fn main() -> ExitCode {
    let tests = [
        local_api::tests(),
        watches::tests(),
        chaos::tests(),
        statuses::tests(),
        leases::tests(),
        conversion::tests(),
        validation::tests(),
        injection::tests(),
        certificates::tests(),
        metrics::tests(),
    ];
    harness::run(tests.into_iter().flatten().collect())
}
