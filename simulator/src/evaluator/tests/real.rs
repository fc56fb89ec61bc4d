//! The same hand-made configurations on real Envoys. `ENVOY` names the binary.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use envoy_types::pb::{
    envoy::{
        config::{
            bootstrap::v3::{Bootstrap, bootstrap::StaticResources},
            cluster::v3::cluster,
            core::v3::{Node, address, socket_address},
            endpoint::v3::lb_endpoint,
            listener::v3::{FilterChain, listener_filter},
        },
        extensions::filters::{
            listener::proxy_protocol::v3::ProxyProtocol,
            network::http_connection_manager::v3::{HttpConnectionManager, http_connection_manager::RouteSpecifier},
        },
    },
    google::protobuf::{Any, BoolValue},
};
use prost::{Message, Name};

use super::fixture::{
    CLIENT_NAME, Config, Mesh, SERVICE, WEB_NAME, any_permission, assignment, caller, certificate_secret, exact, get,
    header, inbound, lead, network, pack, policy, port_permission, request, validation_secret,
};
use crate::{
    evaluator::{Caller, Verdict},
    exchange::Request,
    scenario::model::{Proto, Shape},
};

/// Kills its process.
struct Envoy(Child, tempfile::TempDir);

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An application that records the first line of what it gets.
struct App {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl App {
    /// `banner`: it speaks first, and says nothing else.
    fn start(banner: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = listener.local_addr().expect("address").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, record) = (stream.expect("stream"), record.clone());
                if banner {
                    let _ = stream.write_all(b"banner");
                    continue;
                }
                std::thread::spawn(move || {
                    let mut head = Vec::new();
                    let mut buffer = [0; 4096];
                    while !head.ends_with(b"\n") {
                        match stream.read(&mut buffer) {
                            Ok(0) | Err(_) => return,
                            Ok(n) => head.extend_from_slice(&buffer[..n]),
                        }
                    }
                    record.lock().expect("lock").push(String::from_utf8_lossy(&head).into_owned());
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
                });
            }
        });
        Self { port, seen }
    }
}

/// A proxy's configuration without a control plane; the listener is on `ip`, at `port`.
fn bootstrap(config: &Config, ip: &str, port: u32, app: u16) -> Vec<u8> {
    let mut listener = config.listener.clone();
    let Some(address::Address::SocketAddress(socket)) = listener.address.as_mut().and_then(|a| a.address.as_mut())
    else {
        panic!("address")
    };
    socket.address = ip.into();
    socket.port_specifier = Some(socket_address::PortSpecifier::PortValue(port));
    let last = listener.listener_filters.len() - 1;
    if port == 15001 {
        let proxied = pack(&ProxyProtocol::default());
        listener.listener_filters[last].config_type = Some(listener_filter::ConfigType::TypedConfig(proxied));
    } else {
        listener.listener_filters.remove(last);
    }
    let inline = |chain: &mut FilterChain| {
        for filter in &mut chain.filters {
            let Some(envoy_types::pb::envoy::config::listener::v3::filter::ConfigType::TypedConfig(any)) =
                &mut filter.config_type
            else {
                panic!("typed")
            };
            inline_routes(config, any);
        }
        // The server really listens on the target port, whatever it is.
        if let Some(port_match) = chain.filter_chain_match.as_mut().and_then(|m| m.destination_port.as_mut())
            && port != 15001
        {
            port_match.value = port;
        }
    };
    listener.filter_chains.iter_mut().for_each(inline);
    let mut clusters: Vec<_> = config
        .clusters
        .iter()
        .map(|(name, cluster)| {
            let mut cluster = cluster.clone();
            cluster.name = name.clone();
            if let Some(endpoints) = config.endpoints.get(name) {
                cluster.load_assignment = Some(endpoints.clone());
                cluster.cluster_discovery_type =
                    Some(cluster::ClusterDiscoveryType::Type(cluster::DiscoveryType::Static.into()));
            }
            let assignment = cluster.load_assignment.as_mut().expect("endpoints");
            assignment.cluster_name = name.clone();
            for endpoint in assignment.endpoints.iter_mut().flat_map(|l| &mut l.lb_endpoints) {
                let Some(lb_endpoint::HostIdentifier::Endpoint(endpoint)) = &mut endpoint.host_identifier else {
                    panic!("endpoint")
                };
                let Some(address::Address::SocketAddress(socket)) =
                    endpoint.address.as_mut().and_then(|a| a.address.as_mut())
                else {
                    panic!("address")
                };
                let (ip, port) =
                    if socket.address.starts_with("127.") { ("127.0.0.1", app) } else { ("127.78.0.2", 8080) };
                socket.address = ip.into();
                socket.port_specifier = Some(socket_address::PortSpecifier::PortValue(port.into()));
            }
            cluster
        })
        .collect();
    clusters.sort_by(|a, b| a.name.cmp(&b.name));
    let secrets = config
        .secrets
        .iter()
        .map(|(name, secret)| {
            let mut secret = secret.clone();
            secret.name = name.clone();
            secret
        })
        .collect();
    let node = Node { id: "n".into(), cluster: "c".into(), ..Node::default() };
    let static_resources = Some(StaticResources { listeners: vec![listener], clusters, secrets });
    Bootstrap { node: Some(node), static_resources, ..Bootstrap::default() }.encode_to_vec()
}

