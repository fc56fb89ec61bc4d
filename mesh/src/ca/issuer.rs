//! What every certificate provider has in common.

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;

use super::name;
use crate::model::{Leaf, PrivateKey, ServiceAccount, TrustDomain};

/// Signs workload certificates: the built-in authority, Vault, cert-manager.
///
/// An implementation bounds its own waiting: the future must end, with an error if need be.
pub trait Issuer: fmt::Debug + Send + Sync {
    /// Makes a new key and a certificate for it, for TLS clients and servers. Never gives out one serial number twice.
    fn certify<'a>(&'a self, request: &'a CertificateRequest) -> BoxFuture<'a, Result<Credential, IssueError>>;

    /// Makes a workload leaf.
    fn issue<'a>(&'a self, request: &'a LeafRequest) -> BoxFuture<'a, Result<Leaf, IssueError>> {
        Box::pin(async move {
            let wanted = request.certificate()?;
            let Credential { chain_pem, key, validity } = self.certify(&wanted).await?;
            let Validity { not_before, not_after } = validity;
            Ok(Leaf { account: request.account.clone(), chain_pem, key, not_before, not_after })
        })
    }

    /// The root that workloads must trust to accept its leaves, in PEM. The same text for the issuer's whole life.
    fn root_pem(&self) -> &Arc<str>;

    /// Root certificate and key in PEM, for [`super::BuiltinCa::from_pem`] after a restart.
    /// `None` if the key is kept elsewhere.
    fn stored_pem(&self) -> Option<PrivateKey>;
}

/// What a leaf is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafRequest {
    /// Whose identity it proves.
    pub account: ServiceAccount,
    /// The domain of that identity.
    pub trust_domain: TrustDomain,
    /// The key to make.
    pub key: KeyType,
    /// From when to when. The end may come out earlier: no leaf outlives its root.
    pub validity: Validity,
}

/// What any certificate below a root of the mesh is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRequest {
    /// Common name; left out of the certificate if it is longer than 64 characters or empty.
    pub common_name: String,
    /// DNS SANs.
    pub dns_names: Vec<String>,
    /// URI SANs.
    pub uris: Vec<String>,
    /// The key to make.
    pub key: KeyType,
    /// From when to when. The end may come out earlier.
    pub validity: Validity,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// PEM chain, leaf first, without the root.
    pub chain_pem: Arc<str>,
    /// The private key.
    pub key: PrivateKey,
    /// From when to when it is valid.
    pub validity: Validity,
}

impl LeafRequest {
    /// The names of the account: `<sa>.<ns>.<trust domain>` as DNS SAN, `spiffe://<trust domain>/<sa>/<ns>` as URI SAN.
    ///
    /// # Errors
    /// [`IssueError::Namespace`] if the namespace is none.
    pub(super) fn certificate(&self) -> Result<CertificateRequest, IssueError> {
        let Self { account, trust_domain, key, validity } = self;
        name::check_namespace(&account.namespace)?;
        let principal = account.principal(trust_domain);
        Ok(CertificateRequest {
            common_name: principal.clone(),
            dns_names: vec![principal],
            uris: vec![account.spiffe_id(trust_domain)],
            key: *key,
            validity: *validity,
        })
    }
}

impl CertificateRequest {
    /// The names as a certificate has them.
    ///
    /// # Errors
    /// [`IssueError`] if one is not fit, or there is none.
    pub(super) fn sans(&self) -> Result<Vec<rcgen::SanType>, IssueError> {
        let dns = self.dns_names.iter().map(|name| name::dns_san(name));
        let names = dns.chain(self.uris.iter().map(|uri| name::uri_san(uri))).collect::<Result<Vec<_>, _>>()?;
        if names.is_empty() { Err(IssueError::NoName) } else { Ok(names) }
    }
}

/// A kind of key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// ECDSA on P-256 with SHA-256.
    #[default]
    EcdsaP256,
    /// RSA, PKCS #1 v1.5 with SHA-256, for peers that cannot do elliptic curves.
    Rsa {
        /// Length of the modulus: 2048, 3072 or 4096 (what the cryptographic library can generate).
        bits: u16,
    },
}

/// A span of validity (RFC 5280 section 4.1.2.5), both ends in seconds since the Unix epoch, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First second.
    pub not_before: i64,
    /// Last second; after `not_before` and before the year 10000.
    pub not_after: i64,
}

/// Why no certificate was made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The name cannot be a DNS SAN.
    #[error("`{0}` is not a DNS name: use labels of letters, digits and `-`, at most 63 long, at most 253 in all")]
    DnsName(String),
    /// The name cannot be a segment of a SPIFFE path.
    #[error("`{0}` is not the name of a Kubernetes object: use letters, digits, `-` and `.`, at most 253 in all")]
    ObjectName(String),
    /// A namespace is a single DNS label.
    #[error("`{0}` is not a namespace: use letters, digits and `-`, at most 63")]
    Namespace(String),
    /// A proxy runs under an account of its pod's namespace.
    #[error("pod {pod} cannot run under account {account}: both must be in one namespace")]
    OtherNamespace {
        /// The pod, as `namespace/name`.
        pod: String,
        /// The account, as `namespace/name`.
        account: String,
    },
    /// A server that nobody can name.
    #[error("a certificate needs at least one DNS name or address")]
    NoName,
    /// The modulus has a length that is not offered.
    #[error("RSA keys of {0} bits are not offered: use 2048, 3072 or 4096")]
    RsaBits(u16),
    /// The validity is empty or cannot be written.
    #[error("validity from {} to {} is empty or outside 1970 to 9999", .0.not_before, .0.not_after)]
    Validity(Validity),
    /// The root ends before the certificate would start.
    #[error("the root certificate ends at {root_ends} (Unix time): rotate the root first")]
    RootEnds {
        /// Last second of the root.
        root_ends: i64,
    },
    /// The provider answered with something else than what was asked for.
    #[error("the issuer's answer is of no use: {0}")]
    Unusable(String),
    /// The cryptographic library or the provider failed.
    #[error("signing failed: {0}")]
    Failed(String),
}

/// How far a certificate's start is dated back, for peers whose clocks run behind.
pub(super) const BACKDATE: Duration = Duration::from_secs(60);

/// Last second that X.509 can express: 9999-12-31T23:59:59Z.
const END_OF_TIME: i64 = 253_402_300_799;

impl Validity {
    /// Valid for `duration` from `now`, and for the 60 seconds before.
    pub fn starting(now: i64, duration: Duration) -> Self {
        Self::backdated(now, duration, BACKDATE)
    }

    /// Valid for `duration` from `now`, and for `backdate` before.
    pub fn backdated(now: i64, duration: Duration, backdate: Duration) -> Self {
        Self {
            not_before: now.saturating_sub(seconds(backdate)).max(0),
            not_after: now.saturating_add(seconds(duration)).min(END_OF_TIME),
        }
    }

    /// Whether it can be written into a certificate.
    ///
    /// # Errors
    /// [`IssueError::Validity`] if it is empty, or starts before 1970, or ends after 9999.
    pub(super) fn check(self) -> Result<Self, IssueError> {
        let ok = self.not_before >= 0 && self.not_before < self.not_after && self.not_after <= END_OF_TIME;
        if ok { Ok(self) } else { Err(IssueError::Validity(self)) }
    }
}

/// Whole seconds of a duration.
pub(super) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
