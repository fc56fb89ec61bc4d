//! Having a certificate signed elsewhere: our own key, a request for it, and a hard look at the answer.
//!
//! The key is made here and never leaves: what is not sent cannot be logged by a provider or kept in its storage. (OSM let
//! Vault make the keys.)

use std::{collections::BTreeSet, sync::Arc};

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::{
    RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, UnixTime, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use x509_parser::{extensions::GeneralName, prelude::X509Certificate};

use super::{
    builtin::{COMMON_NAME_LIMIT, failed, generate_key, parse},
    issuer::{CertificateRequest, Credential, IssueError, KeyType, Validity},
    pem::{self, Block},
};
use crate::model::PrivateKey;

/// A new key, and the request to certify it (PKCS #10, RFC 2986).
pub(super) struct Csr<'r> {
    request: &'r CertificateRequest,
    key: KeyPair,
    /// The request in PEM.
    pub(super) pem: String,
}

impl<'r> Csr<'r> {
    /// Makes key and request.
    ///
    /// # Errors
    /// [`IssueError`] if a name is not fit for a certificate, or the cryptographic library fails.
    pub(super) fn new(request: &'r CertificateRequest) -> Result<Self, IssueError> {
        let key = generate_key(request.key)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        if (1..=COMMON_NAME_LIMIT).contains(&request.common_name.len()) {
            params.distinguished_name.push(DnType::CommonName, request.common_name.as_str());
        }
        params.subject_alt_names = request.sans()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if matches!(request.key, KeyType::Rsa { .. }) {
            params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let pem = params.serialize_request(&key).and_then(|csr| csr.pem()).map_err(failed)?;
        Ok(Self { request, key, pem })
    }

    /// Takes the answer: a PEM chain, leaf first. What is wanted of it: our key, all of the names and no others, a chain to
    /// the root. The root itself is left out of the chain.
    ///
    /// # Errors
    /// [`IssueError::Unusable`] with what is amiss.
    pub(super) fn accept(self, answer: &str, root_pem: &str) -> Result<Credential, IssueError> {
        let (chain, validity) = check(answer, &self.key, self.request, root_pem)?;
        let chain_pem: Arc<str> = chain.iter().map(|text| format!("{text}\n")).collect::<String>().into();
        Ok(Credential { chain_pem, key: PrivateKey::new(self.key.serialize_pem()), validity })
    }
}

/// Whether a chain that is held already is what would be accepted for `request`: from when to when it is valid.
///
/// # Errors
/// [`IssueError::Unusable`] with what is amiss.
pub(super) fn look(
    chain: &str,
    key_pem: &str,
    request: &CertificateRequest,
    root_pem: &str,
) -> Result<Validity, IssueError> {
    let key = KeyPair::from_pem(key_pem).map_err(unusable)?;
    check(chain, &key, request, root_pem).map(|(_, validity)| validity)
}

/// The chain without its root, leaf first.
fn check<'c>(
    chain: &'c str,
    key: &KeyPair,
    request: &CertificateRequest,
    root_pem: &str,
) -> Result<(Vec<&'c str>, Validity), IssueError> {
    let blocks = certificates(chain)?;
    let (leaf, rest) = blocks.split_first().ok_or_else(|| unusable("it has no certificate"))?;
    let der = der(leaf.text)?;
    let certificate = parse(&der).map_err(unusable)?;
    if certificate.public_key().raw != rcgen::PublicKeyData::subject_public_key_info(key) {
        return Err(unusable("the certificate is for another key"));
    }
    check_names(request, &certificate)?;
    let validity = Validity {
        not_before: certificate.validity().not_before.timestamp(),
        not_after: certificate.validity().not_after.timestamp(),
    }
    .check()?;
    let mut chain = vec![leaf.text];
    let mut intermediates = Vec::new();
    for block in rest {
        let der = self::der(block.text)?;
        if !is_self_signed(&der)? && !chain.contains(&block.text) {
            chain.push(block.text);
            intermediates.push(der);
        }
    }
    verify(&der, &intermediates, root_pem, validity)?;
    Ok((chain, validity))
}

fn check_names(request: &CertificateRequest, certificate: &X509Certificate<'_>) -> Result<(), IssueError> {
    let names = certificate.subject_alternative_name().map_err(unusable)?;
    let names = names.map_or(&[][..], |names| &names.value.general_names);
    let mut found = BTreeSet::new();
    for name in names {
        match name {
            GeneralName::DNSName(name) => found.insert(*name),
            GeneralName::URI(uri) => found.insert(*uri),
            other => return Err(unusable(format!("it has a name that was not asked for: {other}"))),
        };
    }
    let wanted: BTreeSet<_> = request.dns_names.iter().chain(&request.uris).map(String::as_str).collect();
    if let Some(missing) = wanted.difference(&found).next() {
        return Err(unusable(format!("it lacks the name {missing}: let the signer allow it")));
    }
    match found.difference(&wanted).next() {
        Some(extra) => Err(unusable(format!("it has a name that was not asked for: {extra}"))),
        None => Ok(()),
    }
}

