//! Inputs at the limits: many, large, and made to collide.

use std::{fmt::Write, sync::Arc};

use super::{build, connections, distinct};
use crate::{
    model::{HttpMatch, HttpRouteGroup, Methods, Protocol, Service, ServicePort, TargetPort, Workload},
    policy::service::carried_ports,
    snapshot::ResourceType,
    testing::{
        decoded::{Decoded, decode},
        dump::dump,
        name, pod, world,
    },
    world::{Change, Object, World},
};

const STORE: &str = "
{kind: Service, apiVersion: v1, metadata: {name: store}, spec: {selector: {app: store}, ports: [{port: 80}]}}
---
";

fn shop(policy: &str) -> World {
    let pods = [pod("client", "client", "app=client"), pod("store", "store", "app=store")];
    world(&format!("{STORE}{policy}"), pods)
}

fn of(world: &World, pod: &str) -> Decoded {
    decode(&build(world, &name(pod)))
}

/// A target that lets the client send the matches of the groups, and the groups.
fn target(target: &str, groups: &[(String, Vec<String>)]) -> String {
    let mut text = format!(
        "kind: TrafficTarget
apiVersion: access.smi-spec.io/v1alpha3
metadata: {{name: {target}}}
spec:
  destination: {{kind: ServiceAccount, name: store}}
  sources: [{{kind: ServiceAccount, name: client}}]
  rules:
"
    );
    for (group, _) in groups {
        writeln!(text, "  - {{kind: HTTPRouteGroup, name: {group}}}").unwrap();
    }
    for (group, paths) in groups {
        write!(text, "---\nkind: HTTPRouteGroup\napiVersion: specs.smi-spec.io/v1alpha4\nmetadata: {{name: {group}}}\nspec:\n  matches:\n").unwrap();
        for path in paths {
            writeln!(text, "  - {{name: one, pathRegex: '{path}'}}").unwrap();
        }
    }
    text + "---\n"
}

fn route_bytes(world: &World) -> usize {
    build(world, &name("store")).of(ResourceType::Route).map(|(_, r)| r.body.value.len()).sum()
}

fn put_service(world: &mut World, service: Service) {
    world.apply(Change::Put(Object::Service(service)));
}

fn service(name_: &str, ports: Vec<ServicePort>) -> Service {
    let selector = [(Arc::from("app"), Arc::from("store"))].into();
    Service { name: name(name_), cluster_ip: Some([10, 96, 1, 1].into()), selector, ports }
}

fn port(port: u16, target: u16, protocol: Protocol) -> ServicePort {
    ServicePort { name: None, port, target: TargetPort::Number(target), protocol }
}

#[test]
fn many_routes_of_one_target_take_linear_room() {
    let with = |n: usize| {
        let paths = (0..n).map(|i| format!("/.*/{i}")).collect();
        route_bytes(&shop(&target("t", &[("g".into(), paths)])))
    };
    assert!(with(200) < 3 * with(100), "{} {}", with(100), with(200));
}

#[test]
fn many_targets_with_separate_paths_take_linear_room() {
    let with = |n: usize| {
        let one = |i| target(&format!("t{i}"), &[(format!("g{i}"), vec![format!("/app{i}/.*")])]);
        route_bytes(&shop(&(0..n).map(one).collect::<String>()))
    };
    assert!(with(80) < 3 * with(40), "{} {}", with(40), with(80));
}

#[test]
fn many_ports_and_many_splits_take_no_time_to_speak_of() {
    // Quadratic steps in here would take minutes.
    let mut world = shop(&target("t", &[("g".into(), vec![".*".into()])]));
    put_service(&mut world, service("wide", (1..=600).map(|i| port(i, 10_000 + i, Protocol::Http)).collect()));
    assert_eq!(of(&world, "client").routes.len(), 600);

    let splits = (0..150).map(|i| {
        format!("---\n{{kind: TrafficSplit, apiVersion: split.smi-spec.io/v1alpha4, metadata: {{name: s{i}}}, spec: {{service: root, backends: [{{service: store, weight: 1}}]}}}}\n")
    });
    let root =
        "{kind: Service, apiVersion: v1, metadata: {name: root}, spec: {clusterIP: 10.96.3.1, ports: [{port: 80}]}}\n";
    let policy = target("t", &[("g".into(), vec![".*".into()])]);
    let world = shop(&format!("{policy}{root}{}", splits.collect::<String>()));
    assert!(dump(&of(&world, "store")).contains("TrafficSplit shop/s0,"));
}

#[test]
fn pods_with_one_host_name_share_its_chain() {
    let headless = "{kind: Service, apiVersion: v1, metadata: {name: db}, spec: {clusterIP: None, selector: {app: db}, ports: [{name: tcp-db, port: 90}]}}
---
{kind: TCPRoute, apiVersion: specs.smi-spec.io/v1alpha4, metadata: {name: all}, spec: {matches: {ports: []}}}
---
kind: TrafficTarget
apiVersion: access.smi-spec.io/v1alpha3
metadata: {name: t}
spec:
  destination: {kind: ServiceAccount, name: db}
  rules: [{kind: TCPRoute, name: all}]
  sources: [{kind: ServiceAccount, name: client}]
";
    let named = |pod: Workload, subdomain: Option<&str>| Workload {
        hostname: Some("db-0".into()),
        subdomain: subdomain.map(Arc::from),
        ..pod
    };
    let pods = [
        pod("client", "client", "app=client"),
        named(pod("one", "db", "app=db"), Some("db")),
        named(pod("two", "db", "app=db"), Some("db")),
        named(pod("elsewhere", "db", "app=db"), Some("other")),
    ];
    let snapshot = of(&world(headless, pods), "client");
    let listener = &snapshot.listeners["outbound-listener"];
    distinct(listener.filter_chains.iter().map(|c| &c.name)).unwrap();
    distinct(connections(listener)).unwrap();
    // The fourth pod has the host name, but not below this service.
    let shown = dump(&snapshot);
    assert!(shown.contains("endpoints shop/db-0.db|90: 10.0.0.2:90 10.0.0.3:90\n"), "{shown}");
}

