//! What the suite knows of the world that it had set up: pods, services, names.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use mesh::{
    api::{Manifest, parse},
    model::{ObjectName, Protocol, TargetPort},
};
use serde_json::Value;
use simulator::{
    exchange::RequestId,
    lab::{
        resolve::resolve,
        store::Store,
        topology::{Addresses, DEFAULT_NAMESPACE, Pod, Topology, TopologyError},
    },
    run::{aim::describe, expect::WorkloadNames},
    scenario::{
        address::{Destination, PodRef},
        model::{Proto, Scenario, Traffic},
    },
};

use crate::target::adapter::protocol::{
    Mode, PodPort, Port, Request, Service, ServicePort, Setup, Speaks, Target, To, ToHost, ToService, Workload,
};

/// The world of one test.
#[derive(Debug)]
pub(super) struct World {
    topology: Topology,
    store: Store,
    /// Pods that went away.
    gone: BTreeSet<String>,
    mode: Mode,
    scenario: String,
}

/// Traffic, worked out.
#[derive(Clone, Debug)]
pub(super) struct Aim {
    /// One line for people.
    pub(super) what: String,
    /// The caller that `peer` of the expectation means.
    namespace: String,
    from: String,
    to: Vec<To>,
    /// The Host header, if it does not depend on an address that only the mesh knows.
    host: Option<String>,
    /// The ports of the applications that may get it.
    pub(super) behind: Vec<PodPort>,
    template: Traffic,
}

impl World {
    /// Lays a scenario out.
    ///
    /// # Errors
    /// It cannot be laid out, in words.
    pub(super) fn new(scenario: &Scenario) -> Result<Self, String> {
        let topology = Topology::new(scenario, &mut Numbers(0)).map_err(|error| error.to_string())?;
        let store = Store::new(Default::default(), topology.objects());
        let mode = if scenario.mesh.permissive { Mode::AllowAll } else { Mode::Enforcing };
        Ok(Self { topology, store, gone: BTreeSet::new(), mode, scenario: scenario.id.clone() })
    }

    pub(super) fn names(&self) -> WorkloadNames {
        WorkloadNames::of(&self.topology)
    }

    /// What is asked for at the beginning.
    pub(super) fn setup(&self, test: &str) -> Setup {
        let mut workloads: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
        for pod in self.topology.pods.values() {
            workloads.entry(&pod.workload).or_default().push(pod);
        }
        Setup {
            test: test.to_owned(),
            scenario: self.scenario.clone(),
            mode: self.mode,
            workloads: workloads.into_iter().filter_map(|(name, pods)| workload(name, &pods)).collect(),
            services: self.topology.services.iter().map(service).collect(),
        }
    }

    /// The pods that a scenario means by `name` or `name/INDEX`, but those that went away.
    ///
    /// # Errors
    /// There is none, in words.
    pub(super) fn pods(&self, text: &str) -> Result<Vec<String>, String> {
        Ok(self.found(text)?.into_iter().map(|pod| pod.object.name.name.to_string()).collect())
    }

    fn found(&self, text: &str) -> Result<Vec<&Pod>, String> {
        let wanted: PodRef = text.parse().map_err(|error| format!("{text}: {error}"))?;
        let mut pods: Vec<_> = self.topology.pods.values().filter(|pod| pod.workload == wanted.workload).collect();
        pods.retain(|pod| wanted.index.is_none_or(|i| i == pod.index) && !self.gone.contains(&*pod.object.name.name));
        pods.sort_by_key(|pod| pod.index);
        if pods.is_empty() { Err(format!("no pod is called {text}")) } else { Ok(pods) }
    }

    pub(super) fn remove(&mut self, pods: &[String]) {
        self.gone.extend(pods.iter().cloned());
    }

    /// Takes note of services that are applied: names lead to them.
    pub(super) fn applied(&mut self, objects: &[Value]) {
        for object in objects.iter().filter(|object| object["kind"] == "Service") {
            // What is no sound Service leads nowhere, and the mesh has been told.
            let manifests = parse(&object.to_string(), "service", DEFAULT_NAMESPACE).unwrap_or_default();
            let mut numbers = Numbers(9_000);
            let _ = self.store.apply(manifests, || numbers.service());
        }
    }

