//! Random small worlds as data that shrinks, and the scenario that each of them is.
//!
//! References are numbers taken modulo what there is, so that a world stays whole whatever shrinking takes away.

use serde_json::{Value, json};
use simulator::{
    Scenario,
    scenario::{
        builder::{step, traffic},
        model::{Credentials, Fault, FullPort, Port, Proto, Readiness, Traffic, Workload},
    },
};

use super::manifest::{routes, tcp_route, yaml};

pub(crate) const NAMESPACES: [&str; 3] = ["shop", "store", "default"];
/// Name and service port.
pub(crate) const PORTS: [(&str, u16); 4] = [("http", 8080), ("http-admin", 8081), ("tcp", 9000), ("tcp-admin", 9001)];
/// A container port lies so far from its service port, where they differ.
const SHIFT: u16 = 1000;
const ALIAS_PORT: u16 = 80;

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) permissive: bool,
    /// Everyone may call everyone, but by TrafficTargets.
    pub(crate) open: bool,
    pub(crate) pods: Vec<Pods>,
    /// A Service manifest for a workload, with another port number, and the container port by name.
    pub(crate) alias: Option<(usize, bool)>,
    pub(crate) targets: Vec<Target>,
    pub(crate) splits: Vec<Split>,
    /// A workload none of whose pods is ready.
    pub(crate) unready: Option<usize>,
    pub(crate) requests: Vec<Request>,
}

#[derive(Clone, Debug)]
pub(crate) struct Pods {
    pub(crate) namespace: usize,
    pub(crate) common_account: bool,
    pub(crate) replicas: u16,
    pub(crate) ports: Vec<usize>,
    pub(crate) shifted: bool,
    /// Also behind the service `pool` of its namespace.
    pub(crate) pooled: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) destination: usize,
    /// The namespace is not written.
    pub(crate) omitted: bool,
    /// The target lies in another namespace, if that is not the destination's.
    pub(crate) foreign: Option<usize>,
    pub(crate) sources: Vec<usize>,
    pub(crate) groups: Vec<Group>,
    pub(crate) tcp: Option<Vec<usize>>,
    /// The route is named, but not there.
    pub(crate) missing: bool,
    /// Before v1alpha3: the only port that it opens.
    pub(crate) port: Option<usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) matches: Vec<Match>,
    /// The rule names these matches only; a number too large names none that is there.
    pub(crate) only: Vec<usize>,
    /// Headers are a map.
    pub(crate) map: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Match {
    pub(crate) path: Option<String>,
    pub(crate) methods: Vec<&'static str>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Split {
    pub(crate) root: usize,
    /// How the root is written: bare, with namespace, in full.
    pub(crate) form: usize,
    /// `None` is a service that nobody has.
    pub(crate) backends: Vec<(Option<usize>, u64)>,
    pub(crate) groups: Vec<Group>,
    /// v1alpha1: weights are quantities.
    pub(crate) quantities: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) from: usize,
    pub(crate) to: To,
    pub(crate) http2: bool,
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) plaintext: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum To {
    Service {
        service: usize,
        port: usize,
    },
    Pod {
        pods: usize,
        port: usize,
    },
    /// The root of a split.
    Root {
        split: usize,
        port: usize,
    },
    /// The destination of a target; the sender is one of its sources.
    Destination {
        target: usize,
        port: usize,
    },
}

/// A service with its namespace and ports: number, and index of what is spoken.
struct Service {
    name: String,
    namespace: &'static str,
    ports: Vec<(u16, usize)>,
}

impl Pods {
    fn namespace(&self) -> &'static str {
        NAMESPACES[self.namespace % NAMESPACES.len()]
    }

    fn container(&self, port: usize) -> u16 {
        PORTS[port].1 + if self.shifted { SHIFT } else { 0 }
    }
}

impl World {
    /// Everybody, and one manifest, `world`, that is applied; no traffic yet.
    pub(crate) fn setup(&self, id: &str) -> Scenario {
        let mut scenario = Scenario::new(id).title("What the specification says is what happens");
        scenario.mesh.permissive = self.permissive;
        for (i, pods) in self.pods.iter().enumerate() {
            scenario = scenario.workload(name(i), |workload| self.workload(i, pods, workload));
        }
        scenario = scenario.workload("naked", Workload::outside_mesh);
        let objects = [self.aliases(), self.openings(), self.targets(), self.splits()].concat();
        if !objects.is_empty() {
            scenario = scenario.manifest("world", yaml(&objects)).step(step().apply(["world"]));
        }
        if let Some(i) = self.unready {
            let mut unready = step();
            unready.fault = Some(Fault::Ready(Readiness { workload: name(i % self.pods.len()), ready: false }));
            scenario = scenario.step(unready);
        }
        scenario
    }

