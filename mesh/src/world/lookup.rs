//! Questions that policy asks of the world.

use std::sync::Arc;

use super::World;
use crate::model::{
    Egress, EndpointSlice, ExtensionService, HttpRouteGroup, IngressBackend, Leaf, ObjectName, Retry, Service,
    ServiceAccount, Settings, TcpRoute, Telemetry, TrafficSplit, TrafficTarget, TrustBundle, UdpRoute,
    UpstreamTrafficSetting, Workload,
};

impl World {
    /// The mesh-wide settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The roots that workloads trust.
    pub fn trust(&self) -> &TrustBundle {
        &self.trust
    }

    /// The account's certificate, once it has been issued.
    pub fn certificate(&self, account: &ServiceAccount) -> Option<&Arc<Leaf>> {
        self.certificates.get(account)
    }

    /// The service called `name`.
    pub fn service(&self, name: &ObjectName) -> Option<&Arc<Service>> {
        self.services.get(name)
    }

    /// All services, by name.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// The pod called `name`.
    pub fn workload(&self, name: &ObjectName) -> Option<&Arc<Workload>> {
        self.workloads.get(name)
    }

    /// All pods, by name.
    pub fn workloads(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.workloads.values()
    }

    /// The HTTPRouteGroup called `name`.
    pub fn http_route_group(&self, name: &ObjectName) -> Option<&Arc<HttpRouteGroup>> {
        self.http_route_groups.get(name)
    }

    /// All HTTPRouteGroups, by name.
    pub fn http_route_groups(&self) -> impl Iterator<Item = &Arc<HttpRouteGroup>> {
        self.http_route_groups.values()
    }

    /// The TCPRoute called `name`.
    pub fn tcp_route(&self, name: &ObjectName) -> Option<&Arc<TcpRoute>> {
        self.tcp_routes.get(name)
    }

    /// The UDPRoute called `name`.
    pub fn udp_route(&self, name: &ObjectName) -> Option<&Arc<UdpRoute>> {
        self.udp_routes.get(name)
    }

    /// All TrafficTargets, by name.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<TrafficTarget>> {
        self.targets.values()
    }

    /// All TrafficSplits, by name.
    pub fn splits(&self) -> impl Iterator<Item = &Arc<TrafficSplit>> {
        self.splits.values()
    }

    /// The pods that a service selects.
    pub fn members(&self, service: &ObjectName) -> impl Iterator<Item = &Arc<Workload>> {
        self.index.members.get(service).into_iter().flatten().filter_map(|pod| self.workloads.get(pod))
    }

    /// The EndpointSlices of a service.
    pub fn slices(&self, service: &ObjectName) -> impl Iterator<Item = &Arc<EndpointSlice>> {
        self.index
            .slices_by_service
            .get(service)
            .into_iter()
            .flatten()
            .filter_map(|name| self.endpoint_slices.get(name))
    }

    /// Whether a pod takes traffic as a member of a service.
    ///
    /// Where the service has EndpointSlices, they decide: the pod does if one of them has its address as ready. That covers
    /// `publishNotReadyAddresses` and pods that terminate. Without slices, and where slices are only of the other address
    /// family, the pod's own readiness does.
    pub fn takes_traffic(&self, service: &ObjectName, pod: &Workload) -> bool {
        let (mut decided, mut foreign) = (false, false);
        for slice in self.slices(service) {
            if slice.ready.contains(&pod.address) {
                return true;
            }
            let mut families = slice.ready.iter().chain(&slice.not_ready).map(|a| a.is_ipv4() == pod.address.is_ipv4());
            match families.next() {
                Some(false) => foreign = true,
                Some(true) => decided = true,
                None => {}
            }
        }
        let no_slices = self.slices(service).next().is_none();
        if no_slices || (foreign && !decided) { pod.ready } else { false }
    }

    /// The services that select a pod.
    pub fn services_of(&self, pod: &ObjectName) -> impl Iterator<Item = &Arc<Service>> {
        self.index.services_of.get(pod).into_iter().flatten().filter_map(|service| self.services.get(service))
    }

    /// The pods that run under an account.
    pub fn pods_by_account(&self, account: &ServiceAccount) -> impl Iterator<Item = &ObjectName> {
        self.index.pods_by_account.get(account).into_iter().flatten()
    }

    /// The accounts of the pods that a service selects.
    pub fn accounts_of_service(&self, service: &ObjectName) -> impl Iterator<Item = &ServiceAccount> {
        self.index.accounts_by_service.get(service).into_iter().flat_map(imbl::OrdMap::keys)
    }

    /// The services that select a pod of an account.
    pub fn services_of_account(&self, account: &ServiceAccount) -> impl Iterator<Item = &Arc<Service>> {
        let names = self.index.services_by_account.get(account).into_iter().flat_map(imbl::OrdMap::keys);
        names.filter_map(|service| self.services.get(service))
    }

    /// The TrafficTargets that name an account as a source.
    pub fn targets_by_source(&self, account: &ServiceAccount) -> impl Iterator<Item = &Arc<TrafficTarget>> {
        self.index.targets_by_source.get(account).into_iter().flatten().filter_map(|name| self.targets.get(name))
    }

    /// The TrafficTargets that name an account as their destination.
    pub fn targets_by_destination(&self, account: &ServiceAccount) -> impl Iterator<Item = &Arc<TrafficTarget>> {
        self.index.targets_by_destination.get(account).into_iter().flatten().filter_map(|name| self.targets.get(name))
    }

    /// The TrafficSplits whose root is this service.
    pub fn splits_by_root(&self, service: &ObjectName) -> impl Iterator<Item = &Arc<TrafficSplit>> {
        self.index.splits_by_root.get(service).into_iter().flatten().filter_map(|name| self.splits.get(name))
    }

    /// The TrafficSplits that name this service as a backend.
    pub fn splits_by_backend(&self, service: &ObjectName) -> impl Iterator<Item = &Arc<TrafficSplit>> {
        self.index.splits_by_backend.get(service).into_iter().flatten().filter_map(|name| self.splits.get(name))
    }

    /// All Egress objects, by name.
    pub fn egresses(&self) -> impl Iterator<Item = &Arc<Egress>> {
        self.egresses.values()
    }

    /// All IngressBackend objects, by name.
    pub fn ingress_backends(&self) -> impl Iterator<Item = &Arc<IngressBackend>> {
        self.ingress_backends.values()
    }

    /// All Retry objects, by name.
    pub fn retries(&self) -> impl Iterator<Item = &Arc<Retry>> {
        self.retries.values()
    }

    /// All UpstreamTrafficSetting objects, by name.
    pub fn upstream_settings(&self) -> impl Iterator<Item = &Arc<UpstreamTrafficSetting>> {
        self.upstream_settings.values()
    }

    /// All Telemetry objects, by name.
    pub fn telemetries(&self) -> impl Iterator<Item = &Arc<Telemetry>> {
        self.telemetries.values()
    }

    /// All ExtensionService objects, by name.
    pub fn extension_services(&self) -> impl Iterator<Item = &Arc<ExtensionService>> {
        self.extension_services.values()
    }

    /// The UpstreamTrafficSetting called `name`.
    pub fn upstream_setting(&self, name: &ObjectName) -> Option<&Arc<UpstreamTrafficSetting>> {
        self.upstream_settings.get(name)
    }

    /// The ExtensionService called `name`.
    pub fn extension_service(&self, name: &ObjectName) -> Option<&Arc<ExtensionService>> {
        self.extension_services.get(name)
    }
}
