//! Who may send what to whom: TrafficTargets and what they refer to.

use super::{
    Readings, Unknown,
    manifest::{Content, Rule, Speaks, Subject, Target},
    route::{Clauses, Conditions, HttpRequest, is_tricky},
    world::{Endpoint, Pod, World},
};

/// Something that arrives at a pod.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival<'a> {
    /// Who sends it.
    pub(super) from: &'a Pod,
    /// Where it arrives.
    pub(super) to: Endpoint<'a>,
    /// The service port that was dialled; none for the pod's own address.
    pub(super) dialled: Option<u16>,
    /// What the port was declared to speak.
    pub(super) declared: Speaks,
    /// The request, if HTTP is spoken.
    pub(super) http: Option<&'a HttpRequest>,
}

/// Whether something is let through.
#[derive(Clone, Debug)]
pub(super) struct Decision {
    pub(super) allowed: bool,
    /// Whether anything at all could be sent there: else the client's side may not even try.
    pub(super) reachable: bool,
    pub(super) clauses: Clauses,
    pub(super) why: String,
}

/// What one target says of an arrival.
struct Grant {
    allows: Result<bool, Unknown>,
    reachable: bool,
}

impl World {
    /// Any target that allows it suffices (TT-13, TT-14, TT-15).
    pub(super) fn decide(&self, arrival: &Arrival<'_>, readings: &Readings) -> Result<Decision, Unknown> {
        let mut decision = Decision { allowed: false, reachable: false, clauses: Clauses::new(), why: String::new() };
        if let Some(request) = arrival.http.filter(|request| is_tricky(&request.path)) {
            decision.clauses.insert("HR-07");
            if readings.is("HR-07", "refused") {
                decision.why = format!("the path {} is refused as it is", request.path);
                return Ok(decision);
            }
        }
        let (mut for_pod, mut unknown) = (false, None);
        for target in self.targets() {
            if !target.is_for(arrival.to.pod, readings, &mut decision.clauses) {
                continue;
            }
            for_pod = true;
            if !target.lists(arrival.from, readings, &mut decision.clauses) {
                continue;
            }
            let grant = self.grant(target, arrival, readings, &mut decision.clauses);
            decision.reachable |= grant.reachable;
            match grant.allows {
                Ok(false) => {}
                Err(why) => unknown = Some(why),
                Ok(true) => {
                    decision.allowed = true;
                    decision.clauses.insert("TT-02");
                    decision.why = "a TrafficTarget allows it".to_owned();
                    return Ok(decision);
                }
            }
        }
        if let Some(why) = unknown {
            return Err(why);
        }
        let (clause, why) = match (for_pod, decision.reachable) {
            (false, _) => ("TT-01", "no TrafficTarget is for the pod's account, so nobody reaches it"),
            (true, false) => {
                ("TT-03", "no TrafficTarget for the pod's account opens this port to the sender's account")
            }
            (true, true) => ("TT-04", "the rules for the sender do not describe it"),
        };
        decision.clauses.insert(clause);
        decision.why = why.to_owned();
        Ok(decision)
    }

