//! Secrets, status, CertificateRequests and webhook registrations at a real API server.

mod bundles;
mod cert_manager;
mod gateway;
mod roots;

use kube::Client;
use serde_json::json;

use super::harness::{self, Test, apply, client, eventually};

pub(crate) fn tests() -> Vec<Test> {
    [bundles::tests(), cert_manager::tests(), gateway::tests(), roots::tests()].into_iter().flatten().collect()
}

/// A client and a fresh namespace.
async fn namespace(prefix: &str) -> (Client, String) {
    let client = client().await;
    let namespace = harness::namespace(&client, prefix).await;
    (client, namespace)
}

/// Makes a kind of others known, with any content and a status of its own.
async fn define(client: &Client, group: &str, version: &str, kind: &str) {
    let plural = format!("{}s", kind.to_lowercase());
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{group}") },
        "spec": {
            "group": group, "scope": "Namespaced", "names": { "plural": plural, "kind": kind },
            "versions": [{
                "name": version, "served": true, "storage": true,
                "schema": { "openAPIV3Schema": schema }, "subresources": { "status": {} },
            }],
        },
    });
    apply(client, "", &definition.to_string()).await;
    let gvk = kube::core::GroupVersionKind::gvk(group, version, kind);
    let resource = kube::api::ApiResource { plural, ..kube::api::ApiResource::from_gvk(&gvk) };
    let objects = kube::Api::<kube::api::DynamicObject>::all_with(client.clone(), &resource);
    eventually("the kind is served", async || objects.list(&Default::default()).await.ok()).await;
}
