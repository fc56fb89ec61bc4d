//! What the API server knows: pods, services, and the manifests in force.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use simulator::scenario::{
    address::PodRef,
    model::{self, FullPort, Manifest, Scenario},
};

use super::{
    Unknown,
    manifest::{self, Content, Key, Object, Service, ServicePort, Speaks, Split, Target, TargetPort},
};

/// Pods, services, and the manifests in force.
#[derive(Clone, Debug)]
pub struct World {
    /// Whether everyone may call everyone.
    pub(super) permissive: bool,
    pub(super) pods: Vec<Pod>,
    objects: BTreeMap<Key, InForce>,
    /// The manifests of the scenario, by the names that its steps use; or why an API server must refuse one.
    manifests: Arc<BTreeMap<String, Result<Vec<Object>, String>>>,
    /// What happened that the specification knows nothing of.
    strange: Option<String>,
    /// Counts objects in the order in which they were written.
    written: u64,
}

#[derive(Clone, Debug)]
struct InForce {
    object: Object,
    written: u64,
}

/// A pod.
#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) workload: String,
    index: u16,
    pub(super) namespace: String,
    pub(super) account: String,
    labels: BTreeMap<String, String>,
    /// Container ports by name, with what is spoken there.
    ports: BTreeMap<String, (u16, Speaks)>,
    pub(super) meshed: bool,
    ready: bool,
    /// It is nothing that the specification speaks of: a host outside, an impostor.
    strange: bool,
}

/// A ready pod behind a service port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoint<'a> {
    pub(super) pod: &'a Pod,
    /// The port of the container.
    pub(super) port: u16,
}

impl World {
    /// The scenario before its first step: nothing is applied.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let inline = scenario.resources.iter().filter_map(|(name, manifest)| match manifest {
            Manifest::Inline(text) => Some((name.clone(), manifest::read(text))),
            Manifest::File(_) => None,
        });
        let mut world = Self {
            permissive: scenario.mesh.permissive,
            pods: scenario.workloads.iter().flat_map(|(name, workload)| pods(name, workload)).collect(),
            objects: BTreeMap::new(),
            manifests: Arc::new(inline.collect()),
            strange: None,
            written: 0,
        };
        for service in services(scenario) {
            let key = ("Service".to_owned(), service.namespace.clone(), service.name.clone());
            world.put(Object { key, created: None, content: Content::Service(Arc::new(service)) });
        }
        world
    }

    /// Creates or updates the objects of one of the scenario's manifests. `Err` says why an API server must refuse it; then nothing
    /// of it is in force.
    ///
    /// # Errors
    /// The text is no manifest, or does not fit the schemas of the specification.
    pub fn apply(&mut self, resource: &str) -> Result<(), String> {
        let manifests = self.manifests.clone();
        match manifests.get(resource) {
            Some(Ok(objects)) => objects.iter().cloned().for_each(|object| self.put(object)),
            Some(Err(why)) => return Err(why.clone()),
            None => self.estrange(format!("the text of {resource} is not at hand")),
        }
        Ok(())
    }

    /// Deletes the objects of one of the scenario's manifests.
    pub fn delete(&mut self, resource: &str) {
        for object in self.manifests.clone().get(resource).and_then(|read| read.as_ref().ok()).into_iter().flatten() {
            self.objects.remove(&object.key);
        }
    }

    fn put(&mut self, object: Object) {
        self.written += 1;
        self.objects.insert(object.key.clone(), InForce { object, written: self.written });
    }

    /// Pods of `workload` or `workload/INDEX` become ready or unready.
    pub fn set_ready(&mut self, pods: &str, ready: bool) {
        let wanted: Option<PodRef> = pods.parse().ok();
        self.pods.iter_mut().filter(|pod| wanted.as_ref().is_some_and(|w| pod.is(w))).for_each(|pod| pod.ready = ready);
    }

    /// Pods go away for good.
    pub fn remove(&mut self, pods: &str) {
        let wanted: Option<PodRef> = pods.parse().ok();
        self.pods.retain(|pod| !wanted.as_ref().is_some_and(|w| pod.is(w)));
    }

    /// From now on nothing can be said.
    pub fn estrange(&mut self, why: impl Into<String>) {
        self.strange.get_or_insert(why.into());
    }

    /// Whether the oracle knows all that is in force.
    pub(super) fn known(&self) -> Result<(), Unknown> {
        if let Some(why) = &self.strange {
            return Unknown::because(why.clone());
        }
        match self.objects.values().find(|one| matches!(one.object.content, Content::Foreign)) {
            Some(one) => Unknown::because(format!("a {} may change anything", one.object.key.0)),
            None => Ok(()),
        }
    }

    pub(super) fn pods_of(&self, wanted: &PodRef) -> Result<Vec<&Pod>, Unknown> {
        let pods: Vec<_> = self.pods.iter().filter(|pod| pod.is(wanted)).collect();
        match pods.iter().find(|pod| pod.strange) {
            Some(pod) => Unknown::because(format!("{} is nothing that the specification speaks of", pod.workload)),
            None if pods.is_empty() => Unknown::because(format!("there is no pod of {wanted}")),
            None => Ok(pods),
        }
    }

    pub(super) fn service(&self, namespace: &str, name: &str) -> Option<&Service> {
        match self.content("Service", namespace, name)? {
            Content::Service(service) => Some(service),
            _ => None,
        }
    }

    pub(super) fn content(&self, kind: &str, namespace: &str, name: &str) -> Option<&Content> {
        let key = (kind.to_owned(), namespace.to_owned(), name.to_owned());
        self.objects.get(&key).map(|one| &one.object.content)
    }

    pub(super) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.objects.values().filter_map(|one| match &one.object.content {
            Content::Target(target) => Some(&**target),
            _ => None,
        })
    }

    /// Splits, each with what tells its age: when it was created, if it says so, and when it was last written.
    pub(super) fn splits(&self) -> impl Iterator<Item = (&Split, Option<&str>, u64)> {
        self.objects.values().filter_map(|one| match &one.object.content {
            Content::Split(split) => Some((&**split, one.object.created.as_deref(), one.written)),
            _ => None,
        })
    }

    /// The ready pods behind a port of a service.
    pub(super) fn endpoints<'a>(&'a self, service: &Service, port: &ServicePort) -> Vec<Endpoint<'a>> {
        let pods = self.pods.iter().filter(|pod| pod.ready && pod.is_behind(service));
        pods.filter_map(|pod| Some(Endpoint { pod, port: pod.target(&port.target)? })).collect()
    }

    /// The service ports that lead to a port of a pod.
    pub(super) fn service_ports(&self, to: Endpoint<'_>) -> Vec<&ServicePort> {
        let services = self.objects.values().filter_map(|one| match &one.object.content {
            Content::Service(service) if to.pod.is_behind(service) => Some(service),
            _ => None,
        });
        let ports = services.flat_map(|service| &service.ports);
        ports.filter(|port| to.pod.target(&port.target) == Some(to.port)).collect()
    }
}

