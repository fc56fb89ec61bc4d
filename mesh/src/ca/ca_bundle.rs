//! `caBundle`: the roots by which the API server knows our webhooks.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use json_patch::{AddOperation, Patch as JsonPatch, PatchOperation, TestOperation, jsonptr::PointerBuf};
use k8s_openapi::{
    api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::sync::watch;

/// The objects that name our webhooks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registrations {
    /// ValidatingWebhookConfigurations.
    pub validating: Vec<String>,
    /// MutatingWebhookConfigurations.
    pub mutating: Vec<String>,
    /// CustomResourceDefinitions with a conversion webhook.
    pub definitions: Vec<String>,
}

/// Why a `caBundle` could not be written.
#[derive(Debug, thiserror::Error)]
#[error("write the caBundle of {kind} {name}: {source}")]
pub struct BundleError {
    /// Kind of the object.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What the API server says.
    pub source: kube::Error,
}

const RETRY: Duration = Duration::from_secs(5);

/// Writes the bundle (PEM) into every webhook of these objects. Objects that have it already are not touched, those that are
/// not there are left out. All are tried; the first error is told.
///
/// # Errors
/// [`BundleError`].
pub async fn patch(client: &Client, registrations: &Registrations, bundle: &str) -> Result<(), BundleError> {
    let mut result = Ok(());
    let Registrations { validating, mutating, definitions } = registrations;
    for name in validating {
        let api = Api::<ValidatingWebhookConfiguration>::all(client.clone());
        result = result.and(patch_one(&api, name, bundle, webhooks).await);
    }
    for name in mutating {
        let api = Api::<MutatingWebhookConfiguration>::all(client.clone());
        result = result.and(patch_one(&api, name, bundle, webhooks).await);
    }
    for name in definitions {
        let api = Api::<CustomResourceDefinition>::all(client.clone());
        result = result.and(patch_one(&api, name, bundle, conversion).await);
    }
    result
}

/// Follows the bundle until its sender is gone.
pub async fn follow(client: Client, registrations: Registrations, mut bundle: watch::Receiver<Arc<str>>) {
    loop {
        let now = bundle.borrow_and_update().clone();
        match patch(&client, &registrations, &now).await {
            Ok(()) => {
                if bundle.changed().await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "webhooks do not have the newest caBundle; trying again");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn patch_one<K>(
    api: &Api<K>,
    name: &str,
    bundle: &str,
    operations: fn(&Value, &str) -> Vec<PatchOperation>,
) -> Result<(), BundleError>
where
    K: Clone + std::fmt::Debug + Serialize + DeserializeOwned + Resource<DynamicType = ()>,
{
    let failed = |source| BundleError { kind: K::kind(&()).into_owned(), name: name.to_owned(), source };
    let Some(object) = api.get_opt(name).await.map_err(failed)? else { return Ok(()) };
    let object = serde_json::to_value(&object).map_err(|error| failed(kube::Error::SerdeError(error)))?;
    let operations = operations(&object, &BASE64.encode(bundle));
    if operations.is_empty() {
        return Ok(());
    }
    let patch = Patch::Json::<()>(JsonPatch(operations));
    api.patch(name, &PatchParams::default(), &patch).await.map(drop).map_err(failed)
}

/// For each webhook its `caBundle`, on condition that it is still the one at this place.
fn webhooks(object: &Value, bundle: &str) -> Vec<PatchOperation> {
    let webhooks = object["webhooks"].as_array().map_or(&[][..], Vec::as_slice);
    let stale = webhooks.iter().enumerate().filter(|(_, webhook)| webhook["clientConfig"]["caBundle"] != bundle);
    stale
        .flat_map(|(i, webhook)| {
            let i = i.to_string();
            [
                test(&["webhooks", &i, "name"], webhook["name"].clone()),
                add(&["webhooks", &i, "clientConfig", "caBundle"], bundle),
            ]
        })
        .collect()
}

fn conversion(object: &Value, bundle: &str) -> Vec<PatchOperation> {
    let config = &object["spec"]["conversion"]["webhook"]["clientConfig"];
    if config.is_null() || config["caBundle"] == bundle {
        return Vec::new();
    }
    vec![add(&["spec", "conversion", "webhook", "clientConfig", "caBundle"], bundle)]
}

fn test(path: &[&str], value: Value) -> PatchOperation {
    PatchOperation::Test(TestOperation { path: PointerBuf::from_tokens(path.iter().copied()), value })
}

fn add(path: &[&str], bundle: &str) -> PatchOperation {
    PatchOperation::Add(AddOperation { path: PointerBuf::from_tokens(path.iter().copied()), value: json!(bundle) })
}
