//! What an account may call outside of the mesh (Egress), beside what global egress lets pass.
//!
//! Grants of all Egress objects add up. Envoy chooses a chain by port, then by the narrowest range, and never looks back; so the
//! chain of each range carries what the wider ranges grant too.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use ipnet::IpNet;

use super::{
    access::{Conditions, GrantedMatch},
    outbound::Outbound,
    reference::route_groups,
};
use crate::{
    model::{
        Code, Diagnostic, Egress, EgressProtocol, Kind, ObjectName, ObjectRef, Protocol, ServiceAccount,
        UpstreamTrafficSetting,
    },
    world::World,
};

/// The cluster of everything that global egress lets pass: on to where the application dialled.
pub const PASSTHROUGH: &str = "passthrough-outbound";

/// All that the sidecars of one account let out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outside {
    /// Global egress: what no other chain takes passes unchanged.
    pub passthrough: bool,
    /// The filter chains; no two have the same match.
    pub chains: Vec<EgressChain>,
    /// Where they lead, by cluster name.
    pub upstreams: BTreeMap<String, EgressUpstream>,
    /// Ports on which the server name is read before a chain is chosen. Nothing there waits for the server to speak.
    pub inspected: BTreeSet<u16>,
}

/// One filter chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressChain {
    /// The port dialled.
    pub port: u16,
    /// The range of the address dialled; `None` is any.
    pub range: Option<IpNet>,
    /// What it carries.
    pub traffic: EgressTraffic,
    /// The Egress objects.
    pub objects: BTreeSet<ObjectName>,
}

/// What a chain carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EgressTraffic {
    /// Requests, by host; `None` is any host.
    Http(BTreeMap<Option<Arc<str>>, Vec<EgressRoute>>),
    /// TLS with this server name (`None` is any), to this cluster.
    Tls(Option<Arc<str>>, String),
    /// Anything, to this cluster.
    Tcp(String),
}

/// Requests that may leave.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EgressRoute {
    /// Which requests.
    pub conditions: Conditions,
    /// Where they go.
    pub cluster: String,
    /// The Egress objects and HTTPRouteGroups.
    pub objects: BTreeSet<(Kind, ObjectName)>,
}

/// A destination outside.
#[derive(Clone, Debug, PartialEq)]
pub struct EgressUpstream {
    /// The host whose addresses are looked up; `None`: where the application dialled.
    pub host: Option<Arc<str>>,
    /// The port.
    pub port: u16,
    /// How connections are held.
    pub setting: Option<Arc<UpstreamTrafficSetting>>,
    /// The Egress objects.
    pub objects: BTreeSet<ObjectName>,
}

/// What one Egress object grants on one port.
#[derive(Clone, Debug)]
struct Grant {
    object: ObjectName,
    hosts: Vec<Arc<str>>,
    ranges: Vec<IpNet>,
    port: u16,
    protocol: EgressProtocol,
    /// `None`: every request.
    matches: Option<Vec<GrantedMatch>>,
    setting: Option<Arc<UpstreamTrafficSetting>>,
}

/// All that the sidecars of `account` let out. `mesh` is what they may call inside: its chains come first.
pub fn egress(world: &World, account: &ServiceAccount, mesh: &Outbound) -> Outside {
    let mut outside = Outside { passthrough: world.settings().egress, ..Outside::default() };
    let mut grants: BTreeMap<u16, Vec<Grant>> = BTreeMap::new();
    if world.settings().features.egress_policy {
        let of_account = |egress: &&Arc<Egress>| {
            egress.sources.iter().any(|s| s.account(&egress.name.namespace).as_ref() == Some(account))
        };
        for grant in world.egresses().filter(of_account).flat_map(|egress| granted(world, egress, &mut |_| {})) {
            grants.entry(grant.port).or_default().push(grant);
        }
    }
    for (port, mut grants) in grants {
        let dialled = mesh.ports.iter().filter(|p| p.port == port);
        let waits = dialled.clone().any(|p| p.protocol == Protocol::TcpServerFirst);
        let taken: BTreeSet<IpAddr> = dialled.flat_map(|p| p.addresses.iter().copied()).collect();
        let reads_names = !waits && grants.iter().any(|g| g.protocol == EgressProtocol::Https);
        // A client that waits for its server never gets past a filter that waits for the client.
        let unfit = if reads_names { EgressProtocol::TcpServerFirst } else { EgressProtocol::Https };
        grants.retain(|g| g.protocol != unfit);
        if reads_names {
            outside.inspected.insert(port);
        }
        for range in ranges(&grants) {
            if !range.is_some_and(|r| r.prefix_len() == r.max_prefix_len() && taken.contains(&r.addr())) {
                let within: Vec<&Grant> = grants.iter().filter(|g| g.covers(range)).collect();
                outside.range(port, range, &within);
            }
        }
    }
    outside
}

