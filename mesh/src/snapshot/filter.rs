//! Network filters: the HTTP connection manager, the TCP proxy, and the access log of both.

use std::{collections::HashMap, sync::LazyLock};

use envoy_types::pb::{
    envoy::{
        config::{
            accesslog::v3::{AccessLog, access_log},
            core::v3::{SubstitutionFormatString, substitution_format_string::Format},
            listener::v3::{Filter, filter::ConfigType},
        },
        extensions::{
            access_loggers::file::v3::{FileAccessLog, file_access_log::AccessLogFormat},
            filters::{
                http::{rbac::v3::Rbac as HttpRbac, router::v3::Router},
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
    },
    google::protobuf::{Any, BoolValue, Struct, Value, value::Kind},
};

use super::{
    encode::{pack, pack_merged},
    name,
    route::RBAC_FILTER,
    tls,
};
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
pub(super) fn outbound_http(routes: String) -> Filter {
    connection_manager(&HttpConnectionManager {
        http_filters: vec![router()],
        // Whoever the application claims to be, only its certificate counts.
        forward_client_cert_details: ForwardClientCertDetails::Sanitize.into(),
        ..http(routes)
    })
}

/// HTTP that the pod receives. The application learns the caller's identity from `x-forwarded-client-cert`.
pub(super) fn inbound_http(routes: String) -> Filter {
    connection_manager(&HttpConnectionManager {
        http_filters: vec![http_filter(RBAC_FILTER, pack(&HttpRbac::default())), router()],
        forward_client_cert_details: ForwardClientCertDetails::SanitizeSet.into(),
        set_current_client_cert_details: Some(SetCurrentClientCertDetails {
            uri: true,
            dns: true,
            ..Default::default()
        }),
        ..http(routes)
    })
}

fn connection_manager(manager: &HttpConnectionManager) -> Filter {
    filter("envoy.filters.network.http_connection_manager", pack(manager))
}

fn http(routes: String) -> HttpConnectionManager {
    HttpConnectionManager {
        stat_prefix: format!("mesh-http-conn-manager.{routes}"),
        codec_type: CodecType::Auto.into(),
        route_specifier: Some(RouteSpecifier::Rds(Rds { config_source: tls::ads(), route_config_name: routes })),
        upgrade_configs: vec![UpgradeConfig { upgrade_type: "websocket".into(), ..Default::default() }],
        // Policy and application must see the same path: `/a/../b`, `//b` and `/%2fb` are no ways around a rule.
        normalize_path: Some(BoolValue { value: true }),
        merge_slashes: true,
        path_with_escaped_slashes_action: PathWithEscapedSlashesAction::UnescapeAndForward.into(),
        access_log: access_log(),
        strip_trailing_host_dot: true,
        ..Default::default()
    }
}

fn http_filter(name: &str, config: Any) -> HttpFilter {
    HttpFilter {
        name: name.into(),
        config_type: Some(http_filter::ConfigType::TypedConfig(config)),
        ..Default::default()
    }
}

fn router() -> HttpFilter {
    http_filter("envoy.filters.http.router", pack(&Router::default()))
}

/// Opaque TCP to one cluster.
pub(super) fn tcp(stat_prefix: String, cluster: String) -> Filter {
    tcp_proxy(stat_prefix, ClusterSpecifier::Cluster(cluster))
}

/// Opaque TCP, each connection to one of a split's clusters. A share of zero is left out: Envoy refuses it here.
pub(super) fn split_tcp(stat_prefix: String, split: &PortSplit) -> Filter {
    if !split.has_weight() {
        return tcp(stat_prefix, name::NO_BACKEND.into());
    }
    let shares = split.shares.iter().filter(|(_, weight)| *weight > 0);
    let clusters =
        shares.map(|(name, weight)| ClusterWeight { name: name.clone(), weight: *weight, metadata_match: None });
    tcp_proxy(stat_prefix, ClusterSpecifier::WeightedClusters(WeightedCluster { clusters: clusters.collect() }))
}

fn tcp_proxy(stat_prefix: String, cluster: ClusterSpecifier) -> Filter {
    let proxy =
        TcpProxy { stat_prefix, access_log: access_log(), cluster_specifier: Some(cluster), ..Default::default() };
    filter("envoy.filters.network.tcp_proxy", pack(&proxy))
}

/// JSON lines on the standard output.
fn access_log() -> Vec<AccessLog> {
    vec![AccessLog {
        name: "envoy.access_loggers.file".into(),
        config_type: Some(access_log::ConfigType::TypedConfig(FILE_ACCESS_LOG.clone())),
        ..Default::default()
    }]
}

/// The same in every filter, and a third of the cost of a snapshot if it is encoded each time.
static FILE_ACCESS_LOG: LazyLock<Any> = LazyLock::new(|| {
    const FIELDS: [(&str, &str); 18] = [
        ("start_time", "%START_TIME%"),
        ("method", "%REQ(:METHOD)%"),
        ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
        ("protocol", "%PROTOCOL%"),
        ("response_code", "%RESPONSE_CODE%"),
        ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
        ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
        ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
        ("upstream_cluster", "%UPSTREAM_CLUSTER%"),
        ("upstream_host", "%UPSTREAM_HOST%"),
        ("filter_chain", "%FILTER_CHAIN_NAME%"),
        ("response_flags", "%RESPONSE_FLAGS%"),
        ("bytes_received", "%BYTES_RECEIVED%"),
        ("bytes_sent", "%BYTES_SENT%"),
        ("duration", "%DURATION%"),
        ("request_id", "%REQ(X-REQUEST-ID)%"),
        ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
        ("authority", "%REQ(:AUTHORITY)%"),
    ];
    let part = |(name, format): (&str, &str)| {
        let value = Value { kind: Some(Kind::StringValue(format.into())) };
        let fields = Struct { fields: HashMap::from([(name.to_owned(), value)]) };
        let format = SubstitutionFormatString { format: Some(Format::JsonFormat(fields)), ..Default::default() };
        FileAccessLog { path: "/dev/stdout".into(), access_log_format: Some(AccessLogFormat::LogFormat(format)) }
    };
    pack_merged(FIELDS.into_iter().map(part))
});
