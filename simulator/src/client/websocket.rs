//! Websockets: an upgrade over HTTP/1.1, then one message each way.

use ::http::{HeaderValue, StatusCode, Version, header};
use futures::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::{client::generate_key, derive_accept_key},
        protocol::Role,
    },
};

use super::{
    connect::Connected,
    failure::Failure,
    http,
    pool::{Http1, RequestBody},
    tap::Notes,
};
use crate::exchange::{ClientResult, Request};

/// Sends on a connection of its own.
pub(super) async fn send(connected: Connected, request: &Request) -> Result<ClientResult, Failure> {
    let key = generate_key();
    let message = upgrade(request, &key)?;
    let mut connection = Http1::over(connected, true).await?;
    let notes = connection.notes.clone();
    let sent = connection.sender.send_request(message).await;
    let mut response = sent.map_err(|e| Failure::of_connection(&notes, notes.received() > 0, &e))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let (parts, body) = response.into_parts();
        let (body, _) = http::read_body(body).await.map_err(|e| Failure::of_connection(&notes, true, &e))?;
        return http::judge(&parts, &body);
    }
    let accept = response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
    if accept.is_none_or(|accept| accept.as_bytes() != derive_accept_key(key.as_bytes()).as_bytes()) {
        return Err(Failure::other("the upgrade's sec-websocket-accept does not match the key"));
    }
    let handover = hyper::upgrade::on(&mut response).await;
    let stream = handover.map_err(|e| Failure::of_connection(&notes, true, &e))?;
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Client, None).await;
    converse(socket, request, &notes).await?;
    let (parts, _) = response.into_parts();
    http::judge(&parts, b"")
}

fn upgrade(request: &Request, key: &str) -> Result<::http::Request<RequestBody>, Failure> {
    let mut message = http::message(request, Version::HTTP_11, Empty::new().boxed_unsync())?;
    let headers = message.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::try_from(key).map_err(Failure::other)?);
    Ok(message)
}

async fn converse<S>(mut socket: WebSocketStream<S>, request: &Request, notes: &Notes) -> Result<(), Failure>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let words = format!("sim {}", request.id);
    let sent = socket.send(Message::text(words.clone())).await;
    sent.map_err(|e| Failure::of_connection(notes, true, &e))?;
    match socket.next().await {
        Some(Ok(Message::Text(echo))) if echo.as_str() == words => {}
        Some(Ok(other)) => return Err(Failure::other(format!("the echo is not what was sent: {other:?}"))),
        Some(Err(error)) => return Err(Failure::of_connection(notes, true, &error)),
        None => return Err(Failure::other("the websocket was closed without an echo")),
    }
    // A farewell; the answer is complete, so it does not matter whether it arrives.
    let _ = socket.close(None).await;
    Ok(())
}
