//! From a scenario's workloads to pods, services and addresses.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use mesh::{
    api::{Transport, protocol},
    model::{ObjectName, Protocol, Service, ServiceAccount, ServicePort, TargetPort, Workload},
    world::Object,
};

use crate::{
    scenario::model::{self, Credentials, FullPort, Port, Respond, Scenario},
    workload::Kind,
};

/// The namespace of everything that names none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Everybody in a scenario, with addresses.
#[derive(Clone, Debug)]
pub struct Topology {
    /// All pods, by name, in the order of their workloads.
    pub pods: BTreeMap<ObjectName, Pod>,
    /// The services that workloads list.
    pub services: Vec<Service>,
}

/// One pod.
#[derive(Clone, Debug)]
pub struct Pod {
    /// The workload that it belongs to.
    pub workload: String,
    /// Its number within the workload, from 0.
    pub index: u16,
    /// What Kubernetes knows of it.
    pub object: Workload,
    /// Whether it has a sidecar.
    pub meshed: bool,
    /// The credentials under which it serves TLS itself: an impostor.
    pub presents: Option<Credentials>,
    /// Its container ports, with what is spoken on each.
    pub ports: BTreeMap<u16, Kind>,
    /// How its application answers at the start.
    pub respond: Respond,
    /// Its names, if it lies outside of the cluster: nobody but DNS knows of it.
    pub outside: Option<Vec<String>>,
    /// The ports on which it serves TLS itself; all if it presents a certificate and this is empty.
    pub tls_ports: BTreeSet<u16>,
}

/// Gives out addresses.
pub trait Addresses {
    /// An address for the next pod.
    ///
    /// # Errors
    /// None is left.
    fn pod(&mut self) -> Result<IpAddr, TopologyError>;

    /// A virtual address for the next service.
    ///
    /// # Errors
    /// None is left.
    fn service(&mut self) -> Result<IpAddr, TopologyError>;
}

/// The scenario asks for something that cannot be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// More pods or services than there are addresses.
    #[error("the scenario needs more than {0} {1}; split it up")]
    TooMany(usize, &'static str),
    /// Two workloads of a service disagree.
    #[error(
        "service {service}: port {port} means different things in its workloads; give them one `targetPort`, or one port name"
    )]
    Disagreement {
        /// The service.
        service: ObjectName,
        /// The service port.
        port: u16,
    },
}

impl Topology {
    /// Lays a scenario out.
    ///
    /// # Errors
    /// [`TopologyError`].
    pub fn new(scenario: &Scenario, addresses: &mut dyn Addresses) -> Result<Self, TopologyError> {
        let mut pods = BTreeMap::new();
        for (name, workload) in &scenario.workloads {
            for index in 0..workload.replicas {
                let pod = pod(name, workload, index, addresses.pod()?);
                pods.insert(pod.object.name.clone(), pod);
            }
        }
        Ok(Self { pods, services: services(scenario, addresses)? })
    }

    /// The objects that Kubernetes knows at the start.
    pub fn objects(&self) -> Vec<Object> {
        let services = self.services.iter().cloned().map(Object::Service);
        let pods = self.pods.values().filter(|pod| pod.outside.is_none());
        services.chain(pods.map(|pod| Object::Workload(pod.object.clone()))).collect()
    }

    /// The addresses behind each name outside of the cluster.
    pub fn hosts(&self) -> BTreeMap<String, Vec<IpAddr>> {
        let mut hosts: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        for pod in self.pods.values() {
            for host in pod.outside.iter().flatten() {
                hosts.entry(host.to_ascii_lowercase()).or_default().push(pod.object.address);
            }
        }
        hosts
    }

    /// The pods of a workload, by number.
    pub fn of_workload<'a>(&'a self, workload: &'a str) -> impl Iterator<Item = &'a Pod> {
        let mut pods: Vec<_> = self.pods.values().filter(|pod| pod.workload == workload).collect();
        pods.sort_by_key(|pod| pod.index);
        pods.into_iter()
    }

    /// Every container port of any pod. Sidecars take them all in, as iptables would bring them any port: a service sends its
    /// callers to a port of each of its pods, whether or not an application of that pod listens there.
    pub fn container_ports(&self) -> BTreeSet<u16> {
        self.pods.values().flat_map(|pod| pod.ports.keys().copied()).collect()
    }

    /// The text of a manifest, with `<address of NAME>` (or `NAME/INDEX`) replaced. What names no pod stays.
    pub fn addressed(&self, text: &str) -> String {
        let mut addressed = text.to_owned();
        for pod in self.pods.values() {
            let address = pod.object.address.to_string();
            addressed = addressed.replace(&format!("<address of {}/{}>", pod.workload, pod.index), &address);
            if pod.index == 0 {
                addressed = addressed.replace(&format!("<address of {}>", pod.workload), &address);
            }
        }
        addressed
    }

    /// The pod at an address.
    pub fn at(&self, address: IpAddr) -> Option<&Pod> {
        self.pods.values().find(|pod| pod.object.address == address)
    }

