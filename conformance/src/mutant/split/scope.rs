//! Splits that hold for what they should not.

use mesh::{
    model::{HttpRouteGroup, ObjectName, TrafficSplit, TrafficTarget},
    world::Object,
};
use simulator::lab::mutation::Known;

use crate::mutant::known::{
    accounts, accounts_behind, all_of, everything, group, put, service, services, split_in_force, splits, subject,
    take_splits,
};

/// Several groups become one, in which every match is one of each.
pub(super) fn matches_and(known: &mut Known) {
    for mut split in take_splits(known) {
        if split.matches.len() > 1 {
            let groups: Vec<_> =
                split.matches.iter().filter_map(|name| group(known, &split.name.sibling(name.clone()))).collect();
            let complete = groups.len() == split.matches.len();
            let mut combined = Vec::new();
            for (i, group) in groups.iter().enumerate() {
                combined = if i == 0 {
                    group.matches.clone()
                } else {
                    let pairs = combined.iter().flat_map(|one| group.matches.iter().map(move |other| [one, other]));
                    pairs.filter_map(all_of).collect()
                };
            }
            let name = split.name.sibling(format!("{}-all-groups", split.name.name));
            split.matches = vec![name.name.clone()];
            let matches = if complete { combined } else { Vec::new() };
            put(known, Object::HttpRouteGroup(HttpRouteGroup { name, matches }));
        }
        put(known, Object::TrafficSplit(split));
    }
}

pub(super) fn grants_access(known: &mut Known) {
    let all: Vec<TrafficSplit> = splits(known).map(|split| split.clone()).collect();
    let sources: Vec<_> = accounts(known).iter().map(subject).collect();
    for split in all {
        let leaves = split.backends.iter().filter_map(|b| split.service_named(&b.service));
        let leaves: Vec<_> = leaves.filter_map(|name| service(known, &name)).collect();
        for account in leaves.iter().flat_map(|leaf| accounts_behind(known, leaf)).collect::<Vec<_>>() {
            let rules = vec![everything(known, &account.namespace)];
            let name = ObjectName::new(account.namespace.clone(), format!("{}-{}", split.name.name, account.name));
            let destination = subject(&account);
            let sources = sources.clone();
            put(
                known,
                Object::TrafficTarget(TrafficTarget { name, destination, destination_port: None, sources, rules }),
            );
        }
    }
}

/// The bare name of a service, and the namespace that is written behind it.
fn written(host: &str) -> (&str, Option<&str>) {
    let mut labels = host.split('.');
    (labels.next().unwrap_or_default(), labels.next())
}

/// Backends are looked up beside the root.
pub(super) fn foreign_namespace(known: &mut Known) {
    let all: Vec<TrafficSplit> = splits(known).map(|split| split.clone()).collect();
    for split in &all {
        let (root, named) = written(&split.service);
        let foreign = services(known).into_iter().map(|service| service.name).filter(|name| {
            *name.name == *root
                && name.namespace != split.name.namespace
                && named.is_none_or(|named| *name.namespace == *named || *split.name.namespace == *named)
        });
        for root in foreign.collect::<Vec<_>>() {
            if split_in_force(&all, &root).is_some() {
                continue;
            }
            let mut copy = TrafficSplit {
                name: root.sibling(format!("{}-of-{}", split.name.name, split.name.namespace)),
                service: root.name.clone(),
                ..split.clone()
            };
            for backend in &mut copy.backends {
                backend.service = written(&backend.service.clone()).0.into();
            }
            for name in &split.matches {
                if let Some(found) = group(known, &split.name.sibling(name.clone())) {
                    let name = root.sibling(name.clone());
                    put(known, Object::HttpRouteGroup(HttpRouteGroup { name, ..found }));
                }
            }
            put(known, Object::TrafficSplit(copy));
        }
    }
}
