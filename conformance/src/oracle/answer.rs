//! From a request to its outcomes.

use std::{collections::BTreeMap, fmt};

use simulator::scenario::{
    address::Destination,
    model::{Proto, Traffic},
};

use super::{
    Readings, Share, Unknown,
    access::{Arrival, Decision},
    manifest::{Service, ServicePort, Speaks},
    route::{Clauses, HttpRequest},
    split::Leaf,
    world::{Endpoint, Pod, World},
};

/// What is asked of the oracle: one request, as a scenario describes it.
#[derive(Clone, Debug)]
pub struct Request {
    from: String,
    to: Destination,
    proto: Proto,
    http: Option<HttpRequest>,
    /// The Host header, if it is not simply the name dialled.
    host: Option<String>,
    /// It goes past the sender's own sidecar, in plaintext.
    plaintext: bool,
}

/// What must come of a request. The shares of all outcomes add up to everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// One for each workload that can get it, and one if it can be denied.
    pub outcomes: Vec<Outcome>,
}

/// One way in which a request can end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The workload that gets it; `None` if nobody does.
    pub workload: Option<String>,
    /// How many requests end so.
    pub share: Share,
    /// The clauses that decide it. None: Kubernetes alone does.
    pub clauses: Vec<&'static str>,
    /// Why, in words.
    pub why: String,
}

/// An outcome before those of one workload are added up.
struct Part {
    workload: Option<String>,
    share: Share,
    clauses: Clauses,
    why: String,
}

/// A request on its way.
struct Journey<'a> {
    world: &'a World,
    readings: &'a Readings,
    request: &'a Request,
    sender: &'a Pod,
    clauses: Clauses,
}

impl Request {
    /// The request that a scenario sends.
    ///
    /// # Errors
    /// It is about something that the specification does not know: credentials, TLS of an application, an address.
    pub fn new(traffic: &Traffic) -> Result<Self, Unknown> {
        if traffic.tls.is_some() {
            return Unknown::because("TLS of an application is nothing that the specification speaks of");
        }
        if traffic.present.as_ref().is_some_and(|credentials| !credentials.plaintext) {
            return Unknown::because("certificates are nothing that the specification speaks of");
        }
        let to: Destination = traffic.to.parse().map_err(|error| Unknown(format!("{}: {error}", traffic.to)))?;
        let grpc = matches!(traffic.proto, Proto::Grpc | Proto::GrpcStream);
        let (method, path) = if grpc { ("POST", "/simulator.Echo/Call") } else { ("GET", "/") };
        let dialled = match &to {
            Destination::Host { host, port: Some(port) } => Some(format!("{host}:{port}")),
            Destination::Host { host, port: None } => Some(host.clone()),
            Destination::Pod { .. } | Destination::Ip { .. } => None,
        };
        let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in &traffic.headers {
            headers.entry(name.to_ascii_lowercase()).or_default().push(value.clone());
        }
        let http = !matches!(traffic.proto, Proto::Tcp | Proto::TcpServerFirst);
        let http = http.then(|| HttpRequest {
            method: traffic.method.clone().unwrap_or_else(|| method.to_owned()),
            path: traffic.path.clone().unwrap_or_else(|| path.to_owned()),
            headers,
            authority: traffic.host.clone().or(dialled),
            http2: grpc || traffic.proto == Proto::Http2,
            adds_headers: grpc || traffic.proto == Proto::Websocket,
        });
        let host = traffic.host.clone();
        Ok(Self {
            from: traffic.from.clone(),
            to,
            proto: traffic.proto,
            http,
            host,
            plaintext: traffic.present.is_some(),
        })
    }
}

impl World {
    /// What must come of a request.
    ///
    /// # Errors
    /// [`Unknown`]: the specification does not say.
    pub fn answer(&self, request: &Request, readings: &Readings) -> Result<Answer, Unknown> {
        self.known()?;
        let from = request.from.parse().map_err(|error| Unknown(format!("{}: {error}", request.from)))?;
        let senders = self.pods_of(&from)?;
        let journey = Journey { world: self, readings, request, sender: senders[0], clauses: Clauses::new() };
        Ok(Answer::of(journey.parts()?))
    }
}

impl<'a> Journey<'a> {
    fn parts(mut self) -> Result<Vec<Part>, Unknown> {
        if let Some(authority) = &self.request.host
            && !self.names_what_is_dialled(authority)
        {
            return Unknown::because("what the Host header may say beside the name dialled is not specified");
        }
        match &self.request.to {
            Destination::Ip { .. } => Unknown::because("an address is nothing that the specification speaks of"),
            Destination::Pod { pod, port } => {
                // A pod's own address is no service: nothing is split (TS-09), and it gives no more than a service would (TT-29).
                self.clauses.insert("TT-29");
                let pods = self.world.pods_of(pod)?;
                let mut parts = Vec::new();
                for pod in &pods {
                    let to = Endpoint { pod, port: *port };
                    parts.push(self.part(&self.arrive(to, None)?, to, Share::new(1, pods.len() as u64)));
                }
                match self.has_sidecar() && parts.iter().any(|part| part.workload.is_some()) {
                    true => Unknown::because("a mesh need not carry what is sent to the address of a pod"),
                    false => Ok(parts),
                }
            }
            Destination::Host { host, port } => {
                let Some(service) = self.lookup(host) else {
                    return Unknown::because(format!("{host} is no service"));
                };
                if service.headless {
                    return Unknown::because("a headless service is not balanced");
                }
                let number = port.or_else(|| service.ports.first().map(|port| port.port)).unwrap_or(80);
                let Some(port) = service.ports.iter().find(|port| port.port == number) else {
                    return Ok(vec![self.nowhere(Share::ALL, format!("{host} has no port {number}"))]);
                };
                self.service(service, port)
            }
        }
    }