    fn grant(&self, target: &Target, arrival: &Arrival<'_>, readings: &Readings, clauses: &mut Clauses) -> Grant {
        let of_kind = |kind: &str| target.rules.iter().filter(|rule| rule.kind == kind).collect::<Vec<_>>();
        let (groups, ports) = (of_kind("HTTPRouteGroup"), of_kind("TCPRoute"));
        let listed = self.opens(target, &ports, arrival, readings, clauses);
        let port = match target.destination.port {
            Some(port) => {
                clauses.insert("TT-18");
                self.lists_port(&[port], arrival, readings, clauses)
            }
            None => Ok(true),
        };
        let routed = |clauses: &mut Clauses| match arrival.http {
            Some(request) => any(groups.iter().map(|rule| self.routes(target, rule, request, readings, clauses))),
            None => Ok(false),
        };
        let usable = groups.iter().any(|rule| self.is_of_use(target, rule, readings));
        if !groups.is_empty() && !ports.is_empty() {
            clauses.insert("TT-21");
        }
        let (allows, reachable) = if arrival.declared == Speaks::Http && arrival.http.is_some() {
            match (groups.is_empty(), ports.is_empty()) {
                (_, true) => (routed(clauses), usable),
                (true, false) => {
                    clauses.insert("TT-22");
                    let allowed = readings.is("TT-22", "allowed");
                    (listed.clone().map(|open| open && allowed), allowed && listed != Ok(false))
                }
                (false, false) if readings.is("TT-21", "either") => {
                    (any([routed(clauses), listed.clone()].into_iter()), usable || listed != Ok(false))
                }
                (false, false) => (all([listed.clone(), routed(clauses)]), usable && listed != Ok(false)),
            }
        } else {
            let only_groups = ports.is_empty() && !groups.is_empty();
            let allows = beside_http(arrival, only_groups, listed, readings, clauses, routed);
            let reachable = allows != Ok(false) || (arrival.declared == Speaks::Http && usable);
            (allows, reachable)
        };
        let allows = all([port.clone(), allows]).and_then(|allows| match allows && target.is_doubtful() {
            true => Unknown::because("a target with a subject or rule of an unknown kind may be refused as a whole"),
            false => Ok(allows),
        });
        Grant { allows, reachable: reachable && port != Ok(false) }
    }

    /// Whether one of the TCPRoutes opens the port.
    fn opens(
        &self,
        target: &Target,
        rules: &[&Rule],
        arrival: &Arrival<'_>,
        readings: &Readings,
        clauses: &mut Clauses,
    ) -> Result<bool, Unknown> {
        any(rules.iter().map(|rule| match self.content("TCPRoute", &target.namespace, &rule.name) {
            Some(Content::TcpRoute(ports)) if ports.is_empty() => {
                clauses.insert("L4-02");
                match self.service_ports(arrival.to).is_empty() {
                    true => Unknown::because("a port of a pod that no service leads to is not spoken of"),
                    false => Ok(true),
                }
            }
            Some(Content::TcpRoute(ports)) => {
                clauses.insert("L4-01");
                self.lists_port(ports, arrival, readings, clauses)
            }
            _ => {
                clauses.insert("TT-11");
                Ok(false)
            }
        }))
    }

    /// Whether a list of ports means the one at which something arrives.
    fn lists_port(
        &self,
        ports: &[u16],
        arrival: &Arrival<'_>,
        readings: &Readings,
        clauses: &mut Clauses,
    ) -> Result<bool, Unknown> {
        let behind = self.service_ports(arrival.to);
        if behind.iter().any(|port| port.port != arrival.to.port) {
            clauses.insert("L4-03");
        }
        if readings.is("L4-03", "container") {
            return Ok(ports.contains(&arrival.to.port));
        }
        let listed = behind.iter().any(|port| ports.contains(&port.port));
        match arrival.dialled {
            Some(port) if !ports.contains(&port) && listed => {
                Unknown::because("another service port, which is listed, leads to the same port of the pod")
            }
            Some(port) => Ok(ports.contains(&port)),
            None => Ok(listed),
        }
    }

    /// Whether a rule's route group describes the request.
    fn routes(
        &self,
        target: &Target,
        rule: &Rule,
        request: &HttpRequest,
        readings: &Readings,
        clauses: &mut Clauses,
    ) -> Result<bool, Unknown> {
        let Some(Content::Group(group)) = self.content(&rule.kind, &target.namespace, &rule.name) else {
            clauses.insert("TT-11");
            return Ok(false);
        };
        clauses.insert(if rule.only().is_some() { "TT-09" } else { "TT-08" });
        if rule.only().is_some_and(|names| !names.iter().all(|name| group.matches.iter().any(|m| m.name == *name))) {
            clauses.insert("TT-10");
        }
        group.selects(rule.only(), request, Conditions::All, readings, clauses)
    }

    fn is_of_use(&self, target: &Target, rule: &Rule, readings: &Readings) -> bool {
        match self.content(&rule.kind, &target.namespace, &rule.name) {
            Some(Content::Group(group)) => group.is_of_use(rule.only(), readings),
            _ => false,
        }
    }
}

