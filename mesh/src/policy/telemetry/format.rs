//! Formats of log entries. Envoy refuses a whole listener for a format that it cannot read, so what it would refuse must be
//! found before.
//!
//! Left out on purpose are the operators with a language of their own (`CEL`, `COALESCE`) or whose arguments cannot be judged
//! here (`METADATA`, `FILTER_STATE`, `UPSTREAM_FILTER_STATE`).

use std::sync::Arc;

use serde_json::{Map, Value};

use super::Format;

/// What may stand behind an operator's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arguments {
    /// Nothing.
    None,
    /// Nothing, or `(TEXT)`.
    Optional,
    /// `(TEXT)`.
    Key,
    /// `(TEXT)`, then possibly `:LENGTH`.
    Text,
    /// `(NAME)` or `(NAME?OTHER)`, then possibly `:LENGTH`.
    Header,
}

/// Reads a format: a JSON object, or text.
///
/// # Errors
/// Why Envoy would refuse it.
pub(super) fn read(written: &Arc<str>) -> Result<Format, String> {
    match serde_json::from_str::<Map<String, Value>>(written) {
        Ok(object) => {
            object.values().try_for_each(check_value)?;
            Ok(Format::Json(object))
        }
        Err(_) => check(written).map(|()| Format::Text(written.clone())),
    }
}

fn check_value(value: &Value) -> Result<(), String> {
    match value {
        Value::String(text) => check(text),
        Value::Array(items) => items.iter().try_for_each(check_value),
        Value::Object(fields) => fields.values().try_for_each(check_value),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// Checks a text with command operators.
///
/// # Errors
/// Why Envoy would refuse it.
pub fn check(text: &str) -> Result<(), String> {
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let after = &rest[at + 1..];
        rest = match after.strip_prefix('%') {
            Some(after) => after,
            None => operator(after)?,
        };
    }
    Ok(())
}

/// Checks the operator that `text` begins with, behind its `%`; returns what follows it.
fn operator(text: &str) -> Result<&str, String> {
    let end = text.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')).unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    let wrong = |why: &str| format!("`%{name}` {why}");
    if name.is_empty() {
        return Err("a `%` begins no operator; write `%%` for a percent sign".into());
    }
    let arguments = arguments(name).ok_or_else(|| wrong("is no command operator that sidecars know"))?;
    let (argument, after) = match after.strip_prefix('(') {
        Some(inside) => {
            inside.split_once(')').map(|(a, rest)| (Some(a), rest)).ok_or_else(|| wrong("lacks its `)`"))?
        }
        None => (None, after),
    };
    let (length, after) = match after.strip_prefix(':') {
        Some(after) => {
            let (length, after) = after.split_once('%').ok_or_else(|| wrong("lacks the `%` that ends it"))?;
            (Some(length), after)
        }
        None => (None, after.strip_prefix('%').ok_or_else(|| wrong("lacks the `%` that ends it"))?),
    };
    judge(arguments, argument, length).map_err(wrong)?;
    Ok(after)
}

fn judge(arguments: Arguments, argument: Option<&str>, length: Option<&str>) -> Result<(), &'static str> {
    let takes_length = matches!(arguments, Arguments::Text | Arguments::Header);
    if length.is_some() && !takes_length {
        return Err("takes no length");
    }
    if length.is_some_and(|l| l.is_empty() || l.len() > 6 || !l.bytes().all(|b| b.is_ascii_digit())) {
        return Err("has a length that is no number up to 999999");
    }
    if argument.is_some_and(|a| a.contains(['\n', '\r', '\0'])) {
        return Err("has a line break in its argument");
    }
    match (arguments, argument) {
        (Arguments::None, Some(_)) => Err("takes no argument"),
        (Arguments::Key | Arguments::Text | Arguments::Header, None | Some("")) => {
            Err("lacks its argument, in parentheses")
        }
        (Arguments::Header, Some(names)) if !is_header(names) => Err("names no header, or more than two"),
        _ => Ok(()),
    }
}

fn is_header(names: &str) -> bool {
    let token = |name: &str| {
        let name = name.strip_prefix(':').unwrap_or(name);
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&b))
    };
    let mut parts = names.split('?');
    parts.by_ref().take(2).all(token) && parts.next().is_none()
}

