//! The `caBundle` of webhooks.

use std::sync::Arc;

use k8s_openapi::{
    api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use mesh::ca::{
    ControlCa,
    ca_bundle::{self, Registrations},
};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::super::harness::{Test, eventually, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![test("certificates::bundles::every_webhook_follows_the_bundle", every_webhook_follows_the_bundle)]
}

fn configuration(kind: &str, name: &str, namespace: &str) -> Value {
    let webhook = |name: &str| {
        json!({
            "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": { "service": { "name": "osm-controller", "namespace": namespace, "path": "/x" } },
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } },
        })
    };
    let webhooks = [webhook("one.openservicemesh.io"), webhook("two.openservicemesh.io")];
    json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": { "name": name }, "webhooks": webhooks })
}

fn definition(group: &str, namespace: &str) -> Value {
    let version = |name: &str, storage: bool| {
        let schema = json!({ "openAPIV3Schema": { "type": "object" } });
        json!({ "name": name, "served": true, "storage": storage, "schema": schema })
    };
    let client = json!({ "service": { "name": "osm-controller", "namespace": namespace } });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("things.{group}") },
        "spec": {
            "group": group, "scope": "Namespaced", "names": { "plural": "things", "kind": "Thing" },
            "versions": [version("v1", true), version("v2", false)],
            "conversion": {
                "strategy": "Webhook", "webhook": { "conversionReviewVersions": ["v1"], "clientConfig": client },
            },
        },
    })
}

async fn every_webhook_follows_the_bundle() {
    let (client, namespace) = super::namespace("bundles").await;
    let params = PatchParams::apply("test");
    let validating = Api::<ValidatingWebhookConfiguration>::all(client.clone());
    let mutating = Api::<MutatingWebhookConfiguration>::all(client.clone());
    let definitions = Api::<CustomResourceDefinition>::all(client.clone());
    let group = format!("{namespace}.example.org");
    let name = format!("things.{group}");
    let patch = configuration("ValidatingWebhookConfiguration", &namespace, &namespace);
    validating.patch(&namespace, &params, &Patch::Apply(&patch)).await.unwrap();
    let patch = configuration("MutatingWebhookConfiguration", &namespace, &namespace);
    mutating.patch(&namespace, &params, &Patch::Apply(&patch)).await.unwrap();
    definitions.patch(&name, &params, &Patch::Apply(&definition(&group, &namespace))).await.unwrap();

    let registrations = Registrations {
        validating: vec![namespace.clone(), "not-there".to_owned()],
        mutating: vec![namespace.clone()],
        definitions: vec![name.clone()],
    };
    let bundles = async || {
        let of = |bundle: Option<k8s_openapi::ByteString>| bundle.map(|bytes| String::from_utf8(bytes.0).unwrap());
        let mut found = Vec::new();
        for webhook in validating.get(&namespace).await.unwrap().webhooks.unwrap() {
            found.push(of(webhook.client_config.ca_bundle));
        }
        for webhook in mutating.get(&namespace).await.unwrap().webhooks.unwrap() {
            found.push(of(webhook.client_config.ca_bundle));
        }
        let conversion = definitions.get(&name).await.unwrap().spec.conversion.unwrap();
        found.push(of(conversion.webhook.unwrap().client_config.unwrap().ca_bundle));
        found
    };
    let [one, two] = [1, 2].map(|i| ControlCa::generate(1_790_000_000 + i).unwrap().root_pem().clone());
    ca_bundle::patch(&client, &registrations, &one).await.unwrap();
    assert_eq!(bundles().await, vec![Some(one.to_string()); 5]);
    let version = validating.get(&namespace).await.unwrap().metadata.resource_version;
    ca_bundle::patch(&client, &registrations, &one).await.unwrap();
    assert_eq!(validating.get(&namespace).await.unwrap().metadata.resource_version, version, "nothing to write");

    let (sender, bundle) = watch::channel(one);
    let following = tokio::spawn(ca_bundle::follow(client.clone(), registrations, bundle));
    sender.send_replace(two.clone());
    let followed = async || (bundles().await == vec![Some(two.to_string()); 5]).then_some(());
    eventually("the second bundle", followed).await;
    let two: Arc<str> = two.clone();
    drop((sender, two));
    following.await.unwrap();
    validating.delete(&namespace, &Default::default()).await.unwrap();
    mutating.delete(&namespace, &Default::default()).await.unwrap();
    definitions.delete(&name, &Default::default()).await.unwrap();
}
