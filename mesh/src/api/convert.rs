//! Conversion between served versions, as an API server asks for it.
//!
//! What a version cannot say is kept in an annotation, so that the way back restores it and nothing that is allowed changes
//! on the way. Reading an object counts such annotations too.
//!
//! | annotation `conversion.smi-spec.io/…` | of | holds | while in |
//! |---|---|---|---|
//! | `destination-port` | TrafficTarget | `destination.port` | v1alpha3 |
//! | `headers` | HTTPRouteGroup | `headers` of the matches | v1alpha1 |
//! | `spec` | TCPRoute | `spec` | v1alpha1–3 |
//! | `matches` | TrafficSplit | `matches` | v1alpha1, v1alpha2 |
//! | `weights` | TrafficSplit | quantities that are no plain whole numbers | v1alpha2–4 |
//!
//! Weights of v1alpha1 become whole numbers of the same proportion: `1` and `500m` become 1000 and 500. On the way back the
//! quantities return if nobody has changed the weights since. A TCPRoute of v1alpha3 always comes with an empty `spec`.

mod annotation;
mod group;
mod split;
mod target;
mod tcp_route;

use serde_json::{Map, Value};

pub use self::annotation::DESTINATION_PORT;
use super::{
    crd,
    error::{Fault, quoted},
    json, suggest,
    tree::Node,
};

/// The fields of an object.
type Fields = Map<String, Value>;

/// One version up or down; the version is that from which it leads, as a number: 1 for v1alpha1.
type Step = fn(&mut Fields, u8) -> Result<(), Fault>;

/// The object in the version `to`, a whole `apiVersion`. Metadata stays as it is, but for the annotations above.
///
/// # Errors
/// If the kind is not served in one of the versions; or if a weight is no quantity, or an annotation above is not what it
/// was: nothing is dropped that way.
pub fn convert(mut object: Value, to: &str) -> Result<Value, Fault> {
    let Some(fields) = object.as_object_mut() else {
        return Err(Fault::new("", "expected an object: a mapping with `apiVersion`, `kind` and `metadata`"));
    };
    let kind = text(fields, "kind")?.to_owned();
    let served = crd::served(&kind);
    let (from, to_number) = (number(&served, text(fields, "apiVersion")?, &kind)?, number(&served, to, &kind)?);
    if from == to_number {
        return Ok(object);
    }
    let (up, down) = steps(&kind).ok_or_else(|| Fault::new("kind", format!("{kind} has no conversion")))?;
    if from < to_number {
        (from..to_number).try_for_each(|version| up(fields, version))?;
    } else {
        (to_number + 1..=from).rev().try_for_each(|version| down(fields, version))?;
    }
    fields.insert("apiVersion".into(), to.into());
    Ok(object)
}

fn steps(kind: &str) -> Option<(Step, Step)> {
    Some(match kind {
        "TrafficTarget" => (target::up, target::down),
        "HTTPRouteGroup" => (group::up, group::down),
        "TCPRoute" => (tcp_route::up, tcp_route::down),
        "TrafficSplit" => (split::up, split::down),
        _ => return None,
    })
}

/// The object in its newest version, if it is in an older one and annotations say more than it.
pub(super) fn restored(node: &Node) -> Result<Option<Node>, Fault> {
    let (kind, version) = (node.get("kind").and_then(Node::text), node.get("apiVersion").and_then(Node::text));
    let annotations = node.get("metadata").and_then(|metadata| metadata.get("annotations"));
    let kept = annotations.is_some_and(|all| annotation::KEPT.iter().any(|key| all.get(key).is_some()));
    let served = kind.filter(|_| kept).map(crd::served).unwrap_or_default();
    match (served.last(), version) {
        (Some(newest), Some(version)) if newest != version && served.iter().any(|known| known == version) => {
            json::object(&convert(json::of(node), newest)?).map(Some)
        }
        _ => Ok(None),
    }
}

fn number(served: &[String], version: &str, kind: &str) -> Result<u8, Fault> {
    let position = served.iter().position(|known| known == version).and_then(|i| u8::try_from(i + 1).ok());
    position.ok_or_else(|| {
        let known: Vec<_> = served.iter().map(String::as_str).collect();
        let known = if known.is_empty() { "no version".to_owned() } else { suggest::list(&known) };
        Fault::new("apiVersion", format!("{} is served in {known}, not in {}", quoted(kind), quoted(version)))
    })
}

fn text<'f>(fields: &'f Fields, field: &str) -> Result<&'f str, Fault> {
    let value = fields.get(field).ok_or_else(|| Fault::missing(field))?;
    value.as_str().ok_or_else(|| Fault::new(field, "expected text"))
}

/// Moves fields from the top level under `spec`. Pairs are the name before and after.
fn under_spec(object: &mut Fields, moved: &[(&str, &str)]) {
    let mut spec = Map::new();
    for (before, after) in moved {
        spec.extend(object.remove(*before).map(|value| ((*after).to_owned(), value)));
    }
    object.insert("spec".into(), Value::Object(spec));
}

/// Moves the content of `spec` to the top level. Pairs are the name before and after.
fn to_the_top(object: &mut Fields, moved: &[(&str, &str)]) {
    if let Some(Value::Object(mut spec)) = object.remove("spec") {
        for (before, after) in moved {
            object.extend(spec.remove(*before).map(|value| ((*after).to_owned(), value)));
        }
    }
}

/// The items of a list of objects.
fn items(list: Option<&mut Value>) -> impl Iterator<Item = &mut Fields> {
    list.and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

#[cfg(test)]
mod tests;
