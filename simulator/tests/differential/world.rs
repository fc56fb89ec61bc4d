//! Random small worlds as data that shrinks, and the scenario that each of them is.
//!
//! References are numbers taken modulo what there is, so that a world stays whole whatever shrinking takes away.

use serde_json::{Value, json};
use simulator::{
    Scenario,
    scenario::{
        builder::{predicted, step, traffic},
        model::{self, Credentials, FullPort, Port, Proto},
    },
};

pub(crate) const NAMESPACES: [&str; 3] = ["shop", "store", "bank"];
/// Name, service port, and what its application speaks.
pub(crate) const PORTS: [(&str, u16); 4] = [("http", 8080), ("grpc", 8090), ("tcp", 9000), ("tcp-server-first", 3306)];
/// A container port lies so far from its service port, where they differ.
const SHIFT: u16 = 1000;
const ALIAS_PORT: u16 = 80;

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) permissive: bool,
    pub(crate) naked: bool,
    pub(crate) workloads: Vec<Workload>,
    /// A service of its own making for a workload: another port number, and the container port by name.
    pub(crate) alias: Option<(usize, bool)>,
    pub(crate) targets: Vec<Target>,
    pub(crate) splits: Vec<Split>,
    pub(crate) requests: Vec<Request>,
}

#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) namespace: usize,
    pub(crate) common_account: bool,
    pub(crate) replicas: u16,
    pub(crate) ports: Vec<usize>,
    pub(crate) shifted: bool,
    /// Also a member of the service `pool` of its namespace.
    pub(crate) pooled: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) destination: usize,
    pub(crate) sources: Vec<usize>,
    pub(crate) http: Option<Vec<Match>>,
    /// Only the first match of the group is named.
    pub(crate) first_only: bool,
    pub(crate) tcp: Option<Vec<usize>>,
    /// Written in a version that names the destination's port.
    pub(crate) port: Option<usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct Match {
    pub(crate) path: Option<String>,
    pub(crate) methods: Vec<&'static str>,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Split {
    pub(crate) root: usize,
    /// `None` is a service that nobody has.
    pub(crate) backends: Vec<(Option<usize>, u64)>,
    pub(crate) matches: Option<Vec<Match>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) from: usize,
    pub(crate) to: To,
    /// The protocol, if not one that fits the port.
    pub(crate) proto: Option<Proto>,
    pub(crate) variant: usize,
    pub(crate) method: Option<&'static str>,
    pub(crate) path: Option<String>,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) host: Option<&'static str>,
    pub(crate) n: u32,
    pub(crate) keep_alive: bool,
    pub(crate) present: Option<Presented>,
}

#[derive(Clone, Debug)]
pub(crate) enum To {
    /// A service, by one of its ports or by a port that it does not have.
    Service { service: usize, port: Result<usize, u16> },
    /// A pod's own address.
    Pod { workload: usize, port: Result<usize, u16> },
}

#[derive(Clone, Debug)]
pub(crate) enum Presented {
    Plaintext,
    Anonymous,
    Own,
    Account(usize),
    Expired,
    ForeignCa,
    ForeignDomain,
}

/// A service with its namespace and ports, each with the index of what is spoken.
struct Service {
    name: String,
    namespace: &'static str,
    ports: Vec<(u16, usize)>,
}

impl Workload {
    fn namespace(&self) -> &'static str {
        NAMESPACES[self.namespace % NAMESPACES.len()]
    }

    fn target(&self, port: usize) -> u16 {
        PORTS[port].1 + if self.shifted { SHIFT } else { 0 }
    }
}

impl World {
    /// The scenario whose checks all say: as the evaluator predicts.
    pub(crate) fn scenario(&self, id: &str) -> Scenario {
        let mut scenario = Scenario::new(id).title("real Envoys end every request as the evaluator predicts");
        scenario.mesh.permissive = self.permissive;
        for (i, workload) in self.workloads.iter().enumerate() {
            scenario = scenario.workload(name(i), |w| self.workload(i, workload, w));
        }
        if self.naked {
            scenario = scenario.workload("naked", model::Workload::outside_mesh);
        }
        let mut names = Vec::new();
        for (name, objects) in [("services", self.aliases()), ("targets", self.targets()), ("splits", self.splits())] {
            if !objects.is_empty() {
                scenario = scenario.manifest(name, yaml(&objects));
                names.push(name);
            }
        }
        if !names.is_empty() {
            scenario = scenario.step(step().apply(names));
        }
        for request in &self.requests {
            scenario = scenario.step(step().traffic(self.request(request), predicted()));
        }
        scenario
    }

    fn workload(&self, i: usize, workload: &Workload, mut to: model::Workload) -> model::Workload {
        to = to.namespace(workload.namespace()).replicas(workload.replicas).service(name(i));
        if workload.pooled {
            to = to.service("pool");
        }
        to.account = Some(self.account(i));
        for &port in &workload.ports {
            let (name, number) = PORTS[port];
            let full = FullPort { port: number, target_port: Some(workload.target(port)), app_protocol: None };
            to.ports.insert(name.into(), if workload.shifted { Port::Full(full) } else { Port::Number(number) });
        }
        to
    }

