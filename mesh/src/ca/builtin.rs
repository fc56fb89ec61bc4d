//! The built-in certificate authority: rcgen on aws-lc-rs.

use std::{fmt, net::IpAddr, sync::Arc};

use futures::future::BoxFuture;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, PublicKeyData as _, RsaKeySize, SanType, SerialNumber,
};
use rustls::crypto::SecureRandom;
use time::OffsetDateTime;
use x509_parser::prelude::X509Certificate;

use super::{
    issuer::{CertificateRequest, Credential, IssueError, Issuer, KeyType, LeafRequest, Validity},
    pem::{self, Block},
    roots::StoreError,
};
use crate::model::{Leaf, PrivateKey};

/// A root certificate and its key. Cheap to clone.
///
/// The root is parsed once; issuing a leaf takes no lock and makes one key and one signature.
#[derive(Clone)]
pub struct BuiltinCa(Arc<Inner>);

struct Inner {
    issuer: rcgen::Issuer<'static, KeyPair>,
    certificate_pem: Arc<str>,
    key_pem: PrivateKey,
    validity: Validity,
    random: &'static dyn SecureRandom,
}

/// What sets one kind of certificate apart from another.
#[derive(Debug)]
pub(super) struct Profile {
    /// Common name; left out if empty. At most 64 characters (RFC 5280 appendix A, ub-common-name).
    pub(super) common_name: String,
    pub(super) names: Vec<SanType>,
    pub(super) usages: Vec<ExtendedKeyUsagePurpose>,
    pub(super) key: KeyType,
    pub(super) validity: Validity,
}

const ORGANIZATION: &str = "Open Service Mesh";
const COMMON_NAME: &str = "osm-ca.openservicemesh.io";
pub(super) const COMMON_NAME_LIMIT: usize = 64;

/// How long a root lasts, unless told otherwise: ten years.
pub(super) const ROOT_YEARS_10: std::time::Duration = std::time::Duration::from_secs(10 * 365 * 24 * 3600);

impl BuiltinCa {
    /// Makes a new root with an ECDSA P-256 key, valid for ten years from `now` (seconds since the Unix epoch).
    ///
    /// # Errors
    /// [`IssueError::Failed`] if the cryptographic library fails.
    pub fn generate(now: i64) -> Result<Self, IssueError> {
        Self::generate_with(KeyType::EcdsaP256, Validity::starting(now, ROOT_YEARS_10))
    }

    /// Makes a new root with a key of the given kind. May take seconds for RSA.
    ///
    /// # Errors
    /// [`IssueError`] if key length or validity are out of range, or the cryptographic library fails.
    pub fn generate_with(key: KeyType, validity: Validity) -> Result<Self, IssueError> {
        Self::generate_named(COMMON_NAME, key, validity)
    }

    pub(super) fn generate_named(common_name: &str, key: KeyType, validity: Validity) -> Result<Self, IssueError> {
        let random = random();
        let key = generate_key(key)?;
        let mut params = params(common_name, validity.check()?, random)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(failed)?;
        Self::load(&certificate.pem(), &key.serialize_pem()).map_err(failed)
    }

    /// Reads a root and its key: one CERTIFICATE and one PRIVATE KEY block, in any order. The certificate keeps its
    /// bytes: those that trust it already go on doing so.
    ///
    /// # Errors
    /// [`StoreError`] if there is more or less than that, the certificate is no authority, or the key is another's.
    pub fn from_pem(pem: &str) -> Result<Self, StoreError> {
        Self::from_blocks(&pem::blocks(pem)?)
    }