impl Rule {
    /// The names of the matches that count; `None` for all (TT-08).
    fn only(&self) -> Option<&[String]> {
        self.matches.as_deref().filter(|names| !names.is_empty())
    }
}

impl Target {
    /// Whether the pod's account is the destination.
    fn is_for(&self, pod: &Pod, readings: &Readings, clauses: &mut Clauses) -> bool {
        let Some(namespace) = self.destination.namespace(&self.namespace, readings, clauses) else { return false };
        if self.destination.kind != "ServiceAccount"
            || namespace != pod.namespace
            || self.destination.name != pod.account
        {
            return false;
        }
        if namespace != self.namespace {
            clauses.insert("TT-25");
            return readings.is("TT-25", "honoured");
        }
        true
    }

    /// Whether the sender's account is among the sources, and the target whole (API-04).
    fn lists(&self, sender: &Pod, readings: &Readings, clauses: &mut Clauses) -> bool {
        if self.rules.is_empty() || self.sources.is_empty() {
            clauses.insert("API-04");
            return false;
        }
        if readings.is("TT-26", "refused") && self.sources.iter().any(|source| source.namespace.is_none()) {
            clauses.insert("TT-26");
            return false;
        }
        let is_sender = |source: &Subject, clauses: &mut Clauses| {
            source.kind == "ServiceAccount"
                && source.name == sender.account
                && source.namespace(&self.namespace, readings, clauses).is_some_and(|ns| ns == sender.namespace)
        };
        self.sources.iter().any(|source| is_sender(source, clauses))
    }

    fn is_doubtful(&self) -> bool {
        let known = ["HTTPRouteGroup", "TCPRoute", "UDPRoute"];
        self.rules.iter().any(|rule| !known.contains(&rule.kind.as_str()))
            || self.sources.iter().any(|source| source.kind != "ServiceAccount")
    }
}

impl Subject {
    /// The namespace meant; `None` if the subject is refused.
    fn namespace<'a>(&'a self, own: &'a str, readings: &Readings, clauses: &mut Clauses) -> Option<&'a str> {
        if self.namespace.is_none() {
            clauses.insert("TT-26");
        }
        match &self.namespace {
            Some(namespace) => Some(namespace),
            None if readings.is("TT-26", "own") => Some(own),
            None if readings.is("TT-26", "default") => Some("default"),
            None => None,
        }
    }
}

/// Where no HTTP is spoken, or the port was declared to speak something else, TCPRoutes decide. A route group alone opens no such
/// port, or any (TT-23).
fn beside_http(
    arrival: &Arrival<'_>,
    only_groups: bool,
    listed: Result<bool, Unknown>,
    readings: &Readings,
    clauses: &mut Clauses,
    routed: impl Fn(&mut Clauses) -> Result<bool, Unknown>,
) -> Result<bool, Unknown> {
    if only_groups && arrival.http.is_some() {
        return match routed(clauses) {
            Ok(false) => Ok(false),
            _ => Unknown::because("HTTP is spoken on a port that is declared to speak something else"),
        };
    }
    if only_groups {
        clauses.insert("TT-23");
        return Ok(readings.is("TT-23", "allowed"));
    }
    match listed {
        Ok(true) if arrival.declared == Speaks::Http => {
            Unknown::because("something else is spoken on a port that is declared to speak HTTP")
        }
        listed => listed,
    }
}

/// One `true` decides; else what is not known.
fn any(parts: impl Iterator<Item = Result<bool, Unknown>>) -> Result<bool, Unknown> {
    let parts: Vec<_> = parts.collect();
    if parts.contains(&Ok(true)) { Ok(true) } else { parts.into_iter().find(Result::is_err).unwrap_or(Ok(false)) }
}

/// One `false` decides; else what is not known.
fn all<const N: usize>(parts: [Result<bool, Unknown>; N]) -> Result<bool, Unknown> {
    if parts.contains(&Ok(false)) { Ok(false) } else { parts.into_iter().find(Result::is_err).unwrap_or(Ok(true)) }
}
