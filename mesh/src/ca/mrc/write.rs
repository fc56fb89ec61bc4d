//! MeshRootCertificates at the API server: the first one, and everyone's status.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{MrcStatus, State, Told};
use crate::{
    ca::{Clock, secret},
    model::ObjectName,
};

/// The object that a control plane creates if there is none, as OSM does.
pub const PRESET: &str = "osm-mesh-root-certificate";
const MANAGER: &str = "osm-controller";

/// The kind, for dynamic clients.
pub fn resource() -> ApiResource {
    let kind = GroupVersionKind::gvk("config.openservicemesh.io", "v1alpha2", "MeshRootCertificate");
    ApiResource { plural: "meshrootcertificates".to_owned(), ..ApiResource::from_gvk(&kind) }
}

/// Makes sure that there is a MeshRootCertificate at all: the built-in root in Secret `osm-ca-bundle`.
///
/// # Errors
/// Of the API server. That another replica was faster is none.
pub async fn ensure_one(client: &Client, namespace: &str, trust_domain: &str) -> Result<(), kube::Error> {
    let api = api(client, namespace);
    if !api.list(&kube::api::ListParams::default().limit(1)).await?.items.is_empty() {
        return Ok(());
    }
    let spec = json!({
        "role": "active",
        "trustDomain": trust_domain,
        "provider": { "tresor": { "ca": { "secretRef": { "name": secret::CA_BUNDLE, "namespace": namespace } } } },
    });
    let object = DynamicObject::new(PRESET, &resource()).data(json!({ "spec": spec }));
    match api.create(&PostParams::default(), &object).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        other => other.map(drop),
    }
}

/// Writes the status of one object, if it differs from what is there. Only one replica should: the leader.
///
/// # Errors
/// Of the API server. That the object is gone is none.
pub async fn status(
    client: &Client,
    name: &ObjectName,
    status: &MrcStatus,
    clock: &dyn Clock,
) -> Result<(), kube::Error> {
    let api = api(client, &name.namespace);
    let Some(object) = api.get_opt(&name.name).await? else { return Ok(()) };
    let written = object.data.get("status").unwrap_or(&Value::Null);
    let now = Time(Timestamp::from_second(clock.now()).unwrap_or_default());
    let wanted = with_times(status, written, &now).map_err(kube::Error::SerdeError)?;
    if *written == wanted {
        return Ok(());
    }
    let resource = resource();
    let patch = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": { "name": &*name.name, "namespace": &*name.namespace },
        "status": wanted,
    });
    let params = PatchParams::apply(MANAGER).force();
    match api.patch_status(&name.name, &params, &Patch::Apply(&patch)).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}

impl State {
    /// `status.state` of an object, if a control plane has written one.
    pub fn written(object: &Value) -> Option<Self> {
        serde_json::from_value(object.get("status")?.get("state")?.clone()).ok()
    }
}

/// Adds `lastTransitionTime` to the conditions: as it was, where `status` has not changed.
fn with_times(status: &MrcStatus, written: &Value, now: &Time) -> Result<Value, serde_json::Error> {
    let before: Vec<Condition> =
        written.get("conditions").and_then(|c| serde_json::from_value(c.clone()).ok()).unwrap_or_default();
    let since = |told: &Told| {
        let same = before.iter().find(|c| c.type_ == told.r#type && c.status == told.status);
        same.map_or_else(|| now.clone(), |c| c.last_transition_time.clone())
    };
    let conditions = status.conditions.iter().map(|told| Condition {
        last_transition_time: since(told),
        message: told.message.clone(),
        observed_generation: Some(told.observed_generation),
        reason: told.reason.to_owned(),
        status: told.status.to_owned(),
        type_: told.r#type.to_owned(),
    });
    let conditions: Vec<_> = conditions.collect();
    let mut value = serde_json::to_value(status)?;
    value["conditions"] = serde_json::to_value(conditions)?;
    Ok(value)
}

fn api(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &resource())
}
