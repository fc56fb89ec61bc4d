//! EDS: the addresses behind every cluster that the proxy may call.

use envoy_types::pb::envoy::config::{
    core::v3::{Address, Locality, SocketAddress, address, socket_address::PortSpecifier},
    endpoint::v3::{ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier},
};

use super::{
    Scope, label,
    resource::{Resource, ResourceType, Snapshot},
};

pub(super) fn add(scope: &Scope<'_>, snapshot: &mut Snapshot) {
    for (name, upstream) in &scope.outbound.upstreams {
        let assignment = assignment(name, upstream.endpoints.iter().map(|(ip, port)| (ip.to_string(), *port)));
        let encoded = label::endpoints(scope, assignment, &upstream.service);
        snapshot.insert(ResourceType::Endpoint, name.as_str(), Resource::new(ResourceType::Endpoint, encoded));
    }
}

/// All addresses in one locality, equally weighted. Without addresses the cluster is known, and empty.
pub(super) fn assignment(cluster: &str, addresses: impl Iterator<Item = (String, u16)>) -> ClusterLoadAssignment {
    let endpoint = |(ip, port)| LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            address: Some(socket_address(ip, port)),
            ..Default::default()
        })),
        ..Default::default()
    };
    let lb_endpoints: Vec<_> = addresses.map(endpoint).collect();
    let locality = Some(Locality { zone: "local".into(), ..Default::default() });
    let endpoints = if lb_endpoints.is_empty() {
        Vec::new()
    } else {
        vec![LocalityLbEndpoints { locality, lb_endpoints, ..Default::default() }]
    };
    ClusterLoadAssignment { cluster_name: cluster.into(), endpoints, ..Default::default() }
}

pub(super) fn socket_address(address: impl Into<String>, port: u16) -> Address {
    Address {
        address: Some(address::Address::SocketAddress(SocketAddress {
            address: address.into(),
            port_specifier: Some(PortSpecifier::PortValue(port.into())),
            ..Default::default()
        })),
    }
}
