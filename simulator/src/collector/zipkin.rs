//! Zipkin's API, version 2, with JSON: a list of spans.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Entry, EntryKind};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    trace_id: String,
    id: String,
    #[serde(default)]
    parent_id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    local_endpoint: Option<Endpoint>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    #[serde(default)]
    service_name: String,
}

/// The spans.
pub(super) fn spans(body: &[u8]) -> Result<Vec<Entry>, String> {
    let spans: Vec<Span> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let entry = |span: Span| {
        let mut texts = span.tags;
        texts.insert("name".into(), span.name);
        texts.insert("kind".into(), span.kind);
        texts.insert("service".into(), span.local_endpoint.map(|e| e.service_name).unwrap_or_default());
        Entry { kind: EntryKind::Span, texts, trace: span.trace_id, id: span.id, parent: span.parent_id }
    };
    Ok(spans.into_iter().map(entry).collect())
}
