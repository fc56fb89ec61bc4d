//! Everything that the control plane knows, as one immutable value.
//!
//! Cloning a [`World`] costs nothing (persistent maps), so readers keep the one they were given while the single writer
//! goes on. Indexes are part of the value and kept up with every change: no lookup walks all objects.

mod affected;
mod change;
mod index;
mod lookup;

use std::sync::Arc;

use imbl::OrdMap;

pub use affected::Affected;
pub use change::{Change, Object};

use self::{affected::Dependents, index::Index};
use crate::model::{
    HttpRouteGroup, Kind, Leaf, ObjectName, ObjectRef, Service, ServiceAccount, Settings, TcpRoute, TrafficSplit,
    TrafficTarget, TrustBundle, UdpRoute, Workload,
};

/// Everything known: objects by name, settings, certificates, and the indexes over them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    settings: Settings,
    trust: TrustBundle,
    certificates: OrdMap<ServiceAccount, Arc<Leaf>>,
    services: OrdMap<ObjectName, Arc<Service>>,
    workloads: OrdMap<ObjectName, Arc<Workload>>,
    http_route_groups: OrdMap<ObjectName, Arc<HttpRouteGroup>>,
    tcp_routes: OrdMap<ObjectName, Arc<TcpRoute>>,
    udp_routes: OrdMap<ObjectName, Arc<UdpRoute>>,
    targets: OrdMap<ObjectName, Arc<TrafficTarget>>,
    splits: OrdMap<ObjectName, Arc<TrafficSplit>>,
    index: Index,
}

impl World {
    /// Takes a change in, and tells which proxies it may concern. The answer may name too many, never too few.
    ///
    /// Cost: logarithmic in the size of the world, linear in what the changed object refers to.
    pub fn apply(&mut self, change: Change) -> Affected {
        match change {
            Change::Put(object) => self.put(object),
            Change::Gone(reference) => self.gone(&reference),
            Change::Settings(settings) => replace_all(&mut self.settings, settings),
            Change::Trust(trust) => replace_all(&mut self.trust, trust),
            Change::Certificate(leaf) => {
                let account = leaf.account.clone();
                self.certificates.insert(account.clone(), leaf);
                self.pods_of([&account])
            }
            Change::CertificateGone(account) => {
                self.certificates.remove(&account);
                self.pods_of([&account])
            }
        }
    }

    fn put(&mut self, object: Object) -> Affected {
        let reference = object.reference();
        let mut dependents = Dependents::before(self, &reference);
        self.unindex(&reference);
        match object {
            Object::Service(o) => drop(self.services.insert(o.name.clone(), o.into())),
            Object::Workload(o) => drop(self.workloads.insert(o.name.clone(), o.into())),
            Object::HttpRouteGroup(o) => drop(self.http_route_groups.insert(o.name.clone(), o.into())),
            Object::TcpRoute(o) => drop(self.tcp_routes.insert(o.name.clone(), o.into())),
            Object::UdpRoute(o) => drop(self.udp_routes.insert(o.name.clone(), o.into())),
            Object::TrafficTarget(o) => drop(self.targets.insert(o.name.clone(), o.into())),
            Object::TrafficSplit(o) => drop(self.splits.insert(o.name.clone(), o.into())),
        }
        self.reindex(&reference);
        dependents.after(self);
        dependents.into_affected(self)
    }

    fn gone(&mut self, reference: &ObjectRef) -> Affected {
        let mut dependents = Dependents::before(self, reference);
        self.unindex(reference);
        let name = &reference.name;
        match reference.kind {
            Kind::Service => drop(self.services.remove(name)),
            Kind::Pod => drop(self.workloads.remove(name)),
            Kind::HttpRouteGroup => drop(self.http_route_groups.remove(name)),
            Kind::TcpRoute => drop(self.tcp_routes.remove(name)),
            Kind::UdpRoute => drop(self.udp_routes.remove(name)),
            Kind::TrafficTarget => drop(self.targets.remove(name)),
            Kind::TrafficSplit => drop(self.splits.remove(name)),
            // The trust domain is no part of a MeshConfig: without one, all identities stay what they are.
            Kind::MeshConfig => self.settings.permissive = false,
        }
        dependents.after(self);
        dependents.into_affected(self)
    }

    fn unindex(&mut self, reference: &ObjectRef) {
        let name = &reference.name;
        match reference.kind {
            Kind::Service => self.services.get(name).into_iter().for_each(|o| self.index.remove_service(o)),
            Kind::Pod => self.workloads.get(name).into_iter().for_each(|o| self.index.remove_workload(o)),
            Kind::TrafficTarget => self.targets.get(name).into_iter().for_each(|o| self.index.set_target(o, false)),
            Kind::TrafficSplit => self.splits.get(name).into_iter().for_each(|o| self.index.set_split(o, false)),
            Kind::HttpRouteGroup | Kind::TcpRoute | Kind::UdpRoute | Kind::MeshConfig => {}
        }
    }

    fn reindex(&mut self, reference: &ObjectRef) {
        let name = &reference.name;
        match reference.kind {
            Kind::Service => {
                self.services.get(name).into_iter().for_each(|o| self.index.insert_service(o, &self.workloads));
            }
            Kind::Pod => {
                self.workloads.get(name).into_iter().for_each(|o| self.index.insert_workload(o, &self.services));
            }
            Kind::TrafficTarget => self.targets.get(name).into_iter().for_each(|o| self.index.set_target(o, true)),
            Kind::TrafficSplit => self.splits.get(name).into_iter().for_each(|o| self.index.set_split(o, true)),
            Kind::HttpRouteGroup | Kind::TcpRoute | Kind::UdpRoute | Kind::MeshConfig => {}
        }
    }
}

fn replace_all<T: PartialEq>(slot: &mut T, value: T) -> Affected {
    if *slot == value {
        return Affected::none();
    }
    *slot = value;
    Affected::All
}

#[cfg(test)]
mod tests;
