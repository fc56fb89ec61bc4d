//! The verbs of tests: apply, delete, pods with a status, EndpointSlices, tokens.

use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{Pod, ServiceAccount},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::{DynamicObject, GroupVersionKind},
    discovery,
};
use mesh::api::crd;
use serde_json::{Value, json};

use super::{conversion, eventually};

/// Makes a namespace whose name begins with `prefix`, and returns its name. The mesh does not look into it.
pub(crate) async fn namespace(client: &Client, prefix: &str) -> String {
    make_namespace(client, prefix, json!({})).await
}

/// The same, monitored by the mesh `osm`.
pub(crate) async fn monitored(client: &Client, prefix: &str) -> String {
    make_namespace(client, prefix, json!({ "openservicemesh.io/monitored-by": "osm" })).await
}

pub(super) async fn make_namespace(client: &Client, prefix: &str, labels: Value) -> String {
    let metadata = json!({ "generateName": format!("{prefix}-"), "labels": labels });
    let object = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
    let api: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
    api.create(&PostParams::default(), &object).await.unwrap().name_any()
}

/// Applies the objects of `yaml` (server-side apply, as `test`). Those that name no namespace go into `namespace`.
///
/// # Panics
/// If one is refused.
pub(crate) async fn apply(client: &Client, namespace: &str, yaml: &str) {
    for document in yaml.split("\n---").filter(|d| !d.trim().is_empty()) {
        let object: DynamicObject = serde_saphyr::from_str(document).unwrap_or_else(|e| panic!("{e}: {document}"));
        let api = api_of(client, namespace, &object).await;
        let parameters = PatchParams::apply("test").force();
        let applied = api.patch(&object.name_any(), &parameters, &Patch::Apply(&object)).await;
        applied.unwrap_or_else(|e| panic!("{e}: {document}"));
    }
}

/// Deletes an object at once, without any grace. `kind` is as in [`apply`]'s YAML: `v1/Pod`, `access.smi-spec.io/v1alpha3/TrafficTarget`.
pub(crate) async fn delete(client: &Client, namespace: &str, kind: &str, name: &str) {
    let (version, kind) = kind.rsplit_once('/').unwrap();
    let text = json!({ "apiVersion": version, "kind": kind, "metadata": { "name": name } });
    let api = api_of(client, namespace, &serde_json::from_value(text).unwrap()).await;
    api.delete(name, &DeleteParams::default().grace_period(0)).await.unwrap();
}

async fn api_of(client: &Client, namespace: &str, object: &DynamicObject) -> Api<DynamicObject> {
    let types = object.types.as_ref().unwrap();
    let gvk = GroupVersionKind::try_from(types).unwrap();
    // A definition that was just made takes a moment until it is served.
    let find = || async { discovery::pinned_kind(client, &gvk).await.ok() };
    let (resource, capabilities) = eventually(&format!("{types:?} is served"), find).await;
    if capabilities.scope == discovery::Scope::Cluster {
        return Api::all_with(client.clone(), &resource);
    }
    let namespace = object.metadata.namespace.as_deref().unwrap_or(namespace);
    Api::namespaced_with(client.clone(), namespace, &resource)
}

/// `status.phase` of a pod.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Phase {
    Running,
    Succeeded,
}

/// What a kubelet would report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PodState<'a> {
    pub(crate) phase: Phase,
    pub(crate) ip: &'a str,
    pub(crate) ready: bool,
}

/// Creates a pod that listens on 8080 (named `web`) and reports it running and ready at `ip`. `labels` is `key=value,key=value`.
pub(crate) async fn pod(client: &Client, namespace: &str, name: &str, account: &str, labels: &str, ip: &str) {
    let labels: serde_json::Map<_, _> =
        labels.split(',').filter_map(|l| l.split_once('=')).map(|(k, v)| (k.to_owned(), v.into())).collect();
    let containers = json!([{ "name": "app", "image": "app", "ports": [{ "name": "web", "containerPort": 8080 }] }]);
    let object = serde_json::from_value(json!({
        "metadata": { "name": name, "labels": labels },
        "spec": { "serviceAccountName": account, "containers": containers },
    }));
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    api.create(&PostParams::default(), &object.unwrap()).await.unwrap();
    state(client, namespace, name, PodState { phase: Phase::Running, ip, ready: true }).await;
}

