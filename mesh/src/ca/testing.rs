//! What the tests of this module share: names, requests, and TLS handshakes in memory.

use std::{sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{BuiltinCa, Clock as _, Issuer, KeyType, LeafRequest, SystemClock, Validity};
use crate::model::{Leaf, ServiceAccount, TrustDomain};

pub(super) const DAY: i64 = 24 * 3600;
/// Some day in 2026.
pub(super) const START: i64 = 1_790_000_000;

pub(super) fn account(name: &str) -> ServiceAccount {
    ServiceAccount::new("shop", name)
}

/// A 24 h leaf from `now`.
pub(super) fn request(name: &str, now: i64) -> LeafRequest {
    LeafRequest {
        account: account(name),
        trust_domain: TrustDomain::default(),
        key: KeyType::EcdsaP256,
        validity: Validity::starting(now, Duration::from_secs(24 * 3600)),
    }
}

pub(super) fn issuer(now: i64) -> Arc<dyn Issuer> {
    Arc::new(BuiltinCa::generate(now).unwrap())
}

pub(super) fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// A leaf that is valid on the machine's clock, for handshakes.
pub(super) fn present_leaf(ca: &BuiltinCa, name: &str) -> Leaf {
    ca.sign(&request(name, SystemClock.now())).unwrap()
}

/// What one end of a connection has: PEM chain, PEM key, trusted roots in PEM.
#[derive(Clone, Copy)]
pub(super) struct End<'a> {
    pub(super) chain: &'a str,
    pub(super) key: &'a str,
    pub(super) roots: &'a str,
}

impl<'a> End<'a> {
    pub(super) fn of(leaf: &'a Leaf, roots: &'a str) -> Self {
        Self { chain: &leaf.chain_pem, key: leaf.key.expose(), roots }
    }

    fn roots(self) -> Arc<RootCertStore> {
        let mut store = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(self.roots.as_bytes()) {
            store.add(root.unwrap()).unwrap();
        }
        Arc::new(store)
    }

    fn identity(self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let chain = CertificateDer::pem_slice_iter(self.chain.as_bytes()).map(Result::unwrap).collect();
        (chain, PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap())
    }
}

/// A mutual TLS connection over which four bytes go there and back; the error is that of the end which refused.
pub(super) async fn handshake(client: End<'_>, server: End<'_>, name: &str) -> Result<(), String> {
    let verifier = WebPkiClientVerifier::builder(server.roots()).build().unwrap();
    let (chain, key) = server.identity();
    let config = ServerConfig::builder().with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (chain, key) = client.identity();
    let config = ClientConfig::builder().with_root_certificates(client.roots()).with_client_auth_cert(chain, key);
    let connector = TlsConnector::from(Arc::new(config.unwrap()));
    let name = ServerName::try_from(name.to_owned()).unwrap();

    let (near, far) = tokio::io::duplex(16 * 1024);
    let serve = async {
        let mut stream = acceptor.accept(far).await.map_err(|error| format!("server: {error}"))?;
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).await.map_err(|error| format!("server: {error}"))?;
        stream.write_all(&bytes).await.map_err(|error| format!("server: {error}"))
    };
    let call = async {
        let mut stream = connector.connect(name, near).await.map_err(|error| format!("client: {error}"))?;
        stream.write_all(b"ping").await.map_err(|error| format!("client: {error}"))?;
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).await.map_err(|error| format!("client: {error}"))?;
        assert_eq!(&bytes, b"ping");
        Ok(())
    };
    let (served, called) = tokio::join!(serve, call);
    match (served, called) {
        (Ok(()), Ok(())) => Ok(()),
        // The other end only hears an alert.
        (Err(error), _) if !error.contains("received fatal alert") => Err(error),
        (_, Err(error)) | (Err(error), _) => Err(error),
    }
}
