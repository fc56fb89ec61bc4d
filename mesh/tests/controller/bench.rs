//! Controllers with parts made by hand.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Json, Router, routing::post};
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture};
use mesh::{
    admin::{Level, Metrics},
    api::mesh_config::MeshConfigSpec,
    ca::{Authority, BuiltinCa, Clock as _, ControlCa, Issuer, LeafPolicy, Roots, SystemClock, Validity},
    controller::{Config, Controller, Ears, Heard, Issued, Metered, Parts, Register, Serving, Webhook, heard},
    model::{ObjectName, ServiceAccount, Workload},
    world::{Change, Object},
    xds::{
        Identity, Limits,
        server::{ReviewError, TokenOwner, TokenReviewer},
    },
};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::UnboundedReceiverStream;

pub(crate) const LOOPBACK: &str = "127.0.0.1:0";

/// Lets nobody in.
struct Nobody;

impl TokenReviewer for Nobody {
    fn review<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<TokenOwner, ReviewError>> {
        async { Err(ReviewError::Refused("nobody is let in here".into())) }.boxed()
    }
}

/// A controller, and the other ends of its parts.
pub(crate) struct Bench {
    pub(crate) controller: Controller,
    pub(crate) heard: mpsc::UnboundedSender<Heard>,
    pub(crate) serving: watch::Sender<Serving>,
    pub(crate) level: Level,
}

/// What may differ.
pub(crate) struct Options {
    pub(crate) identity: Identity,
    pub(crate) notice: Duration,
    pub(crate) register: Option<Register>,
    pub(crate) serving: Serving,
}

impl Default for Options {
    fn default() -> Self {
        Self { identity: Identity::Token(Arc::new(Nobody)), notice: Duration::ZERO, register: None, serving: serving() }
    }
}

/// A new root, and a certificate of it for 127.0.0.1.
pub(crate) fn serving() -> Serving {
    let now = SystemClock.now();
    let ca = ControlCa::generate(now).unwrap();
    let validity = Validity::starting(now, Duration::from_secs(3600));
    let own = ca.server_certificate(&["localhost"], &["127.0.0.1".parse().unwrap()], validity).unwrap();
    Serving { chain_pem: own.chain_pem, key: own.key, roots_pem: ca.root_pem().clone() }
}

pub(crate) fn config(options: &Options, debug: SocketAddr, metrics: &Arc<Metrics>, level: &Level) -> Config {
    Config {
        ads: LOOPBACK.parse().unwrap(),
        http: LOOPBACK.parse().unwrap(),
        debug,
        debug_token: None,
        identity: options.identity.clone(),
        limits: Limits::default(),
        notice: options.notice,
        metrics: metrics.clone(),
        level: level.clone(),
    }
}

impl Bench {
    pub(crate) async fn start(options: Options) -> Self {
        let (metrics, level) = (Arc::new(Metrics::default()), Level::detached());
        let config = config(&options, LOOPBACK.parse().unwrap(), &metrics, &level);
        let (parts, heard, serving) = parts(options, &metrics);
        let controller = Controller::start(config, parts).await.unwrap();
        Self { controller, heard, serving, level }
    }

    /// Tells a batch.
    pub(crate) fn tell(&self, changes: Vec<Change>, mesh_config: Value) {
        let spec: MeshConfigSpec = serde_json::from_value(mesh_config).unwrap();
        self.heard.send(Heard { changes, mesh_config: Some(Arc::new(spec)), namespaces: 1 }).unwrap();
    }

    /// The answer to a GET of the health and metrics listener: status and body.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        get(&format!("http://{}{path}", self.controller.http())).await
    }
}

pub(crate) fn parts(
    options: Options,
    metrics: &Arc<Metrics>,
) -> (Parts, mpsc::UnboundedSender<Heard>, watch::Sender<Serving>) {
    let root: Arc<dyn Issuer> = Arc::new(BuiltinCa::generate(SystemClock.now()).unwrap());
    let root: Arc<dyn Issuer> = Arc::new(Metered::new(root, metrics.clone()));
    let (changes, issued) = mpsc::unbounded_channel();
    let authority = Authority::start(LeafPolicy::default(), Roots::Stable(root), Arc::new(SystemClock), changes);
    let (told, heard) = mpsc::unbounded_channel();
    let Ears { batches, mesh_config, watches } =
        heard::listen(UnboundedReceiverStream::new(heard), None, metrics.clone());
    let (sender, serving) = watch::channel(options.serving);
    let webhook = Webhook { name: "validator", listen: LOOPBACK.parse().unwrap(), router: validator(), tls: None };
    let register = options.register;
    let webhooks = Box::new(|_| vec![webhook]);
    let authority = watch::channel(Some(authority)).1;
    let issued = UnboundedReceiverStream::new(issued).map(Issued::from).boxed();
    (Parts { batches, watches, mesh_config, authority, issued, serving, webhooks, register }, told, sender)
}

/// Refuses what is called `bad`.
fn validator() -> Router {
    let review = async |Json(review): Json<Value>| {
        let allowed = review["request"]["name"] != "bad";
        let uid = &review["request"]["uid"];
        Json(json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "response": { "uid": uid, "allowed": allowed, "status": { "message": "it is called bad" } },
        }))
    };
    Router::new().route("/validate", post(review))
}

pub(crate) fn pod(name: &str, account: &str) -> Change {
    Change::Put(Object::Workload(Workload {
        name: ObjectName::new("shop", name),
        account: ServiceAccount::new("shop", account),
        labels: Default::default(),
        address: "10.0.0.1".parse().unwrap(),
        named_ports: Default::default(),
        ready: true,
        hostname: None,
        subdomain: None,
    }))
}

/// A client that trusts this root; none for plain HTTP.
pub(crate) fn http(root: Option<&str>) -> reqwest::Client {
    // The first test of the process does it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let roots = root.into_iter().map(|pem| reqwest::Certificate::from_pem(pem.as_bytes()).unwrap());
    reqwest::Client::builder().no_proxy().tls_certs_only(roots).build().unwrap()
}

pub(crate) async fn get(url: &str) -> (u16, String) {
    let answer = http(None).get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Asks until the condition holds.
pub(crate) async fn until<T, F: Future<Output = T>>(ask: impl Fn() -> F, holds: impl Fn(&T) -> bool) -> T {
    loop {
        let answer = ask().await;
        if holds(&answer) {
            return answer;
        }
        tokio::task::yield_now().await;
    }
}
