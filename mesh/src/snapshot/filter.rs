//! Network filters: the HTTP connection manager and the TCP proxy.

use envoy_types::pb::{
    envoy::{
        config::listener::v3::{Filter, filter::ConfigType},
        extensions::filters::{
            http::router::v3::Router,
            network::{
                http_connection_manager::v3::{
                    HttpConnectionManager, HttpFilter, Rds,
                    http_connection_manager::{
                        CodecType, ForwardClientCertDetails, PathWithEscapedSlashesAction, RouteSpecifier,
                        SetCurrentClientCertDetails, UpgradeConfig,
                    },
                    http_filter,
                },
                tcp_proxy::v3::{
                    TcpProxy,
                    tcp_proxy::{ClusterSpecifier, WeightedCluster, weighted_cluster::ClusterWeight},
                },
            },
        },
    },
    google::protobuf::{Any, BoolValue},
};

use super::{encode::pack, name, signals::Signals, tls};
use crate::policy::outbound::PortSplit;

/// A named network filter.
pub(super) fn filter(name: &str, config: Any) -> Filter {
    Filter { name: name.into(), config_type: Some(ConfigType::TypedConfig(config)) }
}

/// The network RBAC filter.
pub(super) fn network_rbac(config: Any) -> Filter {
    filter("envoy.filters.network.rbac", config)
}

/// HTTP that the pod sends.
pub(super) fn outbound_http(signals: &Signals, routes: String) -> Filter {
    connection_manager(&HttpConnectionManager {
        access_log: signals.log_sent(),
        http_filters: vec![router()],
        // Whoever the application claims to be, only its certificate counts.
        forward_client_cert_details: ForwardClientCertDetails::Sanitize.into(),
        ..http(signals, routes)
    })
}

/// Where the requests come from that a pod receives.
///
/// `trusts_connections_only`: the client's address is that of its connection, whatever `x-forwarded-for` claims; the header
/// itself stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// From other sidecars, which count them.
    Mesh { trusts_connections_only: bool },
    /// From gateways and the like, whose word is not taken and who do not count.
    Outside,
}

/// HTTP that the pod receives. The application learns the caller's identity from `x-forwarded-client-cert`.
pub(super) fn inbound_http(signals: &Signals, routes: String, http_filters: Vec<HttpFilter>, from: From) -> Filter {
    let (trusts_connections_only, access_log) = match from {
        From::Mesh { trusts_connections_only } => (trusts_connections_only, signals.log()),
        From::Outside => (true, signals.log_from_outside()),
    };
    connection_manager(&HttpConnectionManager {
        http_filters,
        access_log,
        use_remote_address: trusts_connections_only.then_some(BoolValue { value: true }),
        skip_xff_append: trusts_connections_only,
        forward_client_cert_details: ForwardClientCertDetails::SanitizeSet.into(),
        set_current_client_cert_details: Some(SetCurrentClientCertDetails {
            uri: true,
            dns: true,
            ..Default::default()
        }),
        ..http(signals, routes)
    })
}

fn connection_manager(manager: &HttpConnectionManager) -> Filter {
    filter("envoy.filters.network.http_connection_manager", pack(manager))
}

fn http(signals: &Signals, routes: String) -> HttpConnectionManager {
    HttpConnectionManager {
        stat_prefix: format!("mesh-http-conn-manager.{routes}"),
        codec_type: CodecType::Auto.into(),
        route_specifier: Some(RouteSpecifier::Rds(Rds { config_source: tls::ads(), route_config_name: routes })),
        upgrade_configs: vec![UpgradeConfig { upgrade_type: "websocket".into(), ..Default::default() }],
        // Policy and application must see the same path: `/a/../b`, `//b` and `/%2fb` are no ways around a rule.
        normalize_path: Some(BoolValue { value: true }),
        merge_slashes: true,
        path_with_escaped_slashes_action: PathWithEscapedSlashesAction::UnescapeAndForward.into(),
        access_log: signals.log(),
        tracing: signals.tracing(),
        strip_trailing_host_dot: true,
        ..Default::default()
    }
}

/// A named HTTP filter.
pub(super) fn http_filter(name: &str, config: Any) -> HttpFilter {
    HttpFilter {
        name: name.into(),
        config_type: Some(http_filter::ConfigType::TypedConfig(config)),
        ..Default::default()
    }
}

/// The last HTTP filter.
pub(super) fn router() -> HttpFilter {
    http_filter("envoy.filters.http.router", pack(&Router::default()))
}

/// Opaque TCP to one cluster.
pub(super) fn tcp(signals: &Signals, stat_prefix: String, cluster: String) -> Filter {
    tcp_proxy(signals, stat_prefix, ClusterSpecifier::Cluster(cluster))
}

/// Opaque TCP, each connection to one of a split's clusters. A share of zero is left out: Envoy refuses it here.
pub(super) fn split_tcp(signals: &Signals, stat_prefix: String, split: &PortSplit) -> Filter {
    if !split.has_weight() {
        return tcp(signals, stat_prefix, name::NO_BACKEND.into());
    }
    let shares = split.shares.iter().filter(|(_, weight)| *weight > 0);
    let clusters =
        shares.map(|(name, weight)| ClusterWeight { name: name.clone(), weight: *weight, metadata_match: None });
    tcp_proxy(
        signals,
        stat_prefix,
        ClusterSpecifier::WeightedClusters(WeightedCluster { clusters: clusters.collect() }),
    )
}

fn tcp_proxy(signals: &Signals, stat_prefix: String, cluster: ClusterSpecifier) -> Filter {
    let proxy =
        TcpProxy { stat_prefix, access_log: signals.log(), cluster_specifier: Some(cluster), ..Default::default() };
    filter("envoy.filters.network.tcp_proxy", pack(&proxy))
}
