//! Decisions → the Envoy resources of one proxy. One xDS resource kind per file; what they share is below.
//!
//! [`build`] cannot fail, and is a function of the world alone: equal decisions give equal bytes.

mod class;
mod cluster;
mod encode;
mod endpoint;
mod filter;
mod listener;
pub mod name;
mod rbac;
mod resource;
mod route;
mod secret;
mod tls;

pub use class::Class;
pub use listener::{INBOUND_PORT, OUTBOUND_PORT};
pub use resource::{Resource, ResourceType, Snapshot};

use crate::{
    model::ObjectName,
    policy::{
        inbound::{Inbound, inbound},
        outbound::{Outbound, outbound},
    },
    world::World,
};

/// The configuration of the proxy of `pod`. Empty if the world has no such pod.
pub fn build(world: &World, pod: &ObjectName) -> Snapshot {
    let Some(workload) = world.workload(pod) else { return Snapshot::default() };
    let outbound = outbound(world, &workload.account);
    let inbound = inbound(world, workload);
    let scope = Scope { world, account: &workload.account, outbound: &outbound, inbound: &inbound };
    let mut snapshot = Snapshot::default();
    secret::add(&scope, &mut snapshot);
    cluster::add(&scope, &mut snapshot);
    endpoint::add(&scope, &mut snapshot);
    listener::add(&scope, &mut snapshot);
    route::add(&scope, &mut snapshot);
    snapshot
}

/// What the resources of one proxy are made from.
struct Scope<'a> {
    world: &'a World,
    account: &'a crate::model::ServiceAccount,
    outbound: &'a Outbound,
    inbound: &'a Inbound,
}

#[cfg(test)]
mod tests;
