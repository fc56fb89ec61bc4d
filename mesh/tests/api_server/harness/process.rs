//! etcd and kube-apiserver as child processes on free ports of 127.0.0.1.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use kube::{
    Client, Config,
    config::{AuthInfo, Kubeconfig},
};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::{io::AsyncReadExt as _, io::AsyncWriteExt as _, net::TcpStream};

use super::{PATIENCE, apiserver_binary, eventually, scratch};

/// Every process that was started: the runner ends them, for statics are never dropped.
static CHILDREN: Mutex<Vec<Arc<Mutex<Child>>>> = Mutex::new(Vec::new());
/// Folders to remove at the end.
static FOLDERS: Mutex<Vec<Arc<TempDir>>> = Mutex::new(Vec::new());

/// Ends whatever still runs.
pub(crate) fn kill_all() {
    CHILDREN.lock().unwrap().drain(..).for_each(|child| end(&child));
    for folder in FOLDERS.lock().unwrap().drain(..) {
        let _ = fs::remove_dir_all(folder.path());
    }
}

fn end(child: &Mutex<Child>) {
    let mut child = child.lock().unwrap();
    let _ = child.kill();
    let _ = child.wait();
}

/// A running API server with an etcd of its own.
pub(crate) struct ApiServer {
    dir: Arc<TempDir>,
    etcd_port: u16,
    port: u16,
    etcd: Arc<Mutex<Child>>,
    apiserver: Mutex<Option<Arc<Mutex<Child>>>>,
    config: Config,
}

impl ApiServer {
    /// Starts both, and waits until the API server is ready.
    ///
    /// # Panics
    /// With the log, if a server does not start.
    pub(crate) async fn start() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let dir = scratch();
        FOLDERS.lock().unwrap().push(dir.clone());
        let [etcd_port, peer_port, port] = free_ports();
        credentials(dir.path());
        let etcd = spawn(dir.path(), "etcd", Path::new("etcd"), &etcd_arguments(dir.path(), etcd_port, peer_port));
        fs::write(dir.path().join("kubeconfig"), kubeconfig(dir.path(), port)).unwrap();
        let read = Kubeconfig::read_from(dir.path().join("kubeconfig")).unwrap();
        let config = Config::from_custom_kubeconfig(read, &Default::default()).await.unwrap();
        let server = Self { dir, etcd_port, port, etcd, apiserver: Mutex::default(), config };
        server.restart().await;
        server
    }

    /// A client with every right. Its connections belong to the runtime that calls this.
    pub(crate) fn client(&self) -> Client {
        Client::try_from(self.config.clone()).unwrap()
    }

    /// How to reach it, with every right.
    pub(crate) fn config(&self) -> Config {
        self.config.clone()
    }

    /// The path of a kubeconfig with every right.
    pub(crate) fn kubeconfig(&self) -> std::path::PathBuf {
        self.dir.path().join("kubeconfig")
    }

    /// Another user of the API server: `reader` or `edges`. What they may do, RBAC says.
    pub(crate) fn client_of(&self, user: &str) -> Client {
        let mut config = self.config();
        config.auth_info = AuthInfo { token: Some(format!("{user}-of-the-test").into()), ..AuthInfo::default() };
        Client::try_from(config).unwrap()
    }

    /// A file of this API server's folder: `proxy.crt` and `proxy.key` are those of its front proxy.
    pub(crate) fn file(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    /// Starts a program that ends with the tests. Its log has its name.
    pub(crate) fn start_beside(&self, name: &str, binary: &Path, arguments: &[String]) {
        spawn(self.dir.path(), name, binary, arguments);
    }

    /// The port of 127.0.0.1 that the API server listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Kills the API server, not etcd: all connections break.
    pub(crate) fn kill(&self) {
        self.apiserver.lock().unwrap().take().iter().for_each(|child| end(child));
    }

    /// Starts the API server (again), on the same port and with what etcd has. Returns when it is ready.
    pub(crate) async fn restart(&self) {
        self.kill();
        let arguments = apiserver_arguments(self.dir.path(), self.etcd_port, self.port);
        let child = spawn(self.dir.path(), "apiserver", &apiserver_binary(), &arguments);
        *self.apiserver.lock().unwrap() = Some(child.clone());
        let client = self.client();
        let ready = || async {
            let ended = child.lock().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "kube-apiserver ended early: {}", self.log("apiserver"));
            let request = http_get("/readyz");
            client.request_text(request).await.ok()
        };
        eventually("the API server is ready", ready).await;
    }

    /// Forgets all revisions but the newest: whoever wants to resume before it gets 410.
    pub(crate) async fn compact(&self) {
        let status = self.etcd_post("/v3/kv/range", r#"{"key":"AA==","limit":"1"}"#).await;
        let revision = status.split("\"revision\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        self.etcd_post("/v3/kv/compaction", &format!(r#"{{"revision":"{revision}","physical":true}}"#)).await;
    }

    /// What a server wrote: `etcd` or `apiserver`.
    pub(crate) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(format!("{name}.log"))).unwrap_or_default()
    }

    /// etcd's gRPC gateway speaks JSON over HTTP.
    async fn etcd_post(&self, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.etcd_port)).await.unwrap();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.kill();
        end(&self.etcd);
    }
}

