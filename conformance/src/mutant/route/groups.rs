//! Groups referred to wrongly.

use std::{collections::BTreeSet, sync::Arc};

use mesh::{
    model::{HttpMatch, HttpRouteGroup, Kind, ObjectName, Rule, RuleKind, TrafficTarget},
    world::Object,
};
use serde_json::Value;
use simulator::lab::mutation::Known;

use crate::mutant::known::{accounts, all_of, group, groups, put, splits, subject, take_splits, take_targets, targets};

/// Lets every rule and every split refer to a group of its own, with what `wrong` makes of the matches that it means.
fn regroup(known: &mut Known, wrong: fn(&[HttpMatch]) -> Vec<HttpMatch>) {
    for mut target in take_targets(known) {
        for (i, rule) in target.rules.iter_mut().enumerate() {
            let found = group(known, &target.name.sibling(rule.name.clone()));
            if let (RuleKind::HttpRouteGroup, Some(found)) = (&rule.kind, found) {
                let chosen = |m: &&HttpMatch| rule.matches.is_empty() || rule.matches.contains(&m.name);
                let matches: Vec<HttpMatch> = found.matches.iter().filter(chosen).cloned().collect();
                let name = found.name.sibling(format!("{}-{i}-{}", target.name.name, found.name.name));
                rule.name = name.name.clone();
                rule.matches.clear();
                put(known, Object::HttpRouteGroup(HttpRouteGroup { name, matches: wrong(&matches) }));
            }
        }
        put(known, Object::TrafficTarget(target));
    }
    for mut split in take_splits(known) {
        for written in &mut split.matches {
            if let Some(found) = group(known, &split.name.sibling(written.clone())) {
                let name = found.name.sibling(format!("{}-{}", split.name.name, found.name.name));
                *written = name.name.clone();
                put(known, Object::HttpRouteGroup(HttpRouteGroup { name, matches: wrong(&found.matches) }));
            }
        }
        put(known, Object::TrafficSplit(split));
    }
}

pub(super) fn matches_and(known: &mut Known) {
    regroup(known, |matches| all_of(matches).into_iter().collect());
}

/// Names a match that no group can have: names are never empty.
pub(super) fn omitted_matches_nothing(known: &mut Known) {
    for rule in targets(known).flat_map(|target| &mut target.rules) {
        if rule.kind == RuleKind::HttpRouteGroup && rule.matches.is_empty() {
            rule.matches = vec![Arc::from("")];
        }
    }
}

/// The groups that targets and splits refer to.
fn referred_to(known: &mut Known) -> BTreeSet<ObjectName> {
    let mut names = BTreeSet::new();
    for target in targets(known) {
        let rules = target.rules.iter().filter(|rule| rule.kind == RuleKind::HttpRouteGroup);
        names.extend(rules.map(|rule| target.name.sibling(rule.name.clone())));
    }
    for split in splits(known) {
        names.extend(split.matches.iter().map(|name| split.name.sibling(name.clone())));
    }
    names
}

pub(super) fn foreign_namespace(known: &mut Known) {
    let all: Vec<HttpRouteGroup> = groups(known).map(|group| group.clone()).collect();
    for name in referred_to(known) {
        let namesakes = all.iter().filter(|group| group.name.name == name.name);
        let matches: Vec<HttpMatch> = namesakes.flat_map(|group| group.matches.clone()).collect();
        if !matches.is_empty() {
            put(known, Object::HttpRouteGroup(HttpRouteGroup { name, matches }));
        }
    }
}

pub(super) fn unreferenced_applies(known: &mut Known) {
    let referred_to = referred_to(known);
    let all = accounts(known);
    let loose: Vec<ObjectName> =
        groups(known).map(|group| group.name.clone()).filter(|name| !referred_to.contains(name)).collect();
    for group in loose {
        for account in all.iter().filter(|account| account.namespace == group.namespace) {
            let rule = Rule { kind: RuleKind::HttpRouteGroup, name: group.name.clone(), matches: Vec::new() };
            let target = TrafficTarget {
                name: group.sibling(format!("{}-for-{}", group.name, account.name)),
                destination: subject(account),
                destination_port: None,
                sources: all.iter().map(subject).collect(),
                rules: vec![rule],
            };
            put(known, Object::TrafficTarget(target));
        }
    }
}

/// What is known of a match no longer tells `*` from no methods at all: the text does. Nobody can send CONNECT to a service, and
/// no other name would be taken for a method's.
pub(super) fn star_literal(manifest: &str) -> Option<String> {
    let mut documents: Vec<Value> = serde_saphyr::from_multiple(manifest).ok()?;
    let groups = documents.iter_mut().filter(|object| object["kind"] == Kind::HttpRouteGroup.as_str());
    for object in groups {
        // Early versions have no `spec`.
        let pointer = if object.get("spec").is_some() { "/spec/matches" } else { "/matches" };
        let matches = object.pointer_mut(pointer).and_then(Value::as_array_mut);
        for method in matches.into_iter().flatten().filter_map(|m| m.get_mut("methods")?.as_array_mut()).flatten() {
            if method == "*" {
                *method = "CONNECT".into();
            }
        }
    }
    let texts: Vec<String> = documents.iter().map(Value::to_string).collect();
    Some(texts.join("\n---\n"))
}