/// Tells every mistake of an Egress object.
pub fn diagnose(world: &World, egress: &Egress, report: &mut dyn FnMut(Diagnostic)) {
    granted(world, egress, report);
}

/// The ranges that need a chain of their own; `None` is any address.
fn ranges(grants: &[Grant]) -> BTreeSet<Option<IpNet>> {
    let any = grants.iter().any(|g| g.ranges.is_empty()).then_some(None);
    // A range of everything is no range to Envoy.
    let some = grants.iter().flat_map(|g| &g.ranges).map(|r| (r.prefix_len() > 0).then_some(*r));
    any.into_iter().chain(some).collect()
}

impl Grant {
    /// Whether it holds for all addresses of `range`.
    fn covers(&self, range: Option<IpNet>) -> bool {
        self.ranges.is_empty()
            || self.ranges.iter().any(|own| range.map_or(own.prefix_len() == 0, |range| own.contains(&range)))
    }

    fn is_tcp(&self) -> bool {
        matches!(self.protocol, EgressProtocol::Tcp | EgressProtocol::TcpServerFirst)
    }

    fn routes(&self, cluster: &str) -> Vec<EgressRoute> {
        let route = |conditions, group: Option<&ObjectName>| EgressRoute {
            conditions,
            cluster: cluster.to_owned(),
            objects: [(Kind::Egress, self.object.clone())]
                .into_iter()
                .chain(group.map(|g| (Kind::HttpRouteGroup, g.clone())))
                .collect(),
        };
        match &self.matches {
            None => vec![route(Conditions::everything(), None)],
            Some(matches) => matches.iter().map(|m| route(Conditions::of(&m.matched), Some(&m.group))).collect(),
        }
    }
}

impl Outside {
    /// The chains of one port and range.
    fn range(&mut self, port: u16, range: Option<IpNet>, grants: &[&Grant]) {
        let tcp: Vec<&Grant> = grants.iter().filter(|g| g.is_tcp()).copied().collect();
        if !tcp.is_empty() {
            // It lets everything pass that the others could.
            let objects = tcp.iter().map(|g| g.object.clone()).collect();
            let traffic = EgressTraffic::Tcp(self.dialled(port, &tcp));
            self.chains.push(EgressChain { port, range, traffic, objects });
            return;
        }
        let (tls, http): (Vec<&Grant>, Vec<&Grant>) = grants.iter().partition(|g| g.protocol == EgressProtocol::Https);
        for (host, grants) in by_host(&tls) {
            let objects = grants.iter().map(|g| g.object.clone()).collect();
            let cluster = self.cluster(host.as_ref(), port, &grants);
            self.chains.push(EgressChain { port, range, traffic: EgressTraffic::Tls(host, cluster), objects });
        }
        let by_host = by_host(&http);
        let mut hosts = BTreeMap::new();
        for (host, grants) in &by_host {
            let cluster = self.cluster(host.as_ref(), port, grants);
            let mut routes: Vec<_> = grants.iter().flat_map(|g| g.routes(&cluster)).collect();
            // Whoever may call any host at these addresses may call this one there, but not wherever its name leads.
            if let (Some(_), Some(any)) = (host, by_host.get(&None)) {
                let dialled = self.dialled(port, any);
                routes.extend(any.iter().flat_map(|g| g.routes(&dialled)));
            }
            hosts.insert(host.clone(), merged(routes));
        }
        if !hosts.is_empty() {
            let objects = http.iter().map(|g| g.object.clone()).collect();
            self.chains.push(EgressChain { port, range, traffic: EgressTraffic::Http(hosts), objects });
        }
    }

    fn cluster(&mut self, host: Option<&Arc<str>>, port: u16, grants: &[&Grant]) -> String {
        match host {
            Some(host) => self.upstream(format!("{host}:{port}"), Some(host), port, grants),
            None => self.dialled(port, grants),
        }
    }

    fn dialled(&mut self, port: u16, grants: &[&Grant]) -> String {
        self.upstream(port.to_string(), None, port, grants)
    }

    /// Of several settings for one destination that of the first object holds.
    fn upstream(&mut self, name: String, host: Option<&Arc<str>>, port: u16, grants: &[&Grant]) -> String {
        let entry = self.upstreams.entry(name.clone()).or_insert_with(|| EgressUpstream {
            host: host.cloned(),
            port,
            setting: None,
            objects: BTreeSet::new(),
        });
        for grant in grants {
            entry.setting = entry.setting.take().or_else(|| grant.setting.clone());
            entry.objects.insert(grant.object.clone());
        }
        name
    }
}

