//! HTTP/1.1 and HTTP/2 on one port: records the request and repeats it in the answer.

use std::{collections::BTreeMap, convert::Infallible, io::Cursor, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use super::{application::Desk, grpc, tasks::Tasks, websocket, xfcc};
use crate::{
    exchange::{POD_HEADER, REQUEST_ID_HEADER, RequestId, Sighting},
    scenario::model::Proto,
};

/// The body of every answer.
pub(super) type AnswerBody = UnsyncBoxBody<Bytes, Infallible>;

/// Serves a connection of which `first` has been read already, until either side closes it.
pub(super) async fn serve<S>(stream: S, first: &[u8], desk: Arc<Desk>, tasks: Tasks)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (read, write) = tokio::io::split(stream);
    let whole = tokio::io::join(Cursor::new(first.to_vec()).chain(read), write);
    let mut builder = auto::Builder::new(tasks.clone());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new()).enable_connect_protocol();
    let answering = desk.clone();
    let service = service_fn(move |request| {
        let (desk, tasks) = (answering.clone(), tasks.clone());
        async move { Ok::<_, Infallible>(answer(request, &desk, &tasks).await) }
    });
    if let Err(error) = builder.serve_connection_with_upgrades(TokioIo::new(whole), service).await {
        let cause = error.downcast_ref::<hyper::Error>();
        if cause.is_some_and(hyper::Error::is_parse) {
            desk.counts.strayed();
        }
        tracing::debug!(pod = %desk.pod, port = desk.port, %error, "HTTP connection ended");
    }
}

async fn answer(request: Request<Incoming>, desk: &Desk, tasks: &Tasks) -> Response<AnswerBody> {
    let id = request.headers().get(REQUEST_ID_HEADER).and_then(|v| v.to_str().ok()?.parse().ok());
    let upgrade = websocket::Upgrade::wanted(&request);
    let sighting = sighting(desk, &request, upgrade.is_some());
    let is_grpc = matches!(sighting.proto, Proto::Grpc | Proto::GrpcStream);
    let repeat = match request.method() {
        _ if is_grpc || upgrade.is_some() => None,
        // RFC 9110 §9.3.2: the answer has no content. hyper sees to it over HTTP/1 alone; over HTTP/2 Envoy resets the stream.
        &Method::HEAD => Some(Vec::new()),
        _ => Some(repeat(id, &sighting)),
    };
    // Recorded before the delay: what has arrived has arrived, even if the client gives up.
    desk.record(id, sighting);
    let arrivals = desk.arrivals(id);
    let behaviour = desk.behaviour();
    if !behaviour.delay.is_zero() {
        tokio::time::sleep(behaviour.delay).await;
    }
    let status = behaviour.status_for(id, arrivals);
    let mut response = match (upgrade, repeat) {
        (Some(upgrade), _) if (200..300).contains(&status) => websocket::accept(upgrade, request, tasks),
        (None, None) => grpc::answer(desk, status, request.into_body()),
        (_, repeat) => plain(status, repeat.unwrap_or_default()),
    };
    // Pod names are DNS labels, so this holds; a client would notice the missing header.
    if let Ok(pod) = HeaderValue::try_from(&*desk.pod) {
        response.headers_mut().insert(POD_HEADER, pod);
    }
    response
}

fn plain(status: u16, body: Vec<u8>) -> Response<AnswerBody> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let empty = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let body = if empty { Bytes::new() } else { body.into() };
    let mut response = Response::new(Full::new(body).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The answer's body: the sighting as JSON, with the id.
fn repeat(id: Option<RequestId>, sighting: &Sighting) -> Vec<u8> {
    #[derive(serde::Serialize)]
    struct Repeat<'a> {
        id: Option<String>,
        #[serde(flatten)]
        sighting: &'a Sighting,
    }
    // Strings and numbers only: it cannot fail. If it did, the answer would have no body.
    serde_json::to_vec(&Repeat { id: id.map(|id| id.to_string()), sighting }).unwrap_or_default()
}

fn sighting(desk: &Desk, request: &Request<Incoming>, websocket: bool) -> Sighting {
    let headers = flatten(request.headers());
    let uri = request.uri();
    let authority = uri.authority().map(ToString::to_string).or_else(|| headers.get("host").cloned());
    let is_grpc = headers.get("content-type").is_some_and(|v| v.starts_with("application/grpc"));
    let proto = match request.version() {
        _ if websocket => Proto::Websocket,
        Version::HTTP_2 if is_grpc && headers.contains_key(grpc::MESSAGES_HEADER) => Proto::GrpcStream,
        Version::HTTP_2 if is_grpc => Proto::Grpc,
        Version::HTTP_2 => Proto::Http2,
        _ => Proto::Http1,
    };
    Sighting {
        pod: desk.pod.clone(),
        port: desk.port,
        proto,
        method: request.method().to_string(),
        path: uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        authority: authority.unwrap_or_default(),
        peer: headers.get("x-forwarded-client-cert").and_then(|v| xfcc::peer_uri(v)),
        headers,
    }
}

/// All headers, repeated ones joined by a comma; bytes beyond UTF-8 become U+FFFD.
pub(crate) fn flatten(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut flat = BTreeMap::<String, String>::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        flat.entry(name.as_str().into())
            .and_modify(|all| {
                all.push(',');
                all.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    flat
}
