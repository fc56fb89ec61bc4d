//! The snapshots of a small bookstore, in full: names, contents and causes as a reader of `config_dump` sees them.

use insta::assert_snapshot;

use super::build;
use crate::{
    testing::{add, decoded::decode, dump::dump, name, pod, world},
    world::World,
};

const SHOP: &str = "
kind: Service
apiVersion: v1
metadata: {name: bookstore}
spec: {selector: {app: bookstore}, ports: [{port: 80, targetPort: 14001}]}
---
kind: Service
apiVersion: v1
metadata: {name: bookstore-v2}
spec: {selector: {app: bookstore, version: v2}, ports: [{port: 80, targetPort: 14001}]}
---
kind: Service
apiVersion: v1
metadata: {name: ledger}
spec: {selector: {app: bookstore}, ports: [{name: tcp-ledger, port: 9000}]}
---
kind: HTTPRouteGroup
apiVersion: specs.smi-spec.io/v1alpha4
metadata: {name: routes}
spec:
  matches:
  - {name: books, pathRegex: /books.*, methods: [GET]}
  - {name: buy, pathRegex: /buy, methods: [POST, PUT], headers: [{x-user: me}]}
---
kind: TCPRoute
apiVersion: specs.smi-spec.io/v1alpha4
metadata: {name: ledger}
spec: {matches: {ports: [9000]}}
---
kind: TrafficTarget
apiVersion: access.smi-spec.io/v1alpha3
metadata: {name: readers}
spec:
  destination: {kind: ServiceAccount, name: bookstore}
  rules: [{kind: HTTPRouteGroup, name: routes, matches: [books]}]
  sources: [{kind: ServiceAccount, name: bookbuyer}, {kind: ServiceAccount, name: bookbuyer, namespace: other}]
---
kind: TrafficTarget
apiVersion: access.smi-spec.io/v1alpha3
metadata: {name: buyers}
spec:
  destination: {kind: ServiceAccount, name: bookstore}
  rules: [{kind: HTTPRouteGroup, name: routes}]
  sources: [{kind: ServiceAccount, name: bookbuyer}]
---
kind: TrafficTarget
apiVersion: access.smi-spec.io/v1alpha3
metadata: {name: accountants}
spec:
  destination: {kind: ServiceAccount, name: bookstore}
  rules: [{kind: TCPRoute, name: ledger}]
  sources: [{kind: ServiceAccount, name: bookbuyer}]
---
kind: TrafficSplit
apiVersion: split.smi-spec.io/v1alpha4
metadata: {name: canary}
spec:
  service: bookstore
  backends: [{service: bookstore-v2, weight: 100}]
  matches: [{kind: HTTPRouteGroup, name: firefox}]
---
kind: HTTPRouteGroup
apiVersion: specs.smi-spec.io/v1alpha4
metadata: {name: firefox}
spec: {matches: [{name: agent, headers: [{user-agent: '.*Firefox.*'}]}]}
";

fn shop() -> World {
    world(
        SHOP,
        [
            pod("bookbuyer", "bookbuyer", "app=bookbuyer"),
            pod("v1", "bookstore", "app=bookstore,version=v1"),
            pod("v2", "bookstore", "app=bookstore,version=v2"),
            pod("thief", "thief", "app=thief"),
        ],
    )
}

fn shown(world: &World, pod: &str) -> String {
    dump(&decode(&build(world, &name(pod))))
}

#[test]
fn the_buyer() {
    assert_snapshot!(shown(&shop(), "bookbuyer"));
}

#[test]
fn the_store() {
    assert_snapshot!(shown(&shop(), "v2"));
}

#[test]
fn the_thief() {
    assert_snapshot!(shown(&shop(), "thief"));
}

#[test]
fn permissive_mode() {
    let mut world = shop();
    add(
        &mut world,
        "
kind: MeshConfig
apiVersion: config.openservicemesh.io/v1alpha2
metadata: {name: mesh, namespace: mesh}
spec: {traffic: {enablePermissiveTrafficPolicyMode: true}}
",
    );
    assert_snapshot!(shown(&world, "v1"));
}
