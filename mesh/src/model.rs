//! The domain in its own words. Plain data: no wire format, no Envoy, no IO.

mod certificate;
mod diagnostic;
mod egress;
mod endpoints;
mod identity;
mod ingress;
mod name;
mod retry;
mod route;
mod service;
mod settings;
mod split;
mod target;
mod telemetry;
mod upstream;
mod workload;

pub use certificate::{Leaf, PrivateKey, TrustBundle};
pub use diagnostic::{Code, Diagnostic};
pub use egress::{Egress, EgressPort, EgressProtocol};
pub use endpoints::EndpointSlice;
pub use identity::{ServiceAccount, TrustDomain};
pub use ingress::{IngressBackend, IngressPort, IngressSource, IngressTls};
pub use name::{Kind, ObjectName, ObjectRef};
pub use retry::{Retry, RetryPolicy};
pub use route::{HttpMatch, HttpRouteGroup, Methods, RoutePorts, TcpRoute, UdpRoute};
pub use service::{Protocol, Service, ServicePort, TargetPort};
pub use settings::{
    ControlPlaneNamespace, ExternalAuthorization, Features, Settings, TlsSettings, TlsVersion, Tracing, TracingProtocol,
};
pub use split::{Backend, TrafficSplit};
pub use target::{Rule, RuleKind, Subject, TrafficTarget};
pub use telemetry::{AccessLog, ExtensionService, OpenTelemetryLog, Telemetry};
pub use upstream::{
    ConnectionSettings, DescriptorEntry, GlobalHttpLimit, GlobalTcpLimit, HeaderCondition, LocalHttpLimit,
    OutlierDetection, RateLimit, RateLimitService, RouteLimit, TokenBucket, UpstreamTrafficSetting,
};
pub use workload::Workload;