/// What the operator takes; `None` if there is none of this name.
fn arguments(name: &str) -> Option<Arguments> {
    const HEADER: [&str; 6] = ["REQ", "RESP", "TRAILER", "REQUEST_HEADER", "RESPONSE_HEADER", "RESPONSE_TRAILER"];
    const KEY: [&str; 2] = ["CLUSTER_METADATA", "UPSTREAM_METADATA"];
    const TEXT: [&str; 3] = ["DYNAMIC_METADATA", "ENVIRONMENT", "QUERY_PARAM"];
    const OPTIONAL: [&str; 2] = ["START_TIME", "RESPONSE_CODE_DETAILS"];
    if HEADER.contains(&name) {
        return Some(Arguments::Header);
    }
    if KEY.contains(&name) {
        return Some(Arguments::Key);
    }
    if TEXT.contains(&name) {
        return Some(Arguments::Text);
    }
    if OPTIONAL.contains(&name) {
        return Some(Arguments::Optional);
    }
    PLAIN.contains(&name).then_some(Arguments::None)
}

/// Operators without arguments, as Envoy 1.40 has them.
const PLAIN: &[&str] = &[
    "ACCESS_LOG_TYPE",
    "BYTES_RECEIVED",
    "BYTES_SENT",
    "CONNECTION_ID",
    "CONNECTION_TERMINATION_DETAILS",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_HEADER_BYTES_SENT",
    "DOWNSTREAM_LOCAL_ADDRESS",
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_LOCAL_DNS_SAN",
    "DOWNSTREAM_LOCAL_PORT",
    "DOWNSTREAM_LOCAL_SUBJECT",
    "DOWNSTREAM_LOCAL_URI_SAN",
    "DOWNSTREAM_PEER_DNS_SAN",
    "DOWNSTREAM_PEER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_ISSUER",
    "DOWNSTREAM_PEER_SERIAL",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_PEER_URI_SAN",
    "DOWNSTREAM_REMOTE_ADDRESS",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_REMOTE_PORT",
    "DOWNSTREAM_TLS_CIPHER",
    "DOWNSTREAM_TLS_SESSION_ID",
    "DOWNSTREAM_TLS_VERSION",
    "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
    "DOWNSTREAM_WIRE_BYTES_RECEIVED",
    "DOWNSTREAM_WIRE_BYTES_SENT",
    "DURATION",
    "FILTER_CHAIN_NAME",
    "GRPC_STATUS_NUMBER",
    "HOSTNAME",
    "PROTOCOL",
    "REQUESTED_SERVER_NAME",
    "REQUEST_DURATION",
    "REQUEST_HEADERS_BYTES",
    "REQUEST_TX_DURATION",
    "RESPONSE_CODE",
    "RESPONSE_DURATION",
    "RESPONSE_FLAGS",
    "RESPONSE_FLAGS_LONG",
    "RESPONSE_HEADERS_BYTES",
    "RESPONSE_TRAILERS_BYTES",
    "RESPONSE_TX_DURATION",
    "ROUTE_NAME",
    "ROUNDTRIP_DURATION",
    "STREAM_ID",
    "TLS_JA3_FINGERPRINT",
    "TRACE_ID",
    "UNIQUE_ID",
    "UPSTREAM_CLUSTER",
    "UPSTREAM_CLUSTER_RAW",
    "UPSTREAM_CONNECTION_ID",
    "UPSTREAM_CONNECTION_POOL_READY_DURATION",
    "UPSTREAM_DETECTED_CLOSE_TYPE",
    "UPSTREAM_HEADER_BYTES_RECEIVED",
    "UPSTREAM_HEADER_BYTES_SENT",
    "UPSTREAM_HOST",
    "UPSTREAM_HOST_NAME",
    "UPSTREAM_HOST_NAME_WITHOUT_PORT",
    "UPSTREAM_LOCAL_ADDRESS",
    "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_LOCAL_PORT",
    "UPSTREAM_PEER_DNS_SAN",
    "UPSTREAM_PEER_SUBJECT",
    "UPSTREAM_PEER_URI_SAN",
    "UPSTREAM_PROTOCOL",
    "UPSTREAM_REMOTE_ADDRESS",
    "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_REMOTE_PORT",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT",
    "UPSTREAM_TLS_CIPHER",
    "UPSTREAM_TLS_SESSION_ID",
    "UPSTREAM_TLS_VERSION",
    "UPSTREAM_TRANSPORT_FAILURE_REASON",
    "UPSTREAM_WIRE_BYTES_RECEIVED",
    "UPSTREAM_WIRE_BYTES_SENT",
    "VIRTUAL_CLUSTER_NAME",
];