    fn workload(&self, i: usize, pods: &Pods, mut to: Workload) -> Workload {
        to = to.namespace(pods.namespace()).replicas(pods.replicas).service(name(i)).account(self.account(i));
        if pods.pooled {
            to = to.service("pool");
        }
        for &port in &pods.ports {
            let (name, number) = PORTS[port];
            let full = FullPort { port: number, target_port: Some(pods.container(port)), app_protocol: None };
            to.ports.insert(name.into(), if pods.shifted { Port::Full(full) } else { Port::Number(number) });
        }
        to
    }

    fn account(&self, i: usize) -> String {
        if self.pods[i].common_account { "common".into() } else { name(i) }
    }

    fn services(&self) -> Vec<Service> {
        let mut services = Vec::new();
        for (i, pods) in self.pods.iter().enumerate() {
            let ports = pods.ports.iter().map(|&port| (PORTS[port].1, port)).collect();
            services.push(Service { name: name(i), namespace: pods.namespace(), ports });
        }
        for namespace in NAMESPACES {
            let members = self.pods.iter().filter(|pods| pods.pooled && pods.namespace() == namespace);
            let mut ports: Vec<_> = members.flat_map(|pods| &pods.ports).map(|&port| (PORTS[port].1, port)).collect();
            ports.sort_unstable();
            ports.dedup();
            if !ports.is_empty() {
                services.push(Service { name: "pool".into(), namespace, ports });
            }
        }
        if let Some((i, _)) = self.alias {
            let pods = &self.pods[i % self.pods.len()];
            let ports = vec![(ALIAS_PORT, pods.ports[0])];
            services.push(Service { name: "alias".into(), namespace: pods.namespace(), ports });
        }
        services
    }

