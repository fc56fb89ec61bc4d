//! The TLS side of the control channel.

use std::sync::Arc;

use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    server::WebPkiClientVerifier,
};

/// Why a server configuration cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Text that should be PEM is not.
    #[error("read the {what} as PEM: {source}")]
    Pem {
        /// Which of the inputs.
        what: &'static str,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// Key and chain do not fit, or a certificate cannot be used.
    #[error("use the control plane's certificate: {0}")]
    Certificate(#[from] rustls::Error),
    /// No usable root for the certificates of proxies.
    #[error("use the roots of proxy certificates: {0}")]
    Roots(#[from] rustls::server::VerifierBuilderError),
}

/// A server configuration that demands a client certificate which `proxy_roots_pem` vouch for. TLS 1.2 and 1.3, HTTP/2.
///
/// `chain_pem` and `key_pem` are the control plane's own, leaf first. `proxy_roots_pem` must not contain the roots of
/// workload certificates: those prove a service account, not a pod.
///
/// # Errors
/// If an input is not PEM, or key, chain and roots cannot be used.
pub fn server_config(chain_pem: &str, key_pem: &str, proxy_roots_pem: &str) -> Result<ServerConfig, TlsError> {
    let (chain, key) = own(chain_pem, key_pem)?;
    let mut roots = RootCertStore::empty();
    for root in certificates("roots of proxies", proxy_roots_pem)? {
        roots.add(root)?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// A server configuration that asks for no client certificate, for proxies that show a token, and for webhooks. TLS 1.2
/// and 1.3, HTTP/1.1; the ADS server makes it HTTP/2.
///
/// # Errors
/// If an input is not PEM, or key and chain cannot be used.
pub fn anonymous_server_config(chain_pem: &str, key_pem: &str) -> Result<ServerConfig, TlsError> {
    let (chain, key) = own(chain_pem, key_pem)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// A server configuration that takes client certificates which `client_roots_pem` vouch for, and clients without one. TLS 1.2
/// and 1.3, HTTP/1.1.
///
/// # Errors
/// If an input is not PEM, or key, chain and roots cannot be used.
pub fn asking_server_config(chain_pem: &str, key_pem: &str, client_roots_pem: &str) -> Result<ServerConfig, TlsError> {
    let (chain, key) = own(chain_pem, key_pem)?;
    let mut roots = RootCertStore::empty();
    for root in certificates("roots of clients", client_roots_pem)? {
        roots.add(root)?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_client_cert_verifier(verifier.allow_unauthenticated().build()?)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The server's own certificate and key.
fn own(chain_pem: &str, key_pem: &str) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let chain = certificates("chain", chain_pem)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
        .map_err(|source| TlsError::Pem { what: "private key", source })?;
    Ok((chain, key))
}

fn certificates(what: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|source| TlsError::Pem { what, source })
}
