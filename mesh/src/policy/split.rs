//! What a TrafficSplit does (SMI traffic-split v1alpha4, "TrafficSplit").

use std::{collections::BTreeMap, sync::Arc};

use super::{
    access::{GrantedMatch, usable_matches},
    service::carried_port,
};
use crate::{
    model::{Code, Diagnostic, Kind, ObjectName, ObjectRef, TrafficSplit},
    world::World,
};

/// A split that is in force, with its references resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The TrafficSplit.
    pub name: ObjectName,
    /// The root service.
    pub root: ObjectName,
    /// The backends that exist, with their weights.
    pub backends: BTreeMap<ObjectName, u64>,
    /// The requests that are split; `None` is all of them.
    pub matches: Option<Vec<GrantedMatch>>,
}

impl Split {
    /// The backends that have the root's port: the shares on that port, by name. A backend that lacks it is left out.
    pub fn shares(&self, world: &World, port: u16) -> Vec<(ObjectName, u64)> {
        let has_port = |name: &ObjectName| world.service(name).is_some_and(|s| carried_port(s, port).is_some());
        self.backends.iter().filter(|(name, _)| has_port(name)).map(|(name, weight)| (name.clone(), *weight)).collect()
    }
}

/// The split in force on a root service, if there is one.
pub fn split_of(world: &World, root: &ObjectName) -> Option<Split> {
    split(world, holder(world, root)?, &mut |_| {})
}

/// Of the sound splits on a root the oldest; objects without a creation time count as the newest, then the name decides.
fn holder<'a>(world: &'a World, root: &ObjectName) -> Option<&'a Arc<TrafficSplit>> {
    let sound = world.splits_by_root(root).filter(|s| !refers_to_itself(s));
    sound.min_by(|a, b| (a.created.unwrap_or(i64::MAX), &a.name).cmp(&(b.created.unwrap_or(i64::MAX), &b.name)))
}

fn refers_to_itself(split: &TrafficSplit) -> bool {
    let root = split.service_named(&split.service);
    root.is_some() && split.backends.iter().any(|b| split.service_named(&b.service) == root)
}

/// Resolves a split. `None` if it is refused; every mistake is told to `report`.
pub fn split(world: &World, split: &TrafficSplit, report: &mut dyn FnMut(Diagnostic)) -> Option<Split> {
    let mut tell = |field: String, code, message| {
        let object = ObjectRef::new(Kind::TrafficSplit, split.name.clone());
        report(Diagnostic { object, field, code, message });
    };
    let Some(root) = split.service_named(&split.service) else {
        let message =
            format!("{} is no service of namespace {}; the split is refused", split.service, split.name.namespace);
        tell("spec.service".into(), Code::ForeignService, message);
        return None;
    };
    if world.service(&root).is_none() {
        tell("spec.service".into(), Code::NotFound, format!("service {root} does not exist (yet)"));
    }
    if refers_to_itself(split) {
        let message =
            format!("the root {root} is among its own backends; the split is refused and {root} serves itself");
        tell("spec.backends".into(), Code::SelfReference, message);
        return None;
    }
    if let Some(elder) = holder(world, &root).map(|s| &s.name).filter(|name| **name != split.name) {
        let message = format!("TrafficSplit {elder} is older and holds for {root}; merge the two, this one is refused");
        tell("spec.service".into(), Code::ConflictingSplit, message);
        return None;
    }
    let backends = backends(world, split, &root, &mut tell);
    let matches = matches(world, split, &mut tell);
    Some(Split { name: split.name.clone(), root, backends, matches })
}

type Tell<'a> = dyn FnMut(String, Code, String) + 'a;

fn backends(world: &World, split: &TrafficSplit, root: &ObjectName, tell: &mut Tell<'_>) -> BTreeMap<ObjectName, u64> {
    let mut backends: BTreeMap<ObjectName, u64> = BTreeMap::new();
    for (i, backend) in split.backends.iter().enumerate() {
        let field = format!("spec.backends[{i}].service");
        let Some(name) = split.service_named(&backend.service) else {
            let message =
                format!("{} is no service of namespace {}; it is left out", backend.service, split.name.namespace);
            tell(field, Code::ForeignService, message);
            continue;
        };
        let Some(service) = world.service(&name) else {
            tell(field, Code::NotFound, format!("service {name} does not exist (yet); it is left out"));
            continue;
        };
        for port in world.service(root).iter().flat_map(|r| super::service::carried_ports(r)) {
            if carried_port(service, port.port).is_none() {
                let message = format!("{name} has no port {} as {root} has; it is left out there", port.port);
                tell(field.clone(), Code::PortMismatch, message);
            }
        }
        if backends.contains_key(&name) {
            tell(field, Code::DuplicateBackend, format!("{name} is named more than once; its weights add up"));
        }
        let weight = backends.entry(name).or_default();
        *weight = weight.saturating_add(backend.weight);
    }
    if backends.values().all(|weight| *weight == 0) {
        let message = format!("no backend has a weight above zero; requests to {root} fail");
        tell("spec.backends".into(), Code::NoWeight, message);
    }
    backends
}

fn matches(world: &World, split: &TrafficSplit, tell: &mut Tell<'_>) -> Option<Vec<GrantedMatch>> {
    if split.matches.is_empty() {
        return None;
    }
    let mut matches = Vec::new();
    for (i, group) in split.matches.iter().enumerate() {
        let name = split.name.sibling(group.clone());
        let Some(group) = world.http_route_group(&name) else {
            let message = format!("HTTPRouteGroup {name} does not exist; it selects no request");
            tell(format!("spec.matches[{i}].name"), Code::NotFound, message);
            continue;
        };
        matches.extend(usable_matches(group).map(|m| GrantedMatch { group: name.clone(), matched: m.clone() }));
    }
    Some(matches)
}

/// Weights as Envoy takes them: their sum fits 32 bits, and no share above zero is rounded to zero.
pub fn envoy_weights(shares: &[(ObjectName, u64)]) -> Vec<(ObjectName, u32)> {
    let total: u128 = shares.iter().map(|(_, weight)| u128::from(*weight)).sum();
    let limit = u128::from(u32::MAX) - shares.len() as u128;
    let scale = |weight: u64| {
        if total <= limit {
            return weight as u32;
        }
        let scaled = u128::from(weight) * limit / total;
        u32::try_from(scaled.max(u128::from(weight > 0))).unwrap_or(u32::MAX)
    };
    shares.iter().map(|(name, weight)| (name.clone(), scale(*weight))).collect()
}
