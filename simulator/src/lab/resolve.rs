//! What an application's resolver and kernel would do: names to addresses.

use std::net::{IpAddr, SocketAddr};

use mesh::model::{Kind, ObjectName, ObjectRef, Service, ServicePort, TargetPort, Workload};
use mesh::world::Object;

use super::{store::Store, topology::Topology};
use crate::scenario::address::Destination;

/// Where a name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The addresses, with port; an application picks one of them for each connection.
    pub addresses: Vec<SocketAddr>,
    /// The service meant, if the name is one.
    pub service: Option<ObjectName>,
    /// The Host header that an HTTP client would send.
    pub authority: String,
}

/// Resolves `to` for a client in `namespace`. A name that nobody has leads to `nowhere`.
pub fn resolve(to: &Destination, namespace: &str, topology: &Topology, store: &Store, nowhere: IpAddr) -> Resolved {
    match to {
        Destination::Ip { address, port } => literal(SocketAddr::new(*address, *port)),
        Destination::Pod { pod, port } => {
            let pods = topology.of_workload(&pod.workload).filter(|p| pod.index.is_none_or(|i| i == p.index));
            let addresses: Vec<_> = pods.map(|p| SocketAddr::new(p.object.address, *port)).collect();
            let authority = addresses.first().map_or_else(String::new, SocketAddr::to_string);
            Resolved { addresses, service: None, authority }
        }
        Destination::Host { host, port } => {
            let authority = port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
            let Some((service, pod)) = lookup(host, namespace, store) else {
                let number = port.unwrap_or(80);
                let outside = topology.hosts().remove(&host.trim_end_matches('.').to_ascii_lowercase());
                let addresses = outside.unwrap_or_else(|| vec![nowhere]);
                let addresses = addresses.into_iter().map(|ip| SocketAddr::new(ip, number)).collect();
                return Resolved { addresses, service: None, authority };
            };
            let number = port.or_else(|| service.ports.first().map(|p| p.port)).unwrap_or(80);
            let addresses = match (service.cluster_ip, pod) {
                (Some(address), _) => vec![SocketAddr::new(address, number)],
                (None, Some(pod)) => vec![SocketAddr::new(pod, number)],
                (None, None) => headless(service, store).map(|ip| SocketAddr::new(ip, number)).collect(),
            };
            Resolved { addresses, service: Some(service.name.clone()), authority }
        }
    }
}

fn literal(address: SocketAddr) -> Resolved {
    Resolved { addresses: vec![address], service: None, authority: address.to_string() }
}

/// The service that a host name means, and the address of the pod if the name is one of a StatefulSet's.
fn lookup<'a>(host: &str, namespace: &str, store: &'a Store) -> Option<(&'a Service, Option<IpAddr>)> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let mut labels: Vec<&str> = host.split('.').collect();
    for suffix in [&["svc", "cluster", "local"][..], &["svc", "cluster"], &["svc"]] {
        if labels.len() > suffix.len() && labels.ends_with(suffix) {
            labels.truncate(labels.len() - suffix.len());
            break;
        }
    }
    let service = |namespace: &str, name: &str| store.service(&ObjectName::new(namespace, name));
    match labels.as_slice() {
        [name] => Some((service(namespace, name)?, None)),
        [name, ns] => match service(ns, name) {
            Some(found) => Some((found, None)),
            // The search path of a pod tries its own namespace first: `pod.service`.
            None => single(service(namespace, ns)?, name, store),
        },
        [pod, name, ns] => single(service(ns, name)?, pod, store),
        _ => None,
    }
}

fn single<'a>(service: &'a Service, host: &str, store: &Store) -> Option<(&'a Service, Option<IpAddr>)> {
    let pods = members(service, store);
    let mut pods = pods.filter(|p| p.subdomain.as_ref() == Some(&service.name.name));
    let pod = pods.find(|p| p.hostname.as_deref() == Some(host))?;
    Some((service, Some(pod.address)))
}

fn headless<'a>(service: &'a Service, store: &'a Store) -> impl Iterator<Item = IpAddr> + use<'a> {
    members(service, store).filter(|pod| pod.ready).map(|pod| pod.address)
}

fn members<'a>(service: &'a Service, store: &'a Store) -> impl Iterator<Item = &'a Workload> {
    let pods = store.objects().filter_map(|object| match object {
        Object::Workload(pod) => Some(pod),
        _ => None,
    });
    pods.filter(|pod| pod.name.namespace == service.name.namespace && service.selects(&pod.labels))
}

/// The service and the container port behind a pod's port: what a caller with credentials of its own says as SNI.
pub fn service_behind<'a>(
    pod: &Workload,
    container_port: u16,
    store: &'a Store,
) -> Option<(&'a Service, &'a ServicePort)> {
    let services = store.objects().filter_map(|object| match object {
        Object::Service(service) => Some(service),
        _ => None,
    });
    let mut selecting = services.filter(|s| s.name.namespace == pod.name.namespace && s.selects(&pod.labels));
    selecting.find_map(|service| {
        let port = service.ports.iter().find(|port| match &port.target {
            TargetPort::Number(number) => *number == container_port,
            TargetPort::Name(name) => pod.named_ports.get(name) == Some(&container_port),
        })?;
        Some((service, port))
    })
}

/// The pod called `name`, as stored.
pub fn pod<'a>(name: &ObjectName, store: &'a Store) -> Option<&'a Workload> {
    match store.get(&ObjectRef::new(Kind::Pod, name.clone())) {
        Some(Object::Workload(pod)) => Some(pod),
        _ => None,
    }
}
