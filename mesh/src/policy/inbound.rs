//! Who may call a pod: the ports that its sidecar serves, and what it lets through on each.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    access::{Conditions, Grant, HttpAccess, grants_to},
    service::{MeshService, carried_port, carried_ports, target_port},
    split::split_of,
};
use crate::{
    model::{ObjectName, Protocol, Service, ServiceAccount, Workload},
    world::World,
};

/// Everything that the sidecar of one pod serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inbound {
    /// The ports, by service and target port.
    pub ports: Vec<InboundPort>,
    /// The hosts that HTTP requests can be addressed to, by target port, then name.
    pub hosts: BTreeMap<u16, BTreeMap<String, Host>>,
}

/// A port of the pod, as part of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundPort {
    /// The service; its FQDN is the SNI that callers send.
    pub service: MeshService,
    /// The pod's port.
    pub target_port: u16,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// Who may connect.
    pub callers: Access<Vec<Caller>>,
}

/// Who may do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access<T> {
    /// Permissive mode: every identity of the trust domain.
    Everyone,
    /// Only these. An empty set is nobody.
    Only(T),
}

/// Identities that one TrafficTarget lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The TrafficTarget.
    pub target: ObjectName,
    /// Its sources.
    pub sources: BTreeSet<ServiceAccount>,
}

/// A name that HTTP requests can be addressed to: a service of the pod, or the root of a split that leads to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The service.
    pub service: MeshService,
    /// Its ports that lead to the target port.
    pub ports: BTreeSet<u16>,
    /// The split, if the host is a root that does not select the pod itself.
    pub split: Option<ObjectName>,
    /// Who may send what.
    pub requests: Access<Vec<Allowed>>,
}

/// Requests that one TrafficTarget lets through.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Allowed {
    /// Which requests.
    pub conditions: Conditions,
    /// The TrafficTarget.
    pub target: ObjectName,
    /// The HTTPRouteGroup; `None` if a TCPRoute opens the port.
    pub group: Option<ObjectName>,
    /// Who may send them.
    pub sources: BTreeSet<ServiceAccount>,
}

/// Everything that the sidecar of `pod` serves.
pub fn inbound(world: &World, pod: &Workload) -> Inbound {
    let grants = (!world.settings().permissive).then(|| grants_to(world, &pod.account));
    let mut inbound = Inbound::default();
    for service in world.services_of(&pod.name) {
        let names = [Some(MeshService::whole(service)), MeshService::single(service, pod)];
        for (target, ports) in ports_by_target(service, pod) {
            // Named ports may lead to the target port of another: its protocol on the wire is one, that of the lowest.
            let protocol = ports[0].protocol;
            let numbers: BTreeSet<u16> = ports.iter().filter(|p| p.protocol == protocol).map(|p| p.port).collect();
            for name in names.iter().flatten() {
                let callers = callers(grants.as_deref(), &numbers, protocol);
                inbound.ports.push(InboundPort { service: name.clone(), target_port: target, protocol, callers });
                if protocol.is_http() {
                    add_host(&mut inbound.hosts, target, name, &numbers, None);
                }
            }
            if protocol.is_http() {
                add_roots(world, &mut inbound.hosts, service, target, &numbers);
            }
        }
    }
    for host in inbound.hosts.values_mut().flat_map(BTreeMap::values_mut) {
        host.requests = requests(grants.as_deref(), &host.ports);
    }
    inbound
}

/// The carried ports of a service, by the port that they mean on this pod.
fn ports_by_target<'a>(service: &'a Service, pod: &Workload) -> BTreeMap<u16, Vec<&'a crate::model::ServicePort>> {
    let mut ports: BTreeMap<u16, Vec<_>> = BTreeMap::new();
    for port in carried_ports(service) {
        if let Some(target) = target_port(port, pod) {
            ports.entry(target).or_default().push(port);
        }
    }
    ports
}

/// Adds the roots of splits that lead to `service`: their clients keep the root's name as the Host.
fn add_roots(
    world: &World,
    hosts: &mut BTreeMap<u16, BTreeMap<String, Host>>,
    service: &Service,
    target: u16,
    ports: &BTreeSet<u16>,
) {
    let roots = world.splits_by_backend(&service.name).filter_map(|s| s.service_named(&s.service));
    for root in roots.collect::<BTreeSet<_>>() {
        let (Some(root), Some(split)) = (world.service(&root), split_of(world, &root)) else { continue };
        let shared = |port: &&u16| carried_port(root, **port).is_some_and(|p| p.protocol.is_http());
        let ports: BTreeSet<u16> = ports.iter().filter(shared).copied().collect();
        if split.backends.contains_key(&service.name) && !ports.is_empty() {
            add_host(hosts, target, &MeshService::whole(root), &ports, Some(&split.name));
        }
    }
}

fn add_host(
    hosts: &mut BTreeMap<u16, BTreeMap<String, Host>>,
    target: u16,
    service: &MeshService,
    ports: &BTreeSet<u16>,
    split: Option<&ObjectName>,
) {
    let host = hosts.entry(target).or_default().entry(service.fqdn()).or_insert_with(|| Host {
        service: service.clone(),
        ports: BTreeSet::new(),
        split: None,
        requests: Access::Only(Vec::new()),
    });
    host.ports.extend(ports);
    if host.split.is_none() {
        host.split = split.cloned();
    }
}

fn callers(grants: Option<&[Grant]>, ports: &BTreeSet<u16>, protocol: Protocol) -> Access<Vec<Caller>> {
    let Some(grants) = grants else { return Access::Everyone };
    let opening = grants.iter().filter(|g| ports.iter().any(|port| g.opens(*port, protocol)));
    Access::Only(opening.map(|g| Caller { target: g.target.clone(), sources: g.sources.clone() }).collect())
}

fn requests(grants: Option<&[Grant]>, ports: &BTreeSet<u16>) -> Access<Vec<Allowed>> {
    let Some(grants) = grants else { return Access::Everyone };
    let mut allowed = BTreeSet::new();
    for (grant, port) in grants.iter().flat_map(|g| ports.iter().map(move |port| (g, *port))) {
        let entry = |conditions, group| Allowed {
            conditions,
            target: grant.target.clone(),
            group,
            sources: grant.sources.clone(),
        };
        match grant.http_on(port) {
            HttpAccess::Nothing => {}
            HttpAccess::Everything => drop(allowed.insert(entry(Conditions::everything(), None))),
            HttpAccess::Matching(matches) => {
                allowed.extend(matches.iter().map(|m| entry(Conditions::of(&m.matched), Some(m.group.clone()))));
            }
        }
    }
    Access::Only(allowed.into_iter().collect())
}
