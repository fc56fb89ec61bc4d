//! Indexes over the objects of a world. They answer "who selects whom" and "who names whom" without a walk.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use imbl::{OrdMap, OrdSet};

use crate::model::{
    EndpointSlice, ObjectName, RuleKind, Service, ServiceAccount, TrafficSplit, TrafficTarget, Workload,
};

/// `(namespace, label key, label value)`.
type Label = (Arc<str>, Arc<str>, Arc<str>);

/// An address of pods of one namespace.
type Address = (Arc<str>, IpAddr);

/// A map from a key to the set of names below it.
pub(super) type Names<K> = OrdMap<K, OrdSet<ObjectName>>;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Index {
    /// Pods by each of their labels.
    pods_by_label: Names<Label>,
    /// Services by the first pair of their selector: a pod need only look up its own labels.
    services_by_label: Names<Label>,
    /// Services → the pods that they select.
    pub(super) members: Names<ObjectName>,
    /// Pods → the services that select them.
    pub(super) services_of: Names<ObjectName>,
    pub(super) pods_by_account: Names<ServiceAccount>,
    /// Services → the accounts of their pods, each with its number of pods.
    pub(super) accounts_by_service: OrdMap<ObjectName, OrdMap<ServiceAccount, u32>>,
    /// Accounts → the services that select one of their pods, each with the number of pods.
    pub(super) services_by_account: OrdMap<ServiceAccount, OrdMap<ObjectName, u32>>,
    pub(super) targets_by_source: Names<ServiceAccount>,
    pub(super) targets_by_destination: Names<ServiceAccount>,
    pub(super) targets_by_http_route_group: Names<ObjectName>,
    pub(super) targets_by_tcp_route: Names<ObjectName>,
    pub(super) splits_by_root: Names<ObjectName>,
    pub(super) splits_by_backend: Names<ObjectName>,
    pub(super) splits_by_http_route_group: Names<ObjectName>,
    /// Services → their EndpointSlices.
    pub(super) slices_by_service: Names<ObjectName>,
    slices_by_address: Names<Address>,
    pods_by_address: Names<Address>,
}

/// The objects that an index leads to.
#[derive(Clone, Copy)]
pub(super) struct Objects<'w> {
    pub(super) services: &'w OrdMap<ObjectName, Arc<Service>>,
    pub(super) workloads: &'w OrdMap<ObjectName, Arc<Workload>>,
    pub(super) slices: &'w OrdMap<ObjectName, Arc<EndpointSlice>>,
}

impl Index {
    pub(super) fn insert_service(&mut self, service: &Service, objects: Objects<'_>) {
        let Some(label) = selector_label(service) else {
            return self.join_by_address(service, objects);
        };
        set(&mut self.services_by_label, label.clone(), &service.name, true);
        let candidates = self.pods_by_label.get(&label).cloned().unwrap_or_default();
        for pod in candidates.iter().filter_map(|name| objects.workloads.get(name)) {
            if service.selects(&pod.labels) {
                self.join(&service.name, pod);
            }
        }
    }

    /// A service without a selector has the pods whose addresses its slices name. Only those of its own namespace: else
    /// somebody could open ports on the pods of others.
    fn join_by_address(&mut self, service: &Service, objects: Objects<'_>) {
        let slices = self.slices_by_service.get(&service.name).cloned().unwrap_or_default();
        let slices = slices.iter().filter_map(|name| objects.slices.get(name));
        let addresses: BTreeSet<_> = slices.flat_map(|slice| addresses(slice)).collect();
        let pods: BTreeSet<_> =
            addresses.iter().flat_map(|a| self.pods_by_address.get(a).cloned().unwrap_or_default()).collect();
        for pod in pods.iter().filter_map(|name| objects.workloads.get(name)) {
            self.join(&service.name, pod);
        }
    }

    pub(super) fn remove_service(&mut self, service: &Service) {
        if let Some(label) = selector_label(service) {
            set(&mut self.services_by_label, label, &service.name, false);
        }
        for pod in self.members.remove(&service.name).unwrap_or_default() {
            set(&mut self.services_of, pod, &service.name, false);
        }
        for (account, _) in self.accounts_by_service.remove(&service.name).unwrap_or_default() {
            let now_empty = self.services_by_account.get_mut(&account).is_some_and(|services| {
                services.remove(&service.name);
                services.is_empty()
            });
            if now_empty {
                self.services_by_account.remove(&account);
            }
        }
    }

    pub(super) fn insert_workload(&mut self, pod: &Workload, objects: Objects<'_>) {
        set(&mut self.pods_by_account, pod.account.clone(), &pod.name, true);
        for (key, value) in &pod.labels {
            let label = (pod.name.namespace.clone(), key.clone(), value.clone());
            set(&mut self.pods_by_label, label.clone(), &pod.name, true);
            let candidates = self.services_by_label.get(&label).cloned().unwrap_or_default();
            for service in candidates.iter().filter_map(|name| objects.services.get(name)) {
                if service.selects(&pod.labels) {
                    self.join(&service.name, pod);
                }
            }
        }
        let address = (pod.name.namespace.clone(), pod.address);
        let slices = self.slices_by_address.get(&address).cloned().unwrap_or_default();
        set(&mut self.pods_by_address, address, &pod.name, true);
        let slices = slices.iter().filter_map(|name| objects.slices.get(name));
        let named: BTreeSet<_> = slices.map(|slice| slice.name.sibling(slice.service.clone())).collect();
        for service in named.iter().filter_map(|name| objects.services.get(name)) {
            if service.selector.is_empty() {
                self.join(&service.name, pod);
            }
        }
    }

