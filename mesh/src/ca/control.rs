//! The authority of the channel between proxies and control plane. See [`crate::ca`] for why it stands apart.

use std::{fmt, net::IpAddr, sync::Arc};

use rcgen::ExtendedKeyUsagePurpose;
use x509_parser::extensions::GeneralName;

use super::{
    builtin::{self, BuiltinCa, Profile, ROOT_YEARS_10},
    issuer::{Credential, IssueError, KeyType, Validity},
    name,
    roots::StoreError,
};
use crate::model::{ObjectName, PrivateKey, ServiceAccount, TrustDomain};

/// Signs the certificates of proxies and of the ADS server, and nothing else.
#[derive(Clone, Debug)]
pub struct ControlCa(BuiltinCa);

/// Who is at the other end of a control channel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProxyIdentity {
    /// The pod whose sidecar it is.
    pub pod: ObjectName,
    /// The account that the pod runs under; in the pod's namespace.
    pub account: ServiceAccount,
    /// The domain of the identity.
    pub trust_domain: TrustDomain,
}

/// A certificate that no proxy of ours has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAProxy {
    /// It cannot be parsed.
    #[error("the peer certificate cannot be parsed")]
    Unreadable,
    /// It has other names than one URI.
    #[error("the peer certificate must have one URI as its only subject alternative name")]
    Names,
    /// The URI has another form.
    #[error(
        "the URI of the peer certificate must be spiffe://<trust domain>/<pod>/sidecar/<service account>/<namespace>"
    )]
    Uri,
}

const COMMON_NAME: &str = "osm-control-ca.openservicemesh.io";
const SIDECAR: &str = "sidecar";

impl ControlCa {
    /// Makes a new root with an ECDSA P-256 key, valid for ten years from `now` (seconds since the Unix epoch).
    ///
    /// # Errors
    /// [`IssueError::Failed`] if the cryptographic library fails.
    pub fn generate(now: i64) -> Result<Self, IssueError> {
        let validity = Validity::starting(now, ROOT_YEARS_10);
        BuiltinCa::generate_named(COMMON_NAME, KeyType::EcdsaP256, validity).map(Self)
    }

    /// Reads a root and its key, as [`ControlCa::to_pem`] wrote them. The certificate keeps its bytes.
    ///
    /// # Errors
    /// [`StoreError`], as with [`BuiltinCa::from_pem`].
    pub fn from_pem(pem: &str) -> Result<Self, StoreError> {
        BuiltinCa::from_pem(pem).map(Self)
    }

    /// Certificate and private key in PEM.
    pub fn to_pem(&self) -> PrivateKey {
        self.0.to_pem()
    }

    /// The root certificate in PEM: what both ends of the channel trust.
    pub fn root_pem(&self) -> &Arc<str> {
        self.0.root_pem()
    }

    /// The certificate by which the sidecar of `pod` proves who it is, valid from `now` until the root ends, at most
    /// ten years. Its only name is `spiffe://<trust domain>/<pod>/sidecar/<account>/<namespace>`: without a DNS SAN it
    /// cannot pass as a workload. TLS client only.
    ///
    /// # Errors
    /// [`IssueError`] if a name is not one of Kubernetes, or pod and account are in different namespaces.
    pub fn proxy_certificate(&self, proxy: &ProxyIdentity, now: i64) -> Result<Credential, IssueError> {
        let ProxyIdentity { pod, account, trust_domain } = proxy;
        if pod.namespace != account.namespace {
            return Err(IssueError::OtherNamespace { pod: pod.to_string(), account: account.to_string() });
        }
        name::check_namespace(&pod.namespace)?;
        for part in [&*pod.name, &*account.name, trust_domain.as_str()] {
            name::check_object(part)?;
        }
        let uri = name::uri_san(&proxy.to_string())?;
        self.sign(vec![uri], ExtendedKeyUsagePurpose::ClientAuth, Validity::starting(now, ROOT_YEARS_10))
    }

    /// The certificate of the ADS server, for the names and addresses that proxies dial. TLS server only.
    ///
    /// # Errors
    /// [`IssueError`] if there is no name at all, one is not a DNS name, or the validity is empty.
    pub fn server_certificate(
        &self,
        dns_names: &[&str],
        addresses: &[IpAddr],
        validity: Validity,
    ) -> Result<Credential, IssueError> {
        let mut names = dns_names.iter().map(|name| name::dns_san(name)).collect::<Result<Vec<_>, _>>()?;
        names.extend(builtin::address_sans(addresses));
        if names.is_empty() {
            return Err(IssueError::NoName);
        }
        self.sign(names, ExtendedKeyUsagePurpose::ServerAuth, validity)
    }

    fn sign(
        &self,
        names: Vec<rcgen::SanType>,
        usage: ExtendedKeyUsagePurpose,
        validity: Validity,
    ) -> Result<Credential, IssueError> {
        let key = KeyType::EcdsaP256;
        let profile = Profile { common_name: String::new(), names, usages: vec![usage], key, validity };
        self.0.sign_profile(profile)
    }
}

impl ProxyIdentity {
    /// Reads the identity from the DER certificate of a peer. Whoever calls this has verified its chain against the
    /// root of the [`ControlCa`].
    ///
    /// # Errors
    /// [`NotAProxy`] if it has any other shape than what [`ControlCa::proxy_certificate`] makes.
    pub fn from_der(der: &[u8]) -> Result<Self, NotAProxy> {
        let (rest, certificate) = x509_parser::parse_x509_certificate(der).map_err(|_| NotAProxy::Unreadable)?;
        if !rest.is_empty() {
            return Err(NotAProxy::Unreadable);
        }
        let names = certificate.subject_alternative_name().map_err(|_| NotAProxy::Unreadable)?;
        match names.ok_or(NotAProxy::Names)?.value.general_names.as_slice() {
            [GeneralName::URI(uri)] => Self::from_uri(uri),
            _ => Err(NotAProxy::Names),
        }
    }

    /// Reads the identity from its URI.
    ///
    /// # Errors
    /// [`NotAProxy::Uri`] if it has another form.
    pub fn from_uri(uri: &str) -> Result<Self, NotAProxy> {
        let parts: Vec<_> = uri.strip_prefix("spiffe://").ok_or(NotAProxy::Uri)?.split('/').collect();
        let [trust_domain, pod, SIDECAR, account, namespace] = parts[..] else { return Err(NotAProxy::Uri) };
        let valid = [trust_domain, pod, account].into_iter().all(name::is_subdomain)
            && name::check_namespace(namespace).is_ok();
        if !valid {
            return Err(NotAProxy::Uri);
        }
        Ok(Self {
            pod: ObjectName::new(namespace, pod),
            account: ServiceAccount::new(namespace, account),
            trust_domain: TrustDomain::new(trust_domain),
        })
    }
}

/// The URI of its certificate.
impl fmt::Display for ProxyIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pod, account, trust_domain } = self;
        write!(f, "spiffe://{trust_domain}/{}/{SIDECAR}/{}/{}", pod.name, account.name, account.namespace)
    }
}

#[cfg(test)]
mod tests;
