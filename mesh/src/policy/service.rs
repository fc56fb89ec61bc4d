//! Services as sidecars see them: whole services, and single pods of a headless service.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use crate::{
    model::{ObjectName, Protocol, Service, ServicePort, TargetPort, Workload},
    world::World,
};

/// Something that can be called by name: a service, or one pod of a headless service by its own host name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MeshService {
    /// The Kubernetes service.
    pub name: ObjectName,
    /// The host name of the pod, below a headless service.
    pub host: Option<Arc<str>>,
}

impl MeshService {
    /// The whole service.
    pub fn whole(service: &Service) -> Self {
        Self { name: service.name.clone(), host: None }
    }

    /// The pod's own name below a headless service, if it has one there.
    pub fn single(service: &Service, pod: &Workload) -> Option<Self> {
        let member = service.cluster_ip.is_none() && pod.subdomain.as_ref() == Some(&service.name.name);
        let host = pod.hostname.clone().filter(|_| member)?;
        Some(Self { name: service.name.clone(), host: Some(host) })
    }

    /// `[<host>.]<service>`.
    pub fn label(&self) -> String {
        match &self.host {
            Some(host) => format!("{host}.{}", self.name.name),
            None => self.name.name.to_string(),
        }
    }

    /// `[<host>.]<service>.<namespace>.svc.cluster.local`: the DNS name, and the SNI inside the mesh.
    pub fn fqdn(&self) -> String {
        format!("{}.{}.svc.cluster.local", self.label(), self.name.namespace)
    }

    /// Every host name under which a client in `namespace` may call it.
    pub fn hostnames(&self, namespace: &str) -> Vec<String> {
        let label = self.label();
        let mut names = Vec::with_capacity(5);
        if *self.name.namespace == *namespace {
            names.push(label.clone());
        }
        let mut name = format!("{label}.{}", self.name.namespace);
        names.push(name.clone());
        for part in ["svc", "cluster", "local"] {
            name = format!("{name}.{part}");
            names.push(name.clone());
        }
        names
    }
}

/// The ports that sidecars carry: of ports that share a target port, only those of the protocol of the first. Port 0 is
/// none: Envoy refuses a whole listener for it.
pub fn carried_ports(service: &Service) -> impl Iterator<Item = &ServicePort> {
    let mut first = BTreeMap::new();
    service
        .ports
        .iter()
        .filter(move |p| can_be_carried(p) && *first.entry(&p.target).or_insert(p.protocol) == p.protocol)
}

/// The carried port numbered `port`.
pub fn carried_port(service: &Service, port: u16) -> Option<&ServicePort> {
    let port = service.port(port)?;
    let first = service.ports.iter().find(|p| can_be_carried(p) && p.target == port.target)?;
    (can_be_carried(port) && first.protocol == port.protocol).then_some(port)
}

/// Whether a port is carried unless another one takes its target port. What is not takes nothing from others.
pub(super) fn can_be_carried(port: &ServicePort) -> bool {
    port.protocol != Protocol::Unsupported && port.port != 0 && port.target != TargetPort::Number(0)
}

/// The container port that a service port means on this pod; `None` if the pod has no port of that name.
pub fn target_port(port: &ServicePort, pod: &Workload) -> Option<u16> {
    match &port.target {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Name(name) => pod.named_ports.get(name).copied().filter(|number| *number != 0),
    }
}

/// The target port as it stands in cluster names: its number, or its name where the pods do not agree on one.
pub fn target_label(world: &World, service: &Service, port: &ServicePort) -> String {
    match &port.target {
        TargetPort::Number(number) => number.to_string(),
        TargetPort::Name(name) => {
            let mut numbers = world.members(&service.name).filter_map(|pod| target_port(port, pod));
            match numbers.next() {
                Some(first) if numbers.all(|n| n == first) => first.to_string(),
                _ => name.to_string(),
            }
        }
    }
}

/// Pods of a mesh service: all of them, or those that bear its host name below the headless service.
pub fn pods<'a>(world: &'a World, service: &'a MeshService) -> impl Iterator<Item = &'a Arc<Workload>> {
    let whole = world.service(&service.name);
    let bears = move |pod: &Workload| whole.and_then(|whole| MeshService::single(whole, pod)).as_ref() == Some(service);
    world.members(&service.name).filter(move |pod| service.host.is_none() || bears(pod))
}

/// The address of a pod together with a port.
pub type Endpoint = (IpAddr, u16);
