//! RDS: one route configuration per service port (called) and per target port (served).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use envoy_types::pb::{
    envoy::{
        config::route::v3::{
            DirectResponseAction, HeaderMatcher, Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost,
            WeightedCluster, header_matcher::HeaderMatchSpecifier, route::Action, route_action::ClusterSpecifier,
            route_match::PathSpecifier, weighted_cluster::ClusterWeight,
        },
        r#type::matcher::v3::{RegexMatcher, StringMatcher, string_matcher::MatchPattern},
    },
    google::protobuf::{Any, BoolValue, Duration},
};

use super::{
    Scope,
    cluster::service_object,
    encode::{caused_by, number, resource},
    limit, name, rbac,
    resource::{ResourceType, Snapshot},
    retry,
};
use crate::{
    model::{Kind, Methods, ObjectRef},
    policy::{
        access::{Conditions, GrantedMatch},
        inbound::{Access, Allowed, Host},
        outbound::{OutboundPort, PortSplit},
        service::MeshService,
        upstream::limited_paths,
    },
};

/// The filter whose configuration routes override.
pub(super) const RBAC_FILTER: &str = "envoy.filters.http.rbac";

pub(super) fn add(scope: &Scope<'_>, snapshot: &mut Snapshot) {
    let mut by_port: BTreeMap<u16, Vec<&OutboundPort>> = BTreeMap::new();
    for port in scope.outbound.ports.iter().filter(|p| p.protocol.is_http()) {
        by_port.entry(port.port).or_default().push(port);
    }
    // Without an address there is no chain that would ask for the routes.
    by_port.retain(|_, services| services.iter().any(|s| !s.addresses.is_empty()));
    for (port, services) in by_port {
        let mut domains = Domains::default();
        let hosts = services.into_iter().filter_map(|service| outbound_host(scope, service, &mut domains));
        insert(snapshot, name::outbound_routes(port), hosts.collect());
    }
    for (port, hosts) in &scope.inbound.hosts {
        let mut domains = Domains::default();
        let hosts = hosts.values().filter_map(|host| inbound_host(scope, host, *port, &mut domains));
        insert(snapshot, name::inbound_routes(*port), hosts.collect());
    }
}

pub(super) fn insert(snapshot: &mut Snapshot, name: String, virtual_hosts: Vec<VirtualHost>) {
    let config = RouteConfiguration {
        name: name.clone(),
        virtual_hosts,
        // A split may name a cluster that this proxy does not know (yet): its share fails, the rest works.
        validate_clusters: Some(BoolValue { value: false }),
        ..Default::default()
    };
    snapshot.insert(ResourceType::Route, name, resource(ResourceType::Route, &config));
}

/// Domains that are taken. Envoy refuses a configuration in which two hosts share one; names of headless pods can collide with
/// those of services, and the first holds.
#[derive(Default)]
struct Domains(BTreeSet<String>);

impl Domains {
    fn claim(&mut self, service: &MeshService, client_namespace: &str, ports: &BTreeSet<u16>) -> Vec<String> {
        let mut claimed = Vec::new();
        for host in service.hostnames(client_namespace) {
            let with_ports = ports.iter().map(|port| format!("{host}:{port}"));
            for domain in [host.clone()].into_iter().chain(with_ports) {
                if self.0.insert(domain.clone()) {
                    claimed.push(domain);
                }
            }
        }
        claimed
    }
}

fn outbound_host(scope: &Scope<'_>, port: &OutboundPort, domains: &mut Domains) -> Option<VirtualHost> {
    let domains = domains.claim(&port.service, &scope.account.namespace, &BTreeSet::from([port.port]));
    let to_own = || forward(&Conditions::everything(), cluster(port.own.clone()), vec![service_object(&port.service)]);
    let mut routes = match &port.split {
        None => vec![to_own()],
        Some(split) => match &split.matches {
            None => vec![split_route(port, split, None)],
            Some(matches) => matches.iter().map(|m| split_route(port, split, Some(m))).chain([to_own()]).collect(),
        },
    };
    if let Some(rule) = scope.retries.get(&port.service.name) {
        routes.iter_mut().for_each(|route| retry::try_again(route, rule));
    }
    virtual_host(name::outbound_host(&port.service), domains, routes)
}

fn virtual_host(name: String, domains: Vec<String>, routes: Vec<Route>) -> Option<VirtualHost> {
    (!domains.is_empty()).then(|| VirtualHost { name, domains, routes, ..Default::default() })
}

fn split_route(port: &OutboundPort, split: &PortSplit, selected: Option<&GrantedMatch>) -> Route {
    let conditions = selected.map_or_else(Conditions::everything, |m| Conditions::of(&m.matched));
    let group = selected.map(|m| ObjectRef::new(Kind::HttpRouteGroup, m.group.clone()));
    let objects = [service_object(&port.service), ObjectRef::new(Kind::TrafficSplit, split.name.clone())];
    let objects = objects.into_iter().chain(group).collect();
    if !split.has_weight() {
        let unavailable = Action::DirectResponse(DirectResponseAction { status: 503, ..Default::default() });
        return route(&conditions, unavailable, objects);
    }
    let clusters = split.shares.iter().map(|(name, weight)| ClusterWeight {
        name: name.clone(),
        weight: number(*weight),
        ..Default::default()
    });
    let weighted = WeightedCluster { clusters: clusters.collect(), ..Default::default() };
    // By this name the statistics tell that the split chose.
    let name = split.name.to_string();
    Route { name, ..forward(&conditions, ClusterSpecifier::WeightedClusters(weighted), objects) }
}

