//! Wrong backends.

use std::sync::Arc;

use mesh::{
    model::{Backend, ObjectName, Service, ServicePort, TrafficSplit},
    world::Object,
};
use simulator::lab::mutation::Known;

use crate::mutant::known::{backend, put, service, shadow, split_in_force, splits, take_splits};

/// A backend that is the root of a split becomes that split's backends, with their shares of its own.
pub(super) fn nested(known: &mut Known) {
    let all: Vec<TrafficSplit> = splits(known).map(|split| split.clone()).collect();
    for split in splits(known) {
        let root = split.service_named(&split.service);
        while let Some(i) = split.backends.iter().position(|b| inner(&all, split, b, root.as_ref()).is_some()) {
            let outer = split.backends.remove(i);
            let Some(inner) = inner(&all, split, &outer, root.as_ref()) else { break };
            let total: u64 = inner.backends.iter().map(|b| b.weight).sum();
            split.backends.iter_mut().for_each(|b| b.weight = b.weight.saturating_mul(total));
            let shares = inner.backends.iter().map(|b| backend(&b.service, b.weight.saturating_mul(outer.weight)));
            split.backends.splice(i..i, shares);
        }
    }
}

/// The split of a backend; not one that leads back, or that selects requests.
fn inner<'a>(
    all: &'a [TrafficSplit],
    of: &TrafficSplit,
    outer: &Backend,
    root: Option<&ObjectName>,
) -> Option<&'a TrafficSplit> {
    let own = of.service_named(&outer.service)?;
    let split = split_in_force(all, &own).filter(|split| split.matches.is_empty())?;
    let back = |b: &Backend| {
        let leaf = split.service_named(&b.service);
        leaf.as_ref() == root || leaf.as_ref() == Some(&own) || leaf.is_some_and(|l| split_in_force(all, &l).is_some())
    };
    (!split.backends.iter().any(back)).then_some(split)
}

/// Every backend that is no root becomes the root of the same split. Its backends are called by other names: a split among whose
/// backends is its root would be refused.
pub(super) fn captured(known: &mut Known) {
    let all: Vec<TrafficSplit> = splits(known).map(|split| split.clone()).collect();
    for split in &all {
        let mut shares = Vec::new();
        for leaf in &split.backends {
            let found = split.service_named(&leaf.service).and_then(|name| service(known, &name));
            if let Some(found) = found {
                let name = shadow(known, &found, "itself", found.ports.clone());
                shares.push(backend(&name, leaf.weight));
            }
        }
        for leaf in split.backends.iter().filter_map(|b| split.service_named(&b.service)) {
            if split_in_force(&all, &leaf).is_none() {
                let name = split.name.sibling(format!("{}-of-{}", split.name.name, leaf.name));
                let copy = TrafficSplit { name, service: leaf.name, backends: shares.clone(), ..split.clone() };
                put(known, Object::TrafficSplit(copy));
            }
        }
    }
}

/// Replaces the ports on which a split's backends are called: `wrong` gets those of the root and of the backend. The backend
/// itself stays as it is for those who call it by name.
fn called_on(known: &mut Known, wrong: fn(&Service, &Service) -> Vec<ServicePort>) {
    for mut split in take_splits(known) {
        let root = split.service_named(&split.service).and_then(|name| service(known, &name));
        for i in 0..split.backends.len() {
            let leaf = split.service_named(&split.backends[i].service).and_then(|name| service(known, &name));
            if let (Some(root), Some(leaf)) = (&root, leaf) {
                let ports = wrong(root, &leaf);
                if ports != leaf.ports {
                    split.backends[i].service = shadow(known, &leaf, &format!("for-{}", root.name.name), ports);
                }
            }
        }
        put(known, Object::TrafficSplit(split));
    }
}

pub(super) fn port_mismatch(known: &mut Known) {
    called_on(known, |root, leaf| {
        let Some(first) = leaf.ports.first() else { return leaf.ports.clone() };
        let lacking = root.ports.iter().filter(|port| leaf.port(port.port).is_none());
        let lent = lacking.map(|port| ServicePort { target: first.target.clone(), ..port.clone() });
        let mut ports: Vec<_> = leaf.ports.iter().cloned().chain(lent).collect();
        ports.sort_by_key(|port| port.port);
        ports
    });
}

pub(super) fn root_target_port(known: &mut Known) {
    called_on(known, |root, leaf| {
        let target = |port: &ServicePort| root.port(port.port).unwrap_or(port).target.clone();
        leaf.ports.iter().map(|port| ServicePort { target: target(port), ..port.clone() }).collect()
    });
}

/// The backends have the first port alone; a service over the root's own pods has all others.
pub(super) fn first_port_only(known: &mut Known) {
    for mut split in take_splits(known) {
        let root = split.service_named(&split.service).and_then(|name| service(known, &name));
        if let Some(root) = root.filter(|root| root.ports.len() > 1) {
            let first = root.ports[0].port;
            for i in 0..split.backends.len() {
                let leaf = split.service_named(&split.backends[i].service).and_then(|name| service(known, &name));
                if let Some(leaf) = leaf {
                    let ports = leaf.ports.iter().filter(|port| port.port == first).cloned().collect();
                    split.backends[i].service = shadow(known, &leaf, &format!("for-{}", root.name.name), ports);
                }
            }
            let rest: Arc<str> = shadow(known, &root, "itself", root.ports[1..].to_vec());
            split.backends.push(backend(&rest, 1));
        }
        put(known, Object::TrafficSplit(split));
    }
}

pub(super) fn missing_breaks_root(known: &mut Known) {
    for mut split in take_splits(known) {
        let exists = |b: &Backend| split.service_named(&b.service).is_some_and(|name| service(known, &name).is_some());
        if !split.backends.iter().all(exists) {
            split.backends.iter_mut().for_each(|backend| backend.weight = 0);
        }
        put(known, Object::TrafficSplit(split));
    }
}