    /// Takes note of services that are deleted.
    pub(super) fn deleted(&mut self, objects: &[Value]) {
        for object in objects.iter().filter(|object| object["kind"] == "Service") {
            let manifests = parse(&object.to_string(), "service", DEFAULT_NAMESPACE).unwrap_or_default();
            let references: Vec<_> = manifests.iter().map(Manifest::reference).collect();
            self.store.delete(&references);
        }
    }

    /// Works traffic out.
    ///
    /// # Errors
    /// A name leads nowhere, in words.
    pub(super) fn aim(&self, traffic: &Traffic) -> Result<Aim, String> {
        let sender = self.found(&traffic.from)?[0];
        let namespace = sender.object.name.namespace.to_string();
        let (to, behind, host) = match traffic.to.parse().map_err(|error| format!("{}: {error}", traffic.to))? {
            Destination::Pod { pod, port } => {
                let pods = self.pods(&pod.to_string())?;
                let pods: Vec<_> = pods.into_iter().map(|name| PodPort { name, port }).collect();
                (pods.iter().cloned().map(To::Pod).collect(), pods, None)
            }
            Destination::Ip { address, port } => {
                (vec![To::Host(ToHost { host: address.to_string(), port })], Vec::new(), None)
            }
            host @ Destination::Host { .. } => self.host(&host, &namespace),
        };
        let from = sender.object.name.name.to_string();
        let account = sender.object.account.namespace.to_string();
        Ok(Aim {
            what: describe(traffic),
            namespace: account,
            from,
            to,
            host: traffic.host.clone().or(host),
            behind,
            template: traffic.clone(),
        })
    }

    fn host(&self, to: &Destination, namespace: &str) -> (Vec<To>, Vec<PodPort>, Option<String>) {
        let nowhere = IpAddr::from(Ipv4Addr::UNSPECIFIED);
        let resolved = resolve(to, namespace, &self.topology, &self.store, nowhere);
        let (host, port) = match to {
            Destination::Host { host, port } => (host.clone(), *port),
            Destination::Pod { .. } | Destination::Ip { .. } => (String::new(), None),
        };
        let Some((name, service)) = resolved.service.and_then(|name| Some((name.clone(), self.store.service(&name)?)))
        else {
            return (vec![To::Host(ToHost { host, port: port.unwrap_or(80) })], Vec::new(), Some(resolved.authority));
        };
        let port = port.or_else(|| service.ports.first().map(|port| port.port)).unwrap_or(80);
        let ObjectName { namespace, name } = &name;
        // Of a StatefulSet, the name may be that of one pod.
        let first = host.split('.').next().unwrap_or_default().to_owned();
        let single = |pod: &&Pod| {
            pod.object.subdomain.as_deref() == Some(name) && pod.object.hostname.as_deref() == Some(&*first)
        };
        let to = ToService { name: name.to_string(), namespace: namespace.to_string(), port, host };
        let pods = self.topology.pods.values().filter(|pod| {
            pod.object.name.namespace == *namespace
                && service.selects(&pod.object.labels)
                && !self.gone.contains(&*pod.object.name.name)
        });
        let pods: Vec<_> = pods.collect();
        let only: Vec<_> = pods.iter().copied().filter(single).collect();
        let pods = if only.is_empty() { pods } else { only };
        let target = |pod: &Pod| match &service.port(port)?.target {
            TargetPort::Number(number) => Some(*number),
            TargetPort::Name(name) => pod.object.named_ports.get(name).copied(),
        };
        // An application that has no such port has nothing to answer with.
        let behind = pods.into_iter().filter_map(|pod| {
            let port = target(pod).filter(|port| pod.ports.contains_key(port))?;
            Some(PodPort { name: pod.object.name.name.to_string(), port })
        });
        (vec![To::Service(to)], behind.collect(), Some(resolved.authority))
    }

    /// A request to the application itself, past the mesh.
    pub(super) fn direct(&self, to: &PodPort, id: RequestId) -> Request {
        let pod = self.topology.pods.values().find(|pod| *pod.object.name.name == *to.name);
        let proto = pod.and_then(|pod| pod.ports.get(&to.port)).map_or(Proto::Http1, |kind| kind.proto());
        let http = proto == Proto::Http1;
        Request {
            id: id.to_string(),
            from: to.name.clone(),
            to: To::Pod(to.clone()),
            proto,
            method: if http { "GET".into() } else { String::new() },
            path: if http { "/".into() } else { String::new() },
            host: None,
            headers: BTreeMap::new(),
            conn: Default::default(),
            bypass: false,
            direct: true,
        }
    }
}