impl Pod {
    fn is(&self, wanted: &PodRef) -> bool {
        self.workload == wanted.workload && wanted.index.is_none_or(|index| index == self.index)
    }

    fn is_behind(&self, service: &Service) -> bool {
        let labels = || service.selector.iter().all(|(key, value)| self.labels.get(key) == Some(value));
        self.namespace == service.namespace && !service.selector.is_empty() && labels()
    }

    fn target(&self, target: &TargetPort) -> Option<u16> {
        match target {
            TargetPort::Number(number) => Some(*number),
            TargetPort::Name(name) => self.ports.get(name).map(|(number, _)| *number),
        }
    }

    /// What its application speaks on a container port; `None` if nobody listens there.
    pub(super) fn speaks(&self, port: u16) -> Option<Speaks> {
        self.ports.values().find(|(number, _)| *number == port).map(|(_, speaks)| *speaks)
    }
}

fn pods<'a>(name: &'a str, workload: &'a model::Workload) -> impl Iterator<Item = Pod> + use<'a> {
    let mut labels = workload.labels.clone();
    labels.entry("app".to_owned()).or_insert_with(|| name.to_owned());
    labels.extend(workload.services.iter().map(|service| (member(service), "yes".to_owned())));
    let ports = workload.ports.iter().map(|(name, port)| (name.clone(), (full(port).1, speaks(name, port))));
    let pod = Pod {
        workload: name.to_owned(),
        index: 0,
        namespace: namespace(workload).to_owned(),
        account: workload.account.as_deref().unwrap_or(name).to_owned(),
        labels,
        ports: ports.collect(),
        meshed: workload.mesh,
        ready: true,
        strange: workload.outside.is_some() || workload.presents.is_some() || workload.subdomain.is_some(),
    };
    (0..workload.replicas).map(move |index| Pod { index, ..pod.clone() })
}

fn namespace(workload: &model::Workload) -> &str {
    workload.namespace.as_deref().unwrap_or("default")
}

/// The label of a service that workloads list.
fn member(service: &str) -> String {
    format!("member-of/{service}")
}

/// Service port and container port.
fn full(port: &model::Port) -> (u16, u16) {
    match port {
        model::Port::Number(number) => (*number, *number),
        model::Port::Full(FullPort { port, target_port, .. }) => (*port, target_port.unwrap_or(*port)),
    }
}

fn speaks(name: &str, port: &model::Port) -> Speaks {
    let declared = match port {
        model::Port::Full(full) => full.app_protocol.as_deref(),
        model::Port::Number(_) => None,
    };
    Speaks::declared(declared, Some(name))
}

/// The services that workloads list, with all ports of all of them.
fn services(scenario: &Scenario) -> Vec<Service> {
    let listed = scenario.workloads.values().flat_map(|workload| {
        workload.services.iter().map(move |service| (namespace(workload).to_owned(), service.clone()))
    });
    let listed: BTreeSet<(String, String)> = listed.collect();
    let service = |(namespace, name): (String, String)| {
        let here = |w: &&model::Workload| self::namespace(w) == namespace && w.services.contains(&name);
        let members: Vec<_> = scenario.workloads.values().filter(here).collect();
        Service {
            selector: BTreeMap::from([(member(&name), "yes".to_owned())]),
            ports: service_ports(&members),
            headless: members.iter().any(|workload| workload.subdomain.as_ref() == Some(&name)),
            namespace,
            name,
        }
    };
    listed.into_iter().map(service).collect()
}

/// One number where all agree on it, else the name, which each pod looks up for itself.
fn service_ports(members: &[&model::Workload]) -> Vec<ServicePort> {
    let mut declared: BTreeMap<u16, BTreeSet<(u16, &str, Speaks)>> = BTreeMap::new();
    for (name, port) in members.iter().flat_map(|workload| &workload.ports) {
        let (number, target) = full(port);
        declared.entry(number).or_default().insert((target, name, speaks(name, port)));
    }
    let port = |(port, all): (u16, BTreeSet<(u16, &str, Speaks)>)| {
        let &(target, name, speaks) = all.first()?;
        let agreed = all.iter().all(|(other, ..)| *other == target);
        let target = if agreed { TargetPort::Number(target) } else { TargetPort::Name(name.to_owned()) };
        let speaks = if all.iter().all(|(.., other)| *other == speaks) { speaks } else { Speaks::Other };
        Some(ServicePort { port, target, speaks })
    };
    declared.into_iter().filter_map(port).collect()
}
