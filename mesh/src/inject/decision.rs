//! Whether a pod gets a sidecar.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::api::core::v1::Pod;

use super::{refusal::Refusal, settings::Installation};

/// Annotation of pods and namespaces that asks for a sidecar, or asks for none.
pub const INJECTION: &str = "openservicemesh.io/sidecar-injection";
/// Annotation of namespaces: Prometheus shall scrape the sidecars of its pods.
pub const METRICS: &str = "openservicemesh.io/metrics";
/// Label of namespaces: the mesh that they belong to.
pub const MONITORED_BY: &str = "openservicemesh.io/monitored-by";
/// Label of namespaces that the mesh shall leave alone.
pub const IGNORE: &str = "openservicemesh.io/ignore";

/// What injection reads of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// Why a pod gets no sidecar. Displays as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skip {
    /// `spec.hostNetwork`: interception would capture the node's connections.
    HostNetwork,
    /// Windows has no iptables.
    Windows,
    /// A namespace of Kubernetes or of the control plane.
    SystemNamespace(String),
    /// The namespace does not belong to the mesh.
    Unmonitored(String),
    /// The namespace is labelled to be left alone.
    Ignored(String),
    /// The pod's annotation says no.
    PodDisabled,
    /// The namespace's annotation says no, and the pod's says nothing.
    NamespaceDisabled(String),
    /// Nobody asked.
    NotRequested,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostNetwork => write!(f, "not injected: the pod uses the node's network (`hostNetwork`)"),
            Self::Windows => write!(f, "not injected: Windows pods have no iptables"),
            Self::SystemNamespace(name) => write!(f, "not injected: namespace {name} is never injected"),
            Self::Unmonitored(name) => {
                write!(f, "not injected: namespace {name} has no label `{MONITORED_BY}` of this mesh")
            }
            Self::Ignored(name) => write!(f, "not injected: namespace {name} has the label `{IGNORE}`"),
            Self::PodDisabled => write!(f, "not injected: the pod's annotation `{INJECTION}` says no"),
            Self::NamespaceDisabled(name) => {
                write!(f, "not injected: annotation `{INJECTION}` of namespace {name} says no")
            }
            Self::NotRequested => write!(f, "not injected: neither pod nor namespace has the annotation `{INJECTION}`"),
        }
    }
}

/// Decides. `None` is: the pod gets a sidecar.
///
/// # Errors
/// An annotation that matters has a value that is neither yes nor no.
pub fn decide(pod: &Pod, namespace: &Namespace, mesh: &Installation) -> Result<Option<Skip>, Refusal> {
    let name = || namespace.name.clone();
    let spec = pod.spec.as_ref();
    if spec.and_then(|spec| spec.host_network) == Some(true) {
        return Ok(Some(Skip::HostNetwork));
    }
    if ["kube-system", "kube-public", &mesh.namespace].contains(&namespace.name.as_str()) {
        return Ok(Some(Skip::SystemNamespace(name())));
    }
    if namespace.labels.get(MONITORED_BY) != Some(&mesh.mesh) {
        return Ok(Some(Skip::Unmonitored(name())));
    }
    if namespace.labels.contains_key(IGNORE) {
        return Ok(Some(Skip::Ignored(name())));
    }
    if spec.is_some_and(|spec| is_windows(spec.os.as_ref().map(|os| os.name.as_str()), spec.node_selector.as_ref())) {
        return Ok(Some(Skip::Windows));
    }
    let own = switch("pod", pod.metadata.annotations.as_ref(), INJECTION)?;
    let inherited = switch("namespace", Some(&namespace.annotations), INJECTION)?;
    Ok(match (own, inherited) {
        (Some(true), _) | (None, Some(true)) => None,
        (Some(false), _) => Some(Skip::PodDisabled),
        (None, Some(false)) => Some(Skip::NamespaceDisabled(name())),
        (None, None) => Some(Skip::NotRequested),
    })
}

/// Whether the namespace asks for Prometheus annotations.
///
/// # Errors
/// Its annotation is neither yes nor no.
pub fn metrics(namespace: &Namespace) -> Result<bool, Refusal> {
    Ok(switch("namespace", Some(&namespace.annotations), METRICS)?.unwrap_or(false))
}

