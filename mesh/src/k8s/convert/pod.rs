//! `v1` Pod.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

use super::{super::Unreadable, name};
use crate::model::{ServiceAccount, Workload};

/// The workload that a pod is; `None` if it has no sidecar of its own: it has no address yet, has ended, or shares the node's
/// network.
///
/// # Errors
/// If its name or address cannot be.
pub fn workload(pod: &Pod) -> Result<Option<Workload>, Unreadable> {
    let (Some(spec), Some(status)) = (&pod.spec, &pod.status) else { return Ok(None) };
    let ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    let Some(address) = status.pod_ip.as_deref().filter(|ip| !ip.is_empty()) else { return Ok(None) };
    if ended || spec.host_network == Some(true) {
        return Ok(None);
    }
    let name = name(&pod.metadata)?;
    let address =
        address.parse().map_err(|_| Unreadable::new("status.podIP", format!("`{address}` is not an address")))?;
    let account = spec.service_account_name.as_deref().filter(|account| !account.is_empty()).unwrap_or("default");
    let labels = pod.metadata.labels.iter().flatten();
    let conditions = status.conditions.iter().flatten();
    let ready = conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True");
    Ok(Some(Workload {
        account: ServiceAccount::new(name.namespace.clone(), account),
        labels: labels.map(|(k, v)| (k.as_str().into(), v.as_str().into())).collect(),
        address,
        named_ports: named_ports(spec),
        ready: ready && pod.metadata.deletion_timestamp.is_none(),
        hostname: spec.hostname.as_deref().map(Arc::from),
        subdomain: spec.subdomain.as_deref().map(Arc::from),
        name,
    }))
}

/// TCP ports by name, of containers and of sidecars (init containers that stay). Of a name that occurs twice the first
/// holds, as in Kubernetes.
fn named_ports(spec: &PodSpec) -> BTreeMap<Arc<str>, u16> {
    let stays = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    let sidecars = spec.init_containers.iter().flatten().filter(stays);
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    let mut named = BTreeMap::new();
    for port in ports.filter(|port| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP")) {
        if let (Some(name), Ok(number)) = (&port.name, u16::try_from(port.container_port)) {
            named.entry(name.as_str().into()).or_insert(number);
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(change: impl FnOnce(&mut Value)) -> Option<Workload> {
        let mut value = json!({
            "metadata": { "namespace": "shop", "name": "cart-0", "labels": { "app": "cart" } },
            "spec": {
                "serviceAccountName": "cart", "hostname": "cart-0", "subdomain": "carts",
                "initContainers": [
                    { "name": "once", "ports": [{ "name": "once", "containerPort": 1 }] },
                    { "name": "stays", "restartPolicy": "Always", "ports": [{ "name": "stays", "containerPort": 2 }] },
                ],
                "containers": [{ "name": "app", "ports": [
                    { "name": "web", "containerPort": 8080, "protocol": "TCP" },
                    { "name": "dns", "containerPort": 53, "protocol": "UDP" },
                    { "containerPort": 9 },
                    { "name": "web", "containerPort": 8081 },
                ]}],
            },
            "status": {
                "phase": "Running", "podIP": "10.0.0.1",
                "conditions": [{ "type": "Ready", "status": "True" }, { "type": "Initialized", "status": "True" }],
            },
        });
        change(&mut value);
        workload(&serde_json::from_value(value).unwrap()).unwrap()
    }

    #[test]
    fn a_running_pod_is_a_workload() {
        let found = pod(|_| {}).unwrap();
        assert_eq!(found.account, ServiceAccount::new("shop", "cart"));
        assert_eq!(found.address.to_string(), "10.0.0.1");
        let ports: Vec<_> = found.named_ports.iter().map(|(name, port)| (&**name, *port)).collect();
        assert_eq!(ports, [("stays", 2), ("web", 8080)]);
        assert_eq!(
            (found.ready, found.hostname.as_deref(), found.subdomain.as_deref()),
            (true, Some("cart-0"), Some("carts"))
        );
    }

    #[test]
    fn a_pod_without_a_sidecar_is_none() {
        assert_eq!(pod(|p| p["status"]["podIP"] = Value::Null), None);
        assert_eq!(pod(|p| p["status"]["podIP"] = "".into()), None);
        assert_eq!(pod(|p| p["status"]["phase"] = "Succeeded".into()), None);
        assert_eq!(pod(|p| p["status"]["phase"] = "Failed".into()), None);
        assert_eq!(pod(|p| p["spec"]["hostNetwork"] = true.into()), None);
    }

    #[test]
    fn readiness_and_accounts() {
        assert!(!pod(|p| p["status"]["conditions"][0]["status"] = "False".into()).unwrap().ready);
        assert!(!pod(|p| p["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into()).unwrap().ready);
        assert_eq!(&*pod(|p| p["spec"]["serviceAccountName"] = Value::Null).unwrap().account.name, "default");
        assert_eq!(&*pod(|p| p["spec"]["serviceAccountName"] = "".into()).unwrap().account.name, "default");
    }
}