/// Grants by each host that they name; `None` for those that name none.
fn by_host<'g>(grants: &[&'g Grant]) -> BTreeMap<Option<Arc<str>>, Vec<&'g Grant>> {
    let mut hosts: BTreeMap<Option<Arc<str>>, Vec<&Grant>> = BTreeMap::new();
    for grant in grants {
        for host in &grant.hosts {
            hosts.entry(Some(host.clone())).or_default().push(grant);
        }
        if grant.hosts.is_empty() {
            hosts.entry(None).or_default().push(grant);
        }
    }
    hosts
}

/// One route for each set of conditions, with all objects that grant it.
fn merged(routes: Vec<EgressRoute>) -> Vec<EgressRoute> {
    let mut by_conditions: BTreeMap<Conditions, EgressRoute> = BTreeMap::new();
    for route in routes {
        match by_conditions.get_mut(&route.conditions) {
            Some(known) => known.objects.extend(route.objects),
            None => drop(by_conditions.insert(route.conditions.clone(), route)),
        }
    }
    by_conditions.into_values().collect()
}

/// What one object grants, port by port. A reference to a setting that does not exist closes it: its limits were wanted.
fn granted(world: &World, egress: &Egress, report: &mut dyn FnMut(Diagnostic)) -> Vec<Grant> {
    let object = ObjectRef::new(Kind::Egress, egress.name.clone());
    let mut tell = |field: String, code, message| {
        report(Diagnostic { object: object.clone(), field, code, message });
    };
    check_sources(egress, &mut tell);
    let setting = egress.upstream_setting.as_ref().map(|name| egress.name.sibling(name.clone()));
    let found = setting.as_ref().and_then(|name| world.upstream_setting(name)).cloned();
    if let (Some(name), None) = (&setting, &found) {
        let message = format!("UpstreamTrafficSetting {name} does not exist; until it does, nothing may be called");
        tell("spec.matches".into(), Code::NotFound, message);
    }
    let matches = route_groups(world, &egress.name, &egress.route_groups, &mut tell);
    let mut grants = Vec::new();
    for (i, port) in egress.ports.iter().enumerate() {
        let named = matches!(port.protocol, EgressProtocol::Http | EgressProtocol::Https);
        if !opens(world, egress, i, &mut tell) {
            continue;
        }
        grants.push(Grant {
            object: egress.name.clone(),
            hosts: if named { egress.hosts.clone() } else { Vec::new() },
            ranges: egress.ip_ranges.clone(),
            port: port.number,
            protocol: port.protocol,
            matches: matches.clone().filter(|_| port.protocol == EgressProtocol::Http),
            setting: found.clone(),
        });
    }
    if setting.is_some() && found.is_none() { Vec::new() } else { grants }
}

fn check_sources(egress: &Egress, tell: &mut dyn FnMut(String, Code, String)) {
    for (i, source) in egress.sources.iter().enumerate().filter(|(_, s)| s.account(&egress.name.namespace).is_none()) {
        let message = format!("a {} cannot be a source, only a ServiceAccount; it is ignored", source.kind);
        tell(format!("spec.sources[{i}].kind"), Code::UnsupportedSubject, message);
    }
    if egress.sources.is_empty() {
        tell("spec.sources".into(), Code::NoSource, "no source is named, so nobody may call".into());
    }
}

/// Whether port number `i` of the object leads anywhere.
fn opens(world: &World, egress: &Egress, i: usize, tell: &mut dyn FnMut(String, Code, String)) -> bool {
    let port = &egress.ports[i];
    let named = matches!(port.protocol, EgressProtocol::Http | EgressProtocol::Https);
    if named && egress.hosts.is_empty() && egress.ip_ranges.is_empty() {
        let message = "neither `hosts` nor `ipAddresses` is given, so nothing may be called on this port".into();
        tell(format!("spec.ports[{i}]"), Code::NoDestination, message);
        return false;
    }
    if let Some(message) = conflict(world, egress, port.number, port.protocol) {
        tell(format!("spec.ports[{i}]"), Code::PortConflict, message);
    }
    true
}

/// Another object for one of the same sources that cannot share the port.
fn conflict(world: &World, egress: &Egress, port: u16, protocol: EgressProtocol) -> Option<String> {
    if protocol != EgressProtocol::TcpServerFirst {
        return None;
    }
    let accounts = |e: &Egress| -> BTreeSet<ServiceAccount> {
        e.sources.iter().filter_map(|s| s.account(&e.name.namespace)).collect()
    };
    let own = accounts(egress);
    let https = |e: &&Arc<Egress>| {
        let port = |p: &crate::model::EgressPort| p.number == port && p.protocol == EgressProtocol::Https;
        e.ports.iter().any(port) && !accounts(e).is_disjoint(&own)
    };
    let other = world.egresses().find(https)?;
    Some(format!(
        "Egress {} expects https on port {port}, where clients speak first; the port stays closed for servers that do",
        other.name
    ))
}
