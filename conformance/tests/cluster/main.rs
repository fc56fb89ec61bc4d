//! The preflight at a real API server.
//!
//! Needs etcd and kube-apiserver, or `KUBECONFIG`. Where they are missing, the tests are ignored with the reason; under
//! `REQUIRE_REAL=1` that is an error.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[expect(dead_code, unused_imports, reason = "a link: shared with the tests of the mesh, which use all of it")]
mod harness;

use std::{collections::BTreeSet, process::ExitCode};

use conformance::{
    clause::Api,
    report::HeaderEncoding,
    target::cluster::{Preflight, Profile, preflight},
};
use harness::{ApiServer, test};

fn main() -> ExitCode {
    harness::run(vec![
        test("preflight::an_empty_cluster_lacks_everything", empty),
        test("preflight::what_is_installed_is_found", installed),
    ])
}

fn missing(found: &Preflight) -> BTreeSet<&str> {
    found.findings.iter().filter(|finding| !finding.ok).map(|finding| finding.what.as_str()).collect()
}

async fn empty() {
    let server = ApiServer::start().await;
    let client = server.client();
    let found = preflight(&client, &Profile::find("smi-mesh").unwrap()).await.unwrap();
    assert!(found.server.starts_with("v1."), "{}", found.server);
    assert!(found.apis.is_empty() && found.header_encodings.is_empty());
    let missing = missing(&found);
    for what in [
        "TrafficTarget: traffictargets.access.smi-spec.io is served",
        "TrafficSplit: trafficsplits.split.smi-spec.io is served",
        "the control plane is ready",
    ] {
        assert!(missing.contains(what), "{what} in {missing:?}");
    }
    assert!(!missing.contains("may create namespaces"), "the harness's user may do anything: {missing:?}");
    assert!(found.findings.iter().all(|finding| finding.ok == finding.hint.is_none()), "what is missing has a hint");
}

async fn installed() {
    let server = ApiServer::start().await;
    let client = server.client();
    harness::crds(&client).await;
    let profile = Profile::find("smi-mesh").unwrap();
    // The API server serves a new kind before it publishes its schema.
    let found = harness::eventually("the schema of HTTPRouteGroup is published", || async {
        let found = preflight(&client, &profile).await.unwrap();
        (!found.header_encodings.is_empty()).then_some(found)
    });
    let found = found.await;
    assert_eq!(found.apis[&Api::Split].len(), 4, "{:?}", found.apis);
    assert_eq!(found.apis[&Api::Access].len(), 3, "{:?}", found.apis);
    assert_eq!(found.header_encodings, [HeaderEncoding::List, HeaderEncoding::Map], "our schema leaves it open");
    let missing = missing(&found);
    let rest = [
        "the control plane is ready",
        "mode enforcing: /apis/config.openservicemesh.io/v1alpha2/namespaces/osm-system/meshconfigs/osm-mesh-config can be changed",
        "mode allow-all: /apis/config.openservicemesh.io/v1alpha2/namespaces/osm-system/meshconfigs/osm-mesh-config can be changed",
    ];
    assert_eq!(missing, BTreeSet::from(rest), "the CRDs are there, the mesh is not");
}
