//! The fake clients and applications with a real Envoy between them.
//!
//! Needs an Envoy binary: `ENVOY_BIN`, else `envoy` on the PATH, else that of the Python package. Without one the tests say so
//! and return, unless `REQUIRE_REAL=1`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "only tests use it; a failure is their failure")]

#[path = "real_traffic/envoy.rs"]
mod envoy;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use envoy::{Envoy, Identity};
use rustls::pki_types::ServerName;
use simulator::{
    client::{RequestIds, Route, Session, tls::trusting_any_server},
    exchange::{ClientResult, Request},
    scenario::model::{Connections, Proto, Respond, Shape},
    workload::{Application, ApplicationPort, Kind, Witness},
};

const ALL: [Proto; 7] =
    [Proto::Http1, Proto::Http2, Proto::Grpc, Proto::GrpcStream, Proto::Tcp, Proto::TcpServerFirst, Proto::Websocket];

/// The applications behind the Envoy, by kind, and their common witness.
struct Shop {
    http: Application,
    tcp: Application,
    server_first: Application,
    witness: Arc<Witness>,
    ids: RequestIds,
}

impl Shop {
    async fn open() -> Self {
        let witness = Arc::new(Witness::new());
        let start = |kind, port| {
            let port = ApplicationPort {
                pod: "shop-0".into(),
                port,
                kind,
                bind: SocketAddr::from(([127, 0, 0, 1], 0)),
                respond: Respond::default(),
                tls: None,
            };
            Application::start(port, witness.clone())
        };
        Self {
            http: start(Kind::Http, 80).await.unwrap(),
            tcp: start(Kind::Tcp, 90).await.unwrap(),
            server_first: start(Kind::TcpServerFirst, 91).await.unwrap(),
            witness: witness.clone(),
            ids: RequestIds::new(u64::from(std::process::id())),
        }
    }

    /// To a port of a service address that no machine has: only the PROXY header can bring it to its chain.
    fn request(&self, proto: Proto, port: u16, path: &str) -> Request {
        Request {
            id: self.ids.next_id(),
            proto,
            destination: SocketAddr::from(([192, 0, 2, 7], port)),
            authority: "shop.default".into(),
            method: "GET".into(),
            path: path.into(),
            headers: BTreeMap::new(),
        }
    }
}

fn port(proto: Proto) -> u16 {
    match proto {
        Proto::Tcp => 90,
        Proto::TcpServerFirst => 91,
        _ => 80,
    }
}

