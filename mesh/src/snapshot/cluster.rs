//! CDS: the services that the proxy may call, and the pod's own application.

use std::collections::{BTreeMap, HashMap};

use envoy_types::pb::envoy::{
    config::{
        cluster::v3::{
            CircuitBreakers, Cluster,
            circuit_breakers::Thresholds,
            cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig, LbPolicy},
        },
        core::v3::{Http1ProtocolOptions, Http2ProtocolOptions},
    },
    extensions::upstreams::http::v3::{
        HttpProtocolOptions,
        http_protocol_options::{UpstreamProtocolOptions, UseDownstreamHttpConfig},
    },
};
use envoy_types::pb::google::protobuf::Any;

use super::{
    Scope, connection,
    encode::{caused_by, number, pack, resource},
    endpoint::assignment,
    extension, label, name,
    resource::{Resource, ResourceType, Snapshot},
    tls,
};
use crate::{
    model::{Kind, ObjectRef, Protocol},
    policy::{outbound::Upstream, service::MeshService},
};

pub(super) fn add(scope: &Scope<'_>, snapshot: &mut Snapshot) {
    for (name, upstream) in &scope.outbound.upstreams {
        let mut cluster = remote(scope, name, upstream);
        connection::hold(scope, upstream, &mut cluster);
        let encoded = label::cluster(scope, &cluster, &upstream.service);
        snapshot.insert(ResourceType::Cluster, name.as_str(), Resource::new(ResourceType::Cluster, encoded));
    }
    for (name, (service, port, protocol)) in locals(scope) {
        insert(snapshot, local(name, service, port, protocol));
    }
    extension::clusters(scope).into_iter().for_each(|cluster| insert(snapshot, cluster));
}

pub(super) fn insert(snapshot: &mut Snapshot, cluster: Cluster) {
    let encoded = resource(ResourceType::Cluster, &cluster);
    snapshot.insert(ResourceType::Cluster, cluster.name, encoded);
}

fn remote(scope: &Scope<'_>, name: &str, upstream: &Upstream) -> Cluster {
    let service = &upstream.service;
    let targets = upstream.targets.iter().map(|t| ObjectRef::new(Kind::TrafficTarget, t.clone()));
    Cluster {
        name: name.into(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(EdsClusterConfig { eds_config: tls::ads(), service_name: String::new() }),
        lb_policy: LbPolicy::RoundRobin.into(),
        transport_socket: tls::upstream(scope, name::outbound_validation(service), service.fqdn()),
        typed_extension_protocol_options: http_options(upstream.protocol),
        circuit_breakers: Some(unlimited()),
        metadata: caused_by([service_object(service)].into_iter().chain(targets)),
        ..Default::default()
    }
}

/// The applications behind all chains and hosts, by cluster name.
fn locals<'a>(scope: &Scope<'a>) -> BTreeMap<String, (&'a MeshService, u16, Protocol)> {
    let ports = scope.inbound.ports.iter().map(|p| (&p.service, p.target_port, p.protocol));
    let hosts = scope.inbound.hosts.iter().flat_map(|(port, hosts)| hosts.values().map(move |h| (h, *port)));
    let hosts = hosts.map(|(host, port)| (&host.service, port, Protocol::Http));
    hosts.chain(ports).map(|(s, port, p)| (name::local_cluster(s, port), (s, port, p))).collect()
}

fn local(name: String, service: &MeshService, port: u16, protocol: Protocol) -> Cluster {
    Cluster {
        load_assignment: Some(assignment(&name, [("127.0.0.1".to_owned(), port)].into_iter())),
        name,
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into())),
        typed_extension_protocol_options: http_options(protocol),
        circuit_breakers: Some(unlimited()),
        metadata: caused_by([service_object(service)]),
        ..Default::default()
    }
}

pub(super) fn service_object(service: &MeshService) -> ObjectRef {
    ObjectRef::new(Kind::Service, service.name.clone())
}

/// The codec follows the client's: HTTP/1.1 stays HTTP/1.1, gRPC stays HTTP/2.
pub(super) fn http_options(protocol: Protocol) -> HashMap<String, Any> {
    if !protocol.is_http() {
        return HashMap::new();
    }
    let options = HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(
            UseDownstreamHttpConfig {
                http_protocol_options: Some(Http1ProtocolOptions::default()),
                http2_protocol_options: Some(Http2ProtocolOptions::default()),
                ..Default::default()
            },
        )),
        ..Default::default()
    };
    HashMap::from([("envoy.extensions.upstreams.http.v3.HttpProtocolOptions".into(), pack(&options))])
}

/// Envoy's own defaults (1024 connections and requests) would cut a busy service off silently.
pub(super) fn unlimited() -> CircuitBreakers {
    CircuitBreakers {
        thresholds: vec![Thresholds {
            max_connections: number(u32::MAX),
            max_pending_requests: number(u32::MAX),
            max_requests: number(u32::MAX),
            max_retries: number(u32::MAX),
            track_remaining: true,
            ..Default::default()
        }],
        ..Default::default()
    }
}
