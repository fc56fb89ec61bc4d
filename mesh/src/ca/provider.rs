//! From a MeshRootCertificate's provider to an issuer that signs.

use std::sync::Arc;

use futures::future::BoxFuture;
use kube::Client;

use super::{
    cert_manager::{self, CertManagerConfig, CertManagerIssuer},
    clock::Clock,
    issuer::{IssueError, Issuer},
    secret::{self, SecretError},
    vault::{self, TokenSource, VaultConfig, VaultIssuer},
};
use crate::{
    api::{
        Fault,
        mesh_root_certificate::{
            CertManagerSpec, IssuerKind, MeshRootCertificateSpec, Provider, SecretKeyReference, VaultProtocol,
            VaultSpec,
        },
    },
    model::{ObjectName, PrivateKey},
};

/// Opens the issuer of a MeshRootCertificate: finds or makes its root, or asks for it.
pub trait Open: Send + Sync {
    /// The issuer, or why it is not to be had now. Bounds its own waiting.
    fn open<'a>(&'a self, spec: &'a MeshRootCertificateSpec) -> BoxFuture<'a, Result<Arc<dyn Issuer>, OpenError>>;
}

/// Why an issuer is not to be had.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "what they carry says it")]
pub enum OpenError {
    #[error(transparent)]
    Spec(#[from] Fault),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Issuer(#[from] IssueError),
}

/// The providers of a cluster.
pub struct Cluster {
    /// Reads and writes Secrets and CertificateRequests.
    pub client: Client,
    /// The control plane's.
    pub namespace: Arc<str>,
    /// Dates new roots.
    pub clock: Arc<dyn Clock>,
}

/// In the Secret of Vault's token: roots of Vault's own certificate, if it is no public one.
pub const VAULT_ROOTS_KEY: &str = secret::CERTIFICATE_KEY;

impl Open for Cluster {
    fn open<'a>(&'a self, spec: &'a MeshRootCertificateSpec) -> BoxFuture<'a, Result<Arc<dyn Issuer>, OpenError>> {
        Box::pin(async move {
            let issuer: Arc<dyn Issuer> = match spec.provider.chosen()? {
                Provider::Tresor(tresor) => {
                    let at = &tresor.ca.secret_ref;
                    let name = ObjectName::new(at.namespace.as_str(), at.name.as_str());
                    Arc::new(secret::root(&self.client, &name, self.clock.now()).await?)
                }
                Provider::Vault(vault) => Arc::new(VaultIssuer::connect(self.vault(vault).await).await?),
                Provider::CertManager(spec) => {
                    let config = self.cert_manager(spec);
                    Arc::new(CertManagerIssuer::connect(&self.client, config, self.clock.now()).await?)
                }
            };
            Ok(issuer)
        })
    }
}

impl Cluster {
    async fn vault(&self, spec: &VaultSpec) -> VaultConfig {
        let VaultSpec { host, port, role, protocol, token } = spec;
        let scheme = match protocol {
            VaultProtocol::Http => "http",
            VaultProtocol::Https => "https",
        };
        // An IPv6 address stands in brackets in a URL.
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let token = TokenSecret { client: self.client.clone(), at: token.secret_key_ref.clone() };
        let roots_pem = secret::text(&self.client, &token.name(), VAULT_ROOTS_KEY).await.ok();
        VaultConfig {
            address: format!("{scheme}://{host}:{}", port.0),
            mount: vault::MOUNT.to_owned(),
            role: role.clone(),
            token: Arc::new(token),
            roots_pem: roots_pem.map(|pem| pem.expose().to_owned()),
            timeout: vault::TIMEOUT,
            clock: self.clock.clone(),
        }
    }

    fn cert_manager(&self, spec: &CertManagerSpec) -> CertManagerConfig {
        CertManagerConfig {
            namespace: self.namespace.clone(),
            issuer: spec.issuer_name.clone(),
            kind: match spec.issuer_kind {
                IssuerKind::Issuer => "Issuer",
                IssuerKind::ClusterIssuer => "ClusterIssuer",
            },
            group: spec.issuer_group.clone().unwrap_or_else(|| "cert-manager.io".to_owned()),
            patience: cert_manager::PATIENCE,
        }
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// A token in a Secret. It is read again when Vault refuses it, so that it can be replaced there.
struct TokenSecret {
    client: Client,
    at: SecretKeyReference,
}

impl TokenSecret {
    fn name(&self) -> ObjectName {
        ObjectName::new(self.at.namespace.as_str(), self.at.name.as_str())
    }
}

impl TokenSource for TokenSecret {
    fn token(&self) -> BoxFuture<'_, Result<PrivateKey, String>> {
        Box::pin(async move {
            let name = self.name();
            secret::text(&self.client, &name, &self.at.key).await.map_err(|error| format!("Vault's token: {error}"))
        })
    }
}
