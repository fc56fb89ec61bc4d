//! The kinds of resource that have metrics, and what a pod belongs to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use super::{flow::Party, wire::Reference};
use crate::{
    model::{ObjectName, Workload},
    policy::telemetry::owner,
    world::World,
};

/// A kind of resource (traffic-metrics v1alpha1, "Kubernetes API").
///
/// The mesh knows neither of nodes nor of ReplicationControllers: nothing is attributed to them, and their lists are empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceKind {
    /// Everything in a namespace.
    Namespace,
    /// Never attributed.
    Node,
    /// One pod.
    Pod,
    /// Never attributed.
    ReplicationController,
    /// The pods that a service selects, and requests to it that no pod answered.
    Service,
    /// The pods of a DaemonSet.
    DaemonSet,
    /// The pods of a Deployment.
    Deployment,
    /// The pods of a ReplicaSet.
    ReplicaSet,
    /// The pods of a StatefulSet.
    StatefulSet,
    /// The pods of a Job.
    Job,
    /// The backends of a TrafficSplit.
    TrafficSplit,
}

impl ResourceKind {
    /// All kinds, in the order of the specification.
    pub const ALL: [Self; 11] = [
        Self::Namespace,
        Self::Node,
        Self::Pod,
        Self::ReplicationController,
        Self::Service,
        Self::DaemonSet,
        Self::Deployment,
        Self::ReplicaSet,
        Self::StatefulSet,
        Self::Job,
        Self::TrafficSplit,
    ];

    /// The kind that a path means by `pods`.
    pub fn of_plural(plural: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.plural() == plural)
    }

    /// As paths have it.
    pub fn plural(self) -> String {
        format!("{}s", self.kind().to_ascii_lowercase())
    }

    /// As references have it.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Namespace => "Namespace",
            Self::Node => "Node",
            Self::Pod => "Pod",
            Self::ReplicationController => "ReplicationController",
            Self::Service => "Service",
            Self::DaemonSet => "DaemonSet",
            Self::Deployment => "Deployment",
            Self::ReplicaSet => "ReplicaSet",
            Self::StatefulSet => "StatefulSet",
            Self::Job => "Job",
            Self::TrafficSplit => "TrafficSplit",
        }
    }

    /// The API group and version of the objects themselves.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Namespace | Self::Node | Self::Pod | Self::ReplicationController | Self::Service => "v1",
            Self::DaemonSet | Self::Deployment | Self::ReplicaSet | Self::StatefulSet => "apps/v1",
            Self::Job => "batch/v1",
            Self::TrafficSplit => "split.smi-spec.io/v1alpha4",
        }
    }

    /// Whether its objects lie in namespaces.
    pub fn is_namespaced(self) -> bool {
        !matches!(self, Self::Namespace | Self::Node)
    }

    /// A reference to one of its objects. The name of a namespace is in both parts of `name`.
    pub fn reference(self, name: &ObjectName) -> Reference {
        Reference {
            kind: Some(self.kind().into()),
            namespace: self.is_namespaced().then(|| name.namespace.to_string()),
            name: Some(name.name.to_string()),
            api_version: Some(self.api_version().into()),
        }
    }
}

/// Says which objects a pod is an instance of.
#[derive(Clone)]
pub struct Owners(pub Arc<OwnersFn>);

/// See [`Owners`].
pub type OwnersFn = dyn Fn(&Workload) -> Vec<(ResourceKind, Arc<str>)> + Send + Sync;

impl Owners {
    /// As labels and names tell that Kubernetes' own controllers set. A pod of a Deployment is one of its ReplicaSet, too.
    pub fn of_kubernetes() -> Self {
        Self(Arc::new(|pod| {
            let owner = owner(pod);
            let Some(kind) = ResourceKind::ALL.into_iter().find(|kind| kind.kind() == owner.kind) else {
                return Vec::new();
            };
            let hash = pod.labels.get("pod-template-hash").filter(|_| kind == ResourceKind::Deployment);
            let set = hash.map(|hash| (ResourceKind::ReplicaSet, format!("{}-{hash}", owner.name).into()));
            let itself = (kind != ResourceKind::Pod).then(|| (kind, owner.name.clone()));
            itself.into_iter().chain(set).collect()
        }))
    }
}

impl fmt::Debug for Owners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Owners")
    }
}

/// What belongs to what, at one moment.
#[derive(Clone, Debug)]
pub struct Directory<'w> {
    /// Everything known.
    pub world: &'w World,
    /// Whose instances pods are.
    pub owners: &'w Owners,
}

