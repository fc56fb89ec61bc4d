//! EndpointSlices decide who takes traffic, and who belongs to a service without a selector.

use std::collections::BTreeSet;

use super::{Affected, Change, World};
use crate::{
    model::{EndpointSlice, Kind, ObjectName, ObjectRef, Workload},
    testing::{self, name, pod},
    world::Object,
};

const SERVICES: &str = "
{kind: Service, apiVersion: v1, metadata: {name: s}, spec: {clusterIP: 10.96.0.1, selector: {app: s}, ports: [{port: 80}]}}
---
{kind: Service, apiVersion: v1, metadata: {name: bare}, spec: {clusterIP: 10.96.0.2, ports: [{port: 80}]}}
---
kind: TrafficTarget
apiVersion: access.smi-spec.io/v1alpha3
metadata: {name: t}
spec:
  destination: {kind: ServiceAccount, name: server}
  rules: [{kind: TCPRoute, name: r}]
  sources: [{kind: ServiceAccount, name: client}]
---
{kind: TCPRoute, apiVersion: specs.smi-spec.io/v1alpha4, metadata: {name: r}, spec: {matches: {ports: []}}}
";

/// `server` at 10.0.0.1, selected by `s`; `client` at 10.0.0.2; `stranger` of another namespace at 10.0.0.3.
fn world() -> World {
    let pods = [pod("server", "server", "app=s"), pod("client", "client", ""), pod("other/stranger", "x", "app=s")];
    testing::world(SERVICES, pods)
}

fn slice(written: &str, service: &str, ready: &[&str], not_ready: &[&str]) -> Change {
    let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let (ready, not_ready) = (addresses(ready), addresses(not_ready));
    Change::Put(Object::EndpointSlice(EndpointSlice { name: name(written), service: service.into(), ready, not_ready }))
}

fn gone(written: &str) -> Change {
    Change::Gone(ObjectRef::new(Kind::EndpointSlice, name(written)))
}

fn members(world: &World, service: &str) -> Vec<String> {
    world.members(&name(service)).map(|pod| pod.name.to_string()).collect()
}

fn pods(names: &[&str]) -> Affected {
    Affected::Pods(names.iter().map(|n| name(n)).collect::<BTreeSet<ObjectName>>())
}

#[test]
fn slices_decide_readiness() {
    let mut world = world();
    let takes = |world: &World| world.takes_traffic(&name("s"), world.workload(&name("server")).unwrap());
    assert!(takes(&world), "without slices the pod decides");
    assert_eq!(world.apply(slice("e", "s", &[], &["10.0.0.1"])), pods(&["client"]));
    assert!(!takes(&world));
    world.apply(slice("f", "s", &["10.0.0.1"], &[]));
    assert!(takes(&world), "a pod that moves between slices is in both");
    world.apply(gone("f"));
    world.apply(slice("e", "s", &[], &[]));
    assert!(!takes(&world), "an empty slice has nobody");
    world.apply(slice("e", "s", &["fd00::1"], &[]));
    assert!(takes(&world), "slices of the other family say nothing about this address");
    world.apply(slice("e", "s", &["10.0.0.1"], &[]));
    let unready = Workload { ready: false, ..(**world.workload(&name("server")).unwrap()).clone() };
    world.apply(Change::Put(Object::Workload(unready)));
    assert!(takes(&world), "as with publishNotReadyAddresses");
    assert_eq!(world.apply(gone("e")), pods(&["client"]));
    assert!(!takes(&world));
}

#[test]
fn a_service_without_selector_has_the_pods_that_its_slices_name() {
    let mut world = world();
    assert_eq!(members(&world, "bare"), [""; 0]);
    assert_eq!(world.apply(slice("e", "bare", &["10.0.0.1", "10.0.0.3"], &[])), pods(&["client", "server"]));
    assert_eq!(members(&world, "bare"), ["shop/server"], "nobody opens ports on pods of other namespaces");
    world.apply(slice("f", "bare", &["10.0.0.1"], &["10.0.0.2"]));
    assert_eq!(members(&world, "bare"), ["shop/client", "shop/server"]);
    assert_eq!(world.accounts_of_service(&name("bare")).count(), 2);
    world.apply(gone("e"));
    assert_eq!(members(&world, "bare"), ["shop/client", "shop/server"]);
    world.apply(slice("f", "s", &["10.0.0.1"], &[]));
    assert_eq!(members(&world, "bare"), [""; 0], "the slice is another service's now");
    assert_eq!(world.accounts_of_service(&name("bare")).count(), 0);
    world.apply(slice("f", "bare", &["10.0.0.9"], &[]));
    let late = Workload { address: "10.0.0.9".parse().unwrap(), ..pod("late", "server", "") };
    world.apply(Change::Put(Object::Workload(late)));
    assert_eq!(members(&world, "bare"), ["shop/late"], "a pod may come after the slice that names it");
}
