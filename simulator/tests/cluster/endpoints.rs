//! The endpoint controller: EndpointSlices from services and pods.

use k8s_openapi::api::{
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

/// Makes the slices of a namespace what its services and pods say.
pub(crate) async fn reconcile(client: &Client, namespace: &str) {
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pods = pods.list(&ListParams::default()).await.unwrap().items;
    for service in services.list(&ListParams::default()).await.unwrap().items {
        let name = service.metadata.name.clone().unwrap();
        let spec = service.spec.unwrap_or_default();
        let selector = spec.selector.unwrap_or_default();
        let selected = pods.iter().filter(|pod| {
            let labels = pod.metadata.labels.clone().unwrap_or_default();
            !selector.is_empty() && selector.iter().all(|pair| labels.get(pair.0) == Some(pair.1))
        });
        let endpoints: Vec<_> = selected.filter_map(endpoint).collect();
        let ports = spec.ports.unwrap_or_default();
        let ports: Vec<_> =
            ports.iter().map(|p| json!({ "name": p.name.clone().unwrap_or_default(), "port": p.port })).collect();
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": { "name": name, "labels": { "kubernetes.io/service-name": name } },
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": ports,
        });
        let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
        let parameters = PatchParams::apply("endpoint-controller").force();
        slices.patch(&name, &parameters, &Patch::Apply(slice)).await.unwrap();
    }
}

fn endpoint(pod: &Pod) -> Option<serde_json::Value> {
    let status = pod.status.as_ref()?;
    let address = status.pod_ip.clone()?;
    let conditions = status.conditions.clone().unwrap_or_default();
    let ready = conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
    let ready = ready && pod.metadata.deletion_timestamp.is_none();
    Some(json!({
        "addresses": [address],
        "conditions": { "ready": ready },
        "targetRef": { "kind": "Pod", "name": pod.metadata.name, "namespace": pod.metadata.namespace },
    }))
}
