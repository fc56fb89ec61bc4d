//! Worlds of any size to measure with.
//!
//! Ten pods make a service, and every service has an account of its own. Every other service has a TrafficTarget, whose only
//! source is the account of the service before it, and a TrafficSplit over two services that each select half of its pods.
//! A hundred services make a namespace. So the work for one proxy is the same in every world, and what grows is the world.

pub mod ads;
pub mod cluster;
pub mod cpu;
pub mod memory;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use mesh::{
    ca::{BuiltinCa, KeyType, LeafRequest, Validity},
    model::{
        Backend, HttpMatch, HttpRouteGroup, Leaf, Methods, ObjectName, Protocol, Rule, RuleKind, Service,
        ServiceAccount, ServicePort, Subject, TargetPort, TrafficSplit, TrafficTarget, TrustBundle, TrustDomain,
        Workload,
    },
    world::{Change, Object, World},
};

/// Pods of one service.
pub const PODS_PER_SERVICE: usize = 10;
/// Services of one namespace.
pub const SERVICES_PER_NAMESPACE: usize = 100;
/// The sizes of world that are measured, in pods.
pub const SIZES: [usize; 3] = [10, 1_000, 10_000];
/// The port of every service, and the one that it leads to.
pub const PORT: u16 = 8080;
/// The moment at which all certificates are issued, in seconds since the Unix epoch.
pub const NOW: i64 = 1_800_000_000;

/// A world of that many pods.
#[must_use]
pub fn world(pods: usize) -> World {
    let mut world = World::default();
    for change in changes(pods) {
        world.apply(change);
    }
    world
}

/// What makes up a world of that many pods, each object before those that depend on it.
#[must_use]
pub fn changes(pods: usize) -> Vec<Change> {
    let services = pods.div_ceil(PODS_PER_SERVICE);
    let mut objects: Vec<Object> = (0..services).flat_map(|index| service(index, services)).collect();
    objects.extend((0..pods).map(|index| Object::Workload(pod(index))));
    let mut changes: Vec<Change> = objects.into_iter().map(Change::Put).collect();
    changes.extend(certificates((0..services).map(account)));
    changes
}

/// The name of pod `index`.
#[must_use]
pub fn pod_name(index: usize) -> ObjectName {
    let service = service_name(index / PODS_PER_SERVICE);
    service.sibling(format!("{}-{}", service.name, index % PODS_PER_SERVICE))
}

/// Pod `index`, ready.
#[must_use]
pub fn pod(index: usize) -> Workload {
    let service = index / PODS_PER_SERVICE;
    let half = if index.is_multiple_of(2) { "even" } else { "odd" };
    Workload {
        name: pod_name(index),
        account: account(service),
        labels: labels(&[("app", &service_name(service).name), ("half", half)]),
        address: address(10, index),
        named_ports: BTreeMap::new(),
        ready: true,
        hostname: None,
        subdomain: None,
    }
}

/// The account of the pods of service `index`.
#[must_use]
pub fn account(index: usize) -> ServiceAccount {
    let ObjectName { namespace, name } = service_name(index);
    ServiceAccount { namespace, name }
}

/// The roots, and a certificate for each account. All have the same key: making one is what the bench of issuance measures.
///
/// # Panics
/// If no certificate can be made at all.
pub fn certificates(accounts: impl IntoIterator<Item = ServiceAccount>) -> Vec<Change> {
    let ca = BuiltinCa::generate(NOW).expect("a root can be made");
    let template = ca.sign(&leaf_request(account(0))).expect("a leaf can be signed");
    let roots_pem = ca.root_pem().clone();
    let leaf = |account| Change::Certificate(Arc::new(Leaf { account, ..template.clone() }));
    std::iter::once(Change::Trust(TrustBundle { roots_pem })).chain(accounts.into_iter().map(leaf)).collect()
}

/// A usual leaf: P-256, valid for a day.
#[must_use]
pub fn leaf_request(account: ServiceAccount) -> LeafRequest {
    let validity = Validity::starting(NOW, std::time::Duration::from_secs(24 * 60 * 60));
    LeafRequest { account, trust_domain: TrustDomain::default(), key: KeyType::EcdsaP256, validity }
}

/// A service that selects the pods with these labels.
#[must_use]
pub fn selecting(name: ObjectName, cluster_ip: IpAddr, selector: &[(&str, &str)]) -> Service {
    let port = ServicePort {
        name: Some("http".into()),
        port: PORT,
        target: TargetPort::Number(PORT),
        protocol: Protocol::Http,
    };
    Service { name, cluster_ip: Some(cluster_ip), selector: labels(selector), ports: vec![port] }
}

