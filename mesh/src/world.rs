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

use self::{
    affected::Dependents,
    index::{Index, Objects},
};
use crate::model::{
    Egress, EndpointSlice, ExtensionService, HttpRouteGroup, IngressBackend, Kind, Leaf, ObjectName, ObjectRef, Retry,
    Service, ServiceAccount, Settings, TcpRoute, Telemetry, TrafficSplit, TrafficTarget, TrustBundle, UdpRoute,
    UpstreamTrafficSetting, Workload,
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
    endpoint_slices: OrdMap<ObjectName, Arc<EndpointSlice>>,
    egresses: OrdMap<ObjectName, Arc<Egress>>,
    ingress_backends: OrdMap<ObjectName, Arc<IngressBackend>>,
    retries: OrdMap<ObjectName, Arc<Retry>>,
    upstream_settings: OrdMap<ObjectName, Arc<UpstreamTrafficSetting>>,
    telemetries: OrdMap<ObjectName, Arc<Telemetry>>,
    extension_services: OrdMap<ObjectName, Arc<ExtensionService>>,
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
            Object::EndpointSlice(o) => drop(self.endpoint_slices.insert(o.name.clone(), o.into())),
            Object::Egress(o) => drop(self.egresses.insert(o.name.clone(), o.into())),
            Object::IngressBackend(o) => drop(self.ingress_backends.insert(o.name.clone(), o.into())),
            Object::Retry(o) => drop(self.retries.insert(o.name.clone(), o.into())),
            Object::UpstreamTrafficSetting(o) => drop(self.upstream_settings.insert(o.name.clone(), o.into())),
            Object::Telemetry(o) => drop(self.telemetries.insert(o.name.clone(), o.into())),
            Object::ExtensionService(o) => drop(self.extension_services.insert(o.name.clone(), o.into())),
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
            Kind::EndpointSlice => drop(self.endpoint_slices.remove(name)),
            Kind::Egress => drop(self.egresses.remove(name)),
            Kind::IngressBackend => drop(self.ingress_backends.remove(name)),
            Kind::Retry => drop(self.retries.remove(name)),
            Kind::UpstreamTrafficSetting => drop(self.upstream_settings.remove(name)),
            Kind::Telemetry => drop(self.telemetries.remove(name)),
            Kind::ExtensionService => drop(self.extension_services.remove(name)),
            // Trust domain and namespace are no part of a MeshConfig: without one, all identities stay what they are.
            Kind::MeshConfig => {
                let Settings { trust_domain, namespace, .. } = self.settings.clone();
                self.settings = Settings { trust_domain, namespace, ..Settings::default() };
            }
            // Roots come as `Change::Trust`.
            Kind::MeshRootCertificate => {}
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
            Kind::EndpointSlice => self.reindex_slice(name, false),
            _ => {}
        }
    }

    fn reindex(&mut self, reference: &ObjectRef) {
        let name = &reference.name;
        let objects = Objects { services: &self.services, workloads: &self.workloads, slices: &self.endpoint_slices };
        match reference.kind {
            Kind::Service => {
                self.services.get(name).into_iter().for_each(|o| self.index.insert_service(o, objects));
            }
            Kind::Pod => {
                self.workloads.get(name).into_iter().for_each(|o| self.index.insert_workload(o, objects));
            }
            Kind::TrafficTarget => self.targets.get(name).into_iter().for_each(|o| self.index.set_target(o, true)),
            Kind::TrafficSplit => self.splits.get(name).into_iter().for_each(|o| self.index.set_split(o, true)),
            Kind::EndpointSlice => self.reindex_slice(name, true),
            _ => {}
        }
    }

    /// A service without a selector has its members from its slices: they are found anew with each of them.
    fn reindex_slice(&mut self, name: &ObjectName, present: bool) {
        let Some(slice) = self.endpoint_slices.get(name) else { return };
        let service = self.services.get(&name.sibling(slice.service.clone())).filter(|s| s.selector.is_empty());
        service.into_iter().for_each(|service| self.index.remove_service(service));
        self.index.set_slice(slice, present);
        let objects = Objects { services: &self.services, workloads: &self.workloads, slices: &self.endpoint_slices };
        service.into_iter().for_each(|service| self.index.insert_service(service, objects));
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
