//! HashiCorp Vault's PKI engine, and what speaks its HTTP API.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;

use super::{
    clock::Clock,
    csr::{Csr, root_of},
    issuer::{CertificateRequest, Credential, IssueError, Issuer},
};
use crate::model::PrivateKey;

/// A PKI engine of Vault that signs our certificate requests (`POST /v1/<mount>/sign/<role>`).
pub struct VaultIssuer {
    config: VaultConfig,
    http: Client,
    token: Mutex<Option<PrivateKey>>,
    root_pem: Arc<str>,
}

/// Where Vault is, and what it is asked for.
#[derive(Clone)]
pub struct VaultConfig {
    /// `http://` or `https://`, host and port.
    pub address: String,
    /// Where the PKI engine is mounted; `pki` unless told otherwise.
    pub mount: String,
    /// The role that signs.
    pub role: String,
    /// Where the token comes from.
    pub token: Arc<dyn TokenSource>,
    /// Roots to trust in Vault's own certificate, besides those of the system, in PEM.
    pub roots_pem: Option<String>,
    /// Time for one answer.
    pub timeout: Duration,
    /// Tells how much of the validity asked for is left: Vault counts from its own present.
    pub clock: Arc<dyn Clock>,
}

/// Gives out the token. It is asked again when Vault refuses the one before.
pub trait TokenSource: Send + Sync {
    /// The token, or why there is none.
    fn token(&self) -> BoxFuture<'_, Result<PrivateKey, String>>;
}

/// Where the engine is mounted in OSM's guides.
pub const MOUNT: &str = "pki";
/// Long enough for a signature of a slow HSM.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// Waits before the second and the third try. After that the rotation's own backoff takes over.
const WAITS: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];
/// Certificates are some kilobytes.
const LONGEST_ANSWER: usize = 1 << 20;

#[derive(Deserialize)]
struct Answer {
    data: Signed,
}

#[derive(Deserialize)]
struct Signed {
    certificate: String,
    #[serde(default)]
    issuing_ca: String,
    #[serde(default)]
    ca_chain: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    errors: Vec<String>,
}

impl VaultIssuer {
    /// Asks Vault for its root.
    ///
    /// # Errors
    /// [`IssueError`] if Vault cannot be reached, or has no root.
    pub async fn connect(config: VaultConfig) -> Result<Self, IssueError> {
        let failed = |error: reqwest::Error| IssueError::Failed(format!("prepare to talk to Vault: {}", chain(&error)));
        // Whoever else has chosen a provider has chosen the same one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let redirect = reqwest::redirect::Policy::none();
        let mut http = Client::builder().timeout(config.timeout).redirect(redirect);
        if let Some(pem) = &config.roots_pem {
            http = http.tls_certs_merge(reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(failed)?);
        }
        let http = http.build().map_err(failed)?;
        let mut issuer = Self { config, http, token: Mutex::new(None), root_pem: "".into() };
        issuer.root_pem = issuer.root().await?;
        Ok(issuer)
    }

    /// The whole chain if Vault has it, else the certificate that signs.
    async fn root(&self) -> Result<Arc<str>, IssueError> {
        for path in ["ca_chain", "ca/pem"] {
            let url = self.url(path);
            let answer = self.patiently(|| self.http.get(&url)).await?;
            if let Some(root) = root_of(&body(answer).await?)? {
                return Ok(root);
            }
        }
        let mount = &self.config.mount;
        Err(IssueError::Failed(format!("the PKI engine `{mount}` of Vault has no root: generate or import one")))
    }

    async fn sign(&self, request: &CertificateRequest) -> Result<Credential, IssueError> {
        let csr = Csr::new(request)?;
        let seconds = request.validity.not_after - self.config.clock.now();
        let wanted = serde_json::json!({
            "csr": csr.pem,
            "common_name": request.common_name,
            "alt_names": request.dns_names.join(","),
            "uri_sans": request.uris.join(","),
            "ttl": format!("{}s", seconds.max(1)),
            "format": "pem",
        });
        let text = body(self.post(&format!("sign/{}", self.config.role), &wanted).await?).await?;
        let answer: Answer = serde_json::from_str(&text)
            .map_err(|error| IssueError::Unusable(format!("Vault's answer to `sign`: {error}")))?;
        let Signed { certificate, issuing_ca, ca_chain } = answer.data;
        let rest = ca_chain.filter(|chain| !chain.is_empty()).unwrap_or_else(|| vec![issuing_ca]);
        let whole = std::iter::once(certificate).chain(rest).map(|pem| pem.trim().to_owned() + "\n");
        csr.accept(&whole.collect::<String>(), &self.root_pem)
    }

