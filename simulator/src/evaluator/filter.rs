//! Network filters and HTTP filters.

use std::sync::Arc;

use envoy_types::pb::{
    envoy::{
        config::listener::v3::{Filter, filter},
        extensions::filters::{
            http::{rbac::v3::Rbac as HttpRbac, router::v3::Router},
            network::{
                http_connection_manager::v3::{
                    HttpConnectionManager, HttpFilter, http_connection_manager as hcm, http_filter,
                },
                rbac::v3::Rbac as NetworkRbac,
                tcp_proxy::v3::{TcpProxy, tcp_proxy},
            },
        },
    },
    google::protobuf::Any,
};
use prost::Name;

use super::{
    path::Normalisation,
    rbac::Rbac,
    route::{Routes, check_weights},
    unmodelled::{Modelled, Unmodelled, nothing_else, refused, unpack},
};

/// The network filters of a chain.
#[derive(Debug)]
pub(super) struct Filters {
    /// RBAC over connections, in order. Filters without rules are left out.
    pub(super) rbac: Vec<Rbac>,
    pub(super) terminal: Terminal,
}

/// The last filter of a chain.
#[derive(Debug)]
pub(super) enum Terminal {
    Http(Box<Hcm>),
    /// Clusters with their weights.
    Tcp(Vec<(Arc<str>, u64)>),
}

/// An HTTP connection manager.
#[derive(Debug)]
pub(super) struct Hcm {
    pub(super) routes: RouteSource,
    pub(super) normalisation: Normalisation,
    pub(super) strip_trailing_dot: bool,
    pub(super) websocket: bool,
    /// Whether `x-forwarded-client-cert` gets the client's URI.
    pub(super) states_peer: bool,
    /// RBAC filters by name, with their own rules. `None`: no rules of its own.
    pub(super) rbac: Vec<(String, Option<Rbac>)>,
}

/// Where the routes come from.
#[derive(Debug)]
pub(super) enum RouteSource {
    Rds(String),
    Inline(Box<Routes>),
}

impl Filters {
    /// Reads the filters of a chain.
    pub(super) fn new(filters: Vec<Filter>) -> Modelled<Self> {
        let mut rbac = Vec::new();
        let mut terminal = None;
        for (i, filter) in filters.into_iter().enumerate() {
            let name = format!("filters[{i}]");
            let Some(filter::ConfigType::TypedConfig(any)) = filter.config_type else {
                return Err(Unmodelled::new(name, "only typed_config is modelled"));
            };
            if terminal.is_some() {
                return refused(name, "a terminal filter must be the last");
            }
            let read = if any.type_url == NetworkRbac::type_url() {
                network_rbac(&any).map(|rules| rbac.extend(rules))
            } else {
                Terminal::new(&any).map(|last| terminal = Some(last))
            };
            read.map_err(|error| error.inside(name))?;
        }
        match terminal {
            Some(terminal) => Ok(Self { rbac, terminal }),
            None => Err(Unmodelled::new("filters", "there is no terminal filter")),
        }
    }
}

/// Envoy insists on a prefix for statistics.
fn named(field: &str, prefix: &mut String) -> Modelled<()> {
    if std::mem::take(prefix).is_empty() { refused(field, "it is empty") } else { Ok(()) }
}

fn network_rbac(any: &Any) -> Modelled<Option<Rbac>> {
    let mut filter: NetworkRbac = unpack(any)?;
    let rules = filter.rules.take();
    named("RBAC.stat_prefix", &mut filter.stat_prefix)?;
    nothing_else(&filter)?;
    rules.map(Rbac::new).transpose()
}

/// The rules of an HTTP RBAC filter, or of its configuration for one route.
pub(super) fn http_rbac(mut filter: HttpRbac) -> Modelled<Option<Rbac>> {
    let rules = filter.rules.take();
    filter.rules_stat_prefix.clear();
    filter.track_per_rule_stats = false;
    nothing_else(&filter)?;
    rules.map(Rbac::new).transpose()
}

impl Terminal {
    fn new(any: &Any) -> Modelled<Self> {
        if any.type_url == TcpProxy::type_url() {
            return unpack(any).and_then(tcp_proxy).map(Self::Tcp);
        }
        unpack(any).and_then(Hcm::new).map(|hcm| Self::Http(Box::new(hcm)))
    }
}

fn tcp_proxy(mut proxy: TcpProxy) -> Modelled<Vec<(Arc<str>, u64)>> {
    named("TcpProxy.stat_prefix", &mut proxy.stat_prefix)?;
    proxy.access_log.clear();
    proxy.access_log_options = None;
    // No scenario keeps a connection idle for an hour.
    proxy.idle_timeout = None;
    let specifier = proxy.cluster_specifier.take();
    nothing_else(&proxy)?;
    match specifier {
        Some(tcp_proxy::ClusterSpecifier::Cluster(name)) if !name.is_empty() => Ok(vec![(name.into(), 1)]),
        Some(tcp_proxy::ClusterSpecifier::WeightedClusters(weighted)) => {
            let mut clusters = Vec::with_capacity(weighted.clusters.len());
            for cluster in weighted.clusters {
                if cluster.metadata_match.is_some() {
                    return Err(Unmodelled::new("TcpProxy.weighted_clusters.clusters.metadata_match", "not modelled"));
                }
                if cluster.weight == 0 {
                    return refused("TcpProxy.weighted_clusters", "a weight must be at least 1");
                }
                clusters.push((cluster.name.into(), u64::from(cluster.weight)));
            }
            check_weights(&clusters)?;
            Ok(clusters)
        }
        _ => refused("TcpProxy.cluster_specifier", "it is not set"),
    }
}

