//! An HTTP request on its way through the proxies.

use std::{borrow::Cow, collections::BTreeMap};

use super::unmodelled::{Modelled, Unmodelled};
use crate::exchange::{REQUEST_ID_HEADER, Request};
use crate::scenario::model::Proto;

/// Methods whose handling by Envoy is known to be plain.
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PURGE"];

/// Headers that clients' libraries or proxies set, strip or act upon: a request that brings one, or a policy that looks at one,
/// is not modelled.
const CHANGING_HEADERS: [&str; 17] = [
    "host",
    "connection",
    "upgrade",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "te",
    "trailer",
    "content-length",
    "expect",
    "via",
    "forwarded",
    "date",
    "server",
    "x-request-id",
    "x-client-trace-id",
    REQUEST_ID_HEADER,
];

/// The same, by prefix.
const CHANGING_PREFIXES: [&str; 6] = ["x-forwarded-", "x-envoy-", "sec-websocket-", "x-b3-", "grpc-", ":"];

/// Headers that proxies overwrite, whatever a client claims: harmless in a request, unless a policy looks at one.
const OVERWRITTEN: [&str; 5] =
    ["x-forwarded-client-cert", "x-forwarded-for", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled"];

/// Headers that gRPC libraries set on their own.
const GRPC_HEADERS: [&str; 5] = ["content-type", "user-agent", "accept", "accept-encoding", "content-encoding"];

/// An HTTP request. The texts are printable ASCII.
#[derive(Clone, Debug)]
pub(super) struct Message<'a> {
    pub(super) proto: Proto,
    pub(super) method: &'a str,
    /// `:authority`, or the Host header.
    pub(super) authority: Cow<'a, str>,
    /// `:path`: path and query.
    pub(super) path: Cow<'a, str>,
    headers: &'a BTreeMap<String, String>,
}

impl<'a> Message<'a> {
    /// The request as the client sends it, if it is one whose treatment is known.
    pub(super) fn new(request: &'a Request) -> Modelled<Self> {
        let method = match request.proto {
            Proto::Grpc | Proto::GrpcStream => "POST",
            _ => request.method.as_str(),
        };
        if !METHODS.contains(&method) {
            return Err(Unmodelled::new("request.method", format!("`{method}` is not modelled")));
        }
        check_authority(&request.authority)?;
        check_path(&request.path)?;
        for (name, value) in &request.headers {
            check_header(name, value)?;
        }
        Ok(Self {
            proto: request.proto,
            method,
            authority: Cow::Borrowed(&request.authority),
            path: Cow::Borrowed(&request.path),
            headers: &request.headers,
        })
    }

    /// The path without its query: what Envoy's path matchers see.
    pub(super) fn bare_path(&self) -> &str {
        self.path.split('?').next().unwrap_or("")
    }

    /// The header or pseudo-header `name` (lower case, and passed by [`is_plain_header`]).
    pub(super) fn header(&self, name: &str) -> Modelled<Option<&str>> {
        match name {
            ":method" => return Ok(Some(self.method)),
            ":authority" => return Ok(Some(&self.authority)),
            ":path" => return Ok(Some(&self.path)),
            _ => {}
        }
        let value = self.headers.get(name).map(String::as_str);
        if value.is_none() && self.is_grpc() && GRPC_HEADERS.contains(&name) {
            return Err(Unmodelled::new(format!("request.headers.{name}"), "gRPC libraries set it on their own"));
        }
        Ok(value)
    }

    /// Whether it is a gRPC call.
    pub(super) fn is_grpc(&self) -> bool {
        matches!(self.proto, Proto::Grpc | Proto::GrpcStream)
    }
}

/// Whether `name`, in lower case, reaches every proxy just as the client sent it.
pub(super) fn is_plain_header(name: &str) -> bool {
    let token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    matches!(name, ":method" | ":authority" | ":path")
        || !name.is_empty()
            && name.bytes().all(token)
            && !CHANGING_HEADERS.contains(&name)
            && !CHANGING_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn check_header(name: &str, value: &str) -> Modelled<()> {
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let text = value.bytes().all(|b| (b' '..=b'~').contains(&b)) && value.trim() == value;
    let known = is_plain_header(name) || OVERWRITTEN.contains(&name);
    if name.starts_with(':') || !plain || !known || !text {
        return Err(Unmodelled::new(format!("request.headers.{name}"), "this header or its value is not modelled"));
    }
    Ok(())
}

fn check_authority(authority: &str) -> Modelled<()> {
    let known = |b: u8| b.is_ascii_alphanumeric() || b".-_:".contains(&b);
    let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
    let port = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    if host.is_empty() || !port || !authority.bytes().all(known) {
        return Err(Unmodelled::new("request.authority", format!("`{authority}` is not modelled")));
    }
    Ok(())
}

/// Letters, digits, `-._~`, sub-delims, `:@/`, backslashes and percent escapes pass through Envoy as [`super::path`] knows.
fn check_path(path: &str) -> Modelled<()> {
    let bad = |why: &str| Err(Unmodelled::new("request.path", format!("`{path}`: {why}")));
    if !path.starts_with('/') {
        return bad("only absolute paths are modelled");
    }
    let (bare, query) = path.split_once('?').unwrap_or((path, ""));
    let known = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&b);
    if let Some(odd) = bare.bytes().find(|&b| !known(b) && b != b'%' && b != b'\\') {
        return bad(&format!("the byte {odd:#04x} is not modelled"));
    }
    if let Some(odd) = query.bytes().find(|&b| !known(b) && b != b'%' && b != b'?') {
        return bad(&format!("the byte {odd:#04x} in the query is not modelled"));
    }
    let escapes = bare.split('%').skip(1);
    if escapes.map(str::as_bytes).any(|rest| rest.len() < 2 || !rest[..2].iter().all(u8::is_ascii_hexdigit)) {
        return bad("a `%` without two hexadecimal digits is not modelled");
    }
    // Envoy takes `..;x` for a dot segment.
    let segments = super::path::plain(bare);
    if segments.split('/').any(|segment| segment.starts_with(".;") || segment.starts_with("..;")) {
        return bad("a dot segment with parameters is not modelled");
    }
    Ok(())
}
