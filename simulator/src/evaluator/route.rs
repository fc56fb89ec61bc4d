//! Route configurations: virtual hosts, routes, and where they lead.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use envoy_types::pb::{
    envoy::{
        config::route::v3::{
            DirectResponseAction, Route as WireRoute, RouteAction, RouteConfiguration, RouteMatch as WireMatch,
            VirtualHost as WireHost, WeightedCluster, route::Action, route_action::ClusterSpecifier,
            route_match::PathSpecifier, weighted_cluster::ClusterWeight,
        },
        extensions::filters::http::rbac::v3::RbacPerRoute,
    },
    google::protobuf::Any,
};

use super::{
    filter::http_rbac,
    header::HeaderMatch,
    message::Message,
    pattern::Pattern,
    proxy::objects,
    rbac::Rbac,
    text::pattern,
    trace::Rejected,
    unmodelled::{Modelled, Unmodelled, nothing_else, refused, unpack},
};

/// RBAC given for a scope, by the name of the filter that it is for. `None`: the filter is off there.
pub(super) type PerFilter = BTreeMap<String, Option<Rbac>>;

/// One route configuration.
#[derive(Debug)]
pub(super) struct Routes {
    pub(super) hosts: Vec<VirtualHost>,
    exact: HashMap<String, usize>,
    /// `*.example` without the star, longest first.
    suffixes: Vec<(String, usize)>,
    /// `example.*` without the star, longest first.
    prefixes: Vec<(String, usize)>,
    any: Option<usize>,
    pub(super) per_filter: PerFilter,
}

/// One virtual host.
#[derive(Debug)]
pub(super) struct VirtualHost {
    pub(super) name: Arc<str>,
    pub(super) objects: Arc<[Arc<str>]>,
    pub(super) per_filter: PerFilter,
    pub(super) routes: Vec<Modelled<Route>>,
}

/// One route.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) name: Arc<str>,
    pub(super) objects: Arc<[Arc<str>]>,
    path: PathMatch,
    headers: Vec<HeaderMatch>,
    pub(super) per_filter: Modelled<PerFilter>,
    pub(super) action: Modelled<Destination>,
}

#[derive(Debug)]
enum PathMatch {
    Regex(Pattern),
    Prefix(String),
    Exact(String),
}

/// Where a route or a TCP proxy leads.
#[derive(Debug)]
pub(super) enum Destination {
    /// Clusters with their weights; the weights' sum is at least 1.
    Clusters(Vec<(Arc<str>, u64)>),
    /// The proxy's own answer, with this HTTP status.
    Answer(u16),
}

impl Routes {
    /// Reads a route configuration.
    pub(super) fn new(mut config: RouteConfiguration) -> Modelled<Self> {
        config.name.clear();
        config.metadata = None;
        // With validation, Envoy refuses unknown clusters; without, requests to them fail.
        if config.validate_clusters.take().is_some_and(|flag| flag.value) {
            return Err(Unmodelled::new("RouteConfiguration.validate_clusters", "not modelled"));
        }
        let per_filter = per_filter(std::mem::take(&mut config.typed_per_filter_config))?;
        let hosts = std::mem::take(&mut config.virtual_hosts);
        nothing_else(&config)?;
        let mut routes = Self {
            hosts: Vec::with_capacity(hosts.len()),
            exact: HashMap::new(),
            suffixes: Vec::new(),
            prefixes: Vec::new(),
            any: None,
            per_filter,
        };
        for host in hosts {
            routes.add(host)?;
        }
        routes.suffixes.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        routes.prefixes.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        Ok(routes)
    }

    /// The virtual host for `authority`: exact, then the longest suffix wildcard, then the longest prefix wildcard, then `*`.
    pub(super) fn host(&self, authority: &str) -> Option<&VirtualHost> {
        let authority = authority.to_ascii_lowercase();
        let longer = |text: &str| authority.len() > text.len();
        let found = self.exact.get(&authority).copied();
        let found = found.or_else(|| first(&self.suffixes, |text| longer(text) && authority.ends_with(text)));
        let found = found.or_else(|| first(&self.prefixes, |text| longer(text) && authority.starts_with(text)));
        found.or(self.any).map(|i| &self.hosts[i])
    }

