//! What a TrafficSplit does.

use insta::assert_snapshot;

use super::{call, group, open, shop, target, tcp, told};
use crate::{testing::add, world::World};

fn split(name: &str, root: &str, backends: &str, matches: &str) -> String {
    format!(
        "{{kind: TrafficSplit, apiVersion: split.smi-spec.io/v1alpha4, metadata: {{name: {name}}}, spec: {{service: {root}, backends: [{backends}], matches: [{matches}]}}}}\n"
    )
}

const BOTH: &str = "{service: v1, weight: 90}, {service: v2, weight: 10}";

/// The shop, open to `client`, with splits.
fn with(splits: &[String]) -> World {
    shop(&[open(), splits.to_vec()].concat())
}

fn fate(world: &World, service: &str) -> String {
    call(world, "client", service, 80, "GET /")
}

#[test]
fn traffic_is_shared_out_on_every_port_and_backends_stay_reachable() {
    let world = with(&[split("s", "root", BOTH, "")]);
    for (port, request) in [(80, "GET /"), (81, "GET /"), (90, "tcp")] {
        assert_eq!(call(&world, "client", "root", port, request), "v1 90 ok, v2 10 ok");
    }
    assert_eq!(fate(&world, "v1"), "ok");
    assert_eq!(told(&world), "");
}

#[test]
fn a_root_among_its_own_backends_is_refused() {
    let world = with(&[split("s", "store", "{service: store.shop, weight: 1}, {service: v1, weight: 1}", "")]);
    assert_eq!(fate(&world, "store"), "ok");
    assert_snapshot!(told(&world), @"TrafficSplit shop/s spec.backends: the root shop/store is among its own backends; the split is refused and shop/store serves itself (SelfReference)");
}

#[test]
fn of_two_splits_on_one_root_the_older_holds() {
    let to = |backend: &str| format!("{{service: {backend}, weight: 1}}");
    let at = |text: String, time: &str| text.replace("}, spec", &format!(", creationTimestamp: '{time}'}}, spec"));
    let (young, old) = (split("a", "root", &to("v1"), ""), split("b", "root.shop", &to("v2"), ""));
    let world = with(&[at(young.clone(), "2024-01-02T00:00:00Z"), at(old.clone(), "2024-01-01T00:00:00Z")]);
    assert_eq!(fate(&world, "root"), "v2 1 ok");
    assert_snapshot!(told(&world), @"TrafficSplit shop/a spec.service: TrafficSplit shop/b is older and holds for shop/root; merge the two, this one is refused (ConflictingSplit)");
    // Without a time, by name; and one that refuses itself stands in nobody's way.
    assert_eq!(fate(&with(&[young, old.clone()]), "root"), "v1 1 ok");
    assert_eq!(fate(&with(&[split("a", "root", &to("root"), ""), old]), "root"), "v2 1 ok");
}

#[test]
fn a_backend_that_is_a_root_is_not_resolved_again() {
    let inner = split("inner", "v1", "{service: v2, weight: 1}", "");
    let world = with(&[split("s", "root", "{service: v1, weight: 1}", ""), inner]);
    assert_eq!(fate(&world, "root"), "v1 1 ok");
    assert_eq!(fate(&world, "v1"), "v2 1 ok");
}

