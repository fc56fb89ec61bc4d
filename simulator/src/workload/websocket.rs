//! Websocket echo over HTTP/1.1 upgrade (RFC 6455) and over HTTP/2 extended CONNECT (RFC 8441).

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, ext::Protocol};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::derive_accept_key, protocol::Role},
};

use super::{http::AnswerBody, tasks::Tasks};

/// How a client asks for a websocket.
pub(super) enum Upgrade {
    /// `Upgrade: websocket`; with the `sec-websocket-accept` that it expects.
    Http1(String),
    /// `:method CONNECT`, `:protocol websocket`. HTTP/2 needs no key, but Envoy hands on that of an HTTP/1.1 client, which
    /// wants its `sec-websocket-accept`.
    Http2(Option<String>),
}

impl Upgrade {
    /// `None` if the request asks for no websocket.
    pub(super) fn wanted(request: &Request<Incoming>) -> Option<Self> {
        let key = text(request.headers(), header::SEC_WEBSOCKET_KEY);
        let accept = key.map(|key| derive_accept_key(key.as_bytes()));
        if request.method() == Method::CONNECT {
            let protocol = request.extensions().get::<Protocol>()?;
            return protocol.as_str().eq_ignore_ascii_case("websocket").then_some(Self::Http2(accept));
        }
        let upgrade = text(request.headers(), header::UPGRADE)?;
        accept.filter(|_| upgrade.eq_ignore_ascii_case("websocket")).map(Self::Http1)
    }
}

/// Agrees, and echoes every message once the connection is handed over.
pub(super) fn accept(upgrade: Upgrade, mut request: Request<Incoming>, tasks: &Tasks) -> Response<AnswerBody> {
    let handover = hyper::upgrade::on(&mut request);
    tasks.spawn(async move {
        match handover.await {
            Ok(stream) => {
                let socket = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, None).await;
                echo(socket).await;
            }
            Err(error) => tracing::debug!(%error, "websocket was not handed over"),
        }
    });
    let mut response = Response::new(Empty::<Bytes>::new().boxed_unsync());
    if matches!(upgrade, Upgrade::Http1(_)) {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
    let accept = match upgrade {
        Upgrade::Http1(accept) => Some(accept),
        Upgrade::Http2(accept) => accept,
    };
    // Base64, hence a legal value; the client would refuse a response without it.
    if let Some(accept) = accept.and_then(|accept| HeaderValue::try_from(accept).ok()) {
        response.headers_mut().insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

async fn echo(mut socket: WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>) {
    while let Some(Ok(message)) = socket.next().await {
        // tungstenite answers pings and close frames by itself.
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            break;
        }
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}
