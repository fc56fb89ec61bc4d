//! Names of Kubernetes objects.

use std::{fmt, sync::Arc};

/// `namespace/name` of a namespaced object. Ordered by namespace, then name. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// Namespace: a DNS label (RFC 1123), so it never contains a dot.
    pub namespace: Arc<str>,
    /// Name within the namespace.
    pub name: Arc<str>,
}

impl ObjectName {
    /// The object called `name` in `namespace`.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// Another object in the same namespace.
    #[must_use]
    pub fn sibling(&self, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: self.namespace.clone(), name: name.into() }
    }

    /// The service that an object in this namespace means by `svc`, `svc.ns`, `svc.ns.svc`, … up to the FQDN; `None` if the host
    /// lies elsewhere.
    pub fn service_named(&self, written: &str) -> Option<Self> {
        let own: &str = &self.namespace;
        let (service, rest) = written.split_once('.').unwrap_or((written, ""));
        let in_namespace = match rest.split_once('.') {
            None => rest.is_empty() || rest == own,
            Some((namespace, domain)) => {
                namespace == own && matches!(domain, "svc" | "svc.cluster" | "svc.cluster.local")
            }
        };
        (in_namespace && !service.is_empty()).then(|| self.sibling(service))
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The kinds of object that the control plane knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `v1` Service.
    Service,
    /// `v1` Pod: one workload instance.
    Pod,
    /// `access.smi-spec.io` TrafficTarget.
    TrafficTarget,
    /// `specs.smi-spec.io` HTTPRouteGroup.
    HttpRouteGroup,
    /// `specs.smi-spec.io` TCPRoute.
    TcpRoute,
    /// `specs.smi-spec.io` UDPRoute.
    UdpRoute,
    /// `split.smi-spec.io` TrafficSplit.
    TrafficSplit,
    /// `discovery.k8s.io` EndpointSlice.
    EndpointSlice,
    /// `policy.openservicemesh.io` Egress.
    Egress,
    /// `policy.openservicemesh.io` IngressBackend.
    IngressBackend,
    /// `policy.openservicemesh.io` Retry.
    Retry,
    /// `policy.openservicemesh.io` UpstreamTrafficSetting.
    UpstreamTrafficSetting,
    /// `policy.openservicemesh.io` Telemetry.
    Telemetry,
    /// `config.openservicemesh.io` ExtensionService.
    ExtensionService,
    /// The mesh-wide settings.
    MeshConfig,
    /// `config.openservicemesh.io` MeshRootCertificate.
    MeshRootCertificate,
}

impl Kind {
    /// The `kind` as written in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::Pod => "Pod",
            Self::TrafficTarget => "TrafficTarget",
            Self::HttpRouteGroup => "HTTPRouteGroup",
            Self::TcpRoute => "TCPRoute",
            Self::UdpRoute => "UDPRoute",
            Self::TrafficSplit => "TrafficSplit",
            Self::EndpointSlice => "EndpointSlice",
            Self::Egress => "Egress",
            Self::IngressBackend => "IngressBackend",
            Self::Retry => "Retry",
            Self::UpstreamTrafficSetting => "UpstreamTrafficSetting",
            Self::Telemetry => "Telemetry",
            Self::ExtensionService => "ExtensionService",
            Self::MeshConfig => "MeshConfig",
            Self::MeshRootCertificate => "MeshRootCertificate",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One object: what Envoy metadata, diagnostics and explanations point at. Displays as `Kind namespace/name`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// The object's kind.
    pub kind: Kind,
    /// The object's namespace and name.
    pub name: ObjectName,
}

impl ObjectRef {
    /// The object of `kind` called `name`.
    pub fn new(kind: Kind, name: ObjectName) -> Self {
        Self { kind, name }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

impl fmt::Debug for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
