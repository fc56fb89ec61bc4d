//! Annotations that keep what a version cannot say.

use serde_json::Value;

use super::Fields;
use crate::api::error::Fault;

/// `destination.port` of a TrafficTarget, which v1alpha3 does not have. It narrows what the target opens.
pub const DESTINATION_PORT: &str = "conversion.smi-spec.io/destination-port";
/// `headers` of an HTTPRouteGroup's matches: a list of `{name, nth, headers}`.
pub(super) const HEADERS: &str = "conversion.smi-spec.io/headers";
/// `spec` of a TCPRoute.
pub(super) const SPEC: &str = "conversion.smi-spec.io/spec";
/// `spec.matches` of a TrafficSplit.
pub(super) const MATCHES: &str = "conversion.smi-spec.io/matches";
/// Quantities of a TrafficSplit, in the order of its backends.
pub(super) const WEIGHTS: &str = "conversion.smi-spec.io/weights";

/// All of them.
pub(super) const KEPT: [&str; 5] = [DESTINATION_PORT, HEADERS, SPEC, MATCHES, WEIGHTS];

/// The text of an annotation.
pub(super) fn get<'o>(object: &'o Fields, key: &str) -> Option<&'o str> {
    object.get("metadata")?.get("annotations")?.get(key)?.as_str()
}

/// Sets an annotation, or takes it away; a map that has become empty goes with it.
pub(super) fn set(object: &mut Fields, key: &str, value: Option<String>) -> Result<(), Fault> {
    if value.is_none() && get(object, key).is_none() {
        return Ok(());
    }
    let no_map = |field: &str| Fault::new(field, "expected a mapping");
    let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Fields::new()));
    let metadata = metadata.as_object_mut().ok_or_else(|| no_map("metadata"))?;
    let annotations = metadata.entry("annotations").or_insert(Value::Null);
    if annotations.is_null() {
        *annotations = Value::Object(Fields::new());
    }
    let annotations = annotations.as_object_mut().ok_or_else(|| no_map("metadata.annotations"))?;
    match value {
        Some(value) => drop(annotations.insert(key.to_owned(), value.into())),
        None => drop(annotations.remove(key)),
    }
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    Ok(())
}

/// Reads what [`set`] kept.
pub(super) fn kept<T: serde::de::DeserializeOwned>(object: &Fields, key: &str) -> Result<Option<T>, Fault> {
    let Some(text) = get(object, key) else { return Ok(None) };
    serde_json::from_str(text).map(Some).map_err(|error| {
        let message = format!("keeps what this version cannot say, and cannot be read any more: {error}");
        Fault::new(format!("metadata.annotations[\"{key}\"]"), message)
            .hint("write the object in its newest version, without this annotation")
    })
}