/// Reports a pod's state.
pub(crate) async fn state(client: &Client, namespace: &str, name: &str, state: PodState<'_>) {
    let ready = if state.ready { "True" } else { "False" };
    let status = json!({ "status": {
        "phase": format!("{:?}", state.phase),
        "podIP": state.ip,
        "podIPs": [{ "ip": state.ip }],
        "conditions": [{ "type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z" }],
    }});
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
}

/// Applies an EndpointSlice of `service`, with addresses and whether each is ready.
pub(crate) async fn slice(client: &Client, namespace: &str, name: &str, service: &str, addresses: &[(&str, bool)]) {
    let endpoint = |(ip, ready): &(&str, bool)| json!({ "addresses": [ip], "conditions": { "ready": ready } });
    let object = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": { "name": name, "labels": { "kubernetes.io/service-name": service } },
        "addressType": "IPv4",
        "endpoints": addresses.iter().map(endpoint).collect::<Vec<_>>(),
        "ports": [{ "name": "", "port": 8080 }],
    });
    apply(client, namespace, &object.to_string()).await;
}

/// Makes a service account.
pub(crate) async fn service_account(client: &Client, namespace: &str, name: &str) {
    apply(client, namespace, &format!("{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {name}}}}}")).await;
}

/// A token of audience `osm` for the pod's service account, bound to the pod: what a kubelet would mount.
pub(crate) async fn token(client: &Client, namespace: &str, pod: &str) -> String {
    let bound: Pod = Api::namespaced(client.clone(), namespace).get(pod).await.unwrap();
    let account = bound.spec.as_ref().and_then(|s| s.service_account_name.clone()).unwrap();
    let reference = BoundObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        name: Some(pod.into()),
        uid: bound.uid(),
    };
    let spec = TokenRequestSpec {
        audiences: vec!["osm".into()],
        bound_object_ref: Some(reference),
        expiration_seconds: Some(3600),
    };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let answer = api.create_token_request(&account, &PostParams::default(), &request).await.unwrap();
    answer.status.unwrap().token
}

/// Installs every CRD of the mesh. Versions are converted by this process.
pub(crate) async fn crds(client: &Client) {
    let all = crd::definitions(&conversion().await.client).unwrap();
    for definition in &all {
        apply(client, "", &definition.to_string()).await;
    }
    for definition in &all {
        let (group, kind) = (&definition["spec"]["group"], &definition["spec"]["names"]["kind"]);
        for version in definition["spec"]["versions"].as_array().unwrap() {
            let [group, version, kind] = [group, &version["name"], kind].map(|part| part.as_str().unwrap());
            let gvk = GroupVersionKind::gvk(group, version, kind);
            eventually("the definition is served", || async { discovery::pinned_kind(client, &gvk).await.ok() }).await;
        }
    }
}

/// Applies what a strict schema would refuse, as if it had been there before the schema was. `definition` is the name of its
/// CRD. For API servers of one's own: others would miss the schema meanwhile.
pub(crate) async fn smuggle(client: &Client, definition: &str, namespace: &str, yaml: &str) {
    let mut all = crd::definitions(&conversion().await.client).unwrap();
    let loose = all.iter_mut().find(|d| crd::name(d) == definition).unwrap();
    for version in loose["spec"]["versions"].as_array_mut().unwrap() {
        version["schema"]["openAPIV3Schema"] =
            json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    }
    apply(client, "", &loose.to_string()).await;
    let object: DynamicObject = serde_saphyr::from_str(yaml).unwrap();
    let api = api_of(client, namespace, &object).await;
    let parameters = PatchParams::apply("test").force();
    // The loose schema takes a moment until it is in force.
    let write = || async { api.patch(&object.name_any(), &parameters, &Patch::Apply(&object)).await.ok() };
    eventually("it is smuggled in", write).await;
    crds(client).await;
    let strict =
        || async { api.patch(&object.name_any(), &parameters.clone().dry_run(), &Patch::Apply(&object)).await.err() };
    eventually("the strict schema is back", strict).await;
}