fn is_windows(os: Option<&str>, selector: Option<&BTreeMap<String, String>>) -> bool {
    let selected = |key: &str| selector.and_then(|labels| labels.get(key)).is_some_and(|os| os == "windows");
    os == Some("windows") || selected("kubernetes.io/os") || selected("beta.kubernetes.io/os")
}

fn switch(
    object: &'static str,
    annotations: Option<&BTreeMap<String, String>>,
    name: &str,
) -> Result<Option<bool>, Refusal> {
    let Some(value) = annotations.and_then(|annotations| annotations.get(name)) else { return Ok(None) };
    match value.to_ascii_lowercase().as_str() {
        "enabled" | "yes" | "true" => Ok(Some(true)),
        "disabled" | "no" | "false" => Ok(Some(false)),
        _ => Err(Refusal::Annotation {
            object,
            name: name.to_owned(),
            value: value.clone(),
            expected: "write `enabled` or `disabled`".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::inject::tests::{installation, namespace};

    fn decided(pod: Value, change: impl FnOnce(&mut Namespace)) -> Result<Option<Skip>, Refusal> {
        let mut namespace = namespace();
        change(&mut namespace);
        decide(&serde_json::from_value(pod).unwrap(), &namespace, &installation())
    }

    fn annotated(value: &str) -> Value {
        json!({ "metadata": { "annotations": { INJECTION: value } }, "spec": { "containers": [] } })
    }

    fn plain() -> Value {
        json!({ "metadata": {}, "spec": { "containers": [] } })
    }

    #[test]
    fn the_pods_word_counts_more_than_the_namespaces() {
        let no = |n: &mut Namespace| drop(n.annotations.insert(INJECTION.into(), "no".into()));
        let silent = |n: &mut Namespace| drop(n.annotations.remove(INJECTION));
        assert_eq!(decided(plain(), |_| ()), Ok(None));
        assert_eq!(decided(plain(), no), Ok(Some(Skip::NamespaceDisabled("shop".into()))));
        assert_eq!(decided(plain(), silent), Ok(Some(Skip::NotRequested)));
        for yes in ["enabled", "yes", "true", "Yes"] {
            assert_eq!(decided(annotated(yes), no), Ok(None), "{yes}");
            assert_eq!(decided(annotated(yes), silent), Ok(None), "{yes}");
        }
        for word in ["disabled", "no", "false", "FALSE"] {
            assert_eq!(decided(annotated(word), |_| ()), Ok(Some(Skip::PodDisabled)), "{word}");
        }
    }

    #[test]
    fn nobody_can_ask_where_there_must_be_none() {
        let host =
            json!({ "metadata": annotated("yes")["metadata"], "spec": { "containers": [], "hostNetwork": true } });
        assert_eq!(decided(host, |_| ()), Ok(Some(Skip::HostNetwork)));
        let windows = json!({ "spec": { "containers": [], "nodeSelector": { "kubernetes.io/os": "windows" } } });
        assert_eq!(decided(windows, |_| ()), Ok(Some(Skip::Windows)));
        for name in ["kube-system", "kube-public", "osm-system"] {
            let skip = Some(Skip::SystemNamespace(name.into()));
            assert_eq!(decided(annotated("yes"), |n| n.name = name.into()), Ok(skip));
        }
        let other = |n: &mut Namespace| drop(n.labels.insert(MONITORED_BY.into(), "other".into()));
        assert_eq!(decided(annotated("yes"), other), Ok(Some(Skip::Unmonitored("shop".into()))));
        let ignore = |n: &mut Namespace| drop(n.labels.insert(IGNORE.into(), String::new()));
        assert_eq!(decided(annotated("yes"), ignore), Ok(Some(Skip::Ignored("shop".into()))));
    }

    #[test]
    fn another_value_is_refused_by_name_and_value() {
        let refusal = decided(annotated("maybe"), |_| ()).unwrap_err().to_string();
        assert_eq!(
            refusal,
            "annotation `openservicemesh.io/sidecar-injection` of the pod has the value \"maybe\": write `enabled` or `disabled`"
        );
        let odd = |n: &mut Namespace| drop(n.annotations.insert(INJECTION.into(), "1".into()));
        assert!(decided(plain(), odd).unwrap_err().to_string().contains("of the namespace has the value \"1\""));
    }
}
