//! What may leave the mesh: Egress (`policy.openservicemesh.io`).

use std::sync::Arc;

use ipnet::IpNet;

use super::{ObjectName, Subject};

/// Lets sources call destinations outside of the mesh. Grants only ever add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Egress {
    /// Namespace and name.
    pub name: ObjectName,
    /// The identities that may call.
    pub sources: Vec<Subject>,
    /// Host names: of the `Host` header for HTTP, of the SNI for HTTPS.
    pub hosts: Vec<Arc<str>>,
    /// Destination ranges; empty is any address.
    pub ip_ranges: Vec<IpNet>,
    /// Destination ports.
    pub ports: Vec<EgressPort>,
    /// Names of HTTPRouteGroups, in the same namespace, that requests must match; empty matches all.
    pub route_groups: Vec<Arc<str>>,
    /// Name of the UpstreamTrafficSetting, in the same namespace, for connections to the destinations.
    pub upstream_setting: Option<Arc<str>>,
}

/// A destination port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EgressPort {
    /// 1–65535.
    pub number: u16,
    /// What is spoken on it.
    pub protocol: EgressProtocol,
}

/// What leaves the mesh on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EgressProtocol {
    /// Plain HTTP: requests are told apart.
    Http,
    /// TLS that the application begins: told apart by SNI.
    Https,
    /// Opaque TCP in which the client speaks first.
    Tcp,
    /// Opaque TCP in which the server speaks first.
    TcpServerFirst,
}
