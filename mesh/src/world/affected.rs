//! Which proxies a change may concern.
//!
//! A proxy's configuration depends on: its own pod, the services that select it, the targets that name its account,
//! the routes that those name, the services that it may see (all pods, ports and splits of them), its certificate and the
//! settings. [`Dependents`] follows these edges backwards, before and after the change, and unites both.

use std::{collections::BTreeSet, sync::Arc};

use super::World;
use crate::model::{IngressSource, Kind, ObjectName, ObjectRef, ServiceAccount, TrafficSplit, TrafficTarget};

/// The proxies that a change may concern; all others keep the snapshot that they have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Affected {
    /// Every proxy.
    All,
    /// The proxies of these pods.
    Pods(BTreeSet<ObjectName>),
}

impl Affected {
    /// No proxy.
    pub fn none() -> Self {
        Self::Pods(BTreeSet::new())
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Pods(mut pods), Self::Pods(more)) => {
                pods.extend(more);
                Self::Pods(pods)
            }
            _ => Self::All,
        }
    }
}

/// What depends on one object, gathered before and after it changes.
pub(super) struct Dependents {
    subject: ObjectRef,
    everyone: bool,
    accounts: BTreeSet<ServiceAccount>,
    pods: BTreeSet<ObjectName>,
}

impl Dependents {
    pub(super) fn before(world: &World, subject: &ObjectRef) -> Self {
        let mut dependents =
            Self { subject: subject.clone(), everyone: false, accounts: BTreeSet::new(), pods: BTreeSet::new() };
        dependents.gather(world);
        dependents
    }

    pub(super) fn after(&mut self, world: &World) {
        self.gather(world);
    }

    pub(super) fn into_affected(self, world: &World) -> Affected {
        if self.everyone {
            return Affected::All;
        }
        world.pods_of(&self.accounts).and(Affected::Pods(self.pods))
    }

    fn gather(&mut self, world: &World) {
        let name = self.subject.name.clone();
        match self.subject.kind {
            Kind::MeshConfig => self.everyone = true,
            // Changed by hand and rarely. Who is not concerned gets no update: snapshots are compared before they are sent.
            Kind::Egress
            | Kind::IngressBackend
            | Kind::Retry
            | Kind::UpstreamTrafficSetting
            | Kind::Telemetry
            | Kind::ExtensionService => {
                self.everyone = true;
            }
            Kind::EndpointSlice => {
                if let Some(slice) = world.endpoint_slices.get(&name) {
                    self.slice(world, &name.sibling(slice.service.clone()));
                }
            }
            Kind::UdpRoute | Kind::MeshRootCertificate => {}
            Kind::Pod => self.pod(world, &name),
            Kind::Service => self.service(world, &name),
            Kind::TrafficTarget => world.targets.get(&name).into_iter().for_each(|t| self.target(t)),
            Kind::TrafficSplit => world.splits.get(&name).into_iter().for_each(|s| self.split(world, s)),
            Kind::TcpRoute => {
                for target in names(world.index.targets_by_tcp_route.get(&name)) {
                    world.targets.get(target).into_iter().for_each(|t| self.target(t));
                }
            }
            Kind::HttpRouteGroup => {
                for target in names(world.index.targets_by_http_route_group.get(&name)) {
                    world.targets.get(target).into_iter().for_each(|t| self.target(t));
                }
                for split in names(world.index.splits_by_http_route_group.get(&name)) {
                    world.splits.get(split).into_iter().for_each(|s| self.split(world, s));
                }
                let of =
                    |owner: &ObjectName, groups: &[Arc<str>]| groups.iter().any(|g| owner.sibling(g.clone()) == name);
                self.everyone |= world.egresses().any(|e| of(&e.name, &e.route_groups))
                    || world.ingress_backends().any(|i| of(&i.name, &i.route_groups));
            }
        }
    }

    fn pod(&mut self, world: &World, name: &ObjectName) {
        self.pods.insert(name.clone());
        for service in names(world.index.services_of.get(name)) {
            self.viewers(world, service);
            self.behind_gateway(world, service);
        }
    }

    /// The pods that let in whoever belongs to `gateway`.
    fn behind_gateway(&mut self, world: &World, gateway: &ObjectName) {
        let named = |source: &IngressSource| matches!(source, IngressSource::Service(name) if name == gateway);
        for ingress in world.ingress_backends().filter(|i| i.sources.iter().any(named)) {
            for backend in &ingress.backends {
                self.members(world, &ingress.name.sibling(backend.service.clone()));
            }
        }
    }

    /// A slice says who takes traffic; of a service without a selector also who belongs to it.
    fn slice(&mut self, world: &World, service: &ObjectName) {
        match world.services.get(service) {
            Some(found) if found.selector.is_empty() => self.service(world, service),
            _ => self.viewers(world, service),
        }
    }

    fn service(&mut self, world: &World, name: &ObjectName) {
        self.members(world, name);
        self.viewers(world, name);
        self.behind_gateway(world, name);
        for leaf in leaves(world, name) {
            self.members(world, &leaf);
        }
    }

    fn target(&mut self, target: &TrafficTarget) {
        let own = &target.name.namespace;
        self.accounts.extend(target.destination.account(own));
        self.accounts.extend(target.sources.iter().filter_map(|s| s.account(own)));
    }

    /// All splits of one root belong together: which of them holds depends on all.
    fn split(&mut self, world: &World, split: &TrafficSplit) {
        let Some(root) = split.service_named(&split.service) else { return };
        self.viewers(world, &root);
        for leaf in leaves(world, &root) {
            self.members(world, &leaf);
        }
    }

    fn members(&mut self, world: &World, service: &ObjectName) {
        self.pods.extend(names(world.index.members.get(service)).cloned());
    }

    /// The accounts whose proxies see the service: by a target for one of its pods, or through a split that it is part of.
    fn viewers(&mut self, world: &World, service: &ObjectName) {
        if world.settings.permissive {
            self.everyone = true;
            return;
        }
        let mut related = BTreeSet::from([service.clone()]);
        for split in world.splits_by_root(service).chain(world.splits_by_backend(service)) {
            related.extend(split.service_named(&split.service));
            related.extend(split.backends.iter().filter_map(|b| split.service_named(&b.service)));
        }
        for account in related.iter().flat_map(|service| world.accounts_of_service(service)) {
            for target in world.targets_by_destination(account) {
                self.accounts.extend(target.sources.iter().filter_map(|s| s.account(&target.name.namespace)));
            }
        }
    }
}

impl World {
    pub(super) fn pods_of<'a>(&self, accounts: impl IntoIterator<Item = &'a ServiceAccount>) -> Affected {
        Affected::Pods(accounts.into_iter().flat_map(|account| self.pods_by_account(account)).cloned().collect())
    }
}

/// The backends of all splits on a root.
fn leaves(world: &World, root: &ObjectName) -> BTreeSet<ObjectName> {
    let splits = world.splits_by_root(root);
    splits.flat_map(|split| split.backends.iter().filter_map(|b| split.service_named(&b.service))).collect()
}

fn names(set: Option<&imbl::OrdSet<ObjectName>>) -> impl Iterator<Item = &ObjectName> {
    set.into_iter().flatten()
}
