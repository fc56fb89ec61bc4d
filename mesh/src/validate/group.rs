//! Rules for HTTPRouteGroup.

use std::collections::BTreeSet;

use super::Finding;
use crate::{
    model::{HttpRouteGroup, Kind, ObjectRef},
    policy::access::unusable_patterns,
    world::World,
};

/// Every expression is one that RE2, and so Envoy, takes and reads as it is meant.
pub(super) fn expressions(group: &HttpRouteGroup, _: &World) -> Vec<Finding> {
    let of = |(i, m)| unusable_patterns(m).map(move |(field, why)| (format!("spec.matches[{i}].{field}"), why));
    let found = group.matches.iter().enumerate().flat_map(of);
    found
        .map(|(field, why)| Finding::error("InvalidRegex", field, format!("{why}; write it as RE2 takes it")))
        .collect()
}

/// A name means one match.
pub(super) fn names(group: &HttpRouteGroup, _: &World) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    let twice = group.matches.iter().enumerate().filter(|(_, m)| !seen.insert(&m.name));
    let finding = |(i, m): (usize, &crate::model::HttpMatch)| {
        let message = format!("{} names an earlier match too; give each a name of its own", m.name);
        Finding::error("DuplicateMatch", format!("spec.matches[{i}].name"), message)
    };
    twice.map(finding).collect()
}

/// A match that TrafficTargets name is still there.
pub(super) fn wanted(group: &HttpRouteGroup, world: &World) -> Vec<Finding> {
    let names: BTreeSet<_> = group.matches.iter().map(|m| &m.name).collect();
    let mut found = Vec::new();
    for target in world.targets().filter(|target| target.name.namespace == group.name.namespace) {
        let rules = target.rules.iter().filter(|rule| rule.name == group.name.name);
        let rules = rules.filter(|rule| rule.kind == crate::model::RuleKind::HttpRouteGroup);
        for lost in rules.flat_map(|rule| &rule.matches).filter(|name| !names.contains(name)) {
            let target = ObjectRef::new(Kind::TrafficTarget, target.name.clone());
            let message = format!("{target} names the match {lost}, which is not here; it opens nothing there");
            found.push(Finding::warning("MatchNotFound", "spec.matches", message));
        }
    }
    found
}