    pub(super) fn remove_workload(&mut self, pod: &Workload) {
        set(&mut self.pods_by_account, pod.account.clone(), &pod.name, false);
        set(&mut self.pods_by_address, (pod.name.namespace.clone(), pod.address), &pod.name, false);
        for (key, value) in &pod.labels {
            let label = (pod.name.namespace.clone(), key.clone(), value.clone());
            set(&mut self.pods_by_label, label, &pod.name, false);
        }
        for service in self.services_of.remove(&pod.name).unwrap_or_default() {
            set(&mut self.members, service.clone(), &pod.name, false);
            decrement(&mut self.accounts_by_service, &service, &pod.account);
            decrement(&mut self.services_by_account, &pod.account, &service);
        }
    }

    fn join(&mut self, service: &ObjectName, pod: &Workload) {
        set(&mut self.members, service.clone(), &pod.name, true);
        set(&mut self.services_of, pod.name.clone(), service, true);
        increment(&mut self.accounts_by_service, service, &pod.account);
        increment(&mut self.services_by_account, &pod.account, service);
    }

    /// Enters (`present`) or takes out a slice. Its service has to be removed before and inserted after.
    pub(super) fn set_slice(&mut self, slice: &EndpointSlice, present: bool) {
        set(&mut self.slices_by_service, slice.name.sibling(slice.service.clone()), &slice.name, present);
        for address in addresses(slice) {
            set(&mut self.slices_by_address, address, &slice.name, present);
        }
    }

    /// Enters (`present`) or takes out whom a target names.
    pub(super) fn set_target(&mut self, target: &TrafficTarget, present: bool) {
        let own = &target.name.namespace;
        for account in target.sources.iter().filter_map(|s| s.account(own)) {
            set(&mut self.targets_by_source, account, &target.name, present);
        }
        if let Some(account) = target.destination.account(own) {
            set(&mut self.targets_by_destination, account, &target.name, present);
        }
        for rule in &target.rules {
            let route = target.name.sibling(rule.name.clone());
            match rule.kind {
                RuleKind::HttpRouteGroup => set(&mut self.targets_by_http_route_group, route, &target.name, present),
                RuleKind::TcpRoute => set(&mut self.targets_by_tcp_route, route, &target.name, present),
                RuleKind::UdpRoute | RuleKind::Other(_) => {}
            }
        }
    }

    /// Enters (`present`) or takes out whom a split names.
    pub(super) fn set_split(&mut self, split: &TrafficSplit, present: bool) {
        if let Some(root) = split.service_named(&split.service) {
            set(&mut self.splits_by_root, root, &split.name, present);
        }
        for backend in split.backends.iter().filter_map(|b| split.service_named(&b.service)) {
            set(&mut self.splits_by_backend, backend, &split.name, present);
        }
        for group in &split.matches {
            set(&mut self.splits_by_http_route_group, split.name.sibling(group.clone()), &split.name, present);
        }
    }
}

/// What a slice names, whether it takes traffic or not.
fn addresses(slice: &EndpointSlice) -> impl Iterator<Item = Address> {
    let all: BTreeSet<_> = slice.ready.union(&slice.not_ready).copied().collect();
    all.into_iter().map(|address| (slice.name.namespace.clone(), address))
}

/// The label pair by which a service is found; `None` if it selects no pod.
fn selector_label(service: &Service) -> Option<Label> {
    let (key, value) = service.selector.first_key_value()?;
    Some((service.name.namespace.clone(), key.clone(), value.clone()))
}

fn set<K: Ord + Clone>(map: &mut Names<K>, key: K, name: &ObjectName, present: bool) {
    if present {
        map.entry(key).or_default().insert(name.clone());
    } else {
        let now_empty = map.get_mut(&key).is_some_and(|names| {
            names.remove(name);
            names.is_empty()
        });
        if now_empty {
            map.remove(&key);
        }
    }
}

fn increment<K: Ord + Clone, L: Ord + Clone>(map: &mut OrdMap<K, OrdMap<L, u32>>, key: &K, item: &L) {
    *map.entry(key.clone()).or_default().entry(item.clone()).or_insert(0) += 1;
}

fn decrement<K: Ord + Clone, L: Ord + Clone>(map: &mut OrdMap<K, OrdMap<L, u32>>, key: &K, item: &L) {
    let Some(counts) = map.get_mut(key) else { return };
    match counts.get_mut(item) {
        Some(count) if *count > 1 => *count -= 1,
        _ => drop(counts.remove(item)),
    }
    if counts.is_empty() {
        map.remove(key);
    }
}