    fn account(&self, i: usize) -> String {
        if self.workloads[i].common_account { "common".into() } else { name(i) }
    }

    fn services(&self) -> Vec<Service> {
        let mut services = Vec::new();
        for (i, workload) in self.workloads.iter().enumerate() {
            let ports = workload.ports.iter().map(|&p| (PORTS[p].1, p)).collect();
            services.push(Service { name: name(i), namespace: workload.namespace(), ports });
        }
        for namespace in NAMESPACES {
            let members = self.workloads.iter().filter(|w| w.pooled && w.namespace() == namespace);
            let mut ports: Vec<_> = members.flat_map(|w| &w.ports).map(|&p| (PORTS[p].1, p)).collect();
            ports.sort_unstable();
            ports.dedup();
            if !ports.is_empty() {
                services.push(Service { name: "pool".into(), namespace, ports });
            }
        }
        if let Some((i, _)) = self.alias {
            let workload = &self.workloads[i % self.workloads.len()];
            let ports = vec![(ALIAS_PORT, workload.ports[0])];
            services.push(Service { name: "alias".into(), namespace: workload.namespace(), ports });
        }
        services
    }

    fn aliases(&self) -> Vec<Value> {
        let Some((i, by_name)) = self.alias else { return Vec::new() };
        let i = i % self.workloads.len();
        let workload = &self.workloads[i];
        let (port_name, _) = PORTS[workload.ports[0]];
        // The API takes names of 15 characters at most here.
        let target =
            if by_name && port_name.len() <= 15 { json!(port_name) } else { json!(workload.target(workload.ports[0])) };
        vec![json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "alias", "namespace": workload.namespace()},
            "spec": {
                "selector": {"app": name(i)},
                "ports": [{"name": port_name, "port": ALIAS_PORT, "targetPort": target}],
            },
        })]
    }

    fn targets(&self) -> Vec<Value> {
        self.targets.iter().enumerate().flat_map(|(t, target)| self.target(t, target)).collect()
    }

    fn target(&self, t: usize, target: &Target) -> Vec<Value> {
        let destination = target.destination % self.workloads.len();
        let namespace = self.workloads[destination].namespace();
        let mut objects = Vec::new();
        let mut rules = Vec::new();
        if let Some(matches) = &target.http {
            let group = format!("routes-{t}");
            objects.push(group_of(&group, namespace, matches));
            let mut rule = json!({"kind": "HTTPRouteGroup", "name": group});
            if target.first_only {
                rule["matches"] = json!(["m0"]);
            }
            rules.push(rule);
        }
        if let Some(ports) = &target.tcp {
            let (name, ports): (_, Vec<u16>) = (format!("tcp-{t}"), ports.iter().map(|&p| PORTS[p].1).collect());
            objects.push(json!({
                "apiVersion": "specs.smi-spec.io/v1alpha4", "kind": "TCPRoute",
                "metadata": {"name": name, "namespace": namespace}, "spec": {"matches": {"ports": ports}},
            }));
            rules.push(json!({"kind": "TCPRoute", "name": name}));
        }
        let sources = target.sources.iter().map(|s| s % self.workloads.len()).map(
            |s| json!({"kind": "ServiceAccount", "name": self.account(s), "namespace": self.workloads[s].namespace()}),
        );
        let mut account = json!({"kind": "ServiceAccount", "name": self.account(destination), "namespace": namespace});
        if let Some(port) = target.port {
            account["port"] = json!(PORTS[port].1);
        }
        let version = if target.port.is_some() { "v1alpha2" } else { "v1alpha3" };
        objects.push(json!({
            "apiVersion": format!("access.smi-spec.io/{version}"), "kind": "TrafficTarget",
            "metadata": {"name": format!("target-{t}"), "namespace": namespace},
            "spec": {"destination": account, "sources": sources.collect::<Vec<_>>(), "rules": rules},
        }));
        objects
    }

    fn splits(&self) -> Vec<Value> {
        let services = self.services();
        let mut objects = Vec::new();
        for (s, split) in self.splits.iter().enumerate() {
            let root = &services[split.root % services.len()];
            let near: Vec<_> = services.iter().filter(|other| other.namespace == root.namespace).collect();
            let backends = split.backends.iter().map(|(backend, weight)| {
                let service = backend.map_or("ghost", |b| &near[b % near.len()].name);
                json!({"service": service, "weight": weight})
            });
            let mut spec = json!({"service": root.name, "backends": backends.collect::<Vec<_>>()});
            if let Some(matches) = &split.matches {
                let group = format!("canary-{s}");
                objects.push(group_of(&group, root.namespace, matches));
                spec["matches"] = json!([{"kind": "HTTPRouteGroup", "name": group}]);
            }
            objects.push(json!({
                "apiVersion": "split.smi-spec.io/v1alpha4", "kind": "TrafficSplit",
                "metadata": {"name": format!("split-{s}"), "namespace": root.namespace}, "spec": spec,
            }));
        }
        objects
    }

    fn request(&self, request: &Request) -> model::Traffic {
        let count = self.workloads.len() + usize::from(self.naked);
        let from = match request.from % count {
            i if i < self.workloads.len() => name(i),
            _ => "naked".into(),
        };
        let (to, spoken) = self.receiver(&request.to);
        let mut sent = traffic(from, to).proto(fitting(spoken, request));
        let http = !matches!(sent.proto, Proto::Tcp | Proto::TcpServerFirst);
        let grpc = matches!(sent.proto, Proto::Grpc | Proto::GrpcStream);
        if http {
            // gRPC libraries set their user agent themselves.
            let headers = request.headers.iter().filter(|(header, _)| !grpc || *header != "user-agent");
            sent.headers = headers.map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            sent.host = request.host.map(str::to_owned);
        }
        if http && !grpc {
            sent.path.clone_from(&request.path);
        }
        if matches!(sent.proto, Proto::Http1 | Proto::Http2) {
            sent.method = request.method.map(str::to_owned);
        }
        if request.n > 1 {
            sent = sent.times(request.n);
        }
        if request.keep_alive {
            sent = sent.keep_alive();
        }
        sent.present = request.present.as_ref().map(|presented| self.credentials(presented));
        sent
    }

    /// The address, and the index of what is spoken there.
    fn receiver(&self, to: &To) -> (String, usize) {
        match to {
            To::Service { service, port } => {
                let services = self.services();
                let service = &services[service % services.len()];
                let (number, spoken) = match port {
                    Ok(port) => service.ports[port % service.ports.len()],
                    Err(number) => (*number, 0),
                };
                (format!("{}.{}:{number}", service.name, service.namespace), spoken)
            }
            To::Pod { workload, port } => {
                let i = workload % self.workloads.len();
                let ports = &self.workloads[i].ports;
                let (number, spoken) = match port {
                    Ok(port) => (self.workloads[i].target(ports[port % ports.len()]), ports[port % ports.len()]),
                    Err(number) => (*number, 0),
                };
                (format!("pod:{}:{number}", name(i)), spoken)
            }
        }
    }

    fn credentials(&self, presented: &Presented) -> Credentials {
        let mut credentials = Credentials::default();
        match presented {
            Presented::Plaintext => credentials.plaintext = true,
            Presented::Anonymous => credentials.anonymous = true,
            Presented::Own => {}
            Presented::Account(i) => {
                let i = i % self.workloads.len();
                credentials.account = Some(format!("{}/{}", self.workloads[i].namespace(), self.account(i)));
            }
            Presented::Expired => credentials.expired = true,
            Presented::ForeignCa => credentials.foreign_ca = true,
            Presented::ForeignDomain => credentials.trust_domain = Some("elsewhere.example".into()),
        }
        credentials
    }
}

