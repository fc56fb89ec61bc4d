//! Targets read wrongly.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use mesh::{
    model::{Kind, ObjectName, ObjectRef, ServiceAccount, TrafficTarget},
    world::Object,
};
use simulator::lab::mutation::Known;

use crate::mutant::known::{
    accounts, accounts_behind, everything, for_each_destination, kind_of, put, renamed, services, subject,
    take_targets, targets,
};

/// Puts the accounts that `of` picks in the place of each source.
fn replace_sources(known: &mut Known, of: fn(&ServiceAccount, &ServiceAccount) -> bool) {
    let all = accounts(known);
    for target in targets(known) {
        let own = &target.name.namespace;
        let named: Vec<ServiceAccount> = target.sources.iter().filter_map(|source| source.account(own)).collect();
        let meant = all.iter().filter(|account| named.iter().any(|source| of(account, source)));
        let meant: BTreeSet<ServiceAccount> = meant.cloned().chain(named.iter().cloned()).collect();
        target.sources.retain(|source| source.account(own).is_none());
        target.sources.extend(meant.iter().map(subject));
    }
}

pub(super) fn by_namespace(known: &mut Known) {
    replace_sources(known, |account, source| account.namespace == source.namespace);
}

pub(super) fn by_name(known: &mut Known) {
    replace_sources(known, |account, source| account.name == source.name);
}

/// Opens the accounts that `of` adds to each target's destination.
fn widen(known: &mut Known, of: fn(&Known, &ServiceAccount) -> BTreeSet<ServiceAccount>) {
    for target in targets(known).map(|target| target.clone()).collect::<Vec<_>>() {
        let Some(account) = target.destination.account(&target.name.namespace) else { continue };
        if account.namespace == target.name.namespace {
            let others = of(known, &account).into_iter().filter(|other| *other != account);
            for_each_destination(known, &target, others.collect::<Vec<_>>());
        }
    }
}

pub(super) fn any_destination(known: &mut Known) {
    widen(known, |known, account| {
        accounts(known).into_iter().filter(|other| other.namespace == account.namespace).collect()
    });
}

pub(super) fn whole_service(known: &mut Known) {
    widen(known, |known, account| {
        let behind = services(known).into_iter().map(|service| accounts_behind(known, &service));
        behind.filter(|accounts| accounts.contains(account)).flatten().collect()
    });
}

/// Keeps one target for each destination: the one written first or last.
pub(super) fn one_target_only(known: &mut Known, last: bool) {
    let mut all = take_targets(known);
    let written =
        |target: &TrafficTarget| known.written.get(&ObjectRef::new(Kind::TrafficTarget, target.name.clone())).copied();
    all.sort_by_key(written);
    if last {
        all.reverse();
    }
    let mut taken = BTreeSet::new();
    for target in all {
        let destination = target.destination.account(&target.name.namespace);
        if destination.is_none_or(|account| taken.insert(account)) {
            put(known, Object::TrafficTarget(target));
        }
    }
}

/// Puts a copy of a target, and of the routes that it refers to, beside every account that has its destination's name.
pub(super) fn foreign_target(known: &mut Known) {
    let all = accounts(known);
    for target in targets(known).map(|target| target.clone()).collect::<Vec<_>>() {
        let Some(destination) = target.destination.account(&target.name.namespace) else { continue };
        let namesakes = all.iter().filter(|other| other.name == destination.name);
        for other in namesakes.filter(|other| other.namespace != target.name.namespace) {
            copy_beside(known, &target, other);
        }
    }
}

fn copy_beside(known: &mut Known, target: &TrafficTarget, destination: &ServiceAccount) {
    let own = &target.name.namespace;
    let foreign = |name: &str| -> Arc<str> { format!("{name}-of-{own}").into() };
    let name = ObjectName::new(destination.namespace.clone(), foreign(&target.name.name));
    let mut copy = TrafficTarget { name, destination: subject(destination), ..target.clone() };
    for source in &mut copy.sources {
        source.namespace.get_or_insert_with(|| own.clone());
    }
    for rule in &mut copy.rules {
        let Some(kind) = kind_of(rule) else { continue };
        let found = known.objects.get(&ObjectRef::new(kind, target.name.sibling(rule.name.clone()))).cloned();
        rule.name = foreign(&rule.name);
        if let Some(found) = found {
            put(known, renamed(found, copy.name.sibling(rule.name.clone())));
        }
    }
    put(known, Object::TrafficTarget(copy));
}

pub(super) fn incomplete_allows(known: &mut Known) {
    let everybody: Vec<_> = accounts(known).iter().map(subject).collect();
    for mut target in take_targets(known) {
        if target.sources.is_empty() {
            target.sources.clone_from(&everybody);
        }
        if target.rules.is_empty() {
            target.rules = vec![everything(known, &target.name.namespace)];
        }
        put(known, Object::TrafficTarget(target));
    }
}

/// What allows everything stands alone: beside route groups it would open only what they do.
pub(super) fn missing_route_allows(known: &mut Known) {
    for mut target in take_targets(known) {
        let exists = |kind, name| known.objects.contains_key(&ObjectRef::new(kind, target.name.sibling(name)));
        let missing =
            target.rules.iter().any(|rule| kind_of(rule).is_some_and(|kind| !exists(kind, rule.name.clone())));
        if missing {
            target.rules = vec![everything(known, &target.name.namespace)];
        }
        put(known, Object::TrafficTarget(target));
    }
}

/// The other services are unknown to the mesh, so nobody may call them, where anybody must be allowed at all.
pub(super) fn first_service_only(known: &mut Known) {
    if known.settings.permissive {
        return;
    }
    let mut first = BTreeMap::new();
    for service in services(known) {
        let accounts = accounts_behind(known, &service);
        let mut opened = accounts.is_empty();
        for account in accounts {
            opened |= *first.entry(account).or_insert_with(|| service.name.clone()) == service.name;
        }
        if !opened {
            known.objects.remove(&ObjectRef::new(Kind::Service, service.name));
        }
    }
}
