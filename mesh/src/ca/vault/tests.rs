//! Against a server of our own that speaks Vault's PKI API and really signs. Not against Vault itself.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicUsize, Ordering},
};

use axum::{Router, extract::State as Extract, http::HeaderMap, response::IntoResponse, routing};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::*;
use crate::{
    ca::{
        BuiltinCa, ControlCa, SystemClock,
        serving::{Serving, ServingNames},
        testing::{End, handshake, request},
    },
    model::{Leaf, TrustDomain},
};

/// A PKI engine: a root, and an intermediate below it that signs.
struct Engine {
    root: String,
    intermediate: String,
    issuer: rcgen::Issuer<'static, KeyPair>,
    token: Mutex<String>,
    /// Statuses to answer with before anything else.
    outages: Mutex<VecDeque<u16>>,
    calls: AtomicUsize,
    seen: Mutex<Vec<Value>>,
}

impl Engine {
    fn new() -> Arc<Self> {
        let ca = BuiltinCa::generate(SystemClock.now()).unwrap();
        let key = KeyPair::from_pem(&ca.to_pem().expose().replace(&**ca.root_pem(), "")).unwrap();
        let root = rcgen::Issuer::from_ca_cert_pem(ca.root_pem(), key).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(rcgen::DnType::CommonName, "intermediate");
        let key = KeyPair::generate().unwrap();
        let intermediate = params.signed_by(&key, &root).unwrap().pem();
        Arc::new(Self {
            root: ca.root_pem().to_string(),
            issuer: rcgen::Issuer::from_ca_cert_pem(&intermediate, key).unwrap(),
            intermediate,
            token: Mutex::new("good".to_owned()),
            outages: Mutex::new(VecDeque::new()),
            calls: AtomicUsize::new(0),
            seen: Mutex::new(Vec::new()),
        })
    }

    fn app(self: &Arc<Self>) -> Router {
        Router::new()
            .route(
                "/v1/pki/ca_chain",
                routing::get(async |Extract(e): Extract<Arc<Self>>| format!("{}{}", e.intermediate, e.root)),
            )
            .route("/v1/pki/sign/osm", routing::post(Self::sign))
            .fallback(async || refuse(404, "no handler for route"))
            .with_state(self.clone())
    }

    /// Serves on a free port until the test ends; returns the address.
    async fn serve(self: &Arc<Self>) -> String {
        let app = self.app();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        address
    }

    #[expect(clippy::unused_async, reason = "a handler")]
    async fn sign(
        Extract(engine): Extract<Arc<Self>>,
        headers: HeaderMap,
        body: axum::Json<Value>,
    ) -> axum::response::Response {
        engine.calls.fetch_add(1, Ordering::SeqCst);
        if let Some(status) = engine.outages.lock().unwrap().pop_front() {
            return refuse(status, "Vault is sealed");
        }
        if headers["x-vault-token"] != engine.token.lock().unwrap().as_str() {
            return refuse(403, "permission denied");
        }
        engine.seen.lock().unwrap().push(body.0.clone());
        let mut csr = rcgen::CertificateSigningRequestParams::from_pem(body["csr"].as_str().unwrap()).unwrap();
        if body["common_name"].as_str().unwrap().starts_with("thief") {
            return refuse(400, "common name not allowed by this role");
        }
        let seconds: i64 = body["ttl"].as_str().unwrap().trim_end_matches('s').parse().unwrap();
        let date = |at| time::OffsetDateTime::from_unix_timestamp(at).unwrap();
        csr.params.not_before = date(SystemClock.now() - 30);
        csr.params.not_after = date(SystemClock.now() + seconds);
        let leaf = csr.params.signed_by(&csr.public_key, &engine.issuer).unwrap();
        // As Vault does: no line break at the end.
        let trimmed = |pem: &str| pem.trim_end().to_owned();
        let data = json!({
            "certificate": trimmed(&leaf.pem()),
            "issuing_ca": trimmed(&engine.intermediate),
            "ca_chain": [trimmed(&engine.intermediate), trimmed(&engine.root)],
        });
        axum::Json(json!({ "request_id": "1", "lease_id": "", "data": data })).into_response()
    }
}

fn refuse(status: u16, error: &str) -> axum::response::Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, axum::Json(json!({ "errors": [error] }))).into_response()
}

/// Tokens, one after the other; the last for good.
struct Tokens(Mutex<VecDeque<&'static str>>);

impl TokenSource for Tokens {
    fn token(&self) -> BoxFuture<'_, Result<PrivateKey, String>> {
        let mut tokens = self.0.lock().unwrap();
        let token = if tokens.len() > 1 { tokens.pop_front().unwrap() } else { tokens[0] };
        Box::pin(std::future::ready(Ok(PrivateKey::new(token))))
    }
}