impl Directory<'_> {
    /// Every object of a kind, with its labels. Those of a workload are what all of its pods have; of other kinds the mesh does not
    /// know them (`None`).
    pub fn all(&self, kind: ResourceKind) -> BTreeMap<ObjectName, Option<BTreeMap<String, String>>> {
        match kind {
            ResourceKind::Node | ResourceKind::ReplicationController => BTreeMap::new(),
            ResourceKind::Service => self.world.services().map(|service| (service.name.clone(), None)).collect(),
            ResourceKind::TrafficSplit => self.world.splits().map(|split| (split.name.clone(), None)).collect(),
            ResourceKind::Namespace => {
                let pods = self.world.workloads().flat_map(|pod| self.of_pod(kind, pod));
                pods.map(|name| (name, None)).collect()
            }
            _ => {
                let mut all: BTreeMap<ObjectName, Option<BTreeMap<String, String>>> = BTreeMap::new();
                for pod in self.world.workloads() {
                    for name in self.of_pod(kind, pod) {
                        let own = pod.labels.iter().map(|(key, value)| (key.to_string(), value.to_string()));
                        match all.entry(name).or_insert(None) {
                            Some(common) => {
                                let own: BTreeSet<_> = own.collect();
                                common.retain(|key, value| own.contains(&(key.clone(), value.clone())));
                            }
                            none => *none = Some(own.collect()),
                        }
                    }
                }
                all
            }
        }
    }

    /// The objects of a kind that an end of a request belongs to. A pod that is gone belongs to what the statistics call it.
    pub fn of(&self, kind: ResourceKind, party: &Party) -> Vec<ObjectName> {
        if !party.has_pod() {
            return Vec::new();
        }
        let name = ObjectName::new(party.namespace.as_str(), party.pod.as_str());
        match (self.world.workload(&name), kind) {
            (Some(pod), _) => self.of_pod(kind, pod),
            (None, ResourceKind::Pod) => vec![name],
            (None, ResourceKind::Namespace) => vec![ObjectName::new(&*name.namespace, &*name.namespace)],
            (None, ResourceKind::Service) => Vec::new(),
            (None, _) => (party.kind == kind.kind()).then(|| name.sibling(party.name.as_str())).into_iter().collect(),
        }
    }

    fn of_pod(&self, kind: ResourceKind, pod: &Workload) -> Vec<ObjectName> {
        let name = &pod.name;
        match kind {
            ResourceKind::Pod => vec![name.clone()],
            ResourceKind::Namespace => vec![name.sibling(name.namespace.clone())],
            ResourceKind::Service => self.world.services_of(name).map(|service| service.name.clone()).collect(),
            ResourceKind::Node | ResourceKind::ReplicationController | ResourceKind::TrafficSplit => Vec::new(),
            _ => {
                let owners = (self.owners.0)(pod).into_iter().filter(|(owner, _)| *owner == kind);
                owners.map(|(_, owner)| name.sibling(owner)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, name, pod};

    #[test]
    fn plurals_are_those_of_the_specification() {
        let plurals: Vec<_> = ResourceKind::ALL.into_iter().map(ResourceKind::plural).collect();
        let wanted = "namespaces nodes pods replicationcontrollers services daemonsets deployments replicasets statefulsets jobs \
                      trafficsplits";
        assert_eq!(plurals.join(" "), wanted.split_whitespace().collect::<Vec<_>>().join(" "));
        assert_eq!(ResourceKind::of_plural("pods"), Some(ResourceKind::Pod));
        assert_eq!(ResourceKind::of_plural("pod"), None);
    }

    #[test]
    fn a_pod_belongs_to_its_owners_services_and_namespace() {
        let service = "kind: Service\napiVersion: v1\nmetadata: {name: web}\n\
            spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{port: 80}]}\n";
        let pods = [
            pod("web-5d4f-a", "web", "app=web,pod-template-hash=5d4f,v=1"),
            pod("web-5d4f-b", "web", "app=web,pod-template-hash=5d4f,v=2"),
            pod("alone", "x", ""),
        ];
        let world = testing::world(service, pods);
        let directory = Directory { world: &world, owners: &Owners::of_kubernetes() };
        let party = |pod: &str, kind: &str, owner: &str| Party {
            namespace: name("x").namespace.to_string(),
            kind: kind.into(),
            name: owner.into(),
            pod: pod.into(),
        };
        let of = |kind, party: &Party| directory.of(kind, party).iter().map(|n| n.name.to_string()).collect::<Vec<_>>();
        let web = party("web-5d4f-a", "Deployment", "web");
        assert_eq!(of(ResourceKind::Deployment, &web), ["web"]);
        assert_eq!(of(ResourceKind::ReplicaSet, &web), ["web-5d4f"]);
        assert_eq!(of(ResourceKind::Service, &web), ["web"]);
        assert_eq!(of(ResourceKind::Namespace, &web), [&*name("x").namespace]);
        assert_eq!(of(ResourceKind::Deployment, &party("alone", "Pod", "alone")), [] as [&str; 0]);
        // A pod that is gone.
        assert_eq!(of(ResourceKind::Deployment, &party("old-1", "Deployment", "old")), ["old"]);
        assert_eq!(of(ResourceKind::StatefulSet, &party("old-1", "Deployment", "old")), [] as [&str; 0]);
        // Nobody.
        assert_eq!(of(ResourceKind::Namespace, &party("unknown", "Service", "web")), [] as [&str; 0]);
        let labels = directory.all(ResourceKind::Deployment)[&name("web")].clone().unwrap();
        assert_eq!(labels.keys().collect::<Vec<_>>(), ["app", "pod-template-hash"]);
    }
}