    /// `name`, `name.namespace` and longer forms, as a resolver in the sender's namespace takes them.
    fn lookup(&self, host: &str) -> Option<&'a Service> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let ends = [".svc.cluster.local", ".svc.cluster", ".svc"];
        let short = ends.iter().find_map(|end| host.strip_suffix(end)).unwrap_or(&host);
        let (name, namespace) = short.split_once('.').unwrap_or((short, &self.sender.namespace));
        self.world.service(namespace, name)
    }

    /// Whether a Host header means the service and port that are dialled anyway.
    fn names_what_is_dialled(&self, authority: &str) -> bool {
        let Destination::Host { host, port: dialled } = &self.request.to else { return false };
        let (name, port) = match authority.split_once(':') {
            Some((name, port)) => (name, port.parse().ok()),
            None => (authority, *dialled),
        };
        let (Some(meant), Some(service)) = (self.lookup(name), self.lookup(host)) else { return false };
        let first = service.ports.first().map(|port| port.port);
        meant == service && port.or(first) == dialled.or(first)
    }

    fn has_sidecar(&self) -> bool {
        self.sender.meshed && !self.request.plaintext
    }

    fn service(&mut self, service: &Service, port: &ServicePort) -> Result<Vec<Part>, Unknown> {
        if !self.has_sidecar() {
            // Nobody splits for it (TS-10).
            return self.endpoints(service, port, Share::ALL);
        }
        let world = self.world;
        let http = self.request.http.as_ref().filter(|_| port.speaks == Speaks::Http);
        match world.leaves(service, port.port, http, self.readings, &mut self.clauses)? {
            None => self.endpoints(service, port, Share::ALL),
            Some(leaves) => self.shared(&leaves),
        }
    }

    fn shared(&mut self, leaves: &[Leaf<'_>]) -> Result<Vec<Part>, Unknown> {
        let whole = leaves.iter().map(|leaf| leaf.weight).sum();
        let mut parts = Vec::new();
        let mut closed = false;
        for leaf in leaves {
            let share = Share::new(leaf.weight, whole);
            match leaf.service {
                None => parts.push(self.nowhere(share, format!("{} has nobody who could answer", leaf.name))),
                Some((service, port)) => {
                    let leaf = self.endpoints(service, port, share)?;
                    closed |= leaf.iter().all(|part| part.workload.is_none());
                    parts.extend(leaf);
                }
            }
        }
        if closed {
            parts.iter_mut().for_each(|part| part.clauses.extend(["TS-27"]));
            if self.readings.is("TS-27", "all-or-none") {
                return Ok(vec![self.nowhere(Share::ALL, "a backend of the split is closed to the sender".to_owned())]);
            }
        }
        Ok(parts)
    }

    /// A service's ready pods, evenly. The client's side may leave out those that it knows to refuse (TT-30).
    fn endpoints(&mut self, service: &Service, port: &ServicePort, share: Share) -> Result<Vec<Part>, Unknown> {
        let endpoints = self.world.endpoints(service, port);
        if endpoints.is_empty() {
            return Ok(vec![self.nowhere(share, format!("{} has no ready pod", service.name))]);
        }
        let mut arrivals = Vec::new();
        for to in endpoints {
            let decision = self.arrive(to, Some(port))?;
            arrivals.push((to, decision));
        }
        let skips = |decision: &Decision| match self.has_sidecar() {
            true if self.readings.is("TT-30", "skips-refused") => !decision.allowed,
            true if self.readings.is("TT-30", "skips-unreachable") => !decision.reachable,
            _ => false,
        };
        if arrivals.iter().any(|(_, decision)| skips(decision)) && !arrivals.iter().all(|(_, decision)| skips(decision))
        {
            arrivals.retain(|(_, decision)| !skips(decision));
            self.clauses.extend(["TT-07", "TT-30"]);
        }
        let count = arrivals.len() as u64;
        Ok(arrivals.into_iter().map(|(to, decision)| self.part(&decision, to, share.of(1, count))).collect())
    }

    /// Whether the pod's side lets the request through.
    fn arrive(&self, to: Endpoint<'_>, port: Option<&ServicePort>) -> Result<Decision, Unknown> {
        if !to.pod.meshed {
            return match self.has_sidecar() {
                true => Unknown::because("a pod outside the mesh is nothing that the specification speaks of"),
                false => Ok(Decision::let_through("no mesh is involved")),
            };
        }
        if !self.has_sidecar() {
            return match self.world.permissive {
                true => Unknown::because("whether a mesh that allows everything takes plaintext is not specified"),
                false => Ok(Decision {
                    clauses: Clauses::from(["TT-28"]),
                    ..Decision::refused("a sender without an identity is no source of any TrafficTarget")
                }),
            };
        }
        let declared = self.declared(to, port)?;
        if self.world.permissive {
            return match (declared, self.request.http.is_some()) {
                (Speaks::Http, false) => Unknown::because("a port that is declared to speak HTTP is dialled otherwise"),
                _ => Ok(Decision::let_through("the mesh allows everything")),
            };
        }
        let http = self.request.http.as_ref();
        let dialled = port.map(|port| port.port);
        self.world.decide(&Arrival { from: self.sender, to, dialled, declared, http }, self.readings)
    }

    /// What the port is declared to speak, as long as all that is said of it agrees.
    fn declared(&self, to: Endpoint<'_>, dialled: Option<&ServicePort>) -> Result<Speaks, Unknown> {
        let own = to.pod.speaks(to.port);
        let behind = self.world.service_ports(to);
        let mut all: Vec<_> = dialled.into_iter().chain(behind).map(|port| port.speaks).chain(own).collect();
        all.sort_unstable();
        all.dedup();
        match (all.as_slice(), self.request.proto) {
            ([Speaks::Other], _) => Unknown::because("the port speaks something that the specification does not know"),
            ([Speaks::ServerFirst], Proto::TcpServerFirst) => Ok(Speaks::Tcp),
            ([Speaks::ServerFirst], _) | ([_], Proto::TcpServerFirst) => {
                Unknown::because("client and server do not agree who speaks first")
            }
            ([one], _) => Ok(*one),
            ([], _) => Ok(Speaks::Http),
            _ => Unknown::because("the port is declared to speak several things"),
        }
    }

    fn part(&self, decision: &Decision, to: Endpoint<'_>, share: Share) -> Part {
        let clauses = self.clauses.union(&decision.clauses).copied().collect();
        let workload = decision.allowed.then(|| to.pod.workload.clone());
        // What is let through still needs somebody who listens.
        match (&workload, to.pod.speaks(to.port)) {
            (Some(name), None) => {
                Part { why: format!("nobody in {name} listens on port {}", to.port), workload: None, share, clauses }
            }
            _ => Part { workload, share, clauses, why: decision.why.clone() },
        }
    }

    fn nowhere(&self, share: Share, why: String) -> Part {
        Part { workload: None, share, clauses: self.clauses.clone(), why }
    }
}

