//! The names that a scenario defines.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::scenario::model::{Manifest, Port, Scenario, Step, Workload};

/// The namespace of what does not say.
pub(super) const DEFAULT_NAMESPACE: &str = "default";

/// The names that a scenario defines.
pub(super) struct Names<'a> {
    pub(super) workloads: &'a BTreeMap<String, Workload>,
    /// Ports by service and namespace; `None` if a manifest defines the service.
    pub(super) services: BTreeMap<(String, String), Option<BTreeSet<u16>>>,
    pub(super) resources: BTreeSet<&'a str>,
    pub(super) collectors: BTreeSet<&'a str>,
    /// Manifests that are no YAML, with the reason.
    pub(super) broken: BTreeMap<&'a str, String>,
    /// Ids of traffic steps with their position in the file's order.
    pub(super) traffic_ids: BTreeMap<&'a str, usize>,
}

impl<'a> Names<'a> {
    pub(super) fn of(scenario: &'a Scenario) -> Self {
        let mut names = Self {
            workloads: &scenario.workloads,
            services: BTreeMap::new(),
            resources: scenario.resources.keys().map(String::as_str).collect(),
            collectors: scenario.collectors.iter().map(String::as_str).collect(),
            broken: BTreeMap::new(),
            traffic_ids: BTreeMap::new(),
        };
        for workload in scenario.workloads.values() {
            names.add_services(workload);
        }
        for (name, manifest) in &scenario.resources {
            if let Manifest::Inline(text) = manifest {
                names.add_manifest(name, text);
            }
        }
        let mut position = 0;
        names.add_steps(&scenario.steps, &mut position);
        names
    }

    fn add_services(&mut self, workload: &Workload) {
        for service in &workload.services {
            let key = (service.clone(), namespace(workload).to_owned());
            let ports = self.services.entry(key).or_insert_with(|| Some(BTreeSet::new()));
            if let Some(ports) = ports {
                ports.extend(workload.ports.values().map(service_port));
            }
        }
    }

    /// Looks for Services only; the mesh's own parser judges the manifest when it is applied.
    fn add_manifest(&mut self, resource: &'a str, text: &str) {
        let objects: Vec<Value> = match serde_saphyr::from_multiple(text) {
            Ok(objects) => objects,
            Err(error) => {
                let reason = error.to_string().lines().next().unwrap_or_default().to_owned();
                self.broken.insert(resource, reason);
                return;
            }
        };
        for object in objects.iter().filter(|object| object["kind"] == "Service") {
            let Some(name) = object["metadata"]["name"].as_str() else { continue };
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or(DEFAULT_NAMESPACE);
            self.services.insert((name.to_owned(), namespace.to_owned()), None);
        }
    }

    fn add_steps(&mut self, steps: &'a [Step], position: &mut usize) {
        for step in steps {
            *position += 1;
            if let (Some(id), Some(_)) = (&step.id, &step.traffic) {
                self.traffic_ids.insert(id, *position);
            }
            for branch in step.parallel.iter().flatten() {
                self.add_steps(branch, position);
            }
            if let Some(repeat) = &step.repeat {
                self.add_steps(&repeat.steps, position);
            }
        }
    }

    /// Whether somebody outside of the cluster bears this name; if so, with its ports.
    pub(super) fn outside(&self, host: &str) -> Option<BTreeSet<u16>> {
        let bears = |w: &&Workload| w.outside.iter().any(|o| o.hosts.iter().any(|h| h.eq_ignore_ascii_case(host)));
        let found = self.workloads.values().find(bears)?;
        Some(found.ports.values().map(container_port).collect())
    }

    /// Whether a pod's own DNS name (`web-0.headless`) or a service is meant by the parts of a host name.
    pub(super) fn service(&self, host: &str, from: &str) -> Lookup<'_> {
        let mut parts = host.split('.');
        let (first, second) = (parts.next().unwrap_or_default(), parts.next());
        let home = self.workloads.get(from).map_or(DEFAULT_NAMESPACE, namespace);
        let key = |namespace: &str| (first.to_owned(), namespace.to_owned());
        if let Some(ports) = self.services.get(&key(second.unwrap_or(home))) {
            return Lookup::Service(ports.as_ref());
        }
        if second.is_some_and(|subdomain| self.is_pod_of(first, subdomain)) {
            return Lookup::Service(None);
        }
        match self.services.keys().find(|(name, _)| name == first) {
            Some((_, namespace)) => Lookup::Elsewhere(namespace),
            None => Lookup::Unknown,
        }
    }

    fn is_pod_of(&self, pod: &str, subdomain: &str) -> bool {
        let Some((workload, index)) = pod.rsplit_once('-') else { return false };
        let Some(workload) = self.workloads.get(workload) else { return false };
        workload.subdomain.as_deref() == Some(subdomain)
            && index.parse::<u16>().is_ok_and(|index| index < workload.replicas)
    }

    pub(super) fn workload_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.workloads.keys().map(String::as_str)
    }

    pub(super) fn service_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.services.keys().map(|(name, _)| name.as_str())
    }

    /// Whether a workload runs under this account (`account` or `namespace/account`).
    pub(super) fn has_account(&self, account: &str) -> bool {
        let (in_namespace, account) = match account.split_once('/') {
            Some((namespace, account)) => (Some(namespace), account),
            None => (None, account),
        };
        self.workloads.iter().any(|(name, workload)| {
            account == workload.account.as_deref().unwrap_or(name)
                && in_namespace.is_none_or(|wanted| wanted == namespace(workload))
        })
    }
}

/// What a host name means.
pub(super) enum Lookup<'a> {
    /// A service; with its ports if they are known.
    Service(Option<&'a BTreeSet<u16>>),
    /// There is such a service, but in this namespace.
    Elsewhere(&'a str),
    /// Nothing.
    Unknown,
}

pub(super) fn namespace(workload: &Workload) -> &str {
    workload.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE)
}

pub(super) fn service_port(port: &Port) -> u16 {
    match port {
        Port::Number(port) => *port,
        Port::Full(full) => full.port,
    }
}

pub(super) fn container_port(port: &Port) -> u16 {
    match port {
        Port::Number(port) => *port,
        Port::Full(full) => full.target_port.unwrap_or(full.port),
    }
}