    /// The workload of the pod called `name` (without its namespace), as applications state it.
    pub fn workload_of(&self, name: &str) -> Option<&str> {
        self.pods.values().find(|pod| *pod.object.name.name == *name).map(|pod| pod.workload.as_str())
    }
}

fn pod(name: &str, workload: &model::Workload, index: u16, address: IpAddr) -> Pod {
    let namespace: Arc<str> = workload.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE).into();
    let pod_name: Arc<str> = format!("{name}-{index}").into();
    let mut labels: BTreeMap<Arc<str>, Arc<str>> =
        workload.labels.iter().map(|(k, v)| (k.as_str().into(), v.as_str().into())).collect();
    labels.entry("app".into()).or_insert_with(|| name.into());
    labels.extend(workload.services.iter().map(|service| (membership(service), "member".into())));
    let ports: BTreeMap<_, _> = workload.ports.iter().map(|(name, port)| (name.as_str(), full(port))).collect();
    let object = Workload {
        name: ObjectName::new(namespace.clone(), pod_name.clone()),
        account: ServiceAccount::new(namespace, workload.account.as_deref().unwrap_or(name)),
        labels,
        address,
        named_ports: ports.iter().map(|(name, port)| ((*name).into(), target(port))).collect(),
        ready: true,
        hostname: workload.subdomain.is_some().then_some(pod_name),
        subdomain: workload.subdomain.as_deref().map(Arc::from),
    };
    let https = |port: &&FullPort| port.app_protocol.as_deref() == Some("https");
    let tls_ports: BTreeSet<u16> = ports.values().filter(https).map(target).collect();
    // Nobody in the mesh knows who signed it.
    let own = || Credentials { foreign_ca: true, ..Credentials::default() };
    let presents = workload.presents.clone().or_else(|| (!tls_ports.is_empty()).then(own));
    Pod {
        workload: name.to_owned(),
        index,
        object,
        meshed: workload.mesh && workload.outside.is_none(),
        presents,
        outside: workload.outside.as_ref().map(|outside| outside.hosts.clone()),
        tls_ports,
        ports: ports.iter().map(|(name, port)| (target(port), kind(name, port))).collect(),
        respond: workload.respond.clone(),
    }
}

/// The label by which pods belong to a service that their workload lists.
fn membership(service: &str) -> Arc<str> {
    format!("service.simulator/{service}").into()
}

fn full(port: &Port) -> FullPort {
    match port {
        Port::Number(port) => FullPort { port: *port, target_port: None, app_protocol: None },
        Port::Full(full) => full.clone(),
    }
}

fn target(port: &FullPort) -> u16 {
    port.target_port.unwrap_or(port.port)
}

fn kind(name: &str, port: &FullPort) -> Kind {
    if port.app_protocol.as_deref() == Some("https") { Kind::Http } else { Kind::from(spoken(name, port)) }
}

fn spoken(name: &str, port: &FullPort) -> Protocol {
    protocol(Transport::Tcp, port.app_protocol.as_deref(), Some(name))
}

/// A port of a service, as each of its workloads declares it: name, target port and protocol.
type Declared = BTreeSet<(String, u16, Protocol)>;

fn services(scenario: &Scenario, addresses: &mut dyn Addresses) -> Result<Vec<Service>, TopologyError> {
    let mut declared: BTreeMap<ObjectName, BTreeMap<u16, Declared>> = BTreeMap::new();
    let mut headless = BTreeSet::new();
    for workload in scenario.workloads.values() {
        let namespace = workload.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        for service in &workload.services {
            let service_name = ObjectName::new(namespace, service.as_str());
            if workload.subdomain.as_ref() == Some(service) {
                headless.insert(service_name.clone());
            }
            let ports = declared.entry(service_name).or_default();
            for (name, port) in &workload.ports {
                let port = full(port);
                ports.entry(port.port).or_default().insert((name.clone(), target(&port), spoken(name, &port)));
            }
        }
    }
    let mut services = Vec::new();
    for (name, ports) in declared {
        let cluster_ip = if headless.contains(&name) { None } else { Some(addresses.service()?) };
        let ports =
            ports.into_iter().map(|(port, declared)| service_port(&name, port, &declared)).collect::<Result<_, _>>()?;
        let selector = BTreeMap::from([(membership(&name.name), "member".into())]);
        services.push(Service { name, cluster_ip, selector, ports });
    }
    Ok(services)
}

/// One number if all workloads agree on it, else the port's name, which each pod resolves for itself.
fn service_port(service: &ObjectName, port: u16, declared: &Declared) -> Result<ServicePort, TopologyError> {
    let disagreement = || TopologyError::Disagreement { service: service.clone(), port };
    let (name, number, protocol) = declared.first().ok_or_else(disagreement)?;
    let target = if declared.iter().all(|(_, n, _)| n == number) {
        TargetPort::Number(*number)
    } else if declared.iter().all(|(n, ..)| n == name) {
        TargetPort::Name(name.as_str().into())
    } else {
        return Err(disagreement());
    };
    if declared.iter().any(|(_, _, p)| p != protocol) {
        return Err(disagreement());
    }
    Ok(ServicePort { name: Some(name.as_str().into()), port, target, protocol: *protocol })
}
