//! What a TrafficTarget grants (SMI traffic-access v1alpha3, "TrafficTarget").

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::regex;
use crate::{
    model::{
        Code, Diagnostic, HttpMatch, HttpRouteGroup, Kind, Methods, ObjectName, ObjectRef, Protocol, RoutePorts, Rule,
        RuleKind, ServiceAccount, TrafficTarget,
    },
    world::World,
};

/// What one TrafficTarget grants, with all of its references resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The TrafficTarget.
    pub target: ObjectName,
    /// Who receives the traffic.
    pub destination: ServiceAccount,
    /// Who may send it. Never empty.
    pub sources: BTreeSet<ServiceAccount>,
    /// The only service port that is opened, for targets of v1alpha1 and v1alpha2 that name one.
    only_port: Option<u16>,
    /// The HTTP matches; `None` if no rule is an HTTPRouteGroup.
    http: Option<Vec<GrantedMatch>>,
    /// The ports of all TCPRoutes; `None` if no rule is a TCPRoute.
    tcp: Option<Vec<RoutePorts>>,
}

/// An HTTP match that a target grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedMatch {
    /// The HTTPRouteGroup that it stands in.
    pub group: ObjectName,
    /// The match.
    pub matched: HttpMatch,
}

/// Which HTTP requests a grant lets through on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpAccess<'a> {
    /// None.
    Nothing,
    /// Every request (a TCPRoute opens the port).
    Everything,
    /// Those that one of the matches covers. Never empty.
    Matching(&'a [GrantedMatch]),
}

impl Grant {
    /// Which HTTP requests are let through on a service port that speaks HTTP.
    pub fn http_on(&self, port: u16) -> HttpAccess<'_> {
        if self.only_port.is_some_and(|only| only != port) || !self.tcp.as_ref().is_none_or(|t| covers(t, port)) {
            return HttpAccess::Nothing;
        }
        match (&self.http, &self.tcp) {
            (Some(matches), _) if matches.is_empty() => HttpAccess::Nothing,
            (Some(matches), _) => HttpAccess::Matching(matches),
            (None, Some(_)) => HttpAccess::Everything,
            (None, None) => HttpAccess::Nothing,
        }
    }

    /// Whether connections are let through on a service port that speaks opaque TCP.
    pub fn tcp_on(&self, port: u16) -> bool {
        self.only_port.is_none_or(|only| only == port) && self.tcp.as_ref().is_some_and(|t| covers(t, port))
    }

    /// Whether anything is let through on the port.
    pub fn opens(&self, port: u16, protocol: Protocol) -> bool {
        if protocol.is_http() { self.http_on(port) != HttpAccess::Nothing } else { self.tcp_on(port) }
    }
}

fn covers(routes: &[RoutePorts], port: u16) -> bool {
    routes.iter().any(|ports| ports.contains(port))
}

/// All grants to an account, by the name of their target.
pub fn grants_to(world: &World, destination: &ServiceAccount) -> Vec<Grant> {
    world.targets_by_destination(destination).filter_map(|target| grant(world, target, &mut |_| {})).collect()
}

/// All grants to one source, by the name of their target.
pub fn grants_from(world: &World, source: &ServiceAccount) -> Vec<Grant> {
    world.targets_by_source(source).filter_map(|target| grant(world, target, &mut |_| {})).collect()
}

/// Resolves a target. `None` if it grants nothing at all; every mistake is told to `report`.
pub fn grant(world: &World, target: &TrafficTarget, report: &mut dyn FnMut(Diagnostic)) -> Option<Grant> {
    let mut reader = Reader { world, target, report };
    let destination = reader.destination();
    let sources = reader.sources();
    let (http, tcp) = reader.rules();
    let destination = destination?;
    let nothing = http.as_ref().is_none_or(Vec::is_empty) && tcp.as_ref().is_none_or(Vec::is_empty);
    if sources.is_empty() || nothing {
        return None;
    }
    Some(Grant { target: target.name.clone(), destination, sources, only_port: target.destination_port, http, tcp })
}

/// Reads one target, telling every mistake.
struct Reader<'a> {
    world: &'a World,
    target: &'a TrafficTarget,
    report: &'a mut dyn FnMut(Diagnostic),
}

