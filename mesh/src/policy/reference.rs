//! HTTPRouteGroups that Egress and IngressBackend refer to.

use std::sync::Arc;

use super::access::{GrantedMatch, usable_matches};
use crate::{
    model::{Code, ObjectName},
    world::World,
};

/// The matches of the groups called `names` beside `owner`. `None` if no group is named: every request. A group that does not
/// exist adds none.
pub(super) fn route_groups(
    world: &World,
    owner: &ObjectName,
    names: &[Arc<str>],
    tell: &mut dyn FnMut(String, Code, String),
) -> Option<Vec<GrantedMatch>> {
    let mut matches = Vec::new();
    for name in names {
        let name = owner.sibling(name.clone());
        match world.http_route_group(&name) {
            Some(group) => {
                let matched = usable_matches(group).cloned();
                matches.extend(matched.map(|matched| GrantedMatch { group: name.clone(), matched }));
            }
            None => {
                let message = format!("HTTPRouteGroup {name} does not exist; it lets no request through");
                tell("spec.matches".into(), Code::NotFound, message);
            }
        }
    }
    (!names.is_empty()).then_some(matches)
}