    pub(super) fn from_blocks(blocks: &[Block<'_>]) -> Result<Self, StoreError> {
        let [a, b] = blocks else { return Err(StoreError::Blocks) };
        let (certificate, key) = if a.label == "CERTIFICATE" { (a, b) } else { (b, a) };
        if certificate.label != "CERTIFICATE" || !key.label.ends_with("PRIVATE KEY") {
            return Err(StoreError::Blocks);
        }
        Self::load(&format!("{}\n", certificate.text), &format!("{}\n", key.text))
    }

    /// Certificate and private key in PEM, for [`BuiltinCa::from_pem`].
    pub fn to_pem(&self) -> PrivateKey {
        PrivateKey::new(format!("{}{}", self.0.certificate_pem, self.0.key_pem.expose()))
    }

    /// The root certificate in PEM.
    pub fn root_pem(&self) -> &Arc<str> {
        &self.0.certificate_pem
    }

    /// From when to when the root is valid.
    pub fn validity(&self) -> Validity {
        self.0.validity
    }

    /// Makes a workload leaf, at once. RSA keys take their time: prefer [`Issuer::issue`] on an async thread.
    ///
    /// # Errors
    /// [`IssueError`] if a name does not fit a certificate, the key length is not offered, or the validity is empty.
    pub fn sign(&self, request: &LeafRequest) -> Result<Leaf, IssueError> {
        let Credential { chain_pem, key, validity } = self.certify_now(&request.certificate()?)?;
        let Validity { not_before, not_after } = validity;
        Ok(Leaf { account: request.account.clone(), chain_pem, key, not_before, not_after })
    }

    fn certify_now(&self, request: &CertificateRequest) -> Result<Credential, IssueError> {
        self.sign_profile(Profile {
            common_name: request.common_name.clone(),
            names: request.sans()?,
            usages: vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            key: request.key,
            validity: request.validity,
        })
    }

    /// Makes a key and an end-entity certificate. It ends with the root at the latest.
    pub(super) fn sign_profile(&self, profile: Profile) -> Result<Credential, IssueError> {
        let Profile { common_name, names, usages, key: key_type, validity } = profile;
        let root_ends = self.0.validity.not_after;
        if validity.not_before >= root_ends {
            return Err(IssueError::RootEnds { root_ends });
        }
        let validity = Validity { not_after: validity.not_after.min(root_ends), ..validity }.check()?;
        let key = generate_key(key_type)?;
        let common_name = if common_name.len() <= COMMON_NAME_LIMIT { &*common_name } else { "" };
        let mut params = params(common_name, validity, self.0.random)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.subject_alt_names = names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if matches!(key_type, KeyType::Rsa { .. }) {
            // For the RSA key exchange of TLS 1.2.
            params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
        }
        params.extended_key_usages = usages;
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.0.issuer).map_err(failed)?;
        Ok(Credential { chain_pem: certificate.pem().into(), key: PrivateKey::new(key.serialize_pem()), validity })
    }

    fn load(certificate_pem: &str, key_pem: &str) -> Result<Self, StoreError> {
        let key = KeyPair::from_pem(key_pem).map_err(|error| StoreError::Key(error.to_string()))?;
        let der = pem::certificate(certificate_pem)?;
        let root = parse(&der)?;
        check_authority(&root)?;
        if root.public_key().raw != key.subject_public_key_info() {
            return Err(StoreError::OtherKey);
        }
        let issuer = rcgen::Issuer::from_ca_cert_der(&der, key).map_err(|_| StoreError::Subject)?;
        check_issuer_name(&issuer, root.subject().as_raw())?;
        let inner = Inner {
            issuer,
            certificate_pem: certificate_pem.into(),
            key_pem: PrivateKey::new(key_pem),
            validity: Validity {
                not_before: root.validity().not_before.timestamp(),
                not_after: root.validity().not_after.timestamp(),
            },
            random: random(),
        };
        Ok(Self(Arc::new(inner)))
    }
}

impl Issuer for BuiltinCa {
    /// Must run inside a Tokio runtime: RSA keys are made on a thread for blocking work.
    fn certify<'a>(&'a self, request: &'a CertificateRequest) -> BoxFuture<'a, Result<Credential, IssueError>> {
        Box::pin(async move {
            match request.key {
                // Some 0.1 ms: not worth a thread change.
                KeyType::EcdsaP256 => self.certify_now(request),
                KeyType::Rsa { .. } => {
                    let (ca, request) = (self.clone(), request.clone());
                    tokio::task::spawn_blocking(move || ca.certify_now(&request)).await.map_err(failed)?
                }
            }
        })
    }

