//! Rules for TrafficSplit.

use std::collections::BTreeSet;

use super::Finding;
use crate::{
    model::{Code, ObjectName, TrafficSplit},
    policy,
    world::World,
};

/// What policy says about the split itself, but for what the other rules here tell better.
pub(super) fn references(split: &TrafficSplit, world: &World) -> Vec<Finding> {
    let mut found = Vec::new();
    policy::split::split(world, split, &mut |diagnostic| {
        // Without weight it is also while no backend is there yet, and only those that are there are seen twice.
        if !matches!(diagnostic.code, Code::ConflictingSplit | Code::NoWeight | Code::DuplicateBackend) {
            found.push(diagnostic.into());
        }
    });
    found
}

/// A service is a backend once, by whichever of its names.
pub(super) fn once(split: &TrafficSplit, _: &World) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (i, backend) in split.backends.iter().enumerate() {
        let Some(name) = split.service_named(&backend.service) else { continue };
        let message = format!("{name} is named more than once: keep one entry, with the sum of the weights");
        if !seen.insert(name) {
            found.push(Finding::error("DuplicateBackend", format!("spec.backends[{i}].service"), message));
        }
    }
    found
}

/// Some backend has a weight.
pub(super) fn weights(split: &TrafficSplit, _: &World) -> Vec<Finding> {
    let message = "no backend has a weight above zero, so every request would fail; give one a weight";
    let none = split.backends.iter().all(|backend| backend.weight == 0);
    none.then(|| Finding::error("NoWeight", "spec.backends", message)).into_iter().collect()
}

/// A root has one split: with two, one of them would be ignored.
pub(super) fn one_for_a_root(split: &TrafficSplit, world: &World) -> Vec<Finding> {
    let Some(root) = split.service_named(&split.service) else { return Vec::new() };
    let others = world.splits_by_root(&root).filter(|other| other.name != split.name);
    let finding = |other: &std::sync::Arc<TrafficSplit>| {
        let message = format!("TrafficSplit {} splits {root} already; change that one, or delete it first", other.name);
        Finding::error("ConflictingSplit", "spec.service", message)
    };
    others.map(finding).collect()
}

/// Following backends that are roots of other splits never leads back.
pub(super) fn no_cycle(split: &TrafficSplit, world: &World) -> Vec<Finding> {
    let Some(root) = split.service_named(&split.service) else { return Vec::new() };
    let mut found = Vec::new();
    for (i, backend) in split.backends.iter().enumerate() {
        let Some(name) = split.service_named(&backend.service).filter(|name| *name != root) else { continue };
        let field = format!("spec.backends[{i}].service");
        if let Some(by) = way_back(world, &name, &root) {
            let message = format!("{root} leads to {name}, and TrafficSplit {by} leads back; take one of the two out");
            found.push(Finding::error("CyclicSplit", field, message));
        } else if let Some(other) = world.splits_by_root(&name).next() {
            let message = format!("{name} is the root of TrafficSplit {}; its share is not split again", other.name);
            found.push(Finding::warning("NestedSplit", field, message));
        }
    }
    found
}

/// The split that leads back to `root`, if one can be reached from `from`.
fn way_back(world: &World, from: &ObjectName, root: &ObjectName) -> Option<ObjectName> {
    let (mut seen, mut ahead) = (BTreeSet::new(), vec![from.clone()]);
    while let Some(service) = ahead.pop() {
        for split in world.splits_by_root(&service) {
            let backends = split.backends.iter().filter_map(|backend| split.service_named(&backend.service));
            for backend in backends.filter(|backend| *backend != service) {
                if backend == *root {
                    return Some(split.name.clone());
                }
                if seen.insert(backend.clone()) {
                    ahead.push(backend);
                }
            }
        }
    }
    None
}
