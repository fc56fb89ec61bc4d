//! What the far end of a request is called in statistics: labels of endpoints, and of the clusters that they belong to.
//!
//! Envoy counts a request with the labels of the endpoint that answered it. Where none did, those of the cluster hold.

use std::{collections::BTreeMap, net::IpAddr};

use envoy_types::pb::envoy::config::{
    cluster::v3::Cluster,
    core::v3::{address, socket_address::PortSpecifier},
    endpoint::v3::{ClusterLoadAssignment, LbEndpoint, lb_endpoint::HostIdentifier},
};
use prost::Message;

use super::{
    Scope, name,
    structure::{Fields, Metadata, with, with_each},
};
use crate::{
    model::Workload,
    policy::{
        service::{MeshService, pods},
        telemetry::owner,
    },
};

/// `Cluster.metadata` (field numbers of Envoy's messages).
const CLUSTER_METADATA: u32 = 25;
/// `ClusterLoadAssignment.endpoints`.
const LOCALITIES: u32 = 2;
/// `LocalityLbEndpoints.lb_endpoints`.
const ENDPOINTS: u32 = 2;
/// `LbEndpoint.metadata`.
const ENDPOINT_METADATA: u32 = 3;

/// The encoded cluster, labelled as the service.
pub(super) fn cluster(scope: &Scope<'_>, cluster: &Cluster, service: &MeshService) -> Vec<u8> {
    let encoded = cluster.encode_to_vec();
    if !scope.world.settings().features.request_metrics {
        return encoded;
    }
    let label = service.label();
    let texts = [("kind", "Service"), ("name", &*label), ("namespace", &*service.name.namespace)];
    with(encoded, CLUSTER_METADATA, &metadata(texts))
}

/// The encoded endpoints of a service, each labelled as its pod.
pub(super) fn endpoints(scope: &Scope<'_>, mut assignment: ClusterLoadAssignment, service: &MeshService) -> Vec<u8> {
    if !scope.world.settings().features.request_metrics {
        return assignment.encode_to_vec();
    }
    let by_address: BTreeMap<IpAddr, &Workload> = pods(scope.world, service).map(|p| (p.address, &**p)).collect();
    let localities: Vec<_> = std::mem::take(&mut assignment.endpoints)
        .into_iter()
        .map(|mut locality| {
            let endpoints = std::mem::take(&mut locality.lb_endpoints);
            let endpoints = endpoints.iter().map(|endpoint| labelled(endpoint, &by_address));
            with_each(locality.encode_to_vec(), ENDPOINTS, endpoints.collect::<Vec<_>>())
        })
        .collect();
    with_each(assignment.encode_to_vec(), LOCALITIES, localities)
}

fn labelled(endpoint: &LbEndpoint, by_address: &BTreeMap<IpAddr, &Workload>) -> Vec<u8> {
    let encoded = endpoint.encode_to_vec();
    match address_of(endpoint).and_then(|ip| by_address.get(&ip)) {
        Some(pod) => with(encoded, ENDPOINT_METADATA, &pod_metadata(pod)),
        None => encoded,
    }
}

fn pod_metadata(pod: &Workload) -> Metadata {
    let owner = owner(pod);
    metadata([
        ("kind", owner.kind),
        ("name", &*owner.name),
        ("namespace", &*pod.name.namespace),
        ("pod", &*pod.name.name),
    ])
}

fn metadata<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Metadata {
    Metadata { filter_metadata: BTreeMap::from([(name::LABELS_KEY.to_owned(), Fields::texts(texts))]) }
}

fn address_of(endpoint: &LbEndpoint) -> Option<IpAddr> {
    let Some(HostIdentifier::Endpoint(endpoint)) = &endpoint.host_identifier else { return None };
    match endpoint.address.as_ref()?.address.as_ref()? {
        address::Address::SocketAddress(socket) => match socket.port_specifier {
            Some(PortSpecifier::PortValue(_)) => socket.address.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}
