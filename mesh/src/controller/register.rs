//! Keeps objects of our own in the cluster: webhook registrations with the roots in force, and CRDs.

use std::{sync::Arc, time::Duration};

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
};
use serde_json::Value;
use tokio::sync::watch;

use super::Serving;
use crate::admin::Metrics;

/// The field manager of everything that the controller writes.
pub const FIELD_MANAGER: &str = "osm-controller";

/// How often objects are put back if nobody tells that they differ.
const REPEAT: Duration = Duration::from_secs(60);

/// Between two attempts.
const BACKOFF: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// See [`Register::objects`].
pub type Objects = dyn Fn(&Serving) -> Vec<Value> + Send + Sync;

/// The objects to keep, as a function of the certificate in force.
#[derive(Clone)]
pub struct Register {
    /// Writes them.
    pub client: Client,
    /// Makes them: webhook configurations whose `caBundle` is [`Serving::roots_pem`].
    pub objects: Arc<Objects>,
}

/// Why an object is not there.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// It is none.
    #[error("an object without apiVersion, kind and metadata.name cannot be applied")]
    NotAnObject,
    /// The API server refused it, or cannot be reached.
    #[error("apply {kind} {name}: {source}")]
    Api {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What the API server says.
        source: Box<kube::Error>,
    },
    /// A CRD was taken, and is not served.
    #[error("CustomResourceDefinition {0} is not established after 30 s: see its status.conditions")]
    NotEstablished(String),
}

impl Register {
    /// Applies the objects, again whenever the certificate changes, and once a minute in case that somebody changed or
    /// deleted them. Tells in `state` how it is.
    pub(super) async fn run(
        self,
        mut serving: watch::Receiver<Serving>,
        state: watch::Sender<Result<(), String>>,
        metrics: Arc<Metrics>,
    ) {
        let mut versions = std::collections::BTreeMap::new();
        let (mut backoff, mut follows) = (BACKOFF[0], true);
        loop {
            let objects = (self.objects)(&serving.borrow_and_update());
            let pause = match self.apply_all(&objects, &mut versions, &metrics).await {
                Ok(()) => {
                    drop(state.send_replace(Ok(())));
                    backoff = BACKOFF[0];
                    REPEAT
                }
                Err(error) => {
                    tracing::warn!(%error, "the webhooks are not registered");
                    metrics.error("NotRegistered");
                    drop(state.send_replace(Err(error.to_string())));
                    let next = (backoff * 2).min(BACKOFF[1]);
                    std::mem::replace(&mut backoff, next)
                }
            };
            tokio::select! {
                changed = serving.changed(), if follows => follows = changed.is_ok(),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn apply_all(
        &self,
        objects: &[Value],
        versions: &mut std::collections::BTreeMap<usize, Option<String>>,
        metrics: &Metrics,
    ) -> Result<(), RegisterError> {
        for (i, object) in objects.iter().enumerate() {
            let applied = apply(&self.client, object).await?;
            let version = applied.metadata.resource_version;
            if versions.get(&i).is_some_and(|before| *before != version) {
                metrics.reconciled("webhook");
            }
            versions.insert(i, version);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Register {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Register")
    }
}

/// Applies an object of any kind by server-side apply, and owns its fields.
///
/// # Errors
/// [`RegisterError`].
pub async fn apply(client: &Client, object: &Value) -> Result<DynamicObject, RegisterError> {
    let text = |at: &str| object.pointer(at).and_then(Value::as_str);
    let (Some(version), Some(kind), Some(name)) = (text("/apiVersion"), text("/kind"), text("/metadata/name")) else {
        return Err(RegisterError::NotAnObject);
    };
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let api: Api<DynamicObject> = match text("/metadata/namespace") {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let how = PatchParams::apply(FIELD_MANAGER).force();
    let applied = api.patch(name, &how, &Patch::Apply(object)).await;
    applied.map_err(|source| RegisterError::Api {
        kind: kind.to_owned(),
        name: name.to_owned(),
        source: Box::new(source),
    })
}

/// Applies CRDs and waits until all of them are served.
///
/// # Errors
/// [`RegisterError`].
pub async fn install_crds(client: &Client, crds: &[Value]) -> Result<(), RegisterError> {
    for crd in crds {
        let mut seen = apply(client, crd).await?;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while !is_established(&seen) {
            let name = seen.metadata.name.clone().unwrap_or_default();
            if tokio::time::Instant::now() > deadline {
                return Err(RegisterError::NotEstablished(name));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            // Applying what is there already changes nothing, and tells the status.
            seen = apply(client, crd).await?;
        }
        tracing::info!(name = seen.metadata.name.as_deref(), "a CRD is installed");
    }
    Ok(())
}

fn is_established(crd: &DynamicObject) -> bool {
    let conditions = crd.data.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|c| c["type"] == "Established" && c["status"] == "True")
}
