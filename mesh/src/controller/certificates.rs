//! Workload certificates: from the MeshRootCertificates of the cluster to an authority, its status written back.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use kube::{Api, Client, ResourceExt as _, core::DynamicObject};
use tokio::sync::{mpsc, watch};

use super::{Issued, Metered, issued::Seam};
use crate::{
    admin::Metrics,
    api::{self, Fault, Manifest, mesh_config::MeshConfigSpec, mesh_root_certificate::MeshRootCertificateSpec},
    ca::{
        Issuer, LeafPolicy, SystemClock,
        gateway::{Gateway, GatewayConfig},
        mrc::{self, Mrc, Objects, drive},
        provider::{Cluster, Open, OpenError},
    },
    k8s::follow::{Event, follow},
    model::ObjectName,
};

/// Between two attempts.
const RETRY: Duration = Duration::from_secs(5);

/// What certificates depend on.
pub(super) struct Sources {
    pub(super) client: Client,
    /// The control plane's namespace.
    pub(super) namespace: String,
    /// Of the MeshRootCertificate that is made where there is none.
    pub(super) trust_domain: String,
    pub(super) mesh_config: watch::Receiver<Arc<MeshConfigSpec>>,
    /// Whether this replica writes.
    pub(super) leads: watch::Receiver<bool>,
    pub(super) metrics: Arc<Metrics>,
    /// See [`Seam`].
    pub(super) others: Duration,
}

/// Running certificates.
pub(super) struct Certificates {
    pub(super) running: drive::Running,
    pub(super) issued: mpsc::UnboundedReceiver<Issued>,
    /// All MeshRootCertificates as they are served; for the validator.
    pub(super) served: watch::Receiver<Vec<serde_json::Value>>,
}

/// Starts everything. Call inside a Tokio runtime.
pub(super) fn start(sources: Sources) -> Certificates {
    let Sources { client, namespace, trust_domain, mesh_config, leads, metrics, others } = sources;
    let (issued, questions) = mpsc::unbounded_channel();
    let (objects_in, objects) = watch::channel(None);
    let (served_in, served) = watch::channel(Vec::new());
    tokio::spawn(ensure_one(client.clone(), namespace.clone(), trust_domain));
    tokio::spawn(follow_objects(client.clone(), namespace.clone(), objects_in, served_in));
    let wanted = gateway_config(mesh_config.clone(), leads.clone());
    let (roots_in, roots) = watch::channel(None);
    let gateway = Gateway::start(client.clone(), wanted.clone(), roots, Arc::new(SystemClock));
    let cluster = Cluster { client: client.clone(), namespace: namespace.into(), clock: Arc::new(SystemClock) };
    let running = drive::start(drive::Parts {
        open: Arc::new(Counted { cluster, metrics }),
        mesh: Arc::new(Seam { issued, gateway, others }),
        clock: Arc::new(SystemClock),
        policy: policy(mesh_config),
        objects,
        gateway: wanted.borrow().is_some(),
    });
    tokio::spawn(pass_on(running.roots.clone(), roots_in));
    tokio::spawn(write_status(client, running.status.clone(), leads));
    Certificates { running, issued: questions, served }
}

/// Opens issuers whose certificates are counted.
struct Counted {
    cluster: Cluster,
    metrics: Arc<Metrics>,
}

impl Open for Counted {
    fn open<'a>(&'a self, spec: &'a MeshRootCertificateSpec) -> BoxFuture<'a, Result<Arc<dyn Issuer>, OpenError>> {
        Box::pin(async move {
            let issuer = self.cluster.open(spec).await?;
            Ok(Arc::new(Metered::new(issuer, self.metrics.clone())) as Arc<dyn Issuer>)
        })
    }
}

/// A mesh without any MeshRootCertificate gets the built-in one. Every replica tries; one succeeds.
async fn ensure_one(client: Client, namespace: String, trust_domain: String) {
    while let Err(error) = mrc::write::ensure_one(&client, &namespace, &trust_domain).await {
        tracing::warn!(%error, "cannot see to it that there is a MeshRootCertificate; trying again");
        tokio::time::sleep(RETRY).await;
    }
}

