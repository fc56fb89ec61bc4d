//! The one door by which anything enters the [`World`](super::World).

use std::sync::Arc;

use crate::model::{
    Egress, EndpointSlice, ExtensionService, HttpRouteGroup, IngressBackend, Kind, Leaf, ObjectName, ObjectRef, Retry,
    Service, ServiceAccount, Settings, TcpRoute, Telemetry, TrafficSplit, TrafficTarget, TrustBundle, UdpRoute,
    UpstreamTrafficSetting, Workload,
};

/// Something that happened. The set is closed: simulator and Kubernetes use the same ones.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// An object is new, or has new content.
    Put(Object),
    /// An object is gone. Unknown ones are ignored: a watch may tell twice.
    Gone(ObjectRef),
    /// The mesh-wide settings are now these.
    Settings(Settings),
    /// The roots that workloads trust are now these.
    Trust(TrustBundle),
    /// The account's certificate is now this one.
    Certificate(Arc<Leaf>),
    /// The account has no workload any more; its certificate is forgotten.
    CertificateGone(ServiceAccount),
}

/// An object of the world, of any kind.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant is documented by the type that it carries")]
pub enum Object {
    Service(Service),
    Workload(Workload),
    HttpRouteGroup(HttpRouteGroup),
    TcpRoute(TcpRoute),
    UdpRoute(UdpRoute),
    TrafficTarget(TrafficTarget),
    TrafficSplit(TrafficSplit),
    EndpointSlice(EndpointSlice),
    Egress(Egress),
    IngressBackend(IngressBackend),
    Retry(Retry),
    UpstreamTrafficSetting(Box<UpstreamTrafficSetting>),
    Telemetry(Telemetry),
    ExtensionService(ExtensionService),
}

impl Object {
    /// What the object is called.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef::new(self.kind(), self.name().clone())
    }

    /// The object's kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Service(_) => Kind::Service,
            Self::Workload(_) => Kind::Pod,
            Self::HttpRouteGroup(_) => Kind::HttpRouteGroup,
            Self::TcpRoute(_) => Kind::TcpRoute,
            Self::UdpRoute(_) => Kind::UdpRoute,
            Self::TrafficTarget(_) => Kind::TrafficTarget,
            Self::TrafficSplit(_) => Kind::TrafficSplit,
            Self::EndpointSlice(_) => Kind::EndpointSlice,
            Self::Egress(_) => Kind::Egress,
            Self::IngressBackend(_) => Kind::IngressBackend,
            Self::Retry(_) => Kind::Retry,
            Self::UpstreamTrafficSetting(_) => Kind::UpstreamTrafficSetting,
            Self::Telemetry(_) => Kind::Telemetry,
            Self::ExtensionService(_) => Kind::ExtensionService,
        }
    }

    /// The object's namespace and name.
    pub fn name(&self) -> &ObjectName {
        match self {
            Self::Service(o) => &o.name,
            Self::Workload(o) => &o.name,
            Self::HttpRouteGroup(o) => &o.name,
            Self::TcpRoute(o) => &o.name,
            Self::UdpRoute(o) => &o.name,
            Self::TrafficTarget(o) => &o.name,
            Self::TrafficSplit(o) => &o.name,
            Self::EndpointSlice(o) => &o.name,
            Self::Egress(o) => &o.name,
            Self::IngressBackend(o) => &o.name,
            Self::Retry(o) => &o.name,
            Self::UpstreamTrafficSetting(o) => &o.name,
            Self::Telemetry(o) => &o.name,
            Self::ExtensionService(o) => &o.name,
        }
    }
}
