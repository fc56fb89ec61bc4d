//! Certificates for tests, made anew for each.

use mesh::{model::ObjectName, xds::Identify};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use std::sync::Arc;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The name in the server's certificate.
pub(crate) const SERVER: &str = "ads.mesh.test";

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

pub(crate) struct Pair {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        // A leaf with the same name would look self-signed to Envoy.
        params.distinguished_name.push(DnType::CommonName, "the authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn root(&self) -> String {
        self.0.pem()
    }

    fn issue(&self, san: SanType) -> Pair {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![san];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.0).unwrap().pem();
        Pair { chain, key: key.serialize_pem() }
    }

    /// A certificate for the control plane.
    pub(crate) fn server(&self) -> Pair {
        self.issue(SanType::DnsName(SERVER.try_into().unwrap()))
    }

    /// A certificate for the proxy of `pod`.
    pub(crate) fn proxy(&self, pod: &ObjectName) -> Pair {
        self.uri(&format!("spiffe://cluster.local/{}/sidecar/default/{}", pod.name, pod.namespace))
    }

    /// A certificate with this URI.
    pub(crate) fn uri(&self, uri: &str) -> Pair {
        self.issue(SanType::URI(uri.try_into().unwrap()))
    }
}

/// Reads the pod from a certificate of [`Authority::proxy`].
pub(crate) fn identify() -> Identify {
    Arc::new(|der| {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|e| e.to_string())?;
        let names = certificate.subject_alternative_name().map_err(|e| e.to_string())?.ok_or("no SAN")?;
        let uri = names.value.general_names.iter().find_map(|n| match n {
            GeneralName::URI(uri) => uri.strip_prefix("spiffe://cluster.local/"),
            _ => None,
        });
        match uri.ok_or("no SPIFFE id")?.split('/').collect::<Vec<_>>().as_slice() {
            [pod, "sidecar", _, namespace] => Ok(ObjectName::new(*namespace, *pod)),
            _ => Err("not the certificate of a proxy".to_owned()),
        }
    })
}