impl Hcm {
    fn new(mut manager: HttpConnectionManager) -> Modelled<Self> {
        named("HttpConnectionManager.stat_prefix", &mut manager.stat_prefix)?;
        forget_what_does_not_decide(&mut manager);
        let rbac = http_filters(std::mem::take(&mut manager.http_filters))?;
        let normalisation = Normalisation {
            unescape_slashes: unescapes(std::mem::take(&mut manager.path_with_escaped_slashes_action))?,
            dot_segments: manager.normalize_path.take().is_some_and(|flag| flag.value),
            merge_slashes: std::mem::take(&mut manager.merge_slashes),
        };
        let websocket = upgrades(std::mem::take(&mut manager.upgrade_configs))?;
        let states_peer = states_peer(&mut manager)?;
        let strip_trailing_dot = std::mem::take(&mut manager.strip_trailing_host_dot);
        let routes = match manager.route_specifier.take() {
            Some(hcm::RouteSpecifier::Rds(rds)) => RouteSource::Rds(rds.route_config_name),
            Some(hcm::RouteSpecifier::RouteConfig(config)) if config.validate_clusters.is_some() => {
                RouteSource::Inline(Box::new(Routes::new(config)?))
            }
            Some(hcm::RouteSpecifier::RouteConfig(_)) => {
                let why =
                    "routes in place are checked against the clusters unless told otherwise, which is not modelled";
                return Err(Unmodelled::new("RouteConfiguration.validate_clusters", why));
            }
            _ => {
                return Err(Unmodelled::new(
                    "HttpConnectionManager.route_specifier",
                    "only rds and route_config are modelled",
                ));
            }
        };
        nothing_else(&manager)?;
        Ok(Self { routes, normalisation, strip_trailing_dot, websocket, states_peer, rbac })
    }
}

/// Fields that change logs, statistics and response headers, but not where a request goes.
fn forget_what_does_not_decide(manager: &mut HttpConnectionManager) {
    manager.access_log.clear();
    manager.access_log_options = None;
    manager.tracing = None;
    manager.server_name.clear();
    manager.server_header_transformation = 0;
    manager.stream_idle_timeout = None;
    manager.drain_timeout = None;
    manager.delayed_close_timeout = None;
    manager.generate_request_id = None;
    manager.common_http_protocol_options.take_if(|options| *options == Default::default());
    manager.http_protocol_options.take_if(|options| *options == Default::default());
    manager.http2_protocol_options.take_if(|options| *options == Default::default());
    // No request of the simulator carries X-Forwarded-For, and nothing that is modelled looks at the address.
    manager.use_remote_address = None;
    manager.skip_xff_append = false;
}

fn http_filters(filters: Vec<HttpFilter>) -> Modelled<Vec<(String, Option<Rbac>)>> {
    let mut rbac = Vec::new();
    let last = filters.len().saturating_sub(1);
    let mut routed = false;
    for (i, filter) in filters.into_iter().enumerate() {
        let at = format!("http_filters[{}]", filter.name);
        let Some(http_filter::ConfigType::TypedConfig(any)) = filter.config_type else {
            return Err(Unmodelled::new(at, "only typed_config is modelled"));
        };
        if filter.is_optional || filter.disabled {
            return Err(Unmodelled::new(at, "an optional or disabled filter is not modelled"));
        }
        if any.type_url == HttpRbac::type_url() {
            let rules = unpack(&any).and_then(http_rbac).map_err(|error| error.inside(&at))?;
            rbac.push((filter.name, rules));
        } else {
            let mut router: Router = unpack(&any).map_err(|error| error.inside(&at))?;
            router.suppress_envoy_headers = false;
            router.dynamic_stats = None;
            nothing_else(&router).map_err(|error| error.inside(&at))?;
            routed = i == last;
        }
    }
    if routed { Ok(rbac) } else { refused("HttpConnectionManager.http_filters", "the router must be the last") }
}

fn unescapes(action: i32) -> Modelled<bool> {
    match hcm::PathWithEscapedSlashesAction::try_from(action) {
        Ok(hcm::PathWithEscapedSlashesAction::UnescapeAndForward) => Ok(true),
        Ok(
            hcm::PathWithEscapedSlashesAction::ImplementationSpecificDefault
            | hcm::PathWithEscapedSlashesAction::KeepUnchanged,
        ) => Ok(false),
        _ => Err(Unmodelled::new(
            "HttpConnectionManager.path_with_escaped_slashes_action",
            "this action is not modelled",
        )),
    }
}

fn upgrades(configs: Vec<hcm::UpgradeConfig>) -> Modelled<bool> {
    let mut websocket = false;
    for mut config in configs {
        let kind = std::mem::take(&mut config.upgrade_type);
        let enabled = config.enabled.take().is_none_or(|flag| flag.value);
        nothing_else(&config)?;
        if !kind.eq_ignore_ascii_case("websocket") {
            return Err(Unmodelled::new("HttpConnectionManager.upgrade_configs", format!("`{kind}` is not modelled")));
        }
        websocket = enabled;
    }
    Ok(websocket)
}

/// Clients of the simulator never bring the header themselves, so that "append" and "set" come to the same.
fn states_peer(manager: &mut HttpConnectionManager) -> Modelled<bool> {
    use hcm::ForwardClientCertDetails::{AppendForward, Sanitize, SanitizeSet};
    let details = manager.set_current_client_cert_details.take().unwrap_or_default();
    match hcm::ForwardClientCertDetails::try_from(std::mem::take(&mut manager.forward_client_cert_details)) {
        Ok(AppendForward | SanitizeSet) => Ok(details.uri),
        Ok(Sanitize) => Ok(false),
        _ => Err(Unmodelled::new("HttpConnectionManager.forward_client_cert_details", "this choice is not modelled")),
    }
}
