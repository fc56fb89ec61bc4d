//! What traffic looks like: HTTPRouteGroup, TCPRoute and UDPRoute (SMI traffic-specs).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::ObjectName;

/// A named set of HTTP matches; a request belongs to the group if any match holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRouteGroup {
    /// Namespace and name.
    pub name: ObjectName,
    /// The matches, in the order written.
    pub matches: Vec<HttpMatch>,
}

/// One entry of `spec.matches`: all of its conditions must hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HttpMatch {
    /// The name that a TrafficTarget refers to.
    pub name: Arc<str>,
    /// RE2 expression for the whole path without its query; `None` matches any path.
    pub path: Option<Arc<str>>,
    /// The allowed methods.
    pub methods: Methods,
    /// Header name (lower case) to an RE2 expression for the whole value. A `host` key means `:authority`.
    pub headers: BTreeMap<Arc<str>, Arc<str>>,
}

/// The methods of an HTTP match.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Methods {
    /// `*`, or no list at all.
    Any,
    /// Exactly these. Never empty.
    Only(BTreeSet<Arc<str>>),
}

/// The ports of a TCPRoute or UDPRoute. They are service ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoutePorts {
    /// `ports: []`: every port of the service (traffic-specs v1alpha4, "TCPRoute").
    All,
    /// Only these. Never empty.
    Only(BTreeSet<u16>),
}

impl RoutePorts {
    /// Whether service port `port` belongs to the route.
    pub fn contains(&self, port: u16) -> bool {
        match self {
            Self::All => true,
            Self::Only(ports) => ports.contains(&port),
        }
    }
}

/// TCP traffic, by service port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpRoute {
    /// Namespace and name.
    pub name: ObjectName,
    /// The ports it covers.
    pub ports: RoutePorts,
}

/// UDP traffic, by service port. Sidecars do not carry UDP, so it never opens anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpRoute {
    /// Namespace and name.
    pub name: ObjectName,
    /// The ports it covers.
    pub ports: RoutePorts,
}
