//! How traffic to a service is shared out: TrafficSplit (SMI traffic-split).

use std::sync::Arc;

use super::ObjectName;

/// Shares traffic to a root service out over backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficSplit {
    /// Namespace and name.
    pub name: ObjectName,
    /// `metadata.creationTimestamp` in seconds since the Unix epoch: of two splits on one root the older one holds.
    /// Objects without one count as the newest.
    pub created: Option<i64>,
    /// The root ("apex") service as written: `svc`, `svc.ns`, `svc.ns.svc` or the FQDN.
    pub service: Arc<str>,
    /// The backends, in the order written.
    pub backends: Vec<Backend>,
    /// Names of the HTTPRouteGroups that select the split's requests (v1alpha3 and v1alpha4); empty selects all.
    pub matches: Vec<Arc<str>>,
}

/// One entry of `spec.backends`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// The backend service as written, in the split's namespace.
    pub service: Arc<str>,
    /// Share relative to the sum of all weights. v1alpha1 quantities are in thousandths.
    pub weight: u64,
}

impl TrafficSplit {
    /// The service that `written` names, if it lies in the split's namespace (traffic-split: "Services inside the
    /// namespace"): `svc`, `svc.ns`, `svc.ns.svc`, `svc.ns.svc.cluster` or `svc.ns.svc.cluster.local`.
    pub fn service_named(&self, written: &str) -> Option<ObjectName> {
        self.name.service_named(written)
    }
}