impl Decision {
    fn let_through(why: &str) -> Self {
        Self { allowed: true, reachable: true, ..Self::refused(why) }
    }

    fn refused(why: &str) -> Self {
        Self { allowed: false, reachable: false, clauses: Clauses::new(), why: why.to_owned() }
    }
}

impl Answer {
    /// Adds up what ends alike.
    fn of(parts: Vec<Part>) -> Self {
        let mut ends: BTreeMap<Option<String>, Vec<Part>> = BTreeMap::new();
        for part in parts {
            ends.entry(part.workload.clone()).or_default().push(part);
        }
        let outcome = |(workload, parts): (Option<String>, Vec<Part>)| {
            let clauses: Clauses = parts.iter().flat_map(|part| &part.clauses).copied().collect();
            let mut reasons: Vec<_> = parts.iter().map(|part| part.why.as_str()).collect();
            reasons.dedup();
            Outcome {
                share: parts.iter().map(|part| part.share).sum(),
                clauses: clauses.into_iter().collect(),
                why: reasons.join("; "),
                workload,
            }
        };
        Self { outcomes: ends.into_iter().map(outcome).collect() }
    }

    /// The share of a workload.
    #[must_use]
    pub fn share(&self, workload: &str) -> Share {
        let own = self.outcomes.iter().filter(|outcome| outcome.workload.as_deref() == Some(workload));
        own.map(|outcome| outcome.share).sum()
    }

    /// The share that nobody gets.
    #[must_use]
    pub fn denied(&self) -> Share {
        self.outcomes.iter().filter(|outcome| outcome.workload.is_none()).map(|outcome| outcome.share).sum()
    }

    /// The workloads that get anything.
    pub fn reached(&self) -> impl Iterator<Item = &str> {
        self.outcomes.iter().filter_map(|outcome| outcome.workload.as_deref())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, outcome) in self.outcomes.iter().enumerate() {
            let then = if i == 0 { "" } else { "; " };
            match &outcome.workload {
                Some(name) => write!(f, "{then}{name} gets {} of it", outcome.share)?,
                None => write!(f, "{then}{} of it is denied", outcome.share)?,
            }
            write!(f, ", because {}", outcome.why)?;
            if !outcome.clauses.is_empty() {
                write!(f, " ({})", outcome.clauses.join(", "))?;
            }
        }
        Ok(())
    }
}
