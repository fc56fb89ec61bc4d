//! What may enter the mesh: IngressBackend (`policy.openservicemesh.io`).

use std::sync::Arc;

use ipnet::IpNet;

use super::ObjectName;

/// Lets sources outside of the mesh call services of it. Grants only ever add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressBackend {
    /// Namespace and name.
    pub name: ObjectName,
    /// The services, in the same namespace.
    pub backends: Vec<IngressPort>,
    /// Who may call. A connection must come from one of the sources that name addresses, if there are any, and prove one of the
    /// principals, if there are any. None at all is nobody.
    pub sources: Vec<IngressSource>,
    /// Names of HTTPRouteGroups, in the same namespace, that requests must match; empty matches all.
    pub route_groups: Vec<Arc<str>>,
}

/// A port of a service that is open to the outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressPort {
    /// Name of the service.
    pub service: Arc<str>,
    /// The pods' port (`targetPort`), 1–65535.
    pub port: u16,
    /// `None` for plain HTTP.
    pub tls: Option<IngressTls>,
}

/// TLS from a gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngressTls {
    /// Does not ask for a client certificate.
    pub skip_client_certificate: bool,
    /// Server names that select the port; empty takes any.
    pub sni_hosts: Vec<Arc<str>>,
}

/// Who may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IngressSource {
    /// The pods of a service (that of the gateway); its namespace must be part of the mesh.
    Service(ObjectName),
    /// A name that the client certificate must carry (DNS SAN); `*` is any.
    Principal(Arc<str>),
    /// Source addresses.
    Range(IpNet),
}