    fn add(&mut self, mut host: WireHost) -> Modelled<()> {
        let name = std::mem::take(&mut host.name);
        let number = self.hosts.len();
        for domain in std::mem::take(&mut host.domains) {
            self.claim(&domain.to_ascii_lowercase(), number)
                .map_err(|error| error.inside(format!("virtual_hosts[{name}].domains[{domain}]")))?;
        }
        let host = VirtualHost::new(&name, host).map_err(|error| error.inside(format!("virtual_hosts[{name}]")))?;
        self.hosts.push(host);
        Ok(())
    }

    fn claim(&mut self, domain: &str, host: usize) -> Modelled<()> {
        let taken = if domain == "*" {
            self.any.replace(host).is_some()
        } else if let Some(suffix) = domain.strip_prefix('*') {
            push(&mut self.suffixes, suffix, host)
        } else if let Some(prefix) = domain.strip_suffix('*') {
            push(&mut self.prefixes, prefix, host)
        } else if domain.is_empty() || domain.contains('*') {
            true
        } else {
            self.exact.insert(domain.to_owned(), host).is_some()
        };
        if taken { refused("VirtualHost.domains", "it is malformed, or given twice") } else { Ok(()) }
    }
}

fn push(list: &mut Vec<(String, usize)>, text: &str, host: usize) -> bool {
    let taken = text.contains('*') || list.iter().any(|(known, _)| known == text);
    list.push((text.to_owned(), host));
    taken
}

fn first(list: &[(String, usize)], fits: impl Fn(&str) -> bool) -> Option<usize> {
    list.iter().find(|(text, _)| fits(text)).map(|(_, host)| *host)
}

impl VirtualHost {
    fn new(name: &str, mut host: WireHost) -> Modelled<Self> {
        let routes = std::mem::take(&mut host.routes);
        let objects = objects(host.metadata.take());
        let per_filter = per_filter(std::mem::take(&mut host.typed_per_filter_config))?;
        nothing_else(&host)?;
        let read =
            |(i, route)| Route::new(route).map_err(|error| error.inside(format!("virtual_hosts[{name}].routes[{i}]")));
        Ok(Self { name: name.into(), objects, per_filter, routes: routes.into_iter().enumerate().map(read).collect() })
    }

    /// The first route that the request matches. `rejected` collects the earlier ones if wanted.
    pub(super) fn route(
        &self,
        message: &Message<'_>,
        mut rejected: Option<&mut Vec<Rejected>>,
    ) -> Modelled<Option<&Route>> {
        for (i, route) in self.routes.iter().enumerate() {
            let route = route.as_ref().map_err(Unmodelled::clone)?;
            match route.miss(message)? {
                None => return Ok(Some(route)),
                Some(reason) => {
                    if let Some(rejected) = rejected.as_deref_mut() {
                        rejected.push(Rejected::new(route.label(i), reason.explain(route, message)));
                    }
                }
            }
        }
        Ok(None)
    }
}

/// Why a route does not match.
enum RouteMiss {
    Path,
    Header(usize),
}

impl RouteMiss {
    fn explain(&self, route: &Route, message: &Message<'_>) -> String {
        match self {
            Self::Path => format!("the path {} does not match", message.bare_path()),
            Self::Header(i) => format!("the header {} does not match", route.headers[*i].name()),
        }
    }
}

impl Route {
    fn new(mut route: WireRoute) -> Modelled<Self> {
        let name = std::mem::take(&mut route.name);
        let objects = objects(route.metadata.take());
        let Some(wanted) = route.r#match.take() else { return refused("Route.match", "it is not set") };
        let action = route.action.take();
        let per_filter = per_filter(std::mem::take(&mut route.typed_per_filter_config));
        nothing_else(&route)?;
        let (path, headers) = read_match(wanted)?;
        Ok(Self { name: name.into(), objects, path, headers, per_filter, action: read_action(action) })
    }

    /// The route's name, or its number.
    pub(super) fn label(&self, number: usize) -> String {
        if self.name.is_empty() { format!("route {number}") } else { self.name.to_string() }
    }

    fn miss(&self, message: &Message<'_>) -> Modelled<Option<RouteMiss>> {
        // Headers first, as Envoy has it; the outcome does not depend on the order.
        for (i, header) in self.headers.iter().enumerate() {
            if !header.matches(message)? {
                return Ok(Some(RouteMiss::Header(i)));
            }
        }
        let path = message.bare_path();
        let matches = match &self.path {
            PathMatch::Regex(pattern) => pattern.matches(path),
            PathMatch::Prefix(prefix) => path.starts_with(prefix.as_str()),
            PathMatch::Exact(exact) => path == exact,
        };
        Ok(if matches { None } else { Some(RouteMiss::Path) })
    }
}