fn http_get(path: &str) -> hyper::Request<Vec<u8>> {
    hyper::Request::get(path).body(Vec::new()).unwrap()
}

/// Three ports that are free now, below the range from which the system gives clients theirs.
pub(crate) fn free_ports() -> [u16; 3] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Several programs look for ports at the same time: each begins elsewhere.
    let start = std::process::id().wrapping_mul(97);
    let port = || loop {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        let port = 20_000 + u16::try_from(offset).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    };
    [port(), port(), port()]
}

fn spawn(dir: &Path, name: &str, binary: &Path, arguments: &[String]) -> Arc<Mutex<Child>> {
    let log = File::options().create(true).append(true).open(dir.join(format!("{name}.log"))).unwrap();
    let mut command = Command::new(binary);
    command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let child = command.spawn().unwrap_or_else(|e| panic!("start {}: {e}", binary.display()));
    let child = Arc::new(Mutex::new(child));
    CHILDREN.lock().unwrap().push(child.clone());
    child
}

fn etcd_arguments(dir: &Path, port: u16, peer: u16) -> Vec<String> {
    vec![
        format!("--data-dir={}", dir.join("etcd").display()),
        "--unsafe-no-fsync".into(),
        "--log-level=error".into(),
        format!("--listen-client-urls=http://127.0.0.1:{port}"),
        format!("--advertise-client-urls=http://127.0.0.1:{port}"),
        format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
        format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"),
        format!("--initial-cluster=default=http://127.0.0.1:{peer}"),
    ]
}

/// As in `deploy/local-api/start`.
fn apiserver_arguments(dir: &Path, etcd: u16, port: u16) -> Vec<String> {
    let file = |name: &str| dir.join(name).display().to_string();
    vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd}"),
        "--bind-address=127.0.0.1".into(),
        format!("--secure-port={port}"),
        format!("--tls-cert-file={}", file("tls.crt")),
        format!("--tls-private-key-file={}", file("tls.key")),
        format!("--token-auth-file={}", file("tokens.csv")),
        format!("--service-account-key-file={}", file("accounts.pub")),
        format!("--service-account-signing-key-file={}", file("accounts.key")),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
        "--api-audiences=https://kubernetes.default.svc.cluster.local,osm".into(),
        "--service-cluster-ip-range=10.96.0.0/16".into(),
        "--authorization-mode=RBAC".into(),
        format!("--requestheader-client-ca-file={}", file("proxy-ca.crt")),
        "--requestheader-allowed-names=front-proxy-client".into(),
        "--requestheader-username-headers=X-Remote-User".into(),
        "--requestheader-group-headers=X-Remote-Group".into(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
        format!("--proxy-client-cert-file={}", file("proxy.crt")),
        format!("--proxy-client-key-file={}", file("proxy.key")),
        "--allow-privileged".into(),
        "--disable-admission-plugins=ServiceAccount".into(),
        "--endpoint-reconciler-type=none".into(),
        "--enable-priority-and-fairness=false".into(),
        "--profiling=false".into(),
        "--shutdown-delay-duration=0".into(),
    ]
}

/// A certificate authority with the server's certificate, a key for tokens of service accounts, and the token of `admin`.
fn credentials(dir: &Path) {
    let write = |name: &str, text: &str| fs::write(dir.join(name), text).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    write("ca.crt", &params.self_signed(&key).unwrap().pem());
    let authority = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    write("tls.crt", &certificate.pem());
    write("tls.key", &key.serialize_pem());
    let accounts = KeyPair::generate().unwrap();
    write("accounts.key", &accounts.serialize_pem());
    write("accounts.pub", &accounts.public_key_pem());
    let users = ["reader", "edges"].map(|user| format!("{user}-of-the-test,{user},{user}\n"));
    write("tokens.csv", &format!("admin-of-the-test,admin,admin,system:masters\n{}", users.concat()));
    front_proxy(&write);
}

/// The certificate by which aggregated APIs know the API server, and its authority.
fn front_proxy(write: &dyn Fn(&str, &str)) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "proxy-ca");
    write("proxy-ca.crt", &params.self_signed(&key).unwrap().pem());
    let authority = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "front-proxy-client");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    write("proxy.crt", &params.signed_by(&key, &authority).unwrap().pem());
    write("proxy.key", &key.serialize_pem());
}

fn kubeconfig(dir: &Path, port: u16) -> String {
    format!(
        "apiVersion: v1
kind: Config
clusters: [{{name: local, cluster: {{server: \"https://127.0.0.1:{port}\", certificate-authority: \"{}\"}}}}]
users: [{{name: admin, user: {{token: admin-of-the-test}}}}]
contexts: [{{name: local, context: {{cluster: local, user: admin}}}}]
current-context: local
",
        dir.join("ca.crt").display()
    )
}
