//! What the specification shows in its examples, rebuilt: the same shapes, in manifests of our own.

use insta::assert_snapshot;

use super::{good, refused};
use crate::api::Manifest;

/// The manifests on one line each, in short.
fn read(text: &str) -> String {
    let line = |manifest: &Manifest| match manifest {
        Manifest::Object(object) => format!("{object:?}"),
        other => format!("{other:?}"),
    };
    good(text).iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn canary() {
    let text = "\
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata:
  name: checkout-canary
spec:
  service: checkout
  backends:
  - service: checkout-stable
    weight: 90
  - service: checkout-next
    weight: 10
";
    assert_snapshot!(read(text), @r#"TrafficSplit(TrafficSplit { name: default/checkout-canary, created: None, service: "checkout", backends: [Backend { service: "checkout-stable", weight: 90 }, Backend { service: "checkout-next", weight: 10 }], matches: [] })"#);
}

#[test]
fn experiment_on_some_requests() {
    let text = "\
kind: TrafficSplit
apiVersion: split.smi-spec.io/v1alpha4
metadata:
  name: experiment
spec:
  service: checkout
  matches:
  - kind: HTTPRouteGroup
    name: firefox
  backends:
  - {service: checkout-next, weight: 100}
---
kind: HTTPRouteGroup
apiVersion: specs.smi-spec.io/v1alpha4
metadata:
  name: firefox
spec:
  matches:
  - name: by-agent
    headers:
    - user-agent: \".*Firefox.*\"
";
    assert_snapshot!(read(text), @r#"
    TrafficSplit(TrafficSplit { name: default/experiment, created: None, service: "checkout", backends: [Backend { service: "checkout-next", weight: 100 }], matches: ["firefox"] })
    HttpRouteGroup(HttpRouteGroup { name: default/firefox, matches: [HttpMatch { name: "by-agent", path: None, methods: Any, headers: {"user-agent": ".*Firefox.*"} }] })
    "#);
    // The specification's own example puts the matches at the top level, which its version 4 does not have.
    let stale = text.replace("spec:\n  matches:\n  - name", "matches:\n  - name");
    assert_snapshot!(refused(&stale), @r#"t.yaml:17:1: HTTPRouteGroup default/firefox matches: unknown field: known here are `apiVersion`, `kind`, `metadata`, `spec`, `status` (in this version it belongs under `spec`)"#);
}

#[test]
fn scrape_of_metrics() {
    let text = "\
kind: HTTPRouteGroup
apiVersion: specs.smi-spec.io/v1alpha4
metadata: {name: routes, namespace: shop}
spec:
  matches:
  - name: metrics
    pathRegex: /metrics
    methods: [GET]
  - name: all
    pathRegex: .*
    methods: ['*']
---
kind: TrafficTarget
apiVersion: access.smi-spec.io/v1alpha3
metadata: {name: scrape, namespace: shop}
spec:
  destination: {kind: ServiceAccount, name: checkout, namespace: shop}
  rules:
  - kind: HTTPRouteGroup
    name: routes
    matches: [metrics]
  sources:
  - {kind: ServiceAccount, name: prometheus, namespace: monitoring}
";
    assert_snapshot!(read(text), @r#"
    HttpRouteGroup(HttpRouteGroup { name: shop/routes, matches: [HttpMatch { name: "metrics", path: Some("/metrics"), methods: Only({"GET"}), headers: {} }, HttpMatch { name: "all", path: Some(".*"), methods: Any, headers: {} }] })
    TrafficTarget(TrafficTarget { name: shop/scrape, destination: Subject { kind: "ServiceAccount", name: "checkout", namespace: Some("shop") }, destination_port: None, sources: [Subject { kind: "ServiceAccount", name: "prometheus", namespace: Some("monitoring") }], rules: [Rule { kind: HttpRouteGroup, name: "routes", matches: ["metrics"] }] })
    "#);
}

#[test]
fn streams() {
    let text = "\
kind: TCPRoute
apiVersion: specs.smi-spec.io/v1alpha4
metadata: {name: database}
spec:
  matches:
    ports:
    - 5432
    - 5433
---
kind: TCPRoute
apiVersion: specs.smi-spec.io/v1alpha4
metadata: {name: whole-service}
spec:
  matches:
    ports: []
---
kind: UDPRoute
apiVersion: specs.smi-spec.io/v1alpha4
metadata: {name: names}
spec:
  matches:
    ports: [53]
";
    assert_snapshot!(read(text), @r#"
    TcpRoute(TcpRoute { name: default/database, ports: Only({5432, 5433}) })
    TcpRoute(TcpRoute { name: default/whole-service, ports: All })
    UdpRoute(UdpRoute { name: default/names, ports: Only({53}) })
    "#);
}

#[test]
fn quantities_of_the_first_version() {
    let text = "\
kind: TrafficSplit
apiVersion: split.smi-spec.io/v1alpha1
metadata: {name: rollout}
spec:
  service: web
  backends:
  - {service: web-v1, weight: 1}
  - {service: web-v2, weight: 500m}
  - {service: web-v3, weight: 0m}
";
    assert_snapshot!(read(text), @r#"TrafficSplit(TrafficSplit { name: default/rollout, created: None, service: "web", backends: [Backend { service: "web-v1", weight: 1000 }, Backend { service: "web-v2", weight: 500 }, Backend { service: "web-v3", weight: 0 }], matches: [] })"#);
}
