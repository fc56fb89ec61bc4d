//! The names of everything in a snapshot. Nothing else makes names.

use ipnet::IpNet;

use super::egress::suffix;
use crate::{
    model::{ObjectName, Protocol, ServiceAccount},
    policy::{
        ingress::{IngressChain, IngressNames},
        service::MeshService,
    },
};

/// The listener to which a pod's outgoing connections are redirected.
pub const OUTBOUND_LISTENER: &str = "outbound-listener";
/// The listener to which a pod's incoming connections are redirected.
pub const INBOUND_LISTENER: &str = "inbound-listener";
/// The chain of the outbound listener for every destination that the pod may not call.
pub const DEFAULT_DENY: &str = "default-deny";
/// A cluster that never exists: a TCP connection to it is closed at once.
pub const NO_BACKEND: &str = "no-backend";
/// The application protocol (ALPN) that sidecars speak among themselves.
pub const MESH_ALPN: &str = "osm";
/// The key below which resources name the Kubernetes objects that caused them.
pub const METADATA_KEY: &str = "smi";

/// The key below which endpoints and clusters say what they are called in statistics.
pub const LABELS_KEY: &str = "osm";
/// The cluster that takes spans.
pub const TRACING: &str = "envoy-tracing-cluster";

/// How the names of clusters of ExtensionServices begin.
pub const EXTENSION_PREFIX: &str = "extension|";

/// The cluster of an ExtensionService.
pub fn extension(service: &ObjectName) -> String {
    format!("{EXTENSION_PREFIX}{service}")
}

/// `<ns>/[<host>.]<svc>`.
fn path(service: &MeshService) -> String {
    format!("{}/{}", service.name.namespace, service.label())
}

/// The filter chain by which a client reaches a service port.
pub fn outbound_chain(service: &MeshService, port: u16, protocol: Protocol) -> String {
    format!("outbound_{}_{port}_{}", path(service), protocol.as_str())
}

/// The filter chain by which a pod serves a port as part of a service.
pub fn inbound_chain(service: &MeshService, target_port: u16, protocol: Protocol) -> String {
    format!("inbound_{}_{target_port}_{}", path(service), protocol.as_str())
}

/// The cluster that is the pod's own application.
pub fn local_cluster(service: &MeshService, target_port: u16) -> String {
    format!("{}|{target_port}|local", path(service))
}

/// The routes of all services on one service port.
pub fn outbound_routes(port: u16) -> String {
    format!("rds-outbound.{port}")
}

/// The routes of all services on one port of the pod.
pub fn inbound_routes(target_port: u16) -> String {
    format!("rds-inbound.{target_port}")
}

/// The virtual host of a called service.
pub fn outbound_host(service: &MeshService) -> String {
    format!("outbound_virtual-host|{}", service.fqdn())
}

/// The virtual host of a served service.
pub fn inbound_host(service: &MeshService) -> String {
    format!("inbound_virtual-host|{}", service.fqdn())
}

/// The chain of the outbound listener for everything that global egress lets pass.
pub const PASSTHROUGH_CHAIN: &str = "outbound-egress-filter-chain";

/// The filter chain by which something outside of the mesh is called.
pub fn egress_chain(protocol: &str, port: u16, host: Option<&str>, range: Option<IpNet>) -> String {
    let host = host.map_or_else(String::new, |host| format!("|{host}"));
    format!("egress-{protocol}.{port}{host}{}", suffix(range))
}

/// The routes to hosts outside of the mesh, on one port and range of addresses.
pub fn egress_routes(port: u16, range: Option<IpNet>) -> String {
    format!("rds-egress.{port}{}", suffix(range))
}

/// The virtual host of a host outside of the mesh.
pub fn egress_host(host: &str) -> String {
    format!("egress_virtual-host|{host}")
}

/// What tells the chains for callers from outside apart: port, server name, range of source addresses.
fn entrance(chain: &IngressChain) -> String {
    let name = match &chain.tls {
        None => "http".to_owned(),
        Some(IngressNames::Any) => "https".to_owned(),
        Some(IngressNames::Host(host)) => format!("https|{host}"),
    };
    format!("{}_{name}{}", chain.port, suffix(chain.range))
}

/// The filter chain for callers from outside of the mesh.
pub fn ingress_chain(chain: &IngressChain) -> String {
    format!("ingress_{}", entrance(chain))
}

/// The routes for callers from outside of the mesh.
pub fn ingress_routes(chain: &IngressChain) -> String {
    format!("rds-ingress.{}", entrance(chain))
}

/// The virtual host for callers from outside of the mesh.
pub fn ingress_host(chain: &IngressChain) -> String {
    format!("ingress_virtual-host|{}", entrance(chain))
}

/// What is demanded of the certificates of callers from outside of the mesh.
pub fn ingress_validation(chain: &IngressChain) -> String {
    format!("root-cert-for-mtls-ingress:{}", entrance(chain))
}

/// The proxy's own certificate.
pub fn service_certificate(account: &ServiceAccount) -> String {
    format!("service-cert:{}/{}", account.namespace, account.name)
}

/// What a client demands of the service's certificates.
pub fn outbound_validation(service: &MeshService) -> String {
    format!("root-cert-for-mtls-outbound:{}", path(service))
}

/// What a served port demands of its callers' certificates. One per chain, unlike OSM's one per proxy: a TCP connection must be
/// refused in the handshake, for the network RBAC filter waits for the client's first byte while tcp_proxy already lets the
/// server speak (envoyproxy/envoy#9023).
pub fn inbound_validation(service: &MeshService, target_port: u16) -> String {
    format!("root-cert-for-mtls-inbound:{}|{target_port}", path(service))
}

/// The RBAC policy of a TrafficTarget: `<ns>/<name>`.
pub fn policy(target: &ObjectName) -> String {
    target.to_string()
}
