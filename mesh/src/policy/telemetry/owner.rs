//! What a pod belongs to, as far as the labels tell that Kubernetes' own controllers set.

use std::sync::Arc;

use crate::model::Workload;

/// The object that a pod is an instance of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// `Deployment`, `ReplicaSet`, `StatefulSet`, `DaemonSet`, `Job`, or `Pod` for one that stands alone.
    pub kind: &'static str,
    /// Its name.
    pub name: Arc<str>,
}

/// The owner of a pod. Read from labels instead of `ownerReferences`, so that a ReplicaSet's Deployment is found without
/// asking for the ReplicaSet, and that both ends of a connection come to the same answer.
pub fn owner(pod: &Workload) -> Owner {
    let name = &*pod.name.name;
    let label = |key: &str| pod.labels.get(key).map(|value| &**value);
    let owner = |kind, name: &str| Owner { kind, name: name.into() };
    if let Some(job) = label("batch.kubernetes.io/job-name").or_else(|| label("job-name")) {
        return owner("Job", job);
    }
    // <deployment>-<hash of the template>-<random>; a name of 58 characters and more is cut off before the random part.
    if let Some(hash) = label("pod-template-hash")
        && let Some((deployment, _)) = name.rsplit_once(&format!("-{hash}"))
    {
        return owner("Deployment", deployment);
    }
    if label("statefulset.kubernetes.io/pod-name").is_some()
        && let Some((set, _)) = name.rsplit_once('-')
    {
        return owner("StatefulSet", set);
    }
    if label("pod-template-generation").is_some()
        && let Some((set, _)) = name.rsplit_once('-')
    {
        return owner("DaemonSet", set);
    }
    owner("Pod", name)
}
