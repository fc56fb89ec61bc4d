//! How a pod's sidecar logs its traffic, and what it calls the pod in its statistics.

pub mod format;
mod owner;

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};

pub use owner::{Owner, owner};

use crate::{
    model::{AccessLog, Code, Diagnostic, ExtensionService, Kind, ObjectRef, OpenTelemetryLog, Telemetry, Workload},
    world::World,
};

/// How traffic is logged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logging {
    /// What a line on standard output looks like.
    pub format: Format,
    /// The OTLP receiver, if there is one.
    pub receiver: Option<Receiver>,
}

/// The form of an entry.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Format {
    /// The mesh's own: a JSON object.
    #[default]
    Default,
    /// Text with Envoy's command operators.
    Text(Arc<str>),
    /// A JSON object; its texts have Envoy's command operators.
    Json(Map<String, Value>),
}

/// An OTLP receiver of log entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Receiver {
    /// Where it is.
    pub service: Arc<ExtensionService>,
    /// Attributes of every entry, with Envoy's command operators.
    pub attributes: BTreeMap<Arc<str>, Arc<str>>,
}

/// How specific a Telemetry is; the smallest holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Selector,
    Namespace,
    Mesh,
}

/// The Telemetry that holds for a pod, if one does.
pub fn telemetry_of<'w>(world: &'w World, pod: &Workload) -> Option<&'w Arc<Telemetry>> {
    let candidates = world.telemetries().filter(|t| t.access_log.is_some());
    let ranked = candidates.filter_map(|t| Some((rank(world, t, pod)?, age(t), &t.name, t)));
    ranked.min_by(|a, b| (a.0, a.1, a.2).cmp(&(b.0, b.1, b.2))).map(|(.., t)| t)
}

/// How a pod's sidecar logs.
pub fn logging(world: &World, pod: &Workload) -> Logging {
    let Some(telemetry) = telemetry_of(world, pod) else { return Logging::default() };
    read(world, telemetry, &mut drop)
}

/// Tells every mistake in Telemetry objects.
pub(super) fn check(world: &World, report: &mut dyn FnMut(Diagnostic)) {
    for telemetry in world.telemetries() {
        read(world, telemetry, report);
        if let Some(other) = conflict(world, telemetry) {
            let message = format!("{other} is older and holds for the same pods; merge the two, this one is not used");
            report(mistake(telemetry, "spec.selector", Code::ConflictingTelemetry, message));
        }
    }
}

fn rank(world: &World, telemetry: &Telemetry, pod: &Workload) -> Option<Rank> {
    let (own, selector) = (telemetry.name.namespace == pod.name.namespace, &telemetry.selector);
    if own && !selector.is_empty() {
        return selector.iter().all(|(key, value)| pod.labels.get(key) == Some(value)).then_some(Rank::Selector);
    }
    let mesh_wide = selector.is_empty() && telemetry.name.namespace == world.settings().namespace.0;
    if own && selector.is_empty() { Some(Rank::Namespace) } else { mesh_wide.then_some(Rank::Mesh) }
}

/// Older ones first; those of unknown age last.
fn age(telemetry: &Telemetry) -> (Reverse<bool>, Option<i64>) {
    (Reverse(telemetry.created.is_some()), telemetry.created)
}

/// The object that holds in place of this one for all of its pods: of the same namespace with the same selector.
fn conflict(world: &World, telemetry: &Telemetry) -> Option<ObjectRef> {
    telemetry.access_log.as_ref()?;
    let same = |t: &&Arc<Telemetry>| {
        let before = (age(t), &t.name) < (age(telemetry), &telemetry.name);
        let for_the_same = t.name.namespace == telemetry.name.namespace && t.selector == telemetry.selector;
        before && for_the_same && t.access_log.is_some()
    };
    world.telemetries().find(same).map(|t| ObjectRef::new(Kind::Telemetry, t.name.clone()))
}

/// What a Telemetry asks for, as far as it can be had.
fn read(world: &World, telemetry: &Telemetry, report: &mut dyn FnMut(Diagnostic)) -> Logging {
    let Some(AccessLog { format, open_telemetry }) = &telemetry.access_log else { return Logging::default() };
    let mut refuse = |field: &str, why: String| report(mistake(telemetry, field, Code::InvalidFormat, why));
    let format = format.as_ref().map_or(Ok(Format::Default), format::read).unwrap_or_else(|why| {
        refuse("spec.accessLog.format", format!("{why}; the default format is used until it is mended"));
        Format::Default
    });
    let receiver = open_telemetry.as_ref().and_then(|log| receiver(world, telemetry, log, report));
    Logging { format, receiver }
}

fn receiver(
    world: &World,
    telemetry: &Telemetry,
    log: &OpenTelemetryLog,
    report: &mut dyn FnMut(Diagnostic),
) -> Option<Receiver> {
    const FIELD: &str = "spec.accessLog.openTelemetry";
    let mut attributes = log.attributes.clone();
    for (name, value) in &log.attributes {
        if let Err(why) = format::check(value) {
            let message = format!("{why}; the attribute is left out until it is mended");
            report(mistake(telemetry, &format!("{FIELD}.attributes[{name}]"), Code::InvalidFormat, message));
            attributes.remove(name);
        }
    }
    let service = world.extension_service(&log.service).cloned();
    if service.is_none() {
        let message = format!("there is no ExtensionService {}; entries go to standard output only", log.service);
        report(mistake(telemetry, &format!("{FIELD}.extensionService"), Code::NotFound, message));
    }
    Some(Receiver { service: service?, attributes })
}

fn mistake(telemetry: &Telemetry, field: &str, code: Code, message: String) -> Diagnostic {
    Diagnostic { object: ObjectRef::new(Kind::Telemetry, telemetry.name.clone()), field: field.into(), code, message }
}

#[cfg(test)]
mod tests;
