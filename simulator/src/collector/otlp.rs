//! OTLP requests (opentelemetry.io, protocol 1.x): of each message the fields that are looked at.

use std::collections::BTreeMap;

use bytes::Bytes;
use envoy_types::pb::opentelemetry::proto::common::v1::{AnyValue, KeyValue, any_value::Value};
use prost::Message;

use super::{Entry, EntryKind};

/// `ExportLogsServiceRequest`.
#[derive(Clone, PartialEq, Message)]
struct ExportLogs {
    #[prost(message, repeated, tag = "1")]
    resource_logs: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceLogs {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_logs: Vec<ScopeLogs>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeLogs {
    #[prost(message, repeated, tag = "2")]
    records: Vec<LogRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct LogRecord {
    #[prost(message, optional, tag = "5")]
    body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    attributes: Vec<KeyValue>,
}

/// `ExportTraceServiceRequest`.
#[derive(Clone, PartialEq, Message)]
struct ExportTraces {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

/// Log entries.
pub(super) fn logs(body: Bytes) -> Result<Vec<Entry>, String> {
    let request = ExportLogs::decode(body).map_err(|error| error.to_string())?;
    let mut entries = Vec::new();
    for of in request.resource_logs {
        let resource = resource(of.resource);
        for record in of.scope_logs.into_iter().flat_map(|scope| scope.records) {
            let mut texts = resource.clone();
            collect("body", record.body, &mut texts);
            record.attributes.into_iter().for_each(|pair| collect(&pair.key, pair.value, &mut texts));
            let none = String::new;
            entries.push(Entry { kind: EntryKind::Log, texts, trace: none(), id: none(), parent: none() });
        }
    }
    Ok(entries)
}

/// Spans.
pub(super) fn spans(body: Bytes) -> Result<Vec<Entry>, String> {
    let request = ExportTraces::decode(body).map_err(|error| error.to_string())?;
    let mut entries = Vec::new();
    for of in request.resource_spans {
        let resource = resource(of.resource);
        for span in of.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let mut texts = resource.clone();
            span.attributes.into_iter().for_each(|pair| collect(&pair.key, pair.value, &mut texts));
            if let Some(service) = texts.get("resource.service.name").cloned() {
                texts.insert("service".into(), service);
            }
            texts.insert("name".into(), span.name);
            texts.insert("kind".into(), kind(span.kind).into());
            let (trace, id, parent) = (hex(&span.trace_id), hex(&span.span_id), hex(&span.parent_span_id));
            entries.push(Entry { kind: EntryKind::Span, texts, trace, id, parent });
        }
    }
    Ok(entries)
}

fn resource(of: Option<Resource>) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for pair in of.unwrap_or_default().attributes {
        collect(&format!("resource.{}", pair.key), pair.value, &mut texts);
    }
    texts
}

/// Puts a value under its name, and what it is made of below it.
fn collect(name: &str, value: Option<AnyValue>, texts: &mut BTreeMap<String, String>) {
    let text = match value.and_then(|value| value.value) {
        None | Some(Value::StringValueStrindex(_)) => return,
        Some(Value::StringValue(text)) => text,
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        Some(Value::BytesValue(bytes)) => hex(&bytes),
        Some(Value::ArrayValue(items)) => {
            for (i, item) in items.values.into_iter().enumerate() {
                collect(&format!("{name}.{i}"), Some(item), texts);
            }
            return;
        }
        Some(Value::KvlistValue(list)) => {
            list.values.into_iter().for_each(|pair| collect(&format!("{name}.{}", pair.key), pair.value, texts));
            return;
        }
    };
    texts.insert(name.to_owned(), text);
}

/// `Span.SpanKind`, as Zipkin writes it.
fn kind(number: i32) -> &'static str {
    match number {
        2 => "SERVER",
        3 => "CLIENT",
        4 => "PRODUCER",
        5 => "CONSUMER",
        _ => "INTERNAL",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
