//! The certificate that ADS and webhooks show.

use std::sync::Arc;

use rustls::ServerConfig;
use tokio::sync::watch;

use crate::{
    model::PrivateKey,
    run::ControlPlane,
    xds::tls::{TlsError, anonymous_server_config},
};

/// A server certificate, its key, and whom clients must trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    /// PEM chain, leaf first.
    pub chain_pem: Arc<str>,
    /// The private key.
    pub key: PrivateKey,
    /// The roots that clients must trust: `caBundle` of the webhooks, and part of every bootstrap.
    pub roots_pem: Arc<str>,
}

impl Serving {
    /// A server configuration without client certificates.
    ///
    /// # Errors
    /// If chain or key cannot be used.
    pub fn tls(&self) -> Result<ServerConfig, TlsError> {
        anonymous_server_config(&self.chain_pem, self.key.expose())
    }
}

/// Uses every new certificate for new connections. One that cannot be used is reported, and the last one stays.
pub(super) async fn follow(
    mut serving: watch::Receiver<Serving>,
    webhooks: watch::Sender<Arc<ServerConfig>>,
    plane: std::sync::Weak<ControlPlane>,
) {
    while serving.changed().await.is_ok() {
        let tls = serving.borrow_and_update().tls();
        let Some(plane) = plane.upgrade() else { return };
        match tls {
            Ok(tls) => {
                webhooks.send_replace(Arc::new(tls.clone()));
                plane.replace_tls(tls);
                tracing::info!("a new server certificate is in use");
            }
            Err(error) => tracing::error!(%error, "the new server certificate is of no use; the last one stays"),
        }
    }
}