fn config(address: String, tokens: &[&'static str]) -> VaultConfig {
    VaultConfig {
        address,
        mount: MOUNT.to_owned(),
        role: "osm".to_owned(),
        token: Arc::new(Tokens(Mutex::new(tokens.iter().copied().collect()))),
        roots_pem: None,
        timeout: TIMEOUT,
        clock: Arc::new(SystemClock),
    }
}

async fn issue(issuer: &VaultIssuer, name: &str) -> Result<Leaf, IssueError> {
    issuer.issue(&request(name, SystemClock.now())).await
}

#[tokio::test]
async fn leaves_are_signed_without_giving_the_key_away() {
    let engine = Engine::new();
    let issuer = VaultIssuer::connect(config(engine.serve().await, &["good"])).await.unwrap();
    assert_eq!(**issuer.root_pem(), *engine.root);
    let (buyer, store) = (issue(&issuer, "buyer").await.unwrap(), issue(&issuer, "store").await.unwrap());
    assert_eq!(store.chain_pem.matches("BEGIN CERTIFICATE").count(), 2, "leaf and intermediate");
    let ends = [End::of(&buyer, &engine.root), End::of(&store, &engine.root)];
    handshake(ends[0], ends[1], &store.account.principal(&TrustDomain::default())).await.unwrap();
    let seen = engine.seen.lock().unwrap().clone();
    assert!(!seen[0].to_string().contains("PRIVATE"), "{seen:?}");
    assert_eq!(seen[0]["uri_sans"], "spiffe://cluster.local/buyer/shop");
    assert_eq!(seen[0]["alt_names"], "buyer.shop.cluster.local");
    assert!(["86400s", "86399s"].contains(&seen[0]["ttl"].as_str().unwrap()));
    assert!(issuer.stored_pem().is_none());
}

#[tokio::test]
async fn an_outage_is_waited_out_and_a_replaced_token_is_found() {
    let engine = Engine::new();
    let issuer = VaultIssuer::connect(config(engine.serve().await, &["good", "better"])).await.unwrap();
    engine.outages.lock().unwrap().extend([503, 429]);
    issue(&issuer, "a").await.unwrap();
    assert_eq!(engine.calls.load(Ordering::SeqCst), 3);
    *engine.token.lock().unwrap() = "better".to_owned();
    issue(&issuer, "a").await.unwrap();
    assert_eq!(engine.calls.load(Ordering::SeqCst), 5, "refused once, then with the new token");
}

#[tokio::test]
async fn errors_tell_what_to_do() {
    let engine = Engine::new();
    let address = engine.serve().await;
    let good = VaultIssuer::connect(config(address.clone(), &["good"])).await.unwrap();
    let told = |error: IssueError| error.to_string();
    engine.outages.lock().unwrap().extend([503, 503, 503]);
    assert!(told(issue(&good, "a").await.unwrap_err()).contains("unseal it"));
    let refused = told(issue(&good, "thief").await.unwrap_err());
    assert!(refused.contains("role `osm` refuses (common name not allowed by this role)"), "{refused}");
    let bad = VaultIssuer::connect(config(address.clone(), &["stolen"])).await.unwrap();
    let refused = told(issue(&bad, "a").await.unwrap_err());
    assert!(refused.contains("policy must allow `update` on pki/sign/osm"), "{refused}");
    assert!(!refused.contains("stolen"));
    let elsewhere = VaultConfig { mount: "other".to_owned(), ..config(address, &["good"]) };
    let refused = told(VaultIssuer::connect(elsewhere).await.unwrap_err());
    assert!(refused.contains("no PKI engine at `other`"), "{refused}");
    // Nobody listens on a port that was just given back.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let nobody = told(VaultIssuer::connect(config(format!("http://{free}"), &["good"])).await.unwrap_err());
    assert!(nobody.contains("cannot be reached") && nobody.contains("refused"), "{nobody}");
}

/// A listener behind TLS. Connections that fail to shake hands are dropped.
struct Tls(TcpListener, TlsAcceptor);

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.0.accept().await.unwrap();
            if let Ok(stream) = self.1.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

#[tokio::test]
async fn vaults_own_certificate_is_verified() {
    let engine = Engine::new();
    let ca = ControlCa::generate(SystemClock.now()).unwrap();
    let addresses = vec!["127.0.0.1".parse().unwrap()];
    let names = ServingNames { dns_names: vec![], addresses, validity: Duration::from_secs(3600) };
    let serving = Serving::start(ca.clone(), names, Arc::new(SystemClock)).unwrap();
    let acceptor = TlsAcceptor::from(serving.served().borrow().config.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let app = engine.app();
    tokio::spawn(async move { axum::serve(Tls(listener, acceptor), app).await });

    let trusting = VaultConfig { roots_pem: Some(ca.root_pem().to_string()), ..config(address.clone(), &["good"]) };
    let issuer = VaultIssuer::connect(trusting).await.unwrap();
    issue(&issuer, "a").await.unwrap();
    let told = VaultIssuer::connect(config(address, &["good"])).await.unwrap_err().to_string();
    assert!(told.contains("cannot be reached") && told.contains("certificate"), "{told}");
}
