//! Who a workload is.

use std::{fmt, sync::Arc};

/// A Kubernetes ServiceAccount: the identity of every pod that runs under it (SMI traffic-access: "identity").
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceAccount {
    /// Namespace of the account; a DNS label, so it never contains a dot.
    pub namespace: Arc<str>,
    /// Name of the account; may contain dots.
    pub name: Arc<str>,
}

impl ServiceAccount {
    /// The account `name` in `namespace`.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The DNS SAN of its certificates: `<sa>.<ns>.<trust domain>`.
    pub fn principal(&self, trust_domain: &TrustDomain) -> String {
        format!("{}.{}.{}", self.name, self.namespace, trust_domain)
    }

    /// The URI SAN of its certificates: `spiffe://<trust domain>/<sa>/<ns>`.
    pub fn spiffe_id(&self, trust_domain: &TrustDomain) -> String {
        format!("spiffe://{}/{}/{}", trust_domain, self.name, self.namespace)
    }
}

impl fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The trust domain of the mesh (SPIFFE ID specification, section 2.1). Independent of the cluster's DNS domain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// Takes the name as it is; it is checked where settings are read.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The bare name, for example `cluster.local`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TrustDomain {
    fn default() -> Self {
        Self::new("cluster.local")
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