/// Lets `sources` send GET and POST below `/api` to `destination`, and GET to `/health`.
#[must_use]
pub fn target(destination: &ServiceAccount, sources: impl IntoIterator<Item = ServiceAccount>) -> [Object; 2] {
    let name = ObjectName::new(destination.namespace.clone(), destination.name.clone());
    let rule = Rule { kind: RuleKind::HttpRouteGroup, name: name.name.clone(), matches: Vec::new() };
    let group = HttpRouteGroup {
        name: name.clone(),
        matches: vec![http_match("api", "/api/.*", &["GET", "POST"]), http_match("health", "/health", &["GET"])],
    };
    let target = TrafficTarget {
        name,
        destination: subject(destination.clone()),
        destination_port: None,
        sources: sources.into_iter().map(subject).collect(),
        rules: vec![rule],
    };
    [Object::HttpRouteGroup(group), Object::TrafficTarget(target)]
}

fn service_name(index: usize) -> ObjectName {
    ObjectName::new(format!("team-{}", index / SERVICES_PER_NAMESPACE), format!("service-{index}"))
}

/// Service `index` of so many, and its policy.
fn service(index: usize, services: usize) -> Vec<Object> {
    let name = service_name(index);
    let root = selecting(name.clone(), address(172, 4 * index), &[("app", &name.name)]);
    let mut objects = vec![Object::Service(root)];
    if index.is_multiple_of(2) {
        objects.extend(target(&account(index), [account((index + services - 1) % services)]));
        objects.extend(split(&name, 4 * index));
    }
    objects
}

/// A split of 90 to 10 over the halves of a service, whose addresses follow that of the root.
fn split(root: &ObjectName, root_address: usize) -> Vec<Object> {
    let half = |half: &str| root.sibling(format!("{}-{half}", root.name));
    let backend = |service: &ObjectName, weight| Backend { service: service.name.clone(), weight };
    let (even, odd) = (half("even"), half("odd"));
    let split = TrafficSplit {
        name: root.clone(),
        created: Some(NOW),
        service: root.name.clone(),
        backends: vec![backend(&even, 90), backend(&odd, 10)],
        matches: Vec::new(),
    };
    let selecting_half = |name, nth, half| {
        Object::Service(selecting(name, address(172, root_address + nth), &[("app", &root.name), ("half", half)]))
    };
    vec![selecting_half(even, 1, "even"), selecting_half(odd, 2, "odd"), Object::TrafficSplit(split)]
}

fn http_match(name: &str, path: &str, methods: &[&str]) -> HttpMatch {
    HttpMatch {
        name: name.into(),
        path: Some(path.into()),
        methods: Methods::Only(methods.iter().map(|&method| method.into()).collect::<BTreeSet<_>>()),
        headers: BTreeMap::new(),
    }
}

fn subject(ServiceAccount { namespace, name }: ServiceAccount) -> Subject {
    Subject { kind: "ServiceAccount".into(), name, namespace: Some(namespace) }
}

fn labels(of: &[(&str, &str)]) -> BTreeMap<Arc<str>, Arc<str>> {
    of.iter().map(|&(key, value)| (key.into(), value.into())).collect()
}

/// Address number `index` of the network `first.0.0.0/8`.
///
/// # Panics
/// If the network is full.
fn address(first: u8, index: usize) -> IpAddr {
    let index = u32::try_from(index + 1).expect("fewer pods than addresses");
    let [_, a, b, c] = index.to_be_bytes();
    Ipv4Addr::new(first, a, b, c).into()
}

#[cfg(test)]
mod tests {
    use mesh::{
        policy,
        snapshot::{self, ResourceType},
        world::Affected,
    };

    use super::*;

    #[test]
    fn a_world_is_what_it_is_said_to_be() {
        let world = world(1_000);
        assert_eq!(world.workloads().count(), 1_000);
        assert_eq!((world.targets().count(), world.splits().count()), (50, 50), "half of the services");
        assert_eq!(world.services().count(), 100 + 2 * 50, "two more for each split");
        let diagnostics = policy::diagnose(&world);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
    }

    #[test]
    fn the_work_for_one_proxy_does_not_grow_with_the_world() {
        let count = |pods, pod| {
            let snapshot = snapshot::build(&world(pods), &pod_name(pod));
            ResourceType::ALL.map(|kind| snapshot.of(kind).count())
        };
        let caller = PODS_PER_SERVICE;
        assert_eq!(count(1_000, caller), count(10_000, caller));
        assert!(count(1_000, caller)[1] >= 3, "it calls a root and two backends");
        assert!(count(1_000, 0)[1] >= 1, "it has its own application");
    }

    #[test]
    fn one_pod_concerns_its_service_and_its_callers() {
        let mut world = world(1_000);
        let mut pod = pod(2 * PODS_PER_SERVICE);
        pod.ready = false;
        let Affected::Pods(pods) = world.apply(Change::Put(Object::Workload(pod))) else { panic!("not everyone") };
        let callers: BTreeSet<_> = (PODS_PER_SERVICE..2 * PODS_PER_SERVICE).map(pod_name).collect();
        assert!(pods.is_superset(&callers) && pods.len() <= 2 * PODS_PER_SERVICE, "{}", pods.len());
    }
}