    fn aliases(&self) -> Vec<Value> {
        let Some((i, by_name)) = self.alias else { return Vec::new() };
        let i = i % self.pods.len();
        let (port, _) = PORTS[self.pods[i].ports[0]];
        let target = if by_name { json!(port) } else { json!(self.pods[i].container(self.pods[i].ports[0])) };
        vec![json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "alias", "namespace": self.pods[i].namespace()},
            "spec": {"selector": {"app": name(i)}, "ports": [{"name": port, "port": ALIAS_PORT, "targetPort": target}]},
        })]
    }

    /// For each account a target that opens all its ports to all accounts.
    fn openings(&self) -> Vec<Value> {
        let mut objects = Vec::new();
        let everyone: Vec<usize> = (0..self.pods.len()).collect();
        for i in everyone.iter().filter(|_| self.open) {
            let (name, namespace) = (format!("open-{i}"), self.pods[*i].namespace());
            objects.push(tcp_route(&name, namespace, &[]));
            objects.push(json!({
                "apiVersion": "access.smi-spec.io/v1alpha3", "kind": "TrafficTarget",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {
                    "destination": self.subject(i), "rules": [{"kind": "TCPRoute", "name": name}],
                    "sources": everyone.iter().map(|s| self.subject(s)).collect::<Vec<_>>(),
                },
            }));
        }
        objects
    }

    fn subject(&self, i: &usize) -> Value {
        let i = i % self.pods.len();
        json!({"kind": "ServiceAccount", "name": self.account(i), "namespace": self.pods[i].namespace()})
    }

    fn targets(&self) -> Vec<Value> {
        self.targets.iter().enumerate().flat_map(|(t, target)| self.target(t, target)).collect()
    }

    fn target(&self, t: usize, target: &Target) -> Vec<Value> {
        let destination = target.destination % self.pods.len();
        let home = self.pods[destination].namespace();
        let namespace = target.foreign.map_or(home, |n| NAMESPACES[n % NAMESPACES.len()]);
        let (mut objects, mut rules) = (Vec::new(), Vec::new());
        for (g, group) in target.groups.iter().enumerate() {
            let name = format!("routes-{t}-{g}");
            let mut rule = json!({"kind": "HTTPRouteGroup", "name": name});
            if !group.only.is_empty() {
                rule["matches"] = group.only.iter().map(|m| json!(format!("m{m}"))).collect();
            }
            rules.push(rule);
            if !(target.missing && g == 0) {
                objects.push(routes(&name, namespace, group));
            }
        }
        if let Some(ports) = &target.tcp {
            let name = format!("ports-{t}");
            let ports: Vec<u16> = ports.iter().map(|&port| PORTS[port].1).collect();
            rules.push(json!({"kind": "TCPRoute", "name": name}));
            if !(target.missing && target.groups.is_empty()) {
                objects.push(tcp_route(&name, namespace, &ports));
            }
        }
        let mut account = json!({"kind": "ServiceAccount", "name": self.account(destination)});
        if !target.omitted {
            account["namespace"] = json!(home);
        }
        if let Some(port) = target.port {
            account["port"] = json!(PORTS[port].1);
        }
        let version = if target.port.is_some() { "v1alpha2" } else { "v1alpha3" };
        objects.push(json!({
            "apiVersion": format!("access.smi-spec.io/{version}"), "kind": "TrafficTarget",
            "metadata": {"name": format!("target-{t}"), "namespace": namespace},
            "spec": {
                "destination": account, "rules": rules,
                "sources": target.sources.iter().map(|s| self.subject(s)).collect::<Vec<_>>(),
            },
        }));
        objects
    }

    fn splits(&self) -> Vec<Value> {
        self.splits.iter().enumerate().flat_map(|(s, split)| self.split(s, split)).collect()
    }

    fn split(&self, s: usize, split: &Split) -> Vec<Value> {
        let services = self.services();
        let root = &services[split.root % services.len()];
        let near: Vec<_> = services.iter().filter(|other| other.namespace == root.namespace).collect();
        let backends = split.backends.iter().map(|(backend, weight)| {
            // A root among its own backends ends the split; that need not happen often.
            let others: Vec<_> = near.iter().filter(|other| other.name != root.name).collect();
            let service = match backend {
                None => "ghost",
                Some(b) if b % 12 == 0 || others.is_empty() => &near[b % near.len()].name,
                Some(b) => &others[b % others.len()].name,
            };
            let weight = if split.quantities { json!(format!("{weight}00m")) } else { json!(weight) };
            json!({"service": service, "weight": weight})
        });
        let service = match split.form % 3 {
            0 => root.name.clone(),
            1 => format!("{}.{}", root.name, root.namespace),
            _ => format!("{}.{}.svc.cluster.local", root.name, root.namespace),
        };
        let mut spec = json!({"service": service, "backends": backends.collect::<Vec<_>>()});
        let mut objects = Vec::new();
        if !split.quantities && !split.groups.is_empty() {
            let names: Vec<_> = (0..split.groups.len()).map(|g| format!("canary-{s}-{g}")).collect();
            spec["matches"] = names.iter().map(|name| json!({"kind": "HTTPRouteGroup", "name": name})).collect();
            objects.extend(names.iter().zip(&split.groups).map(|(name, group)| routes(name, root.namespace, group)));
        }
        let version = if split.quantities { "v1alpha1" } else { "v1alpha4" };
        objects.push(json!({
            "apiVersion": format!("split.smi-spec.io/{version}"), "kind": "TrafficSplit",
            "metadata": {"name": format!("split-{s}"), "namespace": root.namespace}, "spec": spec,
        }));
        objects
    }

    /// A request as the traffic of a scenario.
    pub(crate) fn traffic(&self, request: &Request) -> Traffic {
        let source = match &request.to {
            To::Destination { target, .. } => self
                .targets
                .get(target % self.targets.len().max(1))
                .map(|target| target.sources[request.from % target.sources.len()]),
            _ => None,
        };
        let from = match source.map_or(request.from % (self.pods.len() + 1), |source| source % self.pods.len()) {
            i if i < self.pods.len() => name(i),
            _ => "naked".into(),
        };
        let (to, spoken) = self.receiver(&request.to);
        let mut sent = traffic(from, to);
        if PORTS[spoken].0.starts_with("tcp") {
            sent.proto = Proto::Tcp;
        } else {
            sent.proto = if request.http2 { Proto::Http2 } else { Proto::Http1 };
            sent.method = Some(request.method.into());
            sent.path = Some(request.path.clone());
            sent.headers = request.headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        }
        sent.present = request.plaintext.then(|| Credentials { plaintext: true, ..Credentials::default() });
        sent
    }

    /// The address, and the index of what is spoken there.
    fn receiver(&self, to: &To) -> (String, usize) {
        match to {
            To::Service { service, port } => self.service(*service, *port),
            To::Root { split, port } => {
                let split = self.splits.get(split % self.splits.len().max(1));
                self.service(split.map_or(0, |split| split.root), *port)
            }
            To::Destination { target, port } => {
                let target = self.targets.get(target % self.targets.len().max(1));
                // The first services are those of the workloads.
                self.service(target.map_or(0, |target| target.destination % self.pods.len()), *port)
            }
            To::Pod { pods, port } => {
                let i = pods % self.pods.len();
                let port = self.pods[i].ports[port % self.pods[i].ports.len()];
                (format!("pod:{}:{}", name(i), self.pods[i].container(port)), port)
            }
        }
    }
}

impl World {
    fn service(&self, service: usize, port: usize) -> (String, usize) {
        let services = self.services();
        let service = &services[service % services.len()];
        let (number, spoken) = service.ports[port % service.ports.len()];
        (format!("{}.{}:{number}", service.name, service.namespace), spoken)
    }
}

fn name(i: usize) -> String {
    format!("w{i}")
}
