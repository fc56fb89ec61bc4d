//! From flows between pods to the metrics of resources.

use std::collections::BTreeMap;

use super::{
    flow::{Counts, Traffic},
    resource::{Directory, ResourceKind},
    wire::{Backend, Direction, Side},
};
use crate::model::{ObjectName, TrafficSplit};

/// What a resource received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// All of it.
    pub counts: Counts,
    /// Whether some of it was measured at clients.
    from_mesh: bool,
    /// Whether some of it was measured at the resource's own sidecars.
    from_outside: bool,
}

impl Received {
    /// Where it was measured. All that comes from within the mesh is measured at the client's side; only what came from outside
    /// alone is the server's.
    pub fn side(&self) -> Side {
        if self.from_outside && !self.from_mesh { Side::Server } else { Side::Client }
    }
}

/// An error to make on purpose: conformance suites are tested with it. Never set outside of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsMutation {
    /// Every request is counted twice.
    Doubled,
    /// Edges have the wrong direction.
    EdgesSwapped,
    /// Failures are told as successes.
    FailuresAsSuccesses,
    /// The first answer is given for ever.
    Stale,
}

/// A peer of a resource and the way of its requests.
pub type Peer = (Direction, ObjectName);

/// What every object of a kind received, in one pass.
pub fn received(traffic: &Traffic, directory: &Directory<'_>, kind: ResourceKind) -> BTreeMap<ObjectName, Received> {
    let mut all: BTreeMap<ObjectName, Received> = BTreeMap::new();
    for (flow, counts) in &traffic.0 {
        let mut names = directory.of(kind, &flow.destination);
        // Nobody answered: no pod has received it, but the service was called.
        if kind == ResourceKind::Service && !flow.destination.has_pod() && flow.destination.kind == kind.kind() {
            names.push(ObjectName::new(flow.destination.namespace.as_str(), flow.destination.name.as_str()));
        }
        for name in names {
            let received = all.entry(name).or_default();
            received.counts.add(counts);
            *(if flow.source.has_pod() { &mut received.from_mesh } else { &mut received.from_outside }) = true;
        }
    }
    all
}

/// The peers of one resource, of its own kind, that it exchanged requests with.
pub fn edges(
    traffic: &Traffic,
    directory: &Directory<'_>,
    kind: ResourceKind,
    name: &ObjectName,
) -> BTreeMap<Peer, Counts> {
    let mut all: BTreeMap<Peer, Counts> = BTreeMap::new();
    for (flow, counts) in &traffic.0 {
        let (sources, destinations) = (directory.of(kind, &flow.source), directory.of(kind, &flow.destination));
        let mut add = |direction, peers: &[ObjectName]| {
            for peer in peers {
                all.entry((direction, peer.clone())).or_default().add(counts);
            }
        };
        if sources.contains(name) {
            add(Direction::To, &destinations);
        }
        if destinations.contains(name) {
            add(Direction::From, &sources);
        }
    }
    // A flow that was once counted and has rested since is no exchange in the window.
    all.retain(|_, counts| counts.success + counts.failure > 0);
    all
}

/// The requests of a split by its backends, in the order of the split. A backend that is named twice has one row.
pub fn backends(traffic: &Traffic, split: &TrafficSplit) -> Vec<(Backend, Counts)> {
    let name = split.name.to_string();
    let mut rows: Vec<(Backend, Counts)> = Vec::new();
    for backend in &split.backends {
        let known =
            split.service_named(&backend.service).map_or_else(|| backend.service.to_string(), |n| n.name.to_string());
        match rows.iter_mut().find(|(row, _)| row.name == known) {
            Some((row, _)) => row.weight += backend.weight,
            None => {
                let row = Backend { apex: split.service.to_string(), name: known, weight: backend.weight };
                rows.push((row, Counts::default()));
            }
        }
    }
    for (flow, counts) in traffic.0.iter().filter(|(flow, _)| flow.split == name) {
        for (_, sum) in rows.iter_mut().filter(|(row, _)| row.name == flow.service) {
            sum.add(counts);
        }
    }
    rows
}

#[cfg(test)]
mod tests;