    fn root_pem(&self) -> &Arc<str> {
        &self.0.certificate_pem
    }

    fn stored_pem(&self) -> Option<PrivateKey> {
        Some(self.to_pem())
    }
}

impl fmt::Debug for BuiltinCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuiltinCa").field("validity", &self.0.validity).finish_non_exhaustive()
    }
}

/// Adds the addresses that a server is reached at.
pub(super) fn address_sans(addresses: &[IpAddr]) -> impl Iterator<Item = SanType> {
    addresses.iter().copied().map(SanType::IpAddress)
}

fn params(common_name: &str, validity: Validity, random: &dyn SecureRandom) -> Result<CertificateParams, IssueError> {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, ORGANIZATION);
    if !common_name.is_empty() {
        subject.push(DnType::CommonName, common_name);
    }
    params.distinguished_name = subject;
    params.not_before = date(validity.not_before)?;
    params.not_after = date(validity.not_after)?;
    params.serial_number = Some(serial(random)?);
    Ok(params)
}

fn date(seconds: i64) -> Result<OffsetDateTime, IssueError> {
    OffsetDateTime::from_unix_timestamp(seconds).map_err(failed)
}

/// A random serial of 128 bits. The top bits are fixed to `01`, so that it is positive, never zero and always as long.
fn serial(random: &dyn SecureRandom) -> Result<SerialNumber, IssueError> {
    let mut bytes = [0; 16];
    random.fill(&mut bytes).map_err(|_| IssueError::Failed("no randomness".to_owned()))?;
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn random() -> &'static dyn SecureRandom {
    rustls::crypto::aws_lc_rs::default_provider().secure_random
}

pub(super) fn generate_key(key: KeyType) -> Result<KeyPair, IssueError> {
    let size = match key {
        KeyType::EcdsaP256 => return KeyPair::generate().map_err(failed),
        KeyType::Rsa { bits: 2048 } => RsaKeySize::_2048,
        KeyType::Rsa { bits: 3072 } => RsaKeySize::_3072,
        KeyType::Rsa { bits: 4096 } => RsaKeySize::_4096,
        KeyType::Rsa { bits } => return Err(IssueError::RsaBits(bits)),
    };
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size).map_err(failed)
}

pub(super) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, StoreError> {
    let unreadable = |reason: String| StoreError::Certificate(reason);
    let (rest, certificate) =
        x509_parser::parse_x509_certificate(der).map_err(|error| unreadable(error.to_string()))?;
    if rest.is_empty() { Ok(certificate) } else { Err(unreadable("bytes after its end".to_owned())) }
}

fn check_authority(root: &X509Certificate<'_>) -> Result<(), StoreError> {
    let unreadable = |error: x509_parser::error::X509Error| StoreError::Certificate(error.to_string());
    let may_sign = root.key_usage().map_err(unreadable)?.is_none_or(|usage| usage.value.key_cert_sign());
    let authority = root.basic_constraints().map_err(unreadable)?.is_some_and(|basic| basic.value.ca);
    if !(may_sign && authority) {
        return Err(StoreError::NotAnAuthority);
    }
    // rcgen panics on an empty set.
    if root.subject().iter().any(|name| name.iter().next().is_none()) { Err(StoreError::Subject) } else { Ok(()) }
}

/// rcgen rebuilds the subject from its parts. If the bytes come out different, no peer would find the root of a leaf.
fn check_issuer_name(issuer: &rcgen::Issuer<'static, KeyPair>, subject: &[u8]) -> Result<(), StoreError> {
    let probe = CertificateParams::default()
        .signed_by(issuer.key(), issuer)
        .map_err(|error| StoreError::Key(error.to_string()))?;
    if parse(probe.der())?.issuer().as_raw() == subject { Ok(()) } else { Err(StoreError::Subject) }
}

pub(super) fn failed(error: impl fmt::Display) -> IssueError {
    IssueError::Failed(error.to_string())
}

#[cfg(test)]
mod tests;
