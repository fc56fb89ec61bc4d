//! Pods that need the same configuration.

use std::{collections::BTreeMap, sync::Arc};

use super::metrics::Itself;
use crate::{
    model::{ObjectName, ServiceAccount},
    policy::telemetry::telemetry_of,
    world::World,
};

/// All of a pod that its configuration depends on. Pods of one class, in one world, have equal snapshots, so one of them is
/// built for all: the pods of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class {
    account: ServiceAccount,
    services: Vec<ObjectName>,
    named_ports: BTreeMap<Arc<str>, u16>,
    /// Host name and subdomain: a name of its own below a headless service.
    host: Option<(Arc<str>, Arc<str>)>,
    /// The Telemetry that holds for it.
    telemetry: Option<ObjectName>,
    /// What it is called in statistics, if there are any.
    itself: Option<Itself>,
}

impl Class {
    /// The class of `pod`; `None` if the world has no such pod.
    pub fn of(world: &World, pod: &ObjectName) -> Option<Self> {
        let workload = world.workload(pod)?;
        Some(Self {
            account: workload.account.clone(),
            services: world.services_of(pod).map(|service| service.name.clone()).collect(),
            named_ports: workload.named_ports.clone(),
            host: workload.hostname.clone().zip(workload.subdomain.clone()),
            telemetry: telemetry_of(world, workload).map(|telemetry| telemetry.name.clone()),
            itself: world.settings().features.request_metrics.then(|| Itself::of(workload)),
        })
    }
}