fn inline_routes(config: &Config, any: &mut Any) {
    if any.type_url != HttpConnectionManager::type_url() {
        return;
    }
    let mut manager = HttpConnectionManager::decode(&*any.value).expect("manager");
    if let Some(RouteSpecifier::Rds(rds)) = &manager.route_specifier {
        let mut routes = config.routes[&rds.route_config_name].clone();
        routes.validate_clusters = Some(BoolValue { value: false });
        manager.route_specifier = Some(RouteSpecifier::RouteConfig(routes));
    }
    *any = pack(&manager);
}

fn envoy(bootstrap: &[u8], at: &str) -> Envoy {
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("bootstrap.pb");
    std::fs::write(&file, bootstrap).expect("file");
    let binary = std::env::var("ENVOY").expect("ENVOY names the binary");
    let log = std::fs::File::create(directory.path().join("log")).expect("log");
    let child = Command::new(binary)
        .args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "warning", "-c"])
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("envoy");
    let mut running = Envoy(child, directory);
    loop {
        if TcpStream::connect(at).is_ok() {
            return running;
        }
        if let Some(status) = running.0.try_wait().expect("status") {
            panic!("{status}: {}", std::fs::read_to_string(running.1.path().join("log")).expect("log"));
        }
        std::thread::yield_now();
    }
}