impl Reader<'_> {
    fn tell(&mut self, field: impl Into<String>, code: Code, message: String) {
        let object = ObjectRef::new(Kind::TrafficTarget, self.target.name.clone());
        (self.report)(Diagnostic { object, field: field.into(), code, message });
    }

    fn destination(&mut self) -> Option<ServiceAccount> {
        let own = &self.target.name.namespace;
        let subject = &self.target.destination;
        let Some(account) = subject.account(own) else {
            let message = format!(
                "the destination is a {}; only a ServiceAccount can be one, so nothing is allowed",
                subject.kind
            );
            self.tell("spec.destination.kind", Code::UnsupportedSubject, message);
            return None;
        };
        if account.namespace != *own {
            let message = format!(
                "the destination lies in namespace {}, the target in {own}; move the target there, until then nothing is allowed",
                account.namespace
            );
            self.tell("spec.destination.namespace", Code::ForeignTarget, message);
            return None;
        }
        Some(account)
    }

    fn sources(&mut self) -> BTreeSet<ServiceAccount> {
        let mut accounts = BTreeSet::new();
        for (i, subject) in self.target.sources.iter().enumerate() {
            if let Some(account) = subject.account(&self.target.name.namespace) {
                accounts.insert(account);
            } else {
                let message = format!("a {} cannot be a source, only a ServiceAccount; it is ignored", subject.kind);
                self.tell(format!("spec.sources[{i}].kind"), Code::UnsupportedSubject, message);
            }
        }
        if self.target.sources.is_empty() {
            self.tell("spec.sources", Code::NoSource, "no source is named, so nobody is allowed".into());
        }
        accounts
    }

    fn rules(&mut self) -> (Option<Vec<GrantedMatch>>, Option<Vec<RoutePorts>>) {
        let (mut http, mut tcp) = (None, None);
        for (i, rule) in self.target.rules.iter().enumerate() {
            match &rule.kind {
                RuleKind::HttpRouteGroup => http.get_or_insert_with(Vec::new).extend(self.http_rule(i, rule)),
                RuleKind::TcpRoute => tcp.get_or_insert_with(Vec::new).extend(self.tcp_rule(i, rule)),
                RuleKind::UdpRoute => {
                    let message = "sidecars do not carry UDP; the rule opens nothing".into();
                    self.tell(format!("spec.rules[{i}].kind"), Code::UnsupportedRule, message);
                }
                RuleKind::Other(kind) => {
                    let message = format!("{kind} is no kind of rule (HTTPRouteGroup, TCPRoute); it opens nothing");
                    self.tell(format!("spec.rules[{i}].kind"), Code::UnsupportedRule, message);
                }
            }
        }
        if self.target.rules.is_empty() {
            self.tell("spec.rules", Code::NoRule, "no rule is given, so nothing is allowed".into());
        }
        (http, tcp)
    }

    fn tcp_rule(&mut self, i: usize, rule: &Rule) -> Option<RoutePorts> {
        let name = self.target.name.sibling(rule.name.clone());
        let route = self.world.tcp_route(&name);
        if route.is_none() {
            let beside = self.target.rules.iter().any(|rule| rule.kind == RuleKind::HttpRouteGroup);
            let beside = if beside { ", and the target's HTTPRouteGroups need one to hold too: create it" } else { "" };
            let message = format!("TCPRoute {name} does not exist; the rule opens nothing{beside}");
            self.tell(format!("spec.rules[{i}].name"), Code::NotFound, message);
        }
        route.map(|route| route.ports.clone())
    }

    fn http_rule(&mut self, i: usize, rule: &Rule) -> Vec<GrantedMatch> {
        let name = self.target.name.sibling(rule.name.clone());
        let Some(group) = self.world.http_route_group(&name).cloned() else {
            let message = format!("HTTPRouteGroup {name} does not exist; the rule opens nothing");
            self.tell(format!("spec.rules[{i}].name"), Code::NotFound, message);
            return Vec::new();
        };
        for (j, wanted) in rule.matches.iter().enumerate() {
            if !group.matches.iter().any(|m| m.name == *wanted) {
                let message = format!("HTTPRouteGroup {name} has no match called {wanted}; it opens nothing");
                self.tell(format!("spec.rules[{i}].matches[{j}]"), Code::MatchNotFound, message);
            }
        }
        let chosen = |m: &HttpMatch| rule.matches.is_empty() || rule.matches.contains(&m.name);
        usable_matches(&group)
            .filter(|m| chosen(m))
            .map(|m| GrantedMatch { group: name.clone(), matched: m.clone() })
            .collect()
    }
}

/// The matches of a group that Envoy can use: those whose regular expressions are sound, with a method that can be sent.
pub fn usable_matches(group: &HttpRouteGroup) -> impl Iterator<Item = &HttpMatch> {
    let some_method = |m: &HttpMatch| match &m.methods {
        Methods::Any => true,
        Methods::Only(methods) => !methods.is_empty() && methods.iter().all(|method| !method.is_empty()),
    };
    group.matches.iter().filter(move |m| some_method(m) && unusable_patterns(m).next().is_none())
}

/// The expressions of a match that RE2 would refuse or read differently: where each stands, and what is wrong.
pub fn unusable_patterns(m: &HttpMatch) -> impl Iterator<Item = (String, String)> {
    let path = m.path.iter().map(|pattern| ("pathRegex".to_owned(), pattern));
    let headers = m.headers.iter().map(|(name, pattern)| (format!("headers.{name}"), pattern));
    path.chain(headers).filter_map(|(field, pattern)| Some((field, regex::check(pattern).err()?)))
}

/// The conditions of an HTTP match without its name: what makes two matches the same traffic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conditions {
    /// Sorts matches of any path last.
    any_path: bool,
    /// RE2 expression for the whole path; `None` is any.
    pub path: Option<Arc<str>>,
    /// The methods.
    pub methods: Methods,
    /// Header name to an RE2 expression for its whole value.
    pub headers: BTreeMap<Arc<str>, Arc<str>>,
}

impl Conditions {
    /// No condition: every request.
    pub fn everything() -> Self {
        Self { any_path: true, path: None, methods: Methods::Any, headers: BTreeMap::new() }
    }

    /// Requests whose whole path matches an RE2 expression.
    pub fn of_path(path: &Arc<str>) -> Self {
        Self { any_path: false, path: Some(path.clone()), ..Self::everything() }
    }

    /// The conditions of a match.
    pub fn of(m: &HttpMatch) -> Self {
        let path = m.path.clone().filter(|p| &**p != ".*");
        Self { any_path: path.is_none(), path, methods: m.methods.clone(), headers: m.headers.clone() }
    }

    /// Whether one request could meet both. May say yes where none does, never no where one does.
    pub fn may_overlap(&self, other: &Self) -> bool {
        let methods = match (&self.methods, &other.methods) {
            (Methods::Only(a), Methods::Only(b)) => !a.is_disjoint(b),
            _ => true,
        };
        methods
            && match (&self.path, &other.path) {
                (Some(a), Some(b)) => regex::may_both_match(a, b),
                _ => true,
            }
    }
}
