use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{RequestIds, Route, Session, load};
use crate::{
    exchange::{ClientResult, Request},
    scenario::model::{Connections, Proto, Respond, Shape},
    workload::{Application, ApplicationPort, Kind, Witness},
};

mod drain;
mod failures;
mod tls;

const ALL: [Proto; 7] =
    [Proto::Http1, Proto::Http2, Proto::Grpc, Proto::GrpcStream, Proto::Tcp, Proto::TcpServerFirst, Proto::Websocket];
const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn kind(proto: Proto) -> Kind {
    match proto {
        Proto::Tcp => Kind::Tcp,
        Proto::TcpServerFirst => Kind::TcpServerFirst,
        _ => Kind::Http,
    }
}

async fn application(kind: Kind, tls: Option<Arc<rustls::ServerConfig>>) -> (Application, Arc<Witness>) {
    let witness = Arc::new(Witness::new());
    let port = ApplicationPort { pod: "shop-0".into(), port: 80, kind, bind: LOCAL, respond: Respond::default(), tls };
    (Application::start(port, witness.clone()).await.unwrap(), witness)
}

fn request(proto: Proto, destination: SocketAddr, ids: &RequestIds) -> Request {
    Request {
        id: ids.next_id(),
        proto,
        destination,
        authority: "shop.default".into(),
        method: "GET".into(),
        path: "/books?x=1".into(),
        headers: BTreeMap::from([("x-extra".into(), "yes".into())]),
    }
}

fn direct(connections: Connections) -> Session {
    Session::new(Route::Direct { source: None }, connections)
}

fn answered(result: &ClientResult) -> Option<u16> {
    match result {
        ClientResult::Answered { status, pod, .. } => {
            assert_eq!(pod.as_deref(), Some("shop-0"));
            *status
        }
        ClientResult::Failed { .. } => panic!("{result:?}"),
    }
}

fn shape(result: &ClientResult) -> Option<Shape> {
    match result {
        ClientResult::Failed { shape, .. } => *shape,
        ClientResult::Answered { .. } => panic!("{result:?}"),
    }
}

fn usual_status(proto: Proto) -> Option<u16> {
    match proto {
        Proto::Tcp | Proto::TcpServerFirst => None,
        Proto::Websocket => Some(101),
        _ => Some(200),
    }
}

#[tokio::test]
async fn every_protocol_is_answered_and_witnessed() {
    let ids = RequestIds::new(1);
    for connections in [Connections::PerRequest, Connections::KeepAlive] {
        for proto in ALL {
            let (app, witness) = application(kind(proto), None).await;
            let session = direct(connections);
            for _ in 0..3 {
                let request = request(proto, app.addr(), &ids);
                let view = session.send(&request).await;
                assert_eq!(answered(&view.result), usual_status(proto), "{proto:?}");
                let [seen] = &witness.sightings(request.id)[..] else { panic!("{proto:?}: one sighting expected") };
                assert_eq!((seen.proto, &*seen.pod), (proto, "shop-0"));
                if kind(proto) == Kind::Http {
                    assert_eq!((&*seen.path, &*seen.authority), ("/books?x=1", "shop.default"));
                    assert_eq!(seen.headers["x-extra"], "yes");
                }
            }
            let shares =
                connections == Connections::KeepAlive && kind(proto) == Kind::Http && proto != Proto::Websocket;
            assert_eq!(witness.arrivals("shop-0", 80).connections, if shares { 1 } else { 3 }, "{proto:?}");
        }
    }
}

#[tokio::test]
async fn the_source_address_is_bound() {
    let listener = TcpListener::bind(LOCAL).await.unwrap();
    let source: IpAddr = "127.9.8.7".parse().unwrap();
    let session = Session::new(Route::Direct { source: Some(source) }, Connections::PerRequest);
    let request = request(Proto::Tcp, listener.local_addr().unwrap(), &RequestIds::new(1));
    let (_, accepted) = tokio::join!(session.send(&request), async { listener.accept().await.unwrap().1 });
    assert_eq!(accepted.ip(), source);
}

#[tokio::test]
async fn the_sidecar_gets_the_destination_first() {
    let listener = TcpListener::bind(LOCAL).await.unwrap();
    let outbound = listener.local_addr().unwrap();
    let source: IpAddr = "127.9.8.7".parse().unwrap();
    let session = Session::new(Route::ThroughSidecar { outbound, source }, Connections::PerRequest);
    let destination = "10.1.2.3:80".parse().unwrap();
    let request = request(Proto::Tcp, destination, &RequestIds::new(1));
    let accept = async {
        let (mut stream, peer) = listener.accept().await.unwrap();
        let mut header = [0; 28];
        stream.read_exact(&mut header).await.unwrap();
        assert_eq!(header[..], super::proxy_header(SocketAddr::new(source, peer.port()), destination));
        let mut rest = [0; 4];
        stream.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"sim ");
    };
    tokio::join!(session.send(&request), accept);
}