/// The root of a chain, in PEM: its self-signed certificate, else the topmost. `None` of nothing.
///
/// # Errors
/// [`IssueError::Unusable`] if it is not a chain of certificates.
pub(super) fn root_of(chain: &str) -> Result<Option<Arc<str>>, IssueError> {
    let blocks = certificates(chain)?;
    let mut top = blocks.last();
    for block in &blocks {
        if is_self_signed(&der(block.text)?)? {
            top = Some(block);
        }
    }
    Ok(top.map(|block| format!("{}\n", block.text).into()))
}

fn certificates(text: &str) -> Result<Vec<Block<'_>>, IssueError> {
    let blocks = pem::blocks(text).map_err(unusable)?;
    match blocks.iter().find(|block| block.label != "CERTIFICATE") {
        Some(other) => Err(unusable(format!("it has a {} where certificates belong", other.label))),
        None => Ok(blocks),
    }
}

fn der(text: &str) -> Result<CertificateDer<'static>, IssueError> {
    pem::certificate(text).map_err(unusable)
}

fn is_self_signed(der: &[u8]) -> Result<bool, IssueError> {
    let certificate = parse(der).map_err(unusable)?;
    Ok(certificate.subject().as_raw() == certificate.issuer().as_raw())
}

/// Checks every signature up to the root, in the middle of the leaf's life.
fn verify(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    root_pem: &str,
    validity: Validity,
) -> Result<(), IssueError> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(root_pem.as_bytes()) {
        roots.add(root.map_err(unusable)?).map_err(unusable)?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().map_err(unusable)?;
    let middle = validity.not_before + (validity.not_after - validity.not_before) / 2;
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::try_from(middle).unwrap_or(0)));
    let foreign = |error| {
        unusable(format!(
            "it is not signed by the root that workloads trust ({error}): if the signer has a new root, \
             make another MeshRootCertificate for it, so that it is introduced first"
        ))
    };
    verifier.verify_client_cert(leaf, intermediates, at).map(drop).map_err(foreign)
}

fn unusable(reason: impl std::fmt::Display) -> IssueError {
    IssueError::Unusable(format!("{reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::{
        BuiltinCa,
        testing::{START, request},
    };

    /// What a signer makes of a request, and its root.
    fn answer(csr: &Csr<'_>, spoil: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let ca = BuiltinCa::generate(START).unwrap();
        let issuer = rcgen::Issuer::from_ca_cert_pem(
            ca.root_pem(),
            KeyPair::from_pem(&ca.to_pem().expose().replace(&**ca.root_pem(), "")).unwrap(),
        );
        let mut csr = rcgen::CertificateSigningRequestParams::from_pem(&csr.pem).unwrap();
        csr.params.not_before = time::OffsetDateTime::from_unix_timestamp(START).unwrap();
        csr.params.not_after = time::OffsetDateTime::from_unix_timestamp(START + 3600).unwrap();
        spoil(&mut csr.params);
        let leaf = csr.params.signed_by(&csr.public_key, &issuer.unwrap()).unwrap();
        (format!("{}{}", leaf.pem(), ca.root_pem()), ca.root_pem().to_string())
    }

    #[test]
    fn a_good_answer_is_taken_without_its_root() {
        let request = request("store", START).certificate().unwrap();
        let csr = Csr::new(&request).unwrap();
        assert!(!csr.pem.contains("PRIVATE"));
        let (chain, root) = answer(&csr, |_| {});
        assert_eq!(root_of(&chain).unwrap().as_deref(), Some(&*root));
        let credential = csr.accept(&chain, &root).unwrap();
        assert_eq!(credential.validity, Validity { not_before: START, not_after: START + 3600 });
        assert_eq!(format!("{}{root}", credential.chain_pem), chain);
    }

    #[test]
    fn every_other_answer_is_refused() {
        let request = request("store", START).certificate().unwrap();
        let refused = |spoil: fn(&mut CertificateParams)| {
            let csr = Csr::new(&request).unwrap();
            let (chain, root) = answer(&csr, spoil);
            csr.accept(&chain, &root).unwrap_err().to_string()
        };
        let told = refused(|params| params.subject_alt_names.truncate(1));
        assert!(told.contains("lacks the name spiffe://cluster.local/store/shop"), "{told}");
        let extra = |params: &mut CertificateParams| {
            params.subject_alt_names.push(crate::ca::name::dns_san("thief.bank").unwrap());
        };
        assert!(refused(extra).contains("not asked for: thief.bank"));

        let csr = Csr::new(&request).unwrap();
        let (chain, _) = answer(&csr, |_| {});
        let other_root = BuiltinCa::generate(START).unwrap();
        let told = csr.accept(&chain, other_root.root_pem()).unwrap_err().to_string();
        assert!(told.contains("make another MeshRootCertificate"), "{told}");
        let (chain, root) = answer(&Csr::new(&request).unwrap(), |_| {});
        let told = Csr::new(&request).unwrap().accept(&chain, &root).unwrap_err().to_string();
        assert!(told.contains("another key"), "{told}");
        for nonsense in ["", "nothing", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"] {
            assert!(matches!(Csr::new(&request).unwrap().accept(nonsense, &root), Err(IssueError::Unusable(_))));
        }
    }
}