/// Status line and body, or the raw answer.
fn send(caller: &Caller, request: &Request) -> String {
    let (at, prefix) = match caller {
        Caller::Pod(_) => {
            let to = request.destination;
            ("127.78.0.1:15001", format!("PROXY TCP4 127.0.0.1 {} 1000 {}\r\n", to.ip(), to.port()))
        }
        _ => ("127.78.0.2:8080", String::new()),
    };
    let mut stream = TcpStream::connect(at).expect("envoy");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("timeout");
    let payload = match request.proto {
        Proto::Tcp => "deadbeef\n".to_owned(),
        Proto::TcpServerFirst => String::new(),
        Proto::Websocket => format!(
            "GET {} HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\n",
            request.path, request.authority
        ),
        _ => {
            let headers: String = request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            format!(
                "{} {} HTTP/1.1\r\nhost: {}\r\n{headers}connection: close\r\n\r\n",
                request.method, request.path, request.authority
            )
        }
    };
    let _ = stream.write_all(format!("{prefix}{payload}").as_bytes());
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(n) => answer.extend_from_slice(&buffer[..n]),
        }
        if request.proto == Proto::Tcp && answer.ends_with(b"ok") {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

struct Pair {
    mesh: Mesh,
    app: App,
    _client: Envoy,
    _server: Envoy,
}

fn start(mesh: Mesh, banner: bool) -> Pair {
    let app = App::start(banner);
    let server = envoy(&bootstrap(&mesh.server, "127.78.0.2", 8080, app.port), "127.78.0.2:8080");
    let client = envoy(&bootstrap(&mesh.client, "127.78.0.1", 15001, app.port), "127.78.0.1:15001");
    Pair { mesh, app, _client: client, _server: server }
}

impl Pair {
    fn compare(&self, caller: &Caller, request: &Request) {
        self.app.seen.lock().expect("lock").clear();
        let answer = send(caller, request);
        let seen = self.app.seen.lock().expect("lock").clone();
        let about = format!("{request:?}: {answer:?}, the app saw {seen:?}");
        match super::verdict(&self.mesh.evaluator(), caller, request) {
            Verdict::Delivered(delivered) => {
                assert_eq!(seen.len(), 1, "delivered: {about}");
                if request.proto != Proto::Tcp {
                    let line = format!("{} {} HTTP/1.1", request.method, delivered.path);
                    assert!(seen[0].starts_with(&line), "{line}: {about}");
                    let host = format!("host: {}\r\n", delivered.authority);
                    assert!(seen[0].contains(&host), "{host}: {about}");
                    let uri = delivered.peer.map_or("URI=none".to_owned(), |uri| format!("URI={uri}"));
                    assert!(seen[0].contains(&uri), "{uri}: {about}");
                }
            }
            Verdict::Denied(denial) => {
                assert!(seen.is_empty(), "{denial:?}: {about}");
                match (denial.status, denial.shape) {
                    (Some(status), _) => {
                        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{denial:?}: {about}");
                    }
                    (None, Some(Shape::Closed)) => assert!(answer.is_empty(), "{denial:?}: {about}"),
                    other => panic!("{other:?}: {about}"),
                }
            }
        }
    }
}

fn tcp_request() -> Request {
    request(Proto::Tcp, &format!("{SERVICE}:80"), "", "")
}

fn broken(mut mesh: Mesh, change: impl FnOnce(&mut Mesh)) -> Mesh {
    change(&mut mesh);
    mesh
}

#[test]
#[ignore = "needs ENVOY"]
fn http_agrees() {
    let routes = vec![
        inbound("/books(/[0-9]+)?", vec![header(":method", exact("GET"))], CLIENT_NAME),
        inbound("/h", vec![header("x-a", exact("b"))], CLIENT_NAME),
        inbound("/uri", Vec::new(), "spiffe://cluster.local/client/ns/cluster/local"),
        inbound("/cn", Vec::new(), &format!("CN={CLIENT_NAME}")),
        inbound("/admin", Vec::new(), "other"),
        inbound("/p.*", Vec::new(), CLIENT_NAME),
    ];
    let pair = start(Mesh::http(routes), false);
    for path in [
        "/books",
        "/books/12?x=/y",
        "/books/x",
        "/admin",
        "/nothing",
        "/uri",
        "/cn",
        "/h",
        "//books",
        "/a/../books",
        "/Books",
    ] {
        pair.compare(&caller(), &get(path));
    }
    let with = |name: &str, value: &str| Request { headers: [(name.into(), value.into())].into(), ..get("/h") };
    pair.compare(&caller(), &with("x-a", "b"));
    pair.compare(&caller(), &with("x-a", "c"));
    for authority in ["WEB", "web:80", "web.", "web.:80", "web.ns", "web:81", "other", "web.ns.svc.cluster.local"] {
        pair.compare(&caller(), &Request { authority: authority.into(), ..get("/books") });
    }
    pair.compare(&caller(), &request(Proto::Http1, "10.96.0.1:80", "POST", "/books"));
    pair.compare(&caller(), &request(Proto::Http1, "10.96.0.2:80", "GET", "/books"));
    pair.compare(&caller(), &request(Proto::Http1, "10.96.0.1:81", "GET", "/books"));
    pair.compare(&caller(), &tcp_request());
    pair.compare(&Caller::Plaintext, &request(Proto::Http1, "10.0.0.2:8080", "GET", "/books"));
    let pieces = [
        "/", "a", ".", "..", "%2e", "%2F", "%5c", "\\", "%41", "%2d", "%20", "%25", "%3a", "%5f", "%7E", ";", "?", "=",
        "%2E%2e", "%3b", "!", "'",
    ];
    let mut state: u64 = 7;
    let evaluator = pair.mesh.evaluator();
    let mut judged = 0;
    for _ in 0..600 {
        let mut path = "/p".to_owned();
        for _ in 0..7 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            path.push_str(pieces[(state >> 33) as usize % pieces.len()]);
        }
        if evaluator.evaluate(&caller(), &get(&path)).is_ok() {
            judged += 1;
            pair.compare(&caller(), &get(&path));
        }
    }
    assert!(judged > 400, "only {judged} paths were modelled");
}

