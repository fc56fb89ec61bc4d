//! The validating webhook of a mesh of its own, registered at the API server and fed by real watches.

use std::sync::Arc;

use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, ListParams},
};
use mesh::{
    ca::mrc::write,
    k8s,
    model::TrustDomain,
    validate::{self, Surroundings, webhook},
    world::{Change, World},
};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Hook, PATIENCE, apply, call, crds, eventually, namespace};

/// A mesh whose objects are validated. Others at the same API server are not.
pub(crate) struct Validator {
    client: Client,
    /// The mesh's name.
    pub(crate) mesh: String,
    /// The control plane's namespace.
    pub(crate) home: String,
    surroundings: Arc<watch::Sender<Surroundings>>,
    hook: Option<Hook>,
}

impl Validator {
    /// Serves the webhook, registers it, and returns when the API server asks it.
    pub(crate) async fn start(client: &Client, mesh: &str) -> Self {
        crds(client).await;
        let home = namespace(client, &format!("{mesh}-home")).await;
        let surroundings = Arc::new(watch::Sender::new(Surroundings::default()));
        let now = surroundings.subscribe();
        let hook = Hook::serve(validate::router(move || now.borrow().clone())).await;
        let options = k8s::Options { mesh: mesh.to_owned(), namespace: home.clone() };
        tokio::spawn(follow(k8s::watch(client, &options), surroundings.clone()));
        apply(client, "", &webhook::configuration(mesh, &home, &hook.client).to_string()).await;
        let validator = Self { client: client.clone(), mesh: mesh.to_owned(), home, surroundings, hook: Some(hook) };
        // The API server takes a moment to hear of it.
        let probe = validator.namespace("probe").await;
        let object = json!({
            "apiVersion": "access.smi-spec.io/v1alpha3", "kind": "TrafficTarget", "metadata": { "name": "probe" },
            "spec": { "destination": { "kind": "ServiceAccount", "name": "x", "namespace": "other" } },
        });
        let path = super::collection(&probe, "traffictargets.access.smi-spec.io/v1alpha3");
        let asked = || async {
            let refusal = call(client, "POST", &format!("{path}?dryRun=All"), &object).await;
            refusal.refusal().contains("denied the request").then_some(())
        };
        eventually("the webhook is asked", asked).await;
        validator
    }

    /// A namespace of the mesh, with services `web`, `v1` and `v2`.
    pub(crate) async fn namespace(&self, prefix: &str) -> String {
        let labels = json!({ "openservicemesh.io/monitored-by": self.mesh });
        let ns = super::objects::make_namespace(&self.client, prefix, labels).await;
        for service in ["web", "v1", "v2"] {
            let service = format!(
                "{{apiVersion: v1, kind: Service, metadata: {{name: {service}}}, spec: {{selector: {{app: {service}}}, ports: [{{port: 80, targetPort: 8080}}]}}}}"
            );
            apply(&self.client, &ns, &service).await;
        }
        let services = |world: &World| world.services().filter(|s| *s.name.namespace == *ns).count() == 3;
        self.until("the services", |s| services(&s.world)).await;
        ns
    }

    /// Waits until the webhook knows of something.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Surroundings) -> bool) {
        let mut surroundings = self.surroundings.subscribe();
        let told = tokio::time::timeout(PATIENCE, surroundings.wait_for(|now| condition(now))).await;
        assert!(told.is_ok(), "not within {PATIENCE:?}: {what}");
    }

    /// Tells the webhook which roots there are now.
    pub(crate) async fn look_at_roots(&self) {
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), &self.home, &write::resource());
        let roots = api.list(&ListParams::default()).await.unwrap().items;
        let roots: Vec<Value> = roots.iter().map(|root| serde_json::to_value(root).unwrap()).collect();
        self.surroundings.send_modify(|now| now.root_certificates = roots);
    }

    /// Stops the server; the registration stays.
    pub(crate) fn silence(mut self) -> Self {
        self.hook = None;
        self
    }

    /// Takes the registration back.
    pub(crate) async fn end(self) {
        let api: Api<k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration> =
            Api::all(self.client.clone());
        api.delete(&webhook::name(&self.mesh), &DeleteParams::default()).await.unwrap();
    }
}

async fn follow(mut batches: tokio::sync::mpsc::Receiver<k8s::Batch>, surroundings: Arc<watch::Sender<Surroundings>>) {
    while let Some(batch) = batches.recv().await {
        let changes: Vec<Change> = batch.changes_under(&TrustDomain::default(), "osm-system").into_iter().collect();
        surroundings.send_modify(|now| changes.into_iter().for_each(|change| drop(now.world.apply(change))));
    }
}
