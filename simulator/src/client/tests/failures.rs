//! What each way of failing looks like.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{Empty, Full};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};

use super::*;

/// A server that does `serve` to every connection.
async fn server<F>(serve: impl Fn(tokio::net::TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(LOCAL).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    addr
}

/// A proxy that answers by itself: every request with this status, gRPC requests with this code.
async fn proxy(status: u16, code: u16) -> SocketAddr {
    server(move |stream| async move {
        let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| async move {
            let response = http::Response::builder();
            if request.headers().get("content-type").is_some_and(|v| v == "application/grpc") {
                let response = response.header("content-type", "application/grpc").header("grpc-status", code);
                return Ok::<_, Infallible>(response.body(Full::new(Bytes::new())).unwrap());
            }
            Ok(response.status(status).body(Full::new("RBAC: access denied".into())).unwrap())
        });
        let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
    })
    .await
}

async fn fails(proto: Proto, addr: SocketAddr) -> ClientResult {
    direct(Connections::PerRequest).send(&request(proto, addr, &RequestIds::new(1))).await.result
}

#[tokio::test]
async fn a_port_without_a_listener_is_refused() {
    let addr = TcpListener::bind(LOCAL).await.unwrap().local_addr().unwrap();
    for proto in ALL {
        assert_eq!(shape(&fails(proto, addr).await), Some(Shape::Refused), "{proto:?}");
    }
}

#[tokio::test]
async fn a_connection_that_ends_without_a_byte_is_closed() {
    let at_once = server(|stream| async move { drop(stream) }).await;
    let after_the_first_bytes = server(|mut stream| async move {
        // What was not read makes the close a reset.
        let _ = stream.read(&mut [0; 8]).await;
    })
    .await;
    for proto in ALL {
        assert_eq!(shape(&fails(proto, at_once).await), Some(Shape::Closed), "{proto:?}");
        if proto != Proto::TcpServerFirst {
            assert_eq!(shape(&fails(proto, after_the_first_bytes).await), Some(Shape::Closed), "{proto:?}");
        }
    }
}

#[tokio::test]
async fn a_leaked_byte_is_no_denial() {
    let leak = |words: &'static [u8]| {
        server(move |mut stream| async move {
            let _ = stream.read(&mut [0; 512]).await;
            let _ = stream.write_all(words).await;
        })
    };
    assert_eq!(shape(&fails(Proto::Tcp, leak(b"shop").await).await), None);
    assert_eq!(shape(&fails(Proto::Tcp, leak(b"shop-0 1\n").await).await), None);
    assert_eq!(shape(&fails(Proto::Http1, leak(b"HTTP/1.1 2").await).await), None);
    let body = leak(b"HTTP/1.1 403 Forbidden\r\nx-sim-pod: shop-0\r\ncontent-length: 9\r\n\r\nhalf").await;
    assert_eq!(shape(&fails(Proto::Http1, body).await), None);
    let banner = server(|mut stream| async move { drop(stream.write_all(b"hello from shop-0\n").await) }).await;
    assert_eq!(shape(&fails(Proto::TcpServerFirst, banner).await), None);
    let one_byte = server(|mut stream| async move { drop(stream.write_all(b"h").await) }).await;
    assert_eq!(shape(&fails(Proto::TcpServerFirst, one_byte).await), None);
}

#[tokio::test]
async fn a_proxys_status_is_a_denial_and_tells_its_reason() {
    let cases = [
        (403, 7, Some(Shape::Http403)),
        (404, 12, Some(Shape::Http404)),
        (503, 14, Some(Shape::Http503)),
        (500, 13, None),
        (200, 0, None),
    ];
    for (status, code, expected) in cases {
        let addr = proxy(status, code).await;
        for proto in [Proto::Http1, Proto::Http2, Proto::Websocket] {
            let result = fails(proto, addr).await;
            assert_eq!(shape(&result), expected, "{proto:?} {status}");
            let ClientResult::Failed { status: seen, detail, .. } = result else { continue };
            assert_eq!(seen, Some(status));
            assert!(detail.contains("RBAC: access denied"), "{detail}");
        }
        for proto in [Proto::Grpc, Proto::GrpcStream] {
            assert_eq!(shape(&fails(proto, addr).await), expected, "{proto:?} {code}");
        }
    }
}

#[tokio::test]
async fn raw_tcp_that_a_proxy_takes_for_bad_http_is_closed() {
    let addr = server(|mut stream| async move {
        let _ = stream.read(&mut [0; 512]).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await;
    })
    .await;
    let result = fails(Proto::Tcp, addr).await;
    assert!(matches!(result, ClientResult::Failed { shape: Some(Shape::Closed), status: Some(400), .. }), "{result:?}");
}

#[tokio::test]
async fn silence_is_a_failure_but_no_denial() {
    let silent = server(|stream| async move {
        let _stream = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let session = direct(Connections::PerRequest).with_timeout(Duration::from_millis(50));
    for proto in ALL {
        let result = session.send(&request(proto, silent, &RequestIds::new(1))).await.result;
        assert_eq!(shape(&result), None, "{proto:?}");
        assert!(matches!(result, ClientResult::Failed { detail, .. } if detail.contains("timed out")));
    }
}

#[tokio::test]
async fn what_http_cannot_carry_is_told_not_corrected() {
    let addr = proxy(200, 0).await;
    let good = request(Proto::Http2, addr, &RequestIds::new(1));
    let bad_header = BTreeMap::from([("x y".to_owned(), "1".to_owned())]);
    for bad in [
        Request { path: "/a b".into(), ..good.clone() },
        Request { method: "G T".into(), ..good.clone() },
        Request { authority: "a b".into(), ..good.clone() },
        Request { headers: bad_header, ..good.clone() },
    ] {
        let result = direct(Connections::PerRequest).send(&bad).await.result;
        assert!(
            matches!(&result, ClientResult::Failed { detail, .. } if detail.starts_with("cannot send")),
            "{result:?}"
        );
    }
}

/// HTTP 200 alone is no answer to a gRPC call.
#[tokio::test]
async fn a_response_without_a_grpc_status_is_no_answer() {
    let addr = server(|stream| async move {
        let service = hyper::service::service_fn(|_| async {
            Ok::<_, Infallible>(http::Response::builder().header("x-sim-pod", "p").body(Empty::<Bytes>::new()).unwrap())
        });
        let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
    })
    .await;
    assert_eq!(shape(&fails(Proto::Grpc, addr).await), None);
}