async fn follow_objects(
    client: Client,
    namespace: String,
    objects: watch::Sender<Option<Objects>>,
    served: watch::Sender<Vec<serde_json::Value>>,
) {
    let api: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &mrc::write::resource());
    let (out, mut events) = mpsc::channel(64);
    tokio::spawn(follow(vec![api], |event| event, out));
    let mut known = BTreeMap::new();
    while let Some(event) = events.recv().await {
        let name = |object: &DynamicObject| ObjectName::new(namespace.as_str(), object.name_any());
        match event {
            Event::Listed(all) => known = all.into_iter().map(|object| (name(&object), object)).collect(),
            Event::Put(object) => drop(known.insert(name(&object), object)),
            Event::Gone(object) => drop(known.remove(&name(&object))),
            // The CRD is not there yet: nothing is known.
            Event::Missing => continue,
        }
        let values: Vec<_> = known.values().filter_map(|object| serde_json::to_value(object).ok()).collect();
        let read = known.keys().cloned().zip(values.iter().map(read));
        // Nobody looks any more when the controller ends.
        objects.send_replace(Some(read.collect()));
        served.send_replace(values);
    }
}

fn read(object: &serde_json::Value) -> Mrc {
    let (spec, created) = match api::read(object) {
        Ok(Manifest::MeshRootCertificate { spec, created, .. }) => (Ok(*spec), created),
        Ok(_) => (Err(Fault::new("kind", "is not a MeshRootCertificate")), None),
        Err(fault) => (Err(fault), None),
    };
    let generation = object.pointer("/metadata/generation").and_then(serde_json::Value::as_i64).unwrap_or_default();
    Mrc { spec, created, generation, written: mrc::State::written(object) }
}

fn policy(mesh_config: watch::Receiver<Arc<MeshConfigSpec>>) -> watch::Receiver<LeafPolicy> {
    derived([mesh_config.clone()], move || LeafPolicy::of(&mesh_config.borrow().certificate))
}

/// The gateway's certificate is the leader's work: two replicas would overwrite each other.
fn gateway_config(
    mesh_config: watch::Receiver<Arc<MeshConfigSpec>>,
    leads: watch::Receiver<bool>,
) -> watch::Receiver<Option<GatewayConfig>> {
    let (out, config) = watch::channel(None);
    tokio::spawn(async move {
        let (mut mesh_config, mut leads) = (mesh_config, leads);
        loop {
            let wanted = mesh_config.borrow_and_update().certificate.ingress_gateway.as_ref().map(GatewayConfig::from);
            out.send_replace(wanted.filter(|_| *leads.borrow_and_update()));
            tokio::select! {
                changed = mesh_config.changed() => if changed.is_err() { return },
                changed = leads.changed() => if changed.is_err() { return },
                () = out.closed() => return,
            }
        }
    });
    config
}

/// A value that follows another.
fn derived<S: Send + Sync + 'static, T: Clone + PartialEq + Send + Sync + 'static>(
    [mut source]: [watch::Receiver<S>; 1],
    value: impl Fn() -> T + Send + 'static,
) -> watch::Receiver<T> {
    let (out, derived) = watch::channel(value());
    tokio::spawn(async move {
        while source.changed().await.is_ok() {
            let new = value();
            out.send_if_modified(|old| {
                let differs = *old != new;
                *old = new;
                differs
            });
        }
    });
    derived
}

async fn pass_on<T: Clone>(mut from: watch::Receiver<T>, to: watch::Sender<T>) {
    loop {
        to.send_replace(from.borrow_and_update().clone());
        if from.changed().await.is_err() {
            return;
        }
    }
}

async fn write_status(
    client: Client,
    mut status: watch::Receiver<BTreeMap<ObjectName, mrc::MrcStatus>>,
    mut leads: watch::Receiver<bool>,
) {
    loop {
        let wanted = status.borrow_and_update().clone();
        let mut again = false;
        if *leads.borrow_and_update() {
            for (name, status) in &wanted {
                if let Err(error) = mrc::write::status(&client, name, status, &SystemClock).await {
                    tracing::warn!(%name, %error, "cannot write the status of a MeshRootCertificate; trying again");
                    again = true;
                }
            }
        }
        tokio::select! {
            changed = status.changed() => if changed.is_err() { return },
            changed = leads.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(RETRY), if again => {}
        }
    }
}
