//! Certificates as data. Issuing them is the work of [`crate::ca`].

use std::{fmt, sync::Arc};

use super::ServiceAccount;

/// A workload certificate and its key, valid for one service account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Whose identity it proves.
    pub account: ServiceAccount,
    /// PEM chain, leaf first.
    pub chain_pem: Arc<str>,
    /// The private key.
    pub key: PrivateKey,
    /// Start of validity, in seconds since the Unix epoch.
    pub not_before: i64,
    /// End of validity, in seconds since the Unix epoch.
    pub not_after: i64,
}

/// A PEM private key that neither `Debug` nor `Display` gives away.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey(Arc<str>);

impl PrivateKey {
    /// Wraps a PEM key.
    pub fn new(pem: impl Into<Arc<str>>) -> Self {
        Self(pem.into())
    }

    /// The PEM text. Whoever calls this hands the key out.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[private key]")
    }
}

/// The roots that workloads trust: one, or two while the root is being replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustBundle {
    /// PEM certificates, one after the other.
    pub roots_pem: Arc<str>,
}
