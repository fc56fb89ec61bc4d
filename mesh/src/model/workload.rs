//! Pods.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use super::{ObjectName, ServiceAccount};

/// One pod: an instance of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Namespace and name of the pod.
    pub name: ObjectName,
    /// The account that it runs under: its identity.
    pub account: ServiceAccount,
    /// `metadata.labels`, matched by service selectors.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// The pod's address.
    pub address: IpAddr,
    /// Container ports by name, for services with a named `targetPort`.
    pub named_ports: BTreeMap<Arc<str>, u16>,
    /// Whether it takes traffic (the Ready condition).
    pub ready: bool,
    /// `spec.hostname`: gives the pod a DNS name of its own below a headless service.
    pub hostname: Option<Arc<str>>,
    /// `spec.subdomain`: the headless service that the hostname belongs to.
    pub subdomain: Option<Arc<str>>,
}
