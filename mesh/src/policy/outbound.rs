//! What an account may call: the services that its sidecars see, and where their traffic goes.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    access::{Grant, GrantedMatch, grants_from},
    service::{Endpoint, MeshService, carried_port, carried_ports, pods, target_label, target_port},
    split::{Split, envoy_weights, split_of},
};
use crate::{
    model::{ObjectName, Protocol, Service, ServiceAccount, ServicePort, Workload},
    world::World,
};

/// Everything that the sidecars of one account may call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outbound {
    /// The ports that can be dialled, by service and port.
    pub ports: Vec<OutboundPort>,
    /// Where traffic can go, by cluster name.
    pub upstreams: BTreeMap<String, Upstream>,
}

/// A port of a service as the caller dials it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundPort {
    /// The service.
    pub service: MeshService,
    /// The service port.
    pub port: u16,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// The addresses dialled: the ClusterIP, or those of a headless service's pods. No two entries share an address and port.
    pub addresses: BTreeSet<IpAddr>,
    /// The service's own cluster.
    pub own: String,
    /// The split in force, if one applies to this port.
    pub split: Option<PortSplit>,
}

/// A split on one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSplit {
    /// The TrafficSplit.
    pub name: ObjectName,
    /// The requests that are split; `None` is all of them. The others go to the service's own cluster.
    pub matches: Option<Vec<GrantedMatch>>,
    /// Clusters with their weights. If none is above zero, the requests fail.
    pub shares: Vec<(String, u32)>,
}

impl PortSplit {
    /// Whether any share is above zero.
    pub fn has_weight(&self) -> bool {
        self.shares.iter().any(|(_, weight)| *weight > 0)
    }
}

/// A set of endpoints: one Envoy cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The service.
    pub service: MeshService,
    /// What is spoken.
    pub protocol: Protocol,
    /// The identities that may answer: those of the service's pods that the caller may reach.
    pub accounts: BTreeSet<ServiceAccount>,
    /// The pods of these identities that take traffic.
    pub endpoints: BTreeSet<Endpoint>,
    /// The TrafficTargets that let the caller reach it.
    pub targets: BTreeSet<ObjectName>,
}

/// The name of a cluster: `<ns>/[<host>.]<svc>|<target port>`.
pub fn cluster_name(world: &World, service: &MeshService, of: &Service, port: &ServicePort) -> String {
    format!("{}/{}|{}", service.name.namespace, service.label(), target_label(world, of, port))
}

/// Everything that the sidecars of `account` may call.
pub fn outbound(world: &World, account: &ServiceAccount) -> Outbound {
    let mut view = View {
        world,
        grants: (!world.settings().permissive).then(|| grants_from(world, account)),
        dialled: BTreeSet::new(),
        outbound: Outbound::default(),
    };
    for service in view.candidates() {
        view.service(&service);
    }
    view.outbound
}

struct View<'a> {
    world: &'a World,
    /// `None` in permissive mode.
    grants: Option<Vec<Grant>>,
    /// Addresses and ports that are taken: services that share pods cannot both have them.
    dialled: BTreeSet<Endpoint>,
    outbound: Outbound,
}

