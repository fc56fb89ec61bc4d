//! The domain in its own words. Plain data: no wire format, no Envoy, no IO.

mod certificate;
mod diagnostic;
mod identity;
mod name;
mod route;
mod service;
mod settings;
mod split;
mod target;
mod workload;

pub use certificate::{Leaf, PrivateKey, TrustBundle};
pub use diagnostic::{Code, Diagnostic};
pub use identity::{ServiceAccount, TrustDomain};
pub use name::{Kind, ObjectName, ObjectRef};
pub use route::{HttpMatch, HttpRouteGroup, Methods, RoutePorts, TcpRoute, UdpRoute};
pub use service::{Protocol, Service, ServicePort, TargetPort};
pub use settings::Settings;
pub use split::{Backend, TrafficSplit};
pub use target::{Rule, RuleKind, Subject, TrafficTarget};
pub use workload::Workload;