impl Aim {
    /// The `n`th request.
    pub(super) fn request(&self, id: RequestId, n: usize) -> Request {
        let Traffic { method, path, proto, headers, conn, present, .. } = &self.template;
        let grpc = matches!(proto, Proto::Grpc | Proto::GrpcStream);
        let tcp = matches!(proto, Proto::Tcp | Proto::TcpServerFirst);
        let text = |text: &Option<String>, http: &str, rpc: &str| match text {
            _ if tcp => String::new(),
            Some(text) => text.clone(),
            None => if grpc { rpc } else { http }.to_owned(),
        };
        Request {
            id: id.to_string(),
            from: self.from.clone(),
            to: self.to[n % self.to.len()].clone(),
            proto: *proto,
            method: text(method, "GET", "POST"),
            path: text(path, "/", "/simulator.Echo/Call"),
            host: self.host.clone().filter(|_| !tcp),
            headers: headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect(),
            conn: *conn,
            bypass: present.as_ref().is_some_and(|credentials| credentials.plaintext),
            direct: false,
        }
    }

    /// The caller that `peer` means, as `namespace/account`.
    pub(super) fn peer(&self, peer: &str) -> String {
        if peer.contains('/') { peer.to_owned() } else { format!("{}/{peer}", self.namespace) }
    }
}

fn workload(name: &str, pods: &[&Pod]) -> Option<Workload> {
    let first = pods.first()?;
    let object = &first.object;
    let named =
        |number: u16| object.named_ports.iter().find(|(_, port)| **port == number).map(|(name, _)| name.to_string());
    let ports = first.ports.iter().map(|(number, kind)| {
        let speaks = match kind {
            simulator::workload::Kind::Http => Speaks::Http,
            simulator::workload::Kind::Tcp => Speaks::Tcp,
            simulator::workload::Kind::TcpServerFirst => Speaks::TcpServerFirst,
        };
        Port { name: named(*number).unwrap_or_else(|| format!("port-{number}")), port: *number, speaks }
    });
    Some(Workload {
        name: name.to_owned(),
        namespace: object.name.namespace.to_string(),
        account: object.account.name.to_string(),
        labels: object.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        replicas: u16::try_from(pods.len()).unwrap_or(u16::MAX),
        mesh: first.meshed,
        ports: ports.collect(),
        subdomain: object.subdomain.as_ref().map(ToString::to_string),
        respond: first.respond.clone(),
    })
}

fn service(service: &mesh::model::Service) -> Service {
    let ports = service.ports.iter().map(|port| ServicePort {
        name: port.name.as_ref().map_or_else(|| format!("port-{}", port.port), ToString::to_string),
        port: port.port,
        target_port: match &port.target {
            TargetPort::Number(number) => Target::Number(*number),
            TargetPort::Name(name) => Target::Name(name.to_string()),
        },
        speaks: match port.protocol {
            Protocol::Http => Speaks::Http,
            Protocol::Grpc => Speaks::Grpc,
            Protocol::Tcp | Protocol::Unsupported => Speaks::Tcp,
            Protocol::TcpServerFirst => Speaks::TcpServerFirst,
        },
    });
    Service {
        name: service.name.name.to_string(),
        namespace: service.name.namespace.to_string(),
        selector: service.selector.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        ports: ports.collect(),
        headless: service.cluster_ip.is_none(),
    }
}

/// Addresses that mean nothing: the mesh has its own.
struct Numbers(u32);

impl Numbers {
    fn next(&mut self) -> IpAddr {
        self.0 += 1;
        Ipv4Addr::from(0x0a00_0000 + self.0).into()
    }
}

impl Addresses for Numbers {
    fn pod(&mut self) -> Result<IpAddr, TopologyError> {
        Ok(self.next())
    }

    fn service(&mut self) -> Result<IpAddr, TopologyError> {
        Ok(self.next())
    }
}
