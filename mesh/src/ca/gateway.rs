//! The certificate of an ingress gateway outside of the mesh: a Secret of type `kubernetes.io/tls`, kept fresh.
//!
//! `tls.crt` and `tls.key` prove the gateway to workloads, `ca.crt` holds the roots by which it knows them. When the root is
//! rotated, `ca.crt` follows at once, and a new certificate comes with the new signer. What a control plane before this one
//! has written is kept for as long as it will do.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams},
};
use tokio::sync::watch;

use super::{
    Roots,
    clock::Clock,
    csr,
    issuer::{CertificateRequest, Credential, IssueError, Issuer, KeyType, Validity},
    rotation::SHORTEST_VALIDITY,
};
use crate::{
    api::mesh_config::IngressGatewaySpec,
    model::{ObjectName, PrivateKey},
};

/// What the gateway's Secret is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayConfig {
    /// Where it is.
    pub secret: ObjectName,
    /// All names of the certificate: DNS names, and URIs that begin with `spiffe://`. The first is the common name too.
    pub names: Vec<String>,
    /// Its validity. It is replaced when a third of it is left.
    pub validity: Duration,
}

/// The roots that workloads use, with their issuers; `None` before there are any.
pub type RootsInForce = watch::Receiver<Option<Roots<Arc<dyn Issuer>>>>;

/// The gateway's Secret, kept fresh by a task of its own for as long as both inputs have a sender and this, a clone or a
/// receiver of its state lives. One replica only, the leader, should have one: two would overwrite each other.
#[derive(Clone, Debug)]
pub struct Gateway {
    state: watch::Receiver<GatewayState>,
}

/// Where the Secret stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayState {
    /// Which Secret holds what is wanted of it, and the roots it follows: signer, and all in `ca.crt`. `None` if none is wanted.
    pub written: Option<(ObjectName, Arc<str>, Arc<str>)>,
    /// Whether one is wanted.
    pub wanted: bool,
    /// Why it is not as wanted.
    pub error: Option<String>,
}

/// What is in the Secret.
#[derive(Clone, PartialEq, Eq)]
struct Held {
    chain_pem: String,
    key: PrivateKey,
    roots_pem: String,
}

/// Why the Secret is not as wanted.
#[derive(Debug, thiserror::Error)]
enum GatewayError {
    #[error("{0}")]
    Issue(#[from] IssueError),
    #[error("{verb} Secret {name}: {source}{}", hint(source))]
    Api { verb: &'static str, name: ObjectName, source: Box<kube::Error> },
}

const MANAGER: &str = "osm-controller";
const TYPE: &str = "kubernetes.io/tls";
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Wait after a failure, in seconds.
const RETRY: i64 = 10;

fn hint(error: &kube::Error) -> &'static str {
    match error {
        kube::Error::Api(status) if status.code == 422 => "; delete it if it has another type than kubernetes.io/tls",
        kube::Error::Api(status) if status.code == 403 => "; allow the control plane's account to get and patch it",
        kube::Error::Api(status) if status.code == 404 => "; create its namespace first",
        _ => "",
    }
}

impl From<&IngressGatewaySpec> for GatewayConfig {
    fn from(spec: &IngressGatewaySpec) -> Self {
        Self {
            secret: ObjectName::new(spec.secret.namespace.as_str(), spec.secret.name.as_str()),
            names: spec.subject_alt_names.clone(),
            validity: spec.validity_duration.map_or(DAY, |span| span.0.max(SHORTEST_VALIDITY)),
        }
    }
}

impl Gateway {
    /// Keeps the Secret as `config` wants it. Call inside a Tokio runtime.
    pub fn start(
        client: Client,
        config: watch::Receiver<Option<GatewayConfig>>,
        roots: RootsInForce,
        clock: Arc<dyn Clock>,
    ) -> Self {
        // Nobody may believe that none is wanted before the task has looked.
        let wanted = config.borrow().is_some();
        let (state, seen) = watch::channel(GatewayState { wanted, ..GatewayState::default() });
        tokio::spawn(Task { client, config, roots, clock, state }.run());
        Self { state: seen }
    }

    /// Where it stands, now and from now on.
    pub fn state(&self) -> watch::Receiver<GatewayState> {
        self.state.clone()
    }

