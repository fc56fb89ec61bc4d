use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

use super::{Application, ApplicationPort, Arrivals, EchoMessage, Kind, StartError, Witness};
use crate::{
    exchange::{REQUEST_ID_HEADER, RequestId},
    scenario::model::{Proto, Respond},
};

const ID: RequestId = RequestId(0xab);

async fn application(kind: Kind, respond: Respond) -> (Application, Arc<Witness>) {
    let witness = Arc::new(Witness::new());
    let port = ApplicationPort {
        pod: "shop-0".into(),
        port: 8080,
        kind,
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        respond,
        tls: None,
    };
    (Application::start(port, witness.clone()).await.unwrap(), witness)
}

/// Writes, ends its own half, and reads all that comes back.
async fn exchange(addr: SocketAddr, words: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(words).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is as good an end as any.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(extra: &str) -> Vec<u8> {
    format!("GET /a?b=c HTTP/1.1\r\nhost: shop\r\n{extra}connection: close\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn an_http_request_is_recorded_whole() {
    let (app, witness) = application(Kind::Http, Respond::default()).await;
    let xfcc = "x-forwarded-client-cert: URI=spiffe://c/forged,Hash=1;URI=spiffe://c/ns/sa";
    let answer =
        exchange(app.addr(), &get(&format!("{REQUEST_ID_HEADER}: {ID}\r\nx-a: 1\r\nx-a: 2\r\n{xfcc}\r\n"))).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("x-sim-pod: shop-0"), "{answer}");
    assert!(answer.contains(r#""path":"/a?b=c""#) && answer.contains(&ID.to_string()), "{answer}");

    let [seen] = &witness.sightings(ID)[..] else { panic!("one sighting expected") };
    assert_eq!((&*seen.pod, seen.port, seen.proto), ("shop-0", 8080, Proto::Http1));
    assert_eq!((&*seen.method, &*seen.path, &*seen.authority), ("GET", "/a?b=c", "shop"));
    assert_eq!(seen.headers["x-a"], "1,2");
    assert_eq!(seen.peer.as_deref(), Some("spiffe://c/ns/sa"));
    assert!(seen.headers["x-forwarded-client-cert"].contains("forged"));
    witness.forget([ID]);
    assert!(witness.is_empty() && witness.sightings(ID).is_empty());
}

#[tokio::test]
async fn what_has_no_id_is_counted_as_stray() {
    let (app, witness) = application(Kind::Http, Respond::default()).await;
    exchange(app.addr(), b"").await;
    assert_eq!(witness.arrivals("shop-0", 8080), Arrivals { connections: 1, strays: 0 });
    exchange(app.addr(), &get("")).await;
    exchange(app.addr(), b"\x16\x03\x01garbage\r\n\r\n").await;
    exchange(app.addr(), b"sim nonsense\n").await;
    assert_eq!(witness.arrivals("shop-0", 8080), Arrivals { connections: 4, strays: 3 });
    assert_eq!(witness.all_arrivals().len(), 1);
    assert!(witness.is_empty());
}

#[tokio::test]
async fn tcp_is_answered_then_echoed() {
    let (app, witness) = application(Kind::Tcp, Respond::default()).await;
    let answer = exchange(app.addr(), format!("sim {ID}\nmore\nand more").as_bytes()).await;
    assert_eq!(answer, format!("shop-0 {ID}\nmore\nand more"));
    assert_eq!(witness.sightings(ID)[0].proto, Proto::Tcp);

    let (app, witness) = application(Kind::TcpServerFirst, Respond::default()).await;
    let answer = exchange(app.addr(), format!("sim {ID}\n").as_bytes()).await;
    assert_eq!(answer, format!("hello from shop-0\nshop-0 {ID}\n"));
    assert_eq!(witness.sightings(ID)[0].proto, Proto::TcpServerFirst);
}

/// The point: traffic that reaches a port of another protocol is never lost as garbage.
#[tokio::test]
async fn every_kind_of_port_recognises_every_protocol() {
    let http = get(&format!("{REQUEST_ID_HEADER}: {ID}\r\n"));
    let tcp = format!("sim {ID}\n").into_bytes();
    for (kind, words) in [(Kind::Http, &tcp), (Kind::Tcp, &http), (Kind::TcpServerFirst, &http)] {
        let (app, witness) = application(kind, Respond::default()).await;
        exchange(app.addr(), words).await;
        assert_eq!(witness.sightings(ID).len(), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn a_tcp_failure_is_a_close_after_the_record() {
    let (app, witness) = application(Kind::Tcp, Respond { fail_percent: Some(100), ..Respond::default() }).await;
    assert_eq!(exchange(app.addr(), format!("sim {ID}\n").as_bytes()).await, "");
    assert_eq!(witness.sightings(ID).len(), 1);
}

/// tonic knows gRPC; if it is content, so is every client.
#[tokio::test]
async fn tonic_understands_the_echo() {
    let (app, witness) = application(Kind::Http, Respond::default()).await;
    let channel = Channel::from_shared(format!("http://{}", app.addr())).unwrap().connect().await.unwrap();
    let mut grpc = tonic::client::Grpc::new(channel);
    let words = |text: &str| EchoMessage { message: text.into() };
    let codec = || ProstCodec::<EchoMessage, EchoMessage>::default();

    grpc.ready().await.unwrap();
    let mut call = tonic::Request::new(words("one"));
    call.metadata_mut().insert(REQUEST_ID_HEADER, ID.to_string().parse().unwrap());
    let reply = grpc.unary(call, "/sim.Echo/Unary".parse().unwrap(), codec()).await.unwrap();
    assert_eq!(reply.metadata().get("x-sim-pod").unwrap(), "shop-0");
    assert_eq!(reply.into_inner(), words("one"));
    assert_eq!((witness.sightings(ID)[0].proto, &*witness.sightings(ID)[0].path), (Proto::Grpc, "/sim.Echo/Unary"));

    grpc.ready().await.unwrap();
    let many = tokio_stream::iter(["a", "b", "c"].map(words));
    let reply = grpc.streaming(tonic::Request::new(many), "/sim.Echo/Stream".parse().unwrap(), codec()).await.unwrap();
    let mut replies = reply.into_inner();
    for text in ["a", "b", "c"] {
        assert_eq!(replies.message().await.unwrap(), Some(words(text)));
    }
    assert_eq!(replies.message().await.unwrap(), None);

    for (status, code) in
        [(403, tonic::Code::PermissionDenied), (404, tonic::Code::Unimplemented), (503, tonic::Code::Unavailable)]
    {
        app.set_respond(&Respond { status: Some(status), ..Respond::default() }).unwrap();
        grpc.ready().await.unwrap();
        let call = tonic::Request::new(words("x"));
        let status = grpc.unary(call, "/sim.Echo/Unary".parse().unwrap(), codec()).await.unwrap_err();
        assert_eq!(status.code(), code);
        assert_eq!(status.metadata().get("x-sim-pod").unwrap(), "shop-0");
    }
}

#[tokio::test]
async fn a_stopped_application_closes_its_port_and_its_connections() {
    let (app, _witness) = application(Kind::TcpServerFirst, Respond::default()).await;
    let addr = app.addr();
    let mut open = TcpStream::connect(addr).await.unwrap();
    let mut banner = [0; 18];
    open.read_exact(&mut banner).await.unwrap();
    app.stop().await;
    assert_eq!(open.read(&mut banner).await.unwrap_or(0), 0);
    assert_eq!(TcpStream::connect(addr).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);

    let (app, witness) = application(Kind::Http, Respond::default()).await;
    let port = ApplicationPort {
        pod: "other-0".into(),
        port: 1,
        kind: Kind::Http,
        bind: app.addr(),
        respond: Respond::default(),
        tls: None,
    };
    assert!(matches!(Application::start(port, witness).await, Err(StartError::Bind { .. })));
}