impl View<'_> {
    /// The services that may be visible: those with a pod of a destination, and the roots that lead to them.
    fn candidates(&self) -> BTreeSet<ObjectName> {
        let Some(grants) = &self.grants else {
            return self.world.services().map(|s| s.name.clone()).collect();
        };
        let destinations: BTreeSet<_> = grants.iter().map(|g| &g.destination).collect();
        let direct: BTreeSet<_> =
            destinations.into_iter().flat_map(|d| self.world.services_of_account(d)).map(|s| s.name.clone()).collect();
        let roots = direct.iter().flat_map(|name| self.world.splits_by_backend(name));
        let roots: Vec<_> = roots.filter_map(|split| split.service_named(&split.service)).collect();
        direct.into_iter().chain(roots).collect()
    }

    /// The accounts of a service that the caller may reach on a port, each with the targets that allow it.
    fn reach(&self, service: &ObjectName, port: &ServicePort) -> BTreeMap<ServiceAccount, BTreeSet<ObjectName>> {
        let accounts = self.world.accounts_of_service(service).cloned();
        let Some(grants) = &self.grants else {
            return accounts.map(|a| (a, BTreeSet::new())).collect();
        };
        let allowing = |account: &ServiceAccount| {
            let grants = grants.iter().filter(|g| g.destination == *account && g.opens(port.port, port.protocol));
            grants.map(|g| g.target.clone()).collect::<BTreeSet<_>>()
        };
        accounts.map(|a| (allowing(&a), a)).filter(|(t, _)| !t.is_empty()).map(|(t, a)| (a, t)).collect()
    }

    fn service(&mut self, name: &ObjectName) {
        let Some(service) = self.world.service(name).cloned() else { return };
        let split = split_of(self.world, name);
        for port in carried_ports(&service) {
            let split = split.as_ref().filter(|s| port.protocol.is_http() || s.matches.is_none());
            let leaves = split.map(|s| s.shares(self.world, port.port)).unwrap_or_default();
            let visible = |name: &ObjectName| {
                let service = self.world.service(name);
                service.and_then(|s| carried_port(s, port.port)).is_some_and(|p| !self.reach(name, p).is_empty())
            };
            let permissive = self.grants.is_none();
            if permissive || visible(name) || leaves.iter().any(|(leaf, _)| visible(leaf)) {
                self.port(&service, port, split, &leaves);
            }
        }
    }

    fn port(&mut self, service: &Service, port: &ServicePort, split: Option<&Split>, leaves: &[(ObjectName, u64)]) {
        let whole = MeshService::whole(service);
        let singles = self.single_pods(service, port);
        let split = split.map(|split| PortSplit {
            name: split.name.clone(),
            matches: split.matches.clone(),
            shares: envoy_weights(leaves)
                .into_iter()
                .filter_map(|(l, w)| Some((self.leaf(&l, port.port)?, w)))
                .collect(),
        });
        let own = cluster_name(self.world, &whole, service, port);
        if split.as_ref().is_none_or(|s| s.matches.is_some()) {
            self.upstream(own.clone(), &whole, service, port);
        }
        let taken: BTreeSet<_> = singles.values().flatten().copied().collect();
        let addresses = match service.cluster_ip {
            Some(address) => BTreeSet::from([address]),
            None => self.reachable_addresses(service, port).difference(&taken).copied().collect(),
        };
        for (single, addresses) in singles {
            let own = cluster_name(self.world, &single, service, port);
            self.upstream(own.clone(), &single, service, port);
            self.dial(single, port, addresses, own, None);
        }
        self.dial(whole, port, addresses, own, split);
    }

    /// Adds the port, with those addresses that no earlier service has.
    fn dial(
        &mut self,
        service: MeshService,
        port: &ServicePort,
        addresses: BTreeSet<IpAddr>,
        own: String,
        split: Option<PortSplit>,
    ) {
        let addresses = addresses.into_iter().filter(|a| self.dialled.insert((*a, port.port))).collect();
        let (port, protocol) = (port.port, port.protocol);
        self.outbound.ports.push(OutboundPort { service, port, protocol, addresses, own, split });
    }

    /// The pods of a headless service that have a name of their own below it. Two may share one.
    fn single_pods(&self, service: &Service, port: &ServicePort) -> BTreeMap<MeshService, BTreeSet<IpAddr>> {
        let reach = self.reach(&service.name, port);
        let takes = |pod: &Workload| self.world.takes_traffic(&service.name, pod);
        let pods = self.world.members(&service.name).filter(|pod| reach.contains_key(&pod.account) && takes(pod));
        let mut singles = BTreeMap::<_, BTreeSet<_>>::new();
        for (single, address) in pods.filter_map(|pod| Some((MeshService::single(service, pod)?, pod.address))) {
            singles.entry(single).or_default().insert(address);
        }
        singles
    }

    fn reachable_addresses(&self, service: &Service, port: &ServicePort) -> BTreeSet<IpAddr> {
        let reach = self.reach(&service.name, port);
        let takes = |pod: &Workload| self.world.takes_traffic(&service.name, pod);
        let pods = self.world.members(&service.name).filter(|pod| reach.contains_key(&pod.account) && takes(pod));
        pods.map(|pod| pod.address).collect()
    }

    /// The cluster of a split's backend on a port.
    fn leaf(&mut self, name: &ObjectName, port: u16) -> Option<String> {
        let service = self.world.service(name)?.clone();
        let port = carried_port(&service, port)?;
        let whole = MeshService::whole(&service);
        let cluster = cluster_name(self.world, &whole, &service, port);
        self.upstream(cluster.clone(), &whole, &service, port);
        Some(cluster)
    }

    /// Adds the cluster, or what this port adds to it: service ports that share a target port share the cluster.
    fn upstream(&mut self, cluster: String, service: &MeshService, of: &Service, port: &ServicePort) {
        let reach = self.reach(&of.name, port);
        let entry = self.outbound.upstreams.entry(cluster).or_insert_with(|| Upstream {
            service: service.clone(),
            protocol: port.protocol,
            accounts: BTreeSet::new(),
            endpoints: BTreeSet::new(),
            targets: BTreeSet::new(),
        });
        for pod in pods(self.world, service).filter(|pod| reach.contains_key(&pod.account)) {
            entry.accounts.insert(pod.account.clone());
            if let Some(target) = target_port(port, pod).filter(|_| self.world.takes_traffic(&of.name, pod)) {
                entry.endpoints.insert((pod.address, target));
            }
        }
        entry.targets.extend(reach.into_values().flatten());
    }
}