fn inbound_host(scope: &Scope<'_>, host: &Host, target_port: u16, domains: &mut Domains) -> Option<VirtualHost> {
    let domains = domains.claim(&host.service, &host.service.name.namespace, &host.ports);
    let to_application = || cluster(name::local_cluster(&host.service, target_port));
    let limited = |conditions: &Conditions, mut route: Route| {
        limit::on_route(scope, host, target_port, conditions, &mut route);
        route
    };
    let routes = match &host.requests {
        Access::Everyone => {
            let paths = scope.settings.get(&host.service.name).map(|s| limited_paths(s)).unwrap_or_default();
            let conditions = paths.into_iter().map(Conditions::of_path).chain([Conditions::everything()]);
            let object = service_object(&host.service);
            conditions.map(|c| limited(&c, forward(&c, to_application(), vec![object.clone()]))).collect()
        }
        Access::Only(allowed) => {
            let conditions: BTreeSet<&Conditions> = allowed.iter().map(|a| &a.conditions).collect();
            conditions.into_iter().map(|c| limited(c, guarded(scope, host, c, allowed, to_application()))).collect()
        }
    };
    let mut virtual_host = virtual_host(name::inbound_host(&host.service), domains, routes)?;
    limit::on_host(scope, host, target_port, &mut virtual_host);
    Some(virtual_host)
}

/// A route that only the sources of its targets may take.
fn guarded(
    scope: &Scope<'_>,
    host: &Host,
    conditions: &Conditions,
    allowed: &[Allowed],
    to: ClusterSpecifier,
) -> Route {
    let own = allowed.iter().filter(|a| a.conditions == *conditions);
    let split = host.split.iter().map(|s| ObjectRef::new(Kind::TrafficSplit, s.clone()));
    let objects = own.flat_map(|a| {
        let target = ObjectRef::new(Kind::TrafficTarget, a.target.clone());
        let group = a.group.clone().map(|g| ObjectRef::new(Kind::HttpRouteGroup, g));
        [Some(target), group].into_iter().flatten()
    });
    let objects = objects.chain(split).collect();
    guarded_by(forward(conditions, to, objects), rbac::per_route(scope, conditions, allowed))
}

/// The route with RBAC rules of its own.
pub(super) fn guarded_by(route: Route, guard: Any) -> Route {
    Route { typed_per_filter_config: HashMap::from([(RBAC_FILTER.into(), guard)]), ..route }
}

pub(super) fn cluster(name: String) -> ClusterSpecifier {
    ClusterSpecifier::Cluster(name)
}

pub(super) fn forward(conditions: &Conditions, to: ClusterSpecifier, objects: Vec<ObjectRef>) -> Route {
    let action = Action::Route(RouteAction {
        cluster_specifier: Some(to),
        // No limit: how long an answer may take is the application's matter.
        timeout: Some(Duration::default()),
        ..Default::default()
    });
    route(conditions, action, objects)
}

fn route(conditions: &Conditions, action: Action, objects: Vec<ObjectRef>) -> Route {
    let path = match &conditions.path {
        Some(path) => PathSpecifier::SafeRegex(regex_matcher(path)),
        None => PathSpecifier::Prefix("/".into()),
    };
    Route {
        r#match: Some(RouteMatch {
            path_specifier: Some(path),
            headers: header_matchers(conditions),
            ..Default::default()
        }),
        action: Some(action),
        metadata: caused_by(objects),
        ..Default::default()
    }
}

/// RE2, on the whole text (Envoy, `RegexMatcher`).
pub(super) fn regex_matcher(pattern: &str) -> RegexMatcher {
    RegexMatcher { regex: pattern.into(), ..Default::default() }
}

/// Method and headers as header matchers.
pub(super) fn header_matchers(conditions: &Conditions) -> Vec<HeaderMatcher> {
    let method = match &conditions.methods {
        Methods::Any => None,
        Methods::Only(methods) => {
            Some((":method", methods.iter().map(|m| regex::escape(m)).collect::<Vec<_>>().join("|")))
        }
    };
    let headers = conditions.headers.iter().map(|(name, pattern)| match &**name {
        "host" => (":authority", pattern.to_string()),
        name => (name, pattern.to_string()),
    });
    method.into_iter().chain(headers).map(|(name, pattern)| header_matcher(name, &pattern)).collect()
}

fn header_matcher(name: &str, pattern: &str) -> HeaderMatcher {
    let matcher =
        StringMatcher { match_pattern: Some(MatchPattern::SafeRegex(regex_matcher(pattern))), ..Default::default() };
    HeaderMatcher {
        name: name.into(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(matcher)),
        ..Default::default()
    }
}
