//! Rules for TrafficTarget.

use super::Finding;
use crate::{model::TrafficTarget, policy::access::grant, world::World};

/// What policy says about the target: its namespace is an error; subjects, rules and references are warnings.
pub(super) fn target(target: &TrafficTarget, world: &World) -> Vec<Finding> {
    let mut found = Vec::new();
    grant(world, target, &mut |diagnostic| found.push(diagnostic.into()));
    found
}
