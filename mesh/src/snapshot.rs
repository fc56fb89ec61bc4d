//! Decisions → the Envoy resources of one proxy. One xDS resource kind per file; what they share is below.
//!
//! [`build`] cannot fail, and is a function of the world alone: equal decisions give equal bytes.

mod access_log;
mod class;
mod cluster;
mod connection;
mod descriptor;
mod egress;
mod encode;
mod endpoint;
mod extension;
mod filter;
mod inbound_filter;
mod ingress;
mod label;
mod limit;
mod listener;
pub mod metrics;
pub mod name;
mod rbac;
mod resource;
mod retry;
mod route;
mod secret;
mod signals;
mod structure;
mod tls;

pub use class::Class;
pub use connection::apply_connection_settings;
pub use listener::{INBOUND_PORT, OUTBOUND_PORT};
pub use resource::{Resource, ResourceType, Snapshot};

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    model::{ObjectName, UpstreamTrafficSetting},
    policy::{
        egress::{self as outside, Outside},
        inbound::{Inbound, inbound},
        ingress::{self as from_outside, IngressChain},
        outbound::{Outbound, outbound},
        retry::{RetryRule, retries_of},
        upstream::settings_by_service,
    },
    world::World,
};

/// The configuration of the proxy of `pod`. Empty if the world has no such pod.
pub fn build(world: &World, pod: &ObjectName) -> Snapshot {
    let Some(workload) = world.workload(pod) else { return Snapshot::default() };
    let outbound = outbound(world, &workload.account);
    let inbound = inbound(world, workload);
    let outside = outside::egress(world, &workload.account, &outbound);
    let ingress = from_outside::ingress(world, workload);
    let signals = signals::Signals::of(world, workload);
    let scope = Scope {
        world,
        account: &workload.account,
        outbound: &outbound,
        inbound: &inbound,
        outside: &outside,
        ingress: &ingress,
        retries: retries_of(world, &workload.account),
        settings: settings_by_service(world),
        signals: &signals,
    };
    let mut snapshot = Snapshot::default();
    secret::add(&scope, &mut snapshot);
    cluster::add(&scope, &mut snapshot);
    egress::add_clusters(&scope, &mut snapshot);
    signals::add(world, &signals, &mut snapshot);
    endpoint::add(&scope, &mut snapshot);
    listener::add(&scope, &mut snapshot);
    route::add(&scope, &mut snapshot);
    egress::add_routes(&scope, &mut snapshot);
    ingress::add_routes(&scope, &mut snapshot);
    snapshot
}

/// What the resources of one proxy are made from.
struct Scope<'a> {
    world: &'a World,
    account: &'a crate::model::ServiceAccount,
    outbound: &'a Outbound,
    inbound: &'a Inbound,
    outside: &'a Outside,
    ingress: &'a [IngressChain],
    /// How what the account calls is tried again, by service.
    retries: BTreeMap<ObjectName, RetryRule>,
    /// The UpstreamTrafficSettings in force, by service.
    settings: BTreeMap<ObjectName, Arc<UpstreamTrafficSetting>>,
    signals: &'a signals::Signals,
}

#[cfg(test)]
mod tests;
