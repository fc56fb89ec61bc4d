//! gRPC services beside the mesh that sidecars ask: those that count (rate limits) and those that authorize.
//!
//! Envoy's own gRPC client (`envoy_grpc`) with a cluster for each host and port, where OSM has `google_grpc` for
//! authorization: the connection is pooled, counted and limited like any other, its address is resolved by Envoy, no second TLS
//! and HTTP/2 stack runs in the sidecar, and the call is plaintext without further credentials, as for rate limits.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use envoy_types::pb::envoy::{
    config::{
        cluster::v3::{
            Cluster,
            cluster::{ClusterDiscoveryType, DiscoveryType, DnsLookupFamily},
        },
        core::v3::{
            GrpcService, Http2ProtocolOptions,
            grpc_service::{EnvoyGrpc, TargetSpecifier},
        },
    },
    extensions::upstreams::http::v3::{
        HttpProtocolOptions,
        http_protocol_options::{ExplicitHttpConfig, UpstreamProtocolOptions, explicit_http_config::ProtocolConfig},
    },
};

use super::{
    Scope,
    connection::{apply_connection_settings, duration},
    encode::{caused_by, pack},
    endpoint::assignment,
};
use crate::model::{ConnectionSettings, Kind, ObjectName, ObjectRef, UpstreamTrafficSetting};

/// The clusters of all services beside the mesh that the proxy asks.
pub(super) fn clusters(scope: &Scope<'_>) -> Vec<Cluster> {
    let mut wanted: BTreeMap<(String, u16), BTreeSet<ObjectRef>> = BTreeMap::new();
    let services = scope.inbound.ports.iter().map(|port| &port.service.name);
    let hosts = scope.inbound.hosts.values().flat_map(BTreeMap::values).map(|host| &host.service.name);
    for setting in services.chain(hosts).filter_map(|service| scope.settings.get(service)) {
        for (host, port) in counters(setting) {
            let object = ObjectRef::new(Kind::UpstreamTrafficSetting, setting.name.clone());
            wanted.entry((host, port)).or_default().insert(object);
        }
    }
    if let Some(authorization) = &scope.world.settings().external_authorization {
        let settings = ObjectRef::new(Kind::MeshConfig, ObjectName::new("osm-system", "osm-mesh-config"));
        wanted.entry((authorization.address.to_string(), authorization.port)).or_default().insert(settings);
    }
    wanted.into_iter().map(|((host, port), objects)| cluster(&host, port, objects)).collect()
}

/// The services that count for a setting.
fn counters(setting: &UpstreamTrafficSetting) -> impl Iterator<Item = (String, u16)> {
    let tcp = setting.rate_limit.global_tcp.iter().map(|limit| &limit.service);
    let http = setting.rate_limit.global_http.iter().map(|limit| &limit.service);
    tcp.chain(http).map(|service| (service.host.to_string(), service.port))
}

/// `<host>|<port>`.
fn cluster_name(host: &str, port: u16) -> String {
    format!("{host}|{port}")
}

/// HTTP/2 without TLS to all addresses of a host.
fn cluster(host: &str, port: u16, objects: BTreeSet<ObjectRef>) -> Cluster {
    let name = cluster_name(host, port);
    let options = HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
            protocol_config: Some(ProtocolConfig::Http2ProtocolOptions(Http2ProtocolOptions::default())),
        })),
        ..Default::default()
    };
    let options = ("envoy.extensions.upstreams.http.v3.HttpProtocolOptions".to_owned(), pack(&options));
    let mut cluster = Cluster {
        load_assignment: Some(assignment(&name, [(host.to_owned(), port)].into_iter())),
        name,
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::StrictDns.into())),
        dns_lookup_family: DnsLookupFamily::V4Preferred.into(),
        typed_extension_protocol_options: HashMap::from([options]),
        metadata: caused_by(objects),
        ..Default::default()
    };
    apply_connection_settings(&mut cluster, &ConnectionSettings::default());
    cluster
}

/// The way to such a service.
pub(super) fn grpc_service(host: &str, port: u16, timeout: std::time::Duration) -> GrpcService {
    GrpcService {
        timeout: Some(duration(timeout)),
        target_specifier: Some(TargetSpecifier::EnvoyGrpc(EnvoyGrpc {
            cluster_name: cluster_name(host, port),
            // Envoy would send the name of the cluster, which is no authority: servers reset the stream.
            authority: if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") },
            ..Default::default()
        })),
        ..Default::default()
    }
}
