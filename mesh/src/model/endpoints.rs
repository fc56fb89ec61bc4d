//! Where a service's traffic goes: EndpointSlice (`discovery.k8s.io/v1`).

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::ObjectName;

/// Endpoints of one service. Where a service has slices, they say which of its pods take traffic; the pods' own readiness is
/// then not asked (`publishNotReadyAddresses`, terminating pods).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSlice {
    /// Namespace and name.
    pub name: ObjectName,
    /// `kubernetes.io/service-name`: the service, in the same namespace.
    pub service: Arc<str>,
    /// Addresses that take traffic (`conditions.ready` is true or unset).
    pub ready: BTreeSet<IpAddr>,
    /// Addresses that do not.
    pub not_ready: BTreeSet<IpAddr>,
}