    /// With a token; with a fresh one, if that is refused.
    async fn post(&self, path: &str, wanted: &serde_json::Value) -> Result<Response, IssueError> {
        let url = self.url(path);
        let held = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(token) = held {
            match self.patiently(|| self.http.post(&url).header("X-Vault-Token", token.expose()).json(wanted)).await {
                Err(IssueError::Failed(reason)) if reason.starts_with(REFUSED) => {}
                other => return other,
            }
        }
        let token = self.config.token.token().await.map_err(IssueError::Failed)?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        self.patiently(|| self.http.post(&url).header("X-Vault-Token", token.expose()).json(wanted)).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v1/{}/{path}", self.config.address, self.config.mount)
    }

    /// Tries again where that may help: no connection, or Vault is busy, sealed or starting.
    async fn patiently(&self, request: impl Fn() -> reqwest::RequestBuilder) -> Result<Response, IssueError> {
        let mut waits = WAITS.iter();
        loop {
            let (error, again) = match request().send().await {
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response) => {
                    let status = response.status();
                    let again = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
                    (self.refusal(response).await, again)
                }
                Err(error) => (self.unreachable(&error), true),
            };
            match waits.next().filter(|_| again) {
                Some(wait) => tokio::time::sleep(*wait).await,
                None => return Err(error),
            }
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> IssueError {
        let (address, why) = (&self.config.address, chain(error));
        let timeout = self.config.timeout;
        IssueError::Failed(if error.is_timeout() {
            format!("Vault at {address} has not answered within {timeout:?}: check its load and the network between")
        } else {
            format!("Vault at {address} cannot be reached: {why}; check protocol, host, port and its certificate")
        })
    }

    async fn refusal(&self, response: Response) -> IssueError {
        let status = response.status();
        let text = body(response).await.unwrap_or_default();
        let said = serde_json::from_str::<Refusal>(&text).map(|r| r.errors.join("; ")).unwrap_or_default();
        let VaultConfig { mount, role, .. } = &self.config;
        IssueError::Failed(match status.as_u16() {
            403 => format!(
                "{REFUSED} ({said}): its policy must allow `update` on {mount}/sign/{role}; check that it has not expired"
            ),
            404 => format!("Vault has no PKI engine at `{mount}` ({said}): enable it there"),
            400 => format!(
                "Vault's role `{role}` refuses ({said}): create it, and let it allow the trust domain with its subdomains, \
                 `spiffe://<trust domain>/*` as URI SANs, client and server use, and the validity asked for"
            ),
            503 => format!("Vault is sealed or in standby ({said}): unseal it, or name its active node"),
            _ => format!("Vault answers {status} ({said})"),
        })
    }
}

const REFUSED: &str = "Vault refuses the token";

impl Issuer for VaultIssuer {
    fn certify<'a>(&'a self, request: &'a CertificateRequest) -> BoxFuture<'a, Result<Credential, IssueError>> {
        Box::pin(self.sign(request))
    }

    fn root_pem(&self) -> &Arc<str> {
        &self.root_pem
    }

    fn stored_pem(&self) -> Option<PrivateKey> {
        None
    }
}

impl fmt::Debug for VaultIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.fmt(f)
    }
}

impl fmt::Debug for VaultConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, mount, role, .. } = self;
        write!(f, "Vault({address}/v1/{mount}, role {role})")
    }
}

/// A token that never changes.
impl TokenSource for PrivateKey {
    fn token(&self) -> BoxFuture<'_, Result<PrivateKey, String>> {
        Box::pin(std::future::ready(Ok(self.clone())))
    }
}

async fn body(mut response: Response) -> Result<String, IssueError> {
    let mut bytes = Vec::new();
    let broken = |error: reqwest::Error| IssueError::Failed(format!("read Vault's answer: {}", chain(&error)));
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if bytes.len() + chunk.len() > LONGEST_ANSWER {
            return Err(IssueError::Unusable("Vault's answer is larger than 1 MiB".to_owned()));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| IssueError::Unusable("Vault's answer is no text".to_owned()))
}

/// An error with what is behind it: that is where the reason stands.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(&format!(": {error}"));
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
