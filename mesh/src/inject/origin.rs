//! What a pod was before injection. It is kept in a variable of the Envoy container, and not in an annotation, because
//! `kubectl debug --copy-to` copies containers without annotations.
//!
//! With it a pod that was injected before is first made what it was, and then injected anew. So a second pass finds the same
//! result, a copy of a pod gets what a pod gets, containers that another webhook added in between are looked at too, and nobody
//! evades interception by claiming that it was done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    container::{ENVOY, INIT, ORIGIN_VARIABLE, VOLUME},
    document,
    probes::{self, Handlers},
    refusal::Refusal,
};

/// What injection replaced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Origin {
    /// Probes and hooks, by container.
    pub probes: BTreeMap<String, Handlers>,
    /// Annotations; null is: it was not there.
    pub annotations: BTreeMap<String, Option<String>>,
}

/// A pod without what injection adds.
#[derive(Clone, Debug)]
pub(super) struct Bare {
    /// The pod.
    pub pod: Value,
    /// What was taken out: it may have gained fields from others, which a second pass must not lose.
    pub envoy: Option<Value>,
    /// As `envoy`.
    pub init: Option<Value>,
}

/// Removes from a pod what injection added, and restores what it replaced. Other pods stay what they are. A list or map that
/// was empty may be gone instead.
///
/// # Errors
/// The pod bears the marks of injection, but they cannot be read.
pub fn remove(pod: &Value) -> Result<Value, Refusal> {
    strip(pod).map(|bare| bare.pod)
}

pub(super) fn strip(pod: &Value) -> Result<Bare, Refusal> {
    let mut pod = pod.clone();
    let Some(origin) = find(&pod)? else { return Ok(Bare { pod, envoy: None, init: None }) };
    let mut bare = Bare { pod: Value::Null, envoy: None, init: None };
    if let Some(spec) = pod.get_mut("spec") {
        bare.envoy =
            document::take(spec, "initContainers", ENVOY).or_else(|| document::take(spec, "containers", ENVOY));
        bare.init = document::take(spec, "initContainers", INIT);
        document::take(spec, "volumes", VOLUME);
        for key in ["initContainers", "containers"] {
            for container in document::items_mut(spec, key) {
                if let Some(handlers) = origin.probes.get(document::name(container)) {
                    probes::restore(container, handlers);
                }
            }
        }
    }
    for (name, value) in origin.annotations {
        document::annotate(&mut pod, &name, value);
    }
    bare.pod = pod;
    Ok(bare)
}

fn find(pod: &Value) -> Result<Option<Origin>, Refusal> {
    let Some(spec) = pod.get("spec") else { return Ok(None) };
    let containers = document::items(spec, "initContainers").iter().chain(document::items(spec, "containers"));
    let envoy = containers.filter(|container| document::name(container) == ENVOY);
    let mut variables = envoy.flat_map(|envoy| document::items(envoy, "env"));
    let Some(variable) = variables.find(|variable| document::name(variable) == ORIGIN_VARIABLE) else {
        return Ok(None);
    };
    let text = variable.get("value").and_then(Value::as_str).unwrap_or_default();
    serde_json::from_str(text).map(Some).map_err(|error| {
        Refusal::Unreadable(format!(
            "variable `{ORIGIN_VARIABLE}` of container `{ENVOY}` is damaged ({error}); remove the container"
        ))
    })
}