#[test]
fn port_zero_is_left_out() {
    let mut world = shop(&target("t", &[("g".into(), vec![".*".into()])]));
    let mut bad =
        service("bad", vec![port(0, 80, Protocol::Http), port(81, 0, Protocol::Http), port(82, 82, Protocol::Http)]);
    bad.ports.push(ServicePort { target: TargetPort::Name("zero".into()), ..port(83, 0, Protocol::Http) });
    put_service(&mut world, bad);
    let zero =
        Workload { named_ports: [("zero".into(), 0)].into(), ..(**world.workload(&name("store")).unwrap()).clone() };
    world.apply(Change::Put(Object::Workload(zero)));
    for pod in ["client", "store"] {
        let snapshot = of(&world, pod);
        // `connections` refuses port 0, as Envoy does.
        snapshot.listeners.values().for_each(|l| drop(connections(l)));
        assert!(!dump(&snapshot).contains(":0\n"), "{}", dump(&snapshot));
    }
    assert!(dump(&of(&world, "store")).contains("chain inbound_shop/bad_82_http"));
}

#[test]
fn of_ports_with_one_target_the_protocol_of_the_lowest_holds() {
    use Protocol::{Http, Tcp, Unsupported};
    let carried = |ports| carried_ports(&service("s", ports)).map(|p| p.port).collect::<Vec<_>>();
    assert_eq!(carried(vec![port(80, 8080, Http), port(81, 8080, Tcp), port(82, 8080, Http)]), [80, 82]);
    // UDP is not carried, so it takes nothing away from TCP.
    assert_eq!(carried(vec![port(80, 8080, Unsupported), port(81, 8080, Http)]), [81]);
}

#[test]
fn a_method_is_taken_literally() {
    let mut world = shop(&target("t", &[("g".into(), vec![".*".into()])]));
    let only = |methods: &[&str]| Methods::Only(methods.iter().map(|m| Arc::from(*m)).collect());
    let one = |methods| HttpMatch { name: "one".into(), path: None, methods, headers: Default::default() };
    let group = |matches| Change::Put(Object::HttpRouteGroup(HttpRouteGroup { name: name("g"), matches }));
    world.apply(group(vec![one(only(&["GE.", "P*"]))]));
    assert!(dump(&of(&world, "store")).contains(r":method ~GE\.|P\*"), "{}", dump(&of(&world, "store")));
    // Envoy refuses an empty expression; a match of no method is no match.
    world.apply(group(vec![one(only(&[])), one(only(&[""]))]));
    assert!(!dump(&of(&world, "store")).contains(":method"));
    assert!(!dump(&of(&world, "store")).contains("rbac shop/t"));
}

#[test]
fn an_empty_header_expression_selects_nothing() {
    let group = "---
{kind: HTTPRouteGroup, apiVersion: specs.smi-spec.io/v1alpha4, metadata: {name: g}, spec: {matches: [{name: one, headers: [{x-user: ''}]}]}}
";
    let text = target("t", &[("g".into(), Vec::new())]);
    let text = text.split("---\n").next().unwrap().to_owned() + group;
    assert!(!dump(&of(&shop(&text), "store")).contains("x-user"));
}

#[test]
fn huge_weights_keep_their_proportion() {
    let split = "---
{kind: Service, apiVersion: v1, metadata: {name: root}, spec: {clusterIP: 10.96.3.1, ports: [{port: 80}]}}
---
{kind: Service, apiVersion: v1, metadata: {name: other}, spec: {clusterIP: 10.96.3.2, ports: [{port: 80}]}}
---
kind: TrafficSplit
apiVersion: split.smi-spec.io/v1alpha4
metadata: {name: s}
spec: {service: root, backends: [{service: store, weight: 1000000000}, {service: other, weight: 1}]}
";
    let mut world = shop(&(target("t", &[("g".into(), vec![".*".into()])]) + split));
    assert!(dump(&of(&world, "client")).contains("1 shop/other|80, 1000000000 shop/store|80"));
    let mut split = (**world.splits().next().unwrap()).clone();
    split.backends[0].weight = u64::MAX;
    world.apply(Change::Put(Object::TrafficSplit(split)));
    assert!(
        dump(&of(&world, "client")).contains("1 shop/other|80, 4294967292 shop/store|80"),
        "{}",
        dump(&of(&world, "client"))
    );
}

#[test]
fn a_domain_belongs_to_the_first_that_claims_it() {
    // Pod `store` below the headless service `shop` is `store.shop` in its namespace `shop`; so is the service `store`.
    let text = "{kind: Service, apiVersion: v1, metadata: {name: shop}, spec: {clusterIP: None, selector: {app: store}, ports: [{port: 80}]}}\n---\n";
    let target = target("t", &[("g".into(), vec![".*".into()])]);
    let store = pod("store", "store", "app=store");
    let store = Workload { hostname: Some("store".into()), subdomain: Some("shop".into()), ..store };
    let world = world(&format!("{STORE}{text}{target}"), [pod("client", "client", "app=client"), store]);
    for (pod, hosts) in [("client", 3), ("store", 3)] {
        for config in of(&world, pod).routes.values() {
            assert_eq!(config.virtual_hosts.len(), hosts);
            distinct(config.virtual_hosts.iter().flat_map(|host| &host.domains)).unwrap();
        }
    }
}