fn read_match(mut wanted: WireMatch) -> Modelled<(PathMatch, Vec<HeaderMatch>)> {
    let headers = std::mem::take(&mut wanted.headers).into_iter().map(HeaderMatch::new).collect::<Modelled<_>>()?;
    if !wanted.case_sensitive.take().is_none_or(|flag| flag.value) {
        return Err(Unmodelled::new("RouteMatch.case_sensitive", "only the default is modelled"));
    }
    let path = match wanted.path_specifier.take() {
        Some(PathSpecifier::SafeRegex(regex)) => PathMatch::Regex(pattern(&regex)?),
        Some(PathSpecifier::Prefix(text)) if !text.contains(['?', '#']) => PathMatch::Prefix(text),
        Some(PathSpecifier::Path(text)) if !text.contains(['?', '#']) => PathMatch::Exact(text),
        _ => return Err(Unmodelled::new("RouteMatch.path_specifier", "this kind is not modelled")),
    };
    nothing_else(&wanted)?;
    Ok((path, headers))
}

fn read_action(action: Option<Action>) -> Modelled<Destination> {
    match action {
        Some(Action::Route(action)) => read_route_action(action),
        Some(Action::DirectResponse(DirectResponseAction { status, .. })) => match u16::try_from(status) {
            Ok(status @ 200..=599) => Ok(Destination::Answer(status)),
            _ => refused("DirectResponseAction.status", "it must be 200 to 599"),
        },
        _ => Err(Unmodelled::new("Route.action", "only route and direct_response are modelled")),
    }
}

fn read_route_action(mut action: RouteAction) -> Modelled<Destination> {
    // Envoy's own limit is 15 s; none is fine too. Anything else could end requests that the evaluator lets pass.
    if action.timeout.take().is_some_and(|timeout| timeout.seconds != 0 || timeout.nanos != 0) {
        return Err(Unmodelled::new("RouteAction.timeout", "only 0 or the default is modelled"));
    }
    let specifier = action.cluster_specifier.take();
    nothing_else(&action)?;
    match specifier {
        Some(ClusterSpecifier::Cluster(name)) => Ok(Destination::Clusters(vec![(name.into(), 1)])),
        Some(ClusterSpecifier::WeightedClusters(clusters)) => weighted(clusters),
        _ => Err(Unmodelled::new("RouteAction.cluster_specifier", "only cluster and weighted_clusters are modelled")),
    }
}

fn weighted(mut weighted: WeightedCluster) -> Modelled<Destination> {
    let mut clusters = Vec::with_capacity(weighted.clusters.len());
    for mut cluster in std::mem::take(&mut weighted.clusters) {
        let name = std::mem::take(&mut cluster.name);
        let weight = cluster.weight.take().map_or(0, |weight| weight.value);
        nothing_else::<ClusterWeight>(&cluster)?;
        clusters.push((name.into(), u64::from(weight)));
    }
    nothing_else(&weighted)?;
    check_weights(&clusters)?;
    Ok(Destination::Clusters(clusters))
}

/// The sum of the weights must be 1 to 2³²−1.
pub(super) fn check_weights(clusters: &[(Arc<str>, u64)]) -> Modelled<()> {
    let total: u64 = clusters.iter().map(|(_, weight)| weight).sum();
    if total == 0 || total > u64::from(u32::MAX) || clusters.iter().any(|(name, _)| name.is_empty()) {
        return refused("weighted_clusters", "names must not be empty, and the weights' sum must be 1 to 4294967295");
    }
    Ok(())
}

fn per_filter(config: HashMap<String, Any>) -> Modelled<PerFilter> {
    let mut read = PerFilter::new();
    for (name, any) in config {
        let mut scope: RbacPerRoute =
            unpack(&any).map_err(|error| error.inside(format!("typed_per_filter_config[{name}]")))?;
        let rbac = match scope.rbac.take() {
            Some(rbac) => http_rbac(rbac)?,
            None => None,
        };
        read.insert(name, rbac);
    }
    Ok(read)
}