fn name(i: usize) -> String {
    format!("w{i}")
}

/// What is spoken to a port. Any wrong protocol may be tried but for greetings: client and server would wait for each other, or a
/// client would take the greeting for an answer, and neither says anything of the mesh.
fn fitting(spoken: usize, request: &Request) -> Proto {
    let greets = PORTS[spoken].0 == "tcp-server-first";
    if let Some(proto) = request.proto.filter(|proto| !greets && *proto != Proto::TcpServerFirst) {
        return proto;
    }
    let fits: &[Proto] = match PORTS[spoken].0 {
        "http" => &[Proto::Http1, Proto::Http2, Proto::Http1, Proto::Websocket],
        "grpc" => &[Proto::Grpc, Proto::GrpcStream, Proto::Http2, Proto::Http1],
        "tcp" => &[Proto::Tcp],
        _ => &[Proto::TcpServerFirst],
    };
    fits[request.variant % fits.len()]
}

fn group_of(name: &str, namespace: &str, matches: &[Match]) -> Value {
    let matches: Vec<_> = matches.iter().enumerate().map(|(m, one)| match_of(m, one)).collect();
    json!({
        "apiVersion": "specs.smi-spec.io/v1alpha4", "kind": "HTTPRouteGroup",
        "metadata": {"name": name, "namespace": namespace}, "spec": {"matches": matches},
    })
}

fn match_of(m: usize, one: &Match) -> Value {
    let mut value = json!({"name": format!("m{m}")});
    if let Some(path) = &one.path {
        value["pathRegex"] = json!(path);
    }
    if !one.methods.is_empty() {
        value["methods"] = json!(one.methods);
    }
    if !one.headers.is_empty() {
        value["headers"] = one.headers.iter().map(|(header, pattern)| json!({*header: pattern})).collect();
    }
    value
}

/// Objects as the text of one manifest.
fn yaml(objects: &[Value]) -> String {
    let texts: Vec<_> =
        objects.iter().map(|object| serde_saphyr::to_string(object).expect("JSON values are YAML")).collect();
    texts.join("---\n")
}