#[test]
fn a_missing_backend_or_port_is_left_out_port_by_port() {
    let mut world = with(&[split(
        "s",
        "root",
        "{service: v1, weight: 1}, {service: narrow, weight: 1}, {service: gone, weight: 8}",
        "",
    )]);
    add(
        &mut world,
        "{kind: Service, apiVersion: v1, metadata: {name: narrow}, spec: {clusterIP: 10.96.8.8, selector: {app: v2}, ports: [{port: 80, targetPort: 8080}]}}",
    );
    assert_eq!(fate(&world, "root"), "narrow 1 ok, v1 1 ok");
    assert_eq!(call(&world, "client", "root", 81, "GET /"), "v1 1 ok");
    assert_snapshot!(told(&world), @r#"
    TrafficSplit shop/s spec.backends[1].service: shop/narrow has no port 81 as shop/root has; it is left out there (PortMismatch)
    TrafficSplit shop/s spec.backends[1].service: shop/narrow has no port 90 as shop/root has; it is left out there (PortMismatch)
    TrafficSplit shop/s spec.backends[2].service: service shop/gone does not exist (yet); it is left out (NotFound)
    "#);
}

#[test]
fn a_backend_without_endpoints_or_access_keeps_its_share() {
    let mut world = with(&[split("s", "root", "{service: empty, weight: 1}, {service: v1, weight: 1}", "")]);
    add(
        &mut world,
        "{kind: Service, apiVersion: v1, metadata: {name: empty}, spec: {clusterIP: 10.96.8.8, selector: {app: none}, ports: [{port: 80}]}}",
    );
    assert_eq!(fate(&world, "root"), "empty 1 no endpoint, v1 1 ok");
    // A split grants nothing: every leaf needs a target.
    let one = [tcp("t", ""), target("x", "v1", "{kind: TCPRoute, name: t}"), split("s", "root", BOTH, "")];
    assert_eq!(fate(&shop(&one), "root"), "v1 90 ok, v2 10 no endpoint");
    assert_eq!(fate(&shop(&[split("s", "root", BOTH, "")]), "root"), "unknown");
}

#[test]
fn without_any_weight_requests_fail() {
    let world = with(&[split("s", "root", "{service: v1, weight: 0}", "")]);
    assert_eq!([fate(&world, "root"), call(&world, "client", "root", 90, "tcp")], ["no weight", "no weight"]);
    assert_snapshot!(told(&world), @"TrafficSplit shop/s spec.backends: no backend has a weight above zero; requests to shop/root fail (NoWeight)");
}

#[test]
fn weights_of_a_backend_named_twice_add_up() {
    let world = with(&[split(
        "s",
        "root",
        "{service: v1, weight: 1}, {service: v1.shop, weight: 2}, {service: v2, weight: 0}",
        "",
    )]);
    assert_eq!(fate(&world, "root"), "v1 3 ok, v2 0 ok");
    assert_snapshot!(told(&world), @"TrafficSplit shop/s spec.backends[1].service: shop/v1 is named more than once; its weights add up (DuplicateBackend)");
}

#[test]
fn matches_select_the_requests_that_are_split() {
    let by = "{kind: HTTPRouteGroup, name: fox}, {kind: HTTPRouteGroup, name: put}, {kind: HTTPRouteGroup, name: gone}";
    let world = with(&[
        group("fox", "{name: a, pathRegex: /a, headers: [{user-agent: '.*fox.*'}]}"),
        group("put", "{name: a, methods: [PUT]}"),
        split("s", "store", "{service: v1, weight: 1}", by),
    ]);
    let call = |request| call(&world, "client", "store", 80, request);
    assert_eq!(call("GET /a user-agent=firefox"), "v1 1 ok");
    assert_eq!(call("PUT /b"), "v1 1 ok");
    assert_eq!([call("GET /b user-agent=firefox"), call("GET /a")], ["ok", "ok"]);
    // Bytes have no path: the split does not apply.
    assert_eq!(super::call(&world, "client", "store", 90, "tcp"), "ok");
    assert_snapshot!(told(&world), @"TrafficSplit shop/s spec.matches[2].name: HTTPRouteGroup shop/gone does not exist; it selects no request (NotFound)");
}

#[test]
fn a_root_is_named_bare_with_its_namespace_or_in_full() {
    for root in ["root", "root.shop", "root.shop.svc", "root.shop.svc.cluster.local"] {
        assert_eq!(fate(&with(&[split("s", root, "{service: v1, weight: 1}", "")]), "root"), "v1 1 ok", "{root}");
    }
    let world = with(&[
        split("s", "root.other", "{service: v1, weight: 1}", ""),
        split("r", "root", "{service: v1.other, weight: 1}, {service: v2, weight: 1}", ""),
    ]);
    assert_eq!(fate(&world, "root"), "v2 1 ok");
    assert_snapshot!(told(&world), @r#"
    TrafficSplit shop/r spec.backends[0].service: v1.other is no service of namespace shop; it is left out (ForeignService)
    TrafficSplit shop/s spec.service: root.other is no service of namespace shop; the split is refused (ForeignService)
    "#);
}

#[test]
fn a_root_may_select_the_pods_of_its_backends() {
    let mut world = with(&[split("s", "all", "{service: v1, weight: 1}", "")]);
    add(
        &mut world,
        "{kind: Service, apiVersion: v1, metadata: {name: all}, spec: {clusterIP: 10.96.8.8, selector: {app: v1}, ports: [{port: 80, targetPort: 8080}]}}",
    );
    assert_eq!(fate(&world, "all"), "v1 1 ok");
}