fn failed(result: &ClientResult) -> Option<Shape> {
    match result {
        ClientResult::Failed { shape, .. } => *shape,
        ClientResult::Answered { .. } => panic!("{result:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_protocol_passes_through_a_sidecar() {
    let Some(binary) = envoy::binary() else { return };
    let shop = Shop::open().await;
    let envoy = Envoy::outbound(&binary, shop.http.addr(), shop.tcp.addr(), shop.server_first.addr()).await;
    let source: IpAddr = "127.77.1.2".parse().unwrap();
    let route = Route::ThroughSidecar { outbound: envoy.listener(), source };
    for connections in [Connections::PerRequest, Connections::KeepAlive] {
        let session = Session::new(route.clone(), connections);
        for proto in ALL.into_iter().chain(ALL) {
            let request = shop.request(proto, port(proto), "/books");
            let view = session.send(&request).await;
            assert!(
                matches!(&view.result, ClientResult::Answered { pod: Some(pod), .. } if pod == "shop-0"),
                "{view:?}"
            );
            let [seen] = &shop.witness.sightings(request.id)[..] else { panic!("{proto:?}: one sighting expected") };
            assert_eq!((seen.proto, seen.port), (proto, port(proto)));
            if port(proto) == 80 {
                // Envoy believed the header: destination and source reached the application.
                assert_eq!(seen.headers["x-downstream"], "127.77.1.2");
                assert_eq!(seen.headers["x-dialled"], "192.0.2.7");
            }
        }
    }
}

/// Sidecars may carry a websocket between them over HTTP/2 (RFC 8441), and hand it to the application so.
#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_may_arrive_over_http2() {
    let Some(binary) = envoy::binary() else { return };
    let shop = Shop::open().await;
    let envoy = Envoy::outbound(&binary, shop.http.addr(), shop.tcp.addr(), shop.server_first.addr()).await;
    let route = Route::ThroughSidecar { outbound: envoy.listener(), source: "127.77.1.2".parse().unwrap() };
    let request = shop.request(Proto::Websocket, 80, "/http2");
    let view = Session::new(route, Connections::PerRequest).send(&request).await;
    assert!(matches!(view.result, ClientResult::Answered { status: Some(101), .. }), "{view:?}");
    let seen = &shop.witness.sightings(request.id)[0];
    assert_eq!((seen.proto, &*seen.method), (Proto::Websocket, "CONNECT"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ipv6_destination_passes_through_a_sidecar() {
    let Some(binary) = envoy::binary() else { return };
    let shop = Shop::open().await;
    let envoy = Envoy::outbound(&binary, shop.http.addr(), shop.tcp.addr(), shop.server_first.addr()).await;
    for (source, seen_source) in [("2001:db8::1", "2001:db8::1"), ("127.77.1.2", "::ffff:127.77.1.2")] {
        let route = Route::ThroughSidecar { outbound: envoy.listener(), source: source.parse().unwrap() };
        let destination = "[2001:db8::7]:80".parse().unwrap();
        let request = Request { destination, ..shop.request(Proto::Http1, 80, "/books") };
        let view = Session::new(route, Connections::PerRequest).send(&request).await;
        assert!(matches!(view.result, ClientResult::Answered { .. }), "{view:?}");
        let seen = &shop.witness.sightings(request.id)[0].headers;
        assert_eq!((&*seen["x-downstream"], &*seen["x-dialled"]), (seen_source, "2001:db8::7"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_proxys_refusals_have_their_shapes() {
    let Some(binary) = envoy::binary() else { return };
    let shop = Shop::open().await;
    let envoy = Envoy::outbound(&binary, shop.http.addr(), shop.tcp.addr(), shop.server_first.addr()).await;
    let route = Route::ThroughSidecar { outbound: envoy.listener(), source: "127.77.1.2".parse().unwrap() };
    let session = Session::new(route, Connections::PerRequest);
    let shapes = [("/denied", Shape::Http403), ("/nowhere", Shape::Http404), ("/down", Shape::Http503)];
    for (path, shape) in shapes {
        for proto in [Proto::Http1, Proto::Http2, Proto::Grpc, Proto::GrpcStream, Proto::Websocket] {
            let view = session.send(&shop.request(proto, 80, path)).await;
            assert_eq!(failed(&view.result), Some(shape), "{proto:?} {path} {view:?}");
        }
    }
    for proto in ALL {
        let view = session.send(&shop.request(proto, 7, "/books")).await;
        assert_eq!(failed(&view.result), Some(Shape::Closed), "no chain: {proto:?} {view:?}");
        let view = session.send(&shop.request(proto, 92, "/books")).await;
        assert_eq!(failed(&view.result), Some(Shape::Closed), "no upstream: {proto:?} {view:?}");
    }
    let view = session.send(&shop.request(Proto::Tcp, 80, "")).await;
    assert_eq!(failed(&view.result), Some(Shape::Closed), "raw TCP to HTTP: {view:?}");
    assert!(shop.witness.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_sidecar_judges_the_credentials() {
    let Some(binary) = envoy::binary() else { return };
    let (mesh, stranger) = (Identity::authority(), Identity::authority());
    for version in ["TLSv1_2", "TLSv1_3"] {
        let shop = Shop::open().await;
        let envoy = Envoy::inbound(&binary, shop.http.addr(), &mesh, version).await;
        let session = |credentials, sni: &'static str| {
            let config = trusting_any_server(credentials, &["osm"]).unwrap();
            let server_name = ServerName::try_from(sni).unwrap();
            Session::new(Route::DirectTls { source: None, config, server_name }, Connections::PerRequest)
        };
        let request = |proto| Request { destination: envoy.listener(), ..shop.request(proto, 80, "/books") };
        let sni = "shop.default.svc.cluster.local";
        let uri = "spiffe://cluster.local/client/default";

        let good = session(Some(mesh.issue(uri, false)), sni);
        for proto in [Proto::Http1, Proto::Http2, Proto::Grpc, Proto::GrpcStream, Proto::Websocket] {
            let request = request(proto);
            let view = good.send(&request).await;
            assert!(matches!(view.result, ClientResult::Answered { .. }), "{version} {proto:?} {view:?}");
            assert_eq!(shop.witness.sightings(request.id)[0].peer.as_deref(), Some(uri));
            shop.witness.forget([request.id]);
        }
        assert_eq!(good.server_names().unwrap(), ["spiffe://cluster.local/shop/default"]);

        let bad = [
            ("none", session(None, sni), Shape::Tls),
            ("foreign", session(Some(stranger.issue(uri, false)), sni), Shape::Tls),
            ("expired", session(Some(mesh.issue(uri, true)), sni), Shape::Tls),
            ("SNI", session(Some(mesh.issue(uri, false)), "other.default.svc.cluster.local"), Shape::Closed),
        ];
        for (what, session, shape) in bad {
            for proto in ALL.into_iter().chain(ALL).chain(ALL) {
                let view = session.send(&request(proto)).await;
                assert_eq!(failed(&view.result), Some(shape), "{version} {what} {proto:?} {view:?}");
            }
        }
        let plain = Session::new(Route::Direct { source: None }, Connections::PerRequest);
        let view = plain.send(&request(Proto::Http1)).await;
        assert_eq!(failed(&view.result), Some(Shape::Closed), "plaintext: {view:?}");
        assert!(shop.witness.is_empty());
    }
}
