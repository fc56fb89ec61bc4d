//! TCPRoute: only v1alpha4 tells ports; the older versions mean every port. v1alpha3 has an empty `spec`.

use serde_json::{Value, json};

use super::{Fields, annotation, annotation::SPEC};
use crate::api::error::Fault;

pub(super) fn up(object: &mut Fields, from: u8) -> Result<(), Fault> {
    match from {
        2 => drop(object.insert("spec".into(), json!({}))),
        3 => {
            let spec: Option<Value> = annotation::kept(object, SPEC)?;
            match spec.unwrap_or_else(every_port) {
                Value::Null => drop(object.remove("spec")),
                spec => drop(object.insert("spec".into(), spec)),
            }
            annotation::set(object, SPEC, None)?;
        }
        _ => {}
    }
    Ok(())
}

pub(super) fn down(object: &mut Fields, from: u8) -> Result<(), Fault> {
    match from {
        4 => {
            let spec = object.insert("spec".into(), json!({})).unwrap_or_default();
            annotation::set(object, SPEC, (spec != every_port()).then(|| spec.to_string()))?;
        }
        3 => drop(object.remove("spec")),
        _ => {}
    }
    Ok(())
}

fn every_port() -> Value {
    json!({ "matches": { "ports": [] } })
}
