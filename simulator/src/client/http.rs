//! HTTP/1.1 and HTTP/2 requests.

use bytes::{Bytes, BytesMut};
use http::{
    HeaderName, HeaderValue, Method, Response, Uri, Version, header,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;

use super::{Session, failure::Failure, pool::RequestBody, tap::Notes};
use crate::{
    exchange::{ClientResult, POD_HEADER, REQUEST_ID_HEADER, Request},
    workload::flatten,
};

/// More of an answer is not read.
const BODY_LIMIT: usize = 64 * 1024;

/// Sends over HTTP/1.1.
pub(super) async fn send_http1(session: &Session, request: &Request, may_reuse: bool) -> Result<ClientResult, Failure> {
    let message = message(request, Version::HTTP_11, Empty::new().boxed_unsync())?;
    let mut connection = session.http1(request, may_reuse).await?;
    let before = connection.notes.received();
    let response = match connection.sender.try_send_request(message).await {
        Ok(response) => response,
        Err(mut error) => {
            let unsent = error.take_message().is_some();
            let answered = connection.notes.received() > before;
            let failure = Failure::of_connection(&connection.notes, answered, error.error());
            let closed = connection.notes.end().is_some();
            let again = unsent || (closed && !answered && is_idempotent(&request.method));
            return Err(Failure { stale: connection.reused && again, ..failure });
        }
    };
    let (result, whole) = read(response, &connection.notes).await?;
    if whole {
        session.keep_http1(request, connection);
    }
    Ok(result)
}

/// Sends over HTTP/2.
pub(super) async fn send_http2(session: &Session, request: &Request, may_reuse: bool) -> Result<ClientResult, Failure> {
    let message = message(request, Version::HTTP_2, Empty::new().boxed_unsync())?;
    let mut connection = session.http2(request, may_reuse).await?;
    let response = match connection.sender.try_send_request(message).await {
        Ok(response) => response,
        Err(error) => return Err(connection.failure(error)),
    };
    Ok(read(response, &connection.notes).await?.0)
}

/// The request as an HTTP message. Fails, rather than correct anything, if HTTP cannot carry it.
pub(super) fn message(
    request: &Request,
    version: Version,
    body: RequestBody,
) -> Result<http::Request<RequestBody>, Failure> {
    let bad = |what: &str, error: &dyn std::fmt::Display| Failure::other(format!("cannot send this {what}: {error}"));
    let path: PathAndQuery = request.path.parse().map_err(|e| bad("path", &e))?;
    let mut uri = Uri::from(path).into_parts();
    if version == Version::HTTP_2 {
        uri.authority = Some(request.authority.parse::<Authority>().map_err(|e| bad("authority", &e))?);
        uri.scheme = Some(Scheme::HTTP);
    }
    let mut message = http::Request::new(body);
    *message.version_mut() = version;
    *message.uri_mut() = Uri::from_parts(uri).map_err(|e| bad("path", &e))?;
    *message.method_mut() = Method::from_bytes(request.method.as_bytes()).map_err(|e| bad("method", &e))?;
    let headers = message.headers_mut();
    for (name, value) in &request.headers {
        let name = HeaderName::try_from(name).map_err(|e| bad("header", &e))?;
        headers.append(name, HeaderValue::try_from(value).map_err(|e| bad("header", &e))?);
    }
    if version != Version::HTTP_2 {
        let host = HeaderValue::try_from(&request.authority).map_err(|e| bad("authority", &e))?;
        headers.insert(header::HOST, host);
    }
    let id = HeaderValue::try_from(request.id.to_string()).map_err(|e| bad("id", &e))?;
    headers.insert(REQUEST_ID_HEADER, id);
    Ok(message)
}

/// Reads the answer to its end and judges it. Also tells whether all of it was read.
async fn read(response: Response<Incoming>, notes: &Notes) -> Result<(ClientResult, bool), Failure> {
    let (parts, body) = response.into_parts();
    let (body, whole) = read_body(body).await.map_err(|e| Failure::of_connection(notes, true, &e))?;
    let result = judge(&parts, &body)?;
    Ok((result, whole))
}

/// A response with the application's name is an answer, whatever its status; any other comes from a proxy.
pub(super) fn judge(parts: &http::response::Parts, body: &[u8]) -> Result<ClientResult, Failure> {
    let headers = flatten(&parts.headers);
    match headers.get(POD_HEADER).cloned() {
        Some(pod) => Ok(ClientResult::Answered { status: Some(parts.status.as_u16()), pod: Some(pod), headers }),
        None => Err(Failure::by_proxy(parts.status.as_u16(), headers, body)),
    }
}

/// The body, up to the limit, and whether that was all.
pub(super) async fn read_body(mut body: Incoming) -> Result<(Bytes, bool), hyper::Error> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            read.extend_from_slice(&data);
        }
        if read.len() > BODY_LIMIT {
            read.truncate(BODY_LIMIT);
            return Ok((read.freeze(), false));
        }
    }
    Ok((read.freeze(), true))
}

fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}
