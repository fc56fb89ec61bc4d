//! The certificate that a peer presents, and whether a chain of trust holds.

use std::sync::Arc;

use rustls::{
    CertificateError, Error as TlsError, RootCertStore,
    client::verify_server_cert_signed_by_trust_anchor,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, UnixTime, pem::PemObject},
    server::{ParsedCertificate, WebPkiClientVerifier},
};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

use super::{
    text::TextMatch,
    unmodelled::{Modelled, Unmodelled, refused},
};

/// What a peer presents in a TLS handshake.
#[derive(Clone, Debug)]
pub struct PeerCertificate {
    dns: Vec<String>,
    uris: Vec<String>,
    subject: Option<String>,
    chain: Chain,
}

/// How well a stated certificate stands, whatever authority the other side trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Valid, and issued by an authority that the other side trusts.
    Trusted,
    /// Issued by an authority that the other side does not know.
    UnknownIssuer,
    /// Its validity is over.
    Expired,
}

#[derive(Clone, Debug)]
enum Chain {
    Real(Arc<[CertificateDer<'static>]>),
    Stated(Standing),
}

/// Authorities that a proxy trusts.
#[derive(Clone, Debug)]
pub(super) struct Roots(Vec<CertificateDer<'static>>);

/// The side whose certificate is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Client,
    Server,
}

impl PeerCertificate {
    /// A real certificate chain, leaf first, in PEM.
    ///
    /// # Errors
    /// If the text holds no certificate, or one that cannot be read.
    pub fn from_pem(pem: &str) -> Result<Self, Unmodelled> {
        let chain = read_pem(pem.as_bytes())?;
        let Some(leaf) = chain.first() else { return refused("certificate", "there is none") };
        let (_, leaf) = parse_x509_certificate(leaf).or_else(|error| refused("certificate", error))?;
        let (mut dns, mut uris) = (Vec::new(), Vec::new());
        let names = leaf.subject_alternative_name().or_else(|error| refused("certificate", error))?;
        for name in names.iter().flat_map(|extension| &extension.value.general_names) {
            match name {
                GeneralName::DNSName(name) => dns.push((*name).to_owned()),
                GeneralName::URI(uri) => uris.push((*uri).to_owned()),
                _ => {}
            }
        }
        let common_names: Vec<_> = leaf.subject().iter_common_name().filter_map(|name| name.as_str().ok()).collect();
        // RFC 2253 prints several attributes in an order of its own; none or one is plain.
        let subject = match (leaf.subject().iter_attributes().count(), common_names.as_slice()) {
            (0, _) => Some(String::new()),
            (1, [name]) => Some(format!("CN={name}")),
            _ => None,
        };
        Ok(Self { dns, uris, subject, chain: Chain::Real(chain.into()) })
    }

    /// A certificate that exists only by what it says, with its DNS and URI names. Its subject is empty.
    pub fn stated(dns: &[&str], uris: &[&str], standing: Standing) -> Self {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self { dns: owned(dns), uris: owned(uris), subject: Some(String::new()), chain: Chain::Stated(standing) }
    }

    /// The DNS names.
    pub fn dns(&self) -> &[String] {
        &self.dns
    }

    /// The URI names.
    pub fn uris(&self) -> &[String] {
        &self.uris
    }

    /// Envoy's `authenticated.principal_name`: any URI, any DNS name, or the subject.
    pub(super) fn is_principal(&self, name: &TextMatch) -> Modelled<bool> {
        if self.uris.iter().chain(&self.dns).any(|san| name.matches(san)) {
            return Ok(true);
        }
        match &self.subject {
            Some(subject) => Ok(name.matches(subject)),
            None if name.exact().is_some_and(|exact| !exact.contains('=')) => Ok(false),
            None => Err(Unmodelled::new("certificate.subject", "more than a common name is not modelled")),
        }
    }

    /// Whether the chain leads to one of `roots` at `now` (seconds since the Unix epoch). `Ok(Err(reason))`: it does not.
    pub(super) fn verify(&self, roots: &Roots, role: Role, now: i64) -> Modelled<Result<(), String>> {
        let chain = match &self.chain {
            Chain::Stated(Standing::Trusted) => return Ok(Ok(())),
            Chain::Stated(Standing::UnknownIssuer) => return Ok(Err("unknown issuer".into())),
            Chain::Stated(Standing::Expired) => return Ok(Err("expired".into())),
            Chain::Real(chain) => chain,
        };
        let Ok(seconds) = u64::try_from(now) else { return Err(Unmodelled::new("clock", "before 1970")) };
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let store = roots.valid_at(seconds)?;
        if store.is_empty() {
            return Ok(Err("every trusted root is expired".into()));
        }
        let verdict = match role {
            Role::Server => verify_server(chain, &store, now),
            Role::Client => verify_client(chain, store, now),
        };
        match verdict {
            Ok(()) => Ok(Ok(())),
            Err(error) => reason(&error).map(Err),
        }
    }
}

fn verify_server(chain: &[CertificateDer<'static>], store: &RootCertStore, now: UnixTime) -> Result<(), TlsError> {
    let provider = provider();
    let leaf = ParsedCertificate::try_from(&chain[0])?;
    verify_server_cert_signed_by_trust_anchor(
        &leaf,
        store,
        &chain[1..],
        now,
        provider.signature_verification_algorithms.all,
    )
}

fn verify_client(chain: &[CertificateDer<'static>], store: RootCertStore, now: UnixTime) -> Result<(), TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider())
        .build()
        .map_err(|error| TlsError::General(error.to_string()))?;
    verifier.verify_client_cert(&chain[0], &chain[1..], now).map(drop)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The failures on which webpki and BoringSSL agree.
fn reason(error: &TlsError) -> Modelled<String> {
    Ok(match error {
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer) => "unknown issuer".into(),
        TlsError::InvalidCertificate(CertificateError::BadSignature) => "bad signature".into(),
        TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "expired".into()
        }
        TlsError::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            "not valid yet".into()
        }
        TlsError::InvalidCertificate(
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. },
        ) => "not meant for this side of a connection".into(),
        other => return Err(Unmodelled::new("certificate", format!("BoringSSL may see it differently: {other}"))),
    })
}

impl Roots {
    /// Reads a PEM bundle. Every certificate must be self-issued: trusting an intermediate is not modelled.
    pub(super) fn from_pem(pem: &[u8]) -> Modelled<Self> {
        let roots = read_pem(pem)?;
        if roots.is_empty() {
            return refused("trusted_ca", "there is no certificate");
        }
        for root in &roots {
            let (_, root) = parse_x509_certificate(root).or_else(|error| refused("trusted_ca", error))?;
            if root.subject() != root.issuer() {
                return Err(Unmodelled::new("trusted_ca", "an intermediate authority is not modelled"));
            }
        }
        Ok(Self(roots))
    }

    /// BoringSSL checks a root's own validity; webpki does not.
    fn valid_at(&self, now: u64) -> Modelled<RootCertStore> {
        let mut store = RootCertStore::empty();
        for der in &self.0 {
            let (_, root) = parse_x509_certificate(der).or_else(|error| refused("trusted_ca", error))?;
            let (from, until) = (root.validity().not_before.timestamp(), root.validity().not_after.timestamp());
            if i64::try_from(now).is_ok_and(|now| (from..=until).contains(&now)) {
                store.add(der.clone()).or_else(|error| refused("trusted_ca", error))?;
            }
        }
        Ok(store)
    }
}

fn read_pem(pem: &[u8]) -> Modelled<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .or_else(|error| refused("certificate", format!("{error:?}")))
}
