//! Who may send what to whom: TrafficTarget (SMI traffic-access).

use std::sync::Arc;

use super::{ObjectName, ServiceAccount};

/// Grants sources the right to send the traffic of its rules to a destination. Grants only ever add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficTarget {
    /// Namespace and name.
    pub name: ObjectName,
    /// The identity that receives the traffic.
    pub destination: Subject,
    /// v1alpha1 and v1alpha2 `destination.port`: the only service port that the target opens.
    pub destination_port: Option<u16>,
    /// The identities that may send it. Empty allows nobody.
    pub sources: Vec<Subject>,
    /// The traffic. Empty allows nothing.
    pub rules: Vec<Rule>,
}

/// A destination or source as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Only `ServiceAccount` is honoured.
    pub kind: Arc<str>,
    /// Name of the account.
    pub name: Arc<str>,
    /// Its namespace; the target's own if omitted.
    pub namespace: Option<Arc<str>>,
}

impl Subject {
    /// The account meant, if the kind is `ServiceAccount`; `own` is the namespace of the TrafficTarget.
    pub fn account(&self, own: &Arc<str>) -> Option<ServiceAccount> {
        (&*self.kind == "ServiceAccount").then(|| ServiceAccount {
            namespace: self.namespace.as_ref().unwrap_or(own).clone(),
            name: self.name.clone(),
        })
    }
}

/// One entry of `rules` (`specs` in v1alpha1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it refers to.
    pub kind: RuleKind,
    /// The name of the route, in the target's own namespace.
    pub name: Arc<str>,
    /// Names of HTTP matches; empty means every match of the group.
    pub matches: Vec<Arc<str>>,
}

/// The kind of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleKind {
    /// HTTPRouteGroup.
    HttpRouteGroup,
    /// TCPRoute.
    TcpRoute,
    /// UDPRoute.
    UdpRoute,
    /// Anything else: a diagnostic; allows nothing.
    Other(Arc<str>),
}