    /// Returns when the Secret has followed these roots, or none is wanted.
    pub async fn followed(&self, roots: &Roots<Arc<dyn Issuer>>) {
        let (signer, all) = (roots.signing().root_pem().clone(), roots.bundle().roots_pem);
        let mut state = self.state.clone();
        let follows = |state: &GatewayState| match &state.written {
            Some((_, by, trusted)) => *by == signer && *trusted == all,
            None => !state.wanted,
        };
        // A task that has ended follows nothing any more.
        let _ = state.wait_for(follows).await;
    }
}

struct Task {
    client: Client,
    config: watch::Receiver<Option<GatewayConfig>>,
    roots: RootsInForce,
    clock: Arc<dyn Clock>,
    state: watch::Sender<GatewayState>,
}

impl Task {
    async fn run(mut self) {
        loop {
            let config = self.config.borrow_and_update().clone();
            let roots = self.roots.borrow_and_update().clone();
            let due = match (&config, &roots) {
                (Some(config), Some(roots)) => self.keep(config, roots).await,
                (wanted, _) => {
                    self.state.send_replace(GatewayState { wanted: wanted.is_some(), ..GatewayState::default() });
                    None
                }
            };
            let clock = self.clock.clone();
            let sleep = async {
                match due {
                    Some(due) => clock.sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                seen = self.config.changed() => if seen.is_err() { return },
                seen = self.roots.changed() => if seen.is_err() { return },
                () = sleep => {}
                () = self.state.closed() => return,
            }
        }
    }

    /// Brings the Secret up to date. Returns when to look again.
    async fn keep(&self, config: &GatewayConfig, roots: &Roots<Arc<dyn Issuer>>) -> Option<i64> {
        let name = config.secret.clone();
        match self.update(config, roots).await {
            Ok(due) => {
                let written = Some((name, roots.signing().root_pem().clone(), roots.bundle().roots_pem));
                self.state.send_replace(GatewayState { written, wanted: true, error: None });
                Some(due)
            }
            Err(error) => {
                tracing::warn!(secret = %name, %error, "the ingress gateway's certificate is not up to date");
                let error = Some(error.to_string());
                self.state.send_replace(GatewayState { written: None, wanted: true, error });
                Some(self.clock.now().saturating_add(RETRY))
            }
        }
    }

    async fn update(&self, config: &GatewayConfig, roots: &Roots<Arc<dyn Issuer>>) -> Result<i64, GatewayError> {
        let secrets = Api::<Secret>::namespaced(self.client.clone(), &config.secret.namespace);
        let name = &config.secret;
        let refused = |verb| move |source| GatewayError::Api { verb, name: name.clone(), source: Box::new(source) };
        let secret = secrets.get_opt(&name.name).await.map_err(refused("get"))?;
        let held = secret.as_ref().and_then(Held::read);
        let now = self.clock.now();
        let request = config.request(now);
        let signer = roots.signing();
        let roots_pem = roots.bundle().roots_pem.to_string();
        let due = held.as_ref().and_then(|held| held.renew_at(&request, signer.root_pem())).filter(|due| *due > now);
        let wanted = match (&held, due) {
            (Some(held), Some(_)) => Held { roots_pem, ..held.clone() },
            _ => {
                let Credential { chain_pem, key, .. } = signer.certify(&request).await?;
                Held { chain_pem: chain_pem.to_string(), key, roots_pem }
            }
        };
        if held.as_ref() != Some(&wanted) {
            let patch = wanted.secret(name);
            let params = PatchParams::apply(MANAGER).force();
            secrets.patch(&name.name, &params, &Patch::Apply(&patch)).await.map_err(refused("write"))?;
        }
        // Where an issuer gives less than was asked for, it is asked again a minute later at the earliest.
        Ok(wanted.renew_at(&request, signer.root_pem()).unwrap_or(now).max(now + 60))
    }
}

impl GatewayConfig {
    fn request(&self, now: i64) -> CertificateRequest {
        let (uris, dns_names): (Vec<_>, Vec<_>) = self.names.iter().cloned().partition(|n| n.starts_with("spiffe://"));
        CertificateRequest {
            common_name: dns_names.first().cloned().unwrap_or_default(),
            dns_names,
            uris,
            key: KeyType::default(),
            validity: Validity::starting(now, self.validity),
        }
    }
}

impl Held {
    fn read(secret: &Secret) -> Option<Self> {
        let field = |key| String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok();
        let (chain_pem, roots_pem) = (field("tls.crt")?, field("ca.crt")?);
        Some(Self { chain_pem, roots_pem, key: PrivateKey::new(field("tls.key")?) })
    }

    /// When it is to be replaced, if it is what would be asked for: the names, the signer, the key. A third before its end.
    fn renew_at(&self, request: &CertificateRequest, root_pem: &str) -> Option<i64> {
        let validity = csr::look(&self.chain_pem, self.key.expose(), request, root_pem).ok()?;
        let asked = request.validity.not_after - request.validity.not_before;
        let life = validity.not_after - validity.not_before;
        // Far longer than asked for: the validity was changed.
        (life <= asked.saturating_add(3600)).then_some(validity.not_after - life / 3)
    }

    fn secret(&self, name: &ObjectName) -> Secret {
        let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
        let fields = [
            ("ca.crt", bytes(&self.roots_pem)),
            ("tls.crt", bytes(&self.chain_pem)),
            ("tls.key", bytes(self.key.expose())),
        ];
        Secret {
            metadata: ObjectMeta {
                name: Some(name.name.to_string()),
                namespace: Some(name.namespace.to_string()),
                ..ObjectMeta::default()
            },
            type_: Some(TYPE.to_owned()),
            data: Some(BTreeMap::from(fields.map(|(key, value)| (key.to_owned(), value)))),
            ..Secret::default()
        }
    }
}