#[tokio::test]
async fn an_application_may_fail_by_its_own_will() {
    let ids = RequestIds::new(1);
    let (app, witness) = application(Kind::Http, None).await;
    let session = direct(Connections::KeepAlive);
    app.set_respond(&Respond { status: Some(503), ..Respond::default() }).unwrap();
    for proto in [Proto::Http1, Proto::Http2, Proto::Grpc, Proto::GrpcStream, Proto::Websocket] {
        let view = session.send(&request(proto, app.addr(), &ids)).await;
        assert_eq!(answered(&view.result), Some(503), "{proto:?}");
    }
    app.set_respond(&Respond { fail_percent: Some(50), ..Respond::default() }).unwrap();
    let mut failed = 0;
    for _ in 0..200 {
        let request = request(Proto::Http1, app.addr(), &ids);
        let once = answered(&session.send(&request).await.result);
        assert_eq!(once, answered(&session.send(&request).await.result), "the same id, the same answer");
        assert_eq!(witness.sightings(request.id).len(), 2);
        failed += u32::from(once == Some(503));
    }
    assert!((60..140).contains(&failed), "{failed}");
    let delay = Respond { delay: Some("30ms".into()), ..Respond::default() };
    app.set_respond(&delay).unwrap();
    let view = session.send(&request(Proto::Http1, app.addr(), &ids)).await;
    assert!(view.elapsed >= Duration::from_millis(30), "{:?}", view.elapsed);
    assert!(app.set_respond(&Respond { delay: Some("soon".into()), ..Respond::default() }).is_err());
}

/// A kept connection may be closed while idle; a client that means well opens another.
#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_replaced() {
    let ids = RequestIds::new(1);
    for proto in [Proto::Http1, Proto::Http2, Proto::Grpc] {
        let (app, witness) = application(Kind::Http, None).await;
        let addr = app.addr();
        let session = direct(Connections::KeepAlive);
        answered(&session.send(&request(proto, addr, &ids)).await.result);
        app.stop().await;
        let port = ApplicationPort {
            pod: "shop-0".into(),
            port: 80,
            kind: Kind::Http,
            bind: addr,
            respond: Respond::default(),
            tls: None,
        };
        let _app = Application::start(port, witness.clone()).await.unwrap();
        answered(&session.send(&request(proto, addr, &ids)).await.result);
    }
}

#[tokio::test]
async fn a_load_sends_everything_once_and_can_be_stopped() {
    let ids = Arc::new(RequestIds::new(1));
    let (app, witness) = application(Kind::Http, None).await;
    let addr = app.addr();
    let session = Arc::new(direct(Connections::KeepAlive));
    let requests: Vec<_> = (0..500).map(|_| request(Proto::Http1, addr, &ids)).collect();
    let sent: BTreeSet<_> = requests.iter().map(|r| r.id).collect();
    let pace = load::Pace { concurrency: 8, rps: Some(5_000.0) };
    let results = load::start(&session, pace, requests).collect().await;
    assert!(results.iter().all(|(_, view)| answered(&view.result) == Some(200)));
    assert_eq!((results.len(), witness.len()), (500, 500));
    assert_eq!(results.iter().map(|(id, _)| *id).collect::<BTreeSet<_>>(), sent);
    assert!(witness.arrivals("shop-0", 80).connections <= 8);

    let endless = std::iter::repeat_with(move || request(Proto::Http2, addr, &ids));
    let mut load = load::start(&session, load::Pace { concurrency: 4, rps: None }, endless);
    let stopper = load.stopper();
    for _ in 0..50 {
        answered(&load.next().await.unwrap().1.result);
    }
    stopper.stop();
    let rest = load.collect().await;
    assert!(rest.iter().all(|(id, view)| answered(&view.result) == Some(200) && !witness.sightings(*id).is_empty()));
}

/// Not a test of correctness: prints how fast this machine is. `cargo test --release -- --ignored --nocapture speed`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
async fn speed() {
    let (app, _witness) = application(Kind::Http, None).await;
    let addr = app.addr();
    for (proto, connections) in [
        (Proto::Http1, Connections::KeepAlive),
        (Proto::Http1, Connections::PerRequest),
        (Proto::Http2, Connections::KeepAlive),
        (Proto::Grpc, Connections::KeepAlive),
        (Proto::Tcp, Connections::PerRequest),
    ] {
        let ids = RequestIds::new(1);
        let requests = (0..20_000).map(move |_| request(proto, addr, &ids));
        let start = std::time::Instant::now();
        let pace = load::Pace { concurrency: 16, rps: None };
        let results = load::start(&Arc::new(direct(connections)), pace, requests).collect().await;
        let failed = results.iter().filter(|(_, v)| matches!(v.result, ClientResult::Failed { .. })).count();
        let rate = results.len() as f64 / start.elapsed().as_secs_f64();
        println!("{proto:?} {connections:?}: {rate:.0}/s, {failed} failed");
    }
}