#[test]
#[ignore = "needs ENVOY"]
fn denials_agree() {
    let http = || Mesh::http(vec![inbound(".*", Vec::new(), CLIENT_NAME)]);
    let tcp = |principal: &str, port| Mesh::tcp(vec![policy("ns/t", port_permission(port), principal)]);
    let cases: Vec<(&str, Mesh)> = vec![
        ("http", http()),
        ("tcp", tcp(CLIENT_NAME, 8080)),
        ("tcp port", tcp(CLIENT_NAME, 80)),
        ("tcp source", tcp("x", 8080)),
        ("nobody", broken(http(), |m| m.server.listener.filter_chains[0].filters[0] = network(Vec::new()))),
        (
            "stranger",
            broken(http(), |m| {
                m.server.listener.filter_chains[0].filters[0] = network(vec![policy("p", any_permission(), "x")]);
            }),
        ),
        (
            "server name",
            broken(http(), |m| {
                drop(m.server.secrets.insert("cert".into(), certificate_secret(&m.authority.leaf("x.y", 2040))));
            }),
        ),
        (
            "server expired",
            broken(http(), |m| {
                drop(m.server.secrets.insert("cert".into(), certificate_secret(&m.authority.leaf(WEB_NAME, 2021))));
            }),
        ),
        (
            "client name",
            broken(http(), |m| {
                drop(m.server.secrets.insert("inbound".into(), validation_secret(&m.authority.pem(), &[exact("x")])));
            }),
        ),
        (
            "client name, case",
            broken(http(), |m| {
                drop(m.server.secrets.insert(
                    "inbound".into(),
                    validation_secret(&m.authority.pem(), &[exact("CLIENT.ns.cluster.local")]),
                ));
            }),
        ),
        (
            "client expired",
            broken(http(), |m| {
                drop(m.client.secrets.insert("cert".into(), certificate_secret(&m.authority.leaf(CLIENT_NAME, 2021))));
            }),
        ),
        (
            "tcp client expired",
            broken(tcp(CLIENT_NAME, 8080), |m| {
                drop(m.client.secrets.insert("cert".into(), certificate_secret(&m.authority.leaf(CLIENT_NAME, 2021))));
            }),
        ),
        ("no endpoints", broken(http(), |m| drop(m.client.endpoints.insert("ns/web|8080".into(), assignment(&[]))))),
        ("no cluster", broken(http(), |m| m.client.clusters.clear())),
        ("tcp no cluster", broken(tcp(CLIENT_NAME, 8080), |m| m.client.clusters.clear())),
        ("no websocket", broken(http(), |m| m.server.change_hcm(|hcm| hcm.upgrade_configs.clear()))),
        (
            "unprotected",
            broken(Mesh::http(vec![inbound(".*", Vec::new(), "x")]), |m| {
                m.server.change_hcm(|hcm| drop(hcm.http_filters.remove(0)));
            }),
        ),
        ("lead", Mesh::http(vec![lead("ns/web|8080|local")])),
    ];
    for (name, mesh) in cases {
        println!("{name}");
        let pair = start(mesh, false);
        let through_tcp = name.starts_with("tcp");
        if !through_tcp {
            pair.compare(&caller(), &get("/x"));
            pair.compare(&caller(), &get("/x"));
        }
        pair.compare(&caller(), &tcp_request());
        if name == "no websocket" {
            pair.compare(&caller(), &request(Proto::Websocket, "10.96.0.1:80", "GET", "/x"));
        }
    }
}

#[test]
#[ignore = "needs ENVOY"]
fn servers_that_speak_first_agree() {
    let tcp = |principal| Mesh::tcp(vec![policy("ns/t", port_permission(8080), principal)]);
    let refused = broken(tcp(CLIENT_NAME), |m| {
        m.server.secrets.insert("inbound".into(), validation_secret(&m.authority.pem(), &[exact("x")]));
    });
    for (mesh, to, banner) in [
        (tcp(CLIENT_NAME), SERVICE, true),
        (tcp("x"), SERVICE, true),
        (refused, SERVICE, false),
        (tcp("x"), "10.9.9.9", false),
    ] {
        let pair = start(mesh, true);
        let request = request(Proto::TcpServerFirst, &format!("{to}:80"), "", "");
        let delivered = super::allowed(&pair.mesh.evaluator(), &caller(), &request);
        assert_eq!((delivered, send(&caller(), &request) == "banner"), (banner, banner));
    }
}
