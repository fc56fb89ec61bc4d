//! HTTPRouteGroup: v1alpha1 has no `headers`; up to v1alpha2 `matches` stands at the top.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Fields, annotation, annotation::HEADERS, items, to_the_top, under_spec};
use crate::api::error::Fault;

pub(super) fn up(object: &mut Fields, from: u8) -> Result<(), Fault> {
    match from {
        1 => restore_headers(object),
        2 => {
            under_spec(object, &[("matches", "matches")]);
            Ok(())
        }
        _ => Ok(()),
    }
}

pub(super) fn down(object: &mut Fields, from: u8) -> Result<(), Fault> {
    match from {
        2 => keep_headers(object),
        3 => {
            to_the_top(object, &[("matches", "matches")]);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Names may occur twice, so each match is known by its name and which of that name it is.
fn numbered(object: &mut Fields) -> impl Iterator<Item = ((String, u64), &mut Fields)> {
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    items(object.get_mut("matches")).map(move |entry| {
        let name = entry.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let nth = seen.entry(name.clone()).or_default();
        *nth += 1;
        ((name, *nth), entry)
    })
}

fn keep_headers(object: &mut Fields) -> Result<(), Fault> {
    let mut kept = Vec::new();
    for ((name, nth), entry) in numbered(object) {
        kept.extend(entry.remove("headers").map(|headers| json!({ "name": name, "nth": nth, "headers": headers })));
    }
    annotation::set(object, HEADERS, (!kept.is_empty()).then(|| Value::Array(kept).to_string()))
}

/// A match that is gone takes its conditions with it. A match that was renamed is a new one, and has none.
fn restore_headers(object: &mut Fields) -> Result<(), Fault> {
    let kept: Vec<Value> = annotation::kept(object, HEADERS)?.unwrap_or_default();
    for ((name, nth), entry) in numbered(object) {
        let of_this = |kept: &&Value| kept["name"] == name.as_str() && kept["nth"] == nth;
        if let Some(headers) = kept.iter().find(of_this).and_then(|kept| kept.get("headers")) {
            entry.insert("headers".into(), headers.clone());
        }
    }
    annotation::set(object, HEADERS, None)
}
