//! One test behind the protocol: a lab, and how it is changed.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex as Short, PoisonError},
    time::Duration,
};

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use simulator::{
    envoy::Variant,
    lab::{Lab, LabError, Options, live::Runtime, topology::Pod},
    scenario::model::{self, FullPort, Scenario},
};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::target::adapter::protocol::{
    Applied, Changed, Code, ControlPlane, Done, Measured, Mode, Name, Pods, Readied, Readiness, Refusal, Selected,
    Service, Setup, Speaks, Target, Workload,
};

/// One test.
#[derive(Debug)]
pub(super) struct World {
    /// `None` once it is taken down.
    pub(super) lab: Mutex<Option<Lab>>,
    pub(super) chance: Short<ChaCha8Rng>,
    /// What is stored, by kind, namespace and name: a deletion names no more than that.
    stored: Mutex<BTreeMap<(String, String, String), Value>>,
    _dir: TempDir,
}

impl World {
    /// Asks the lab's metrics API.
    ///
    /// # Errors
    /// Why it cannot be asked: on the evaluator there is no Envoy that could count anything.
    pub(super) async fn metrics(&self, path: &str) -> Result<Measured, Refusal> {
        let lab = self.lab.lock().await;
        let Some(lab) = &*lab else { return Err(Refusal::new(Code::Invalid, "the test is over")) };
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let selector = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "labelSelector");
        match lab.ask_metrics("GET", path, selector.as_ref().map(|(_, text)| &**text)).await {
            Ok(Ok(body)) => Ok(Measured { status: 200, body }),
            Ok(Err(refusal)) => Ok(Measured { status: refusal.code, body: Value::String(refusal.message) }),
            Err(LabError::Unobservable(why)) => Err(Refusal::new(Code::Unsupported, why)),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Sets a test up.
    ///
    /// # Errors
    /// Why not.
    pub(super) async fn start(
        setup: &Setup,
        runtime: Option<Runtime>,
        variant: Variant,
        seed: u64,
    ) -> Result<Self, Refusal> {
        let dir = tempfile::Builder::new().prefix("smi-adapter-").tempdir().map_err(|error| failed(&error))?;
        let mut scenario = Scenario::new(&setup.scenario);
        scenario.mesh.permissive = setup.mode == Mode::AllowAll;
        scenario.workloads =
            setup.workloads.iter().map(|workload| (workload.name.clone(), as_in_a_file(workload))).collect();
        let options = Options { runtime, variant, seed, dir: dir.path().to_owned(), mutation: None };
        let lab = Lab::start(&scenario, Path::new("adapter"), &options).await.map_err(|error| failed(&error))?;
        let world = Self {
            lab: Mutex::new(Some(lab)),
            chance: Short::new(ChaCha8Rng::seed_from_u64(seed)),
            stored: Mutex::default(),
            _dir: dir,
        };
        let services: Vec<_> = setup.services.iter().map(manifest).collect();
        match world.apply(&services).await? {
            Applied::Accepted {} => Ok(world),
            Applied::Refused { reason } => {
                world.stop().await?;
                Err(Refusal::new(Code::Invalid, reason))
            }
        }
    }

    pub(super) async fn apply(&self, objects: &[Value]) -> Result<Applied, Refusal> {
        let mut lab = self.lab.lock().await;
        let lab = lab.as_mut().ok_or_else(over)?;
        match lab.apply_text(&documents(objects)).await {
            Ok(_) => {
                let mut stored = self.stored.lock().await;
                stored.extend(objects.iter().map(|object| (key(object), object.clone())));
                Ok(Applied::Accepted {})
            }
            Err(error @ LabError::Manifest { .. }) => Ok(Applied::Refused { reason: error.to_string() }),
            Err(error) => Err(failed(&error)),
        }
    }

    pub(super) async fn delete(&self, names: &[Name]) -> Result<Done, Refusal> {
        let mut lab = self.lab.lock().await;
        let lab = lab.as_mut().ok_or_else(over)?;
        for Name { kind, namespace, name, .. } in names {
            let key = (kind.clone(), namespace.clone(), name.clone());
            if let Some(object) = self.stored.lock().await.remove(&key) {
                lab.delete_text(&object.to_string()).await.map_err(|error| failed(&error))?;
            }
        }
        Ok(Done {})
    }

    pub(super) async fn ready(&self, within: Duration) -> Readied {
        let lab = self.lab.lock().await;
        let converged = match lab.as_ref() {
            Some(lab) => lab.converged(within).await,
            None => Err(LabError::Down),
        };
        Readied { ready: converged.is_ok(), waiting_for: converged.err().map(|error| error.to_string()) }
    }

    pub(super) async fn change(&self, change: &Changed) -> Result<Done, Refusal> {
        let mut lab = self.lab.lock().await;
        let lab = lab.as_mut().ok_or_else(over)?;
        let changed = match change {
            Changed::Ready(Readiness { pods, ready }) => {
                let pods = named(lab, pods)?;
                lab.set_ready(&pods, *ready).await.map(drop)
            }
            Changed::Remove(Pods { pods }) => {
                let pods = named(lab, pods)?;
                lab.remove(&pods).await.map(drop)
            }
            Changed::Respond(Selected { pods, respond }) => {
                let pods = named(lab, pods)?;
                lab.respond(&pods, respond)
            }
            Changed::ControlPlane(ControlPlane::Stop) => {
                lab.kill_control_plane().await;
                Ok(())
            }
            Changed::ControlPlane(ControlPlane::Start) => lab.start_control_plane().await.map(drop),
        };
        changed.map(|()| Done {}).map_err(|error| failed(&error))
    }

    pub(super) async fn dump(&self) -> String {
        let lab = self.lab.lock().await;
        let Some(lab) = lab.as_ref() else { return String::new() };
        let diagnostics: Vec<_> = lab.diagnostics().iter().map(ToString::to_string).collect();
        format!("{}\n\n{:#?}\n", diagnostics.join("\n"), lab.world())
    }

    pub(super) async fn stop(&self) -> Result<(), Refusal> {
        let lab = self.lab.lock().await.take();
        match lab {
            Some(lab) => lab.stop().await.map_err(|error| failed(&error)),
            None => Ok(()),
        }
    }

    /// A number below `limit`.
    pub(super) fn below(&self, limit: u64) -> u64 {
        use rand::Rng as _;
        self.chance.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..limit.max(1))
    }
}

/// The pods with these names.
pub(super) fn named(lab: &Lab, names: &[String]) -> Result<Vec<Pod>, Refusal> {
    let pod = |name: &String| {
        let pod = lab.topology.pods.values().find(|pod| *pod.object.name.name == **name);
        pod.cloned().ok_or_else(|| Refusal::new(Code::Invalid, format!("there is no pod {name}")))
    };
    names.iter().map(pod).collect()
}

pub(super) fn failed(error: &dyn std::fmt::Display) -> Refusal {
    Refusal::new(Code::Failed, error.to_string())
}

pub(super) fn over() -> Refusal {
    Refusal::new(Code::Invalid, "the test is over")
}

fn key(object: &Value) -> (String, String, String) {
    let text = |value: &Value, default: &str| value.as_str().unwrap_or(default).to_owned();
    let metadata = &object["metadata"];
    (text(&object["kind"], ""), text(&metadata["namespace"], "default"), text(&metadata["name"], ""))
}

/// JSON is YAML too.
fn documents(objects: &[Value]) -> String {
    objects.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n---\n")
}

fn as_in_a_file(workload: &Workload) -> model::Workload {
    let port = |port: u16, speaks: Speaks| {
        model::Port::Full(FullPort { port, target_port: None, app_protocol: Some(protocol(speaks).into()) })
    };
    model::Workload {
        namespace: Some(workload.namespace.clone()),
        account: Some(workload.account.clone()),
        mesh: workload.mesh,
        ports: workload.ports.iter().map(|one| (one.name.clone(), port(one.port, one.speaks))).collect(),
        replicas: workload.replicas,
        labels: workload.labels.clone(),
        subdomain: workload.subdomain.clone(),
        respond: workload.respond.clone(),
        ..model::Workload::default()
    }
}

fn protocol(speaks: Speaks) -> &'static str {
    match speaks {
        Speaks::Http => "http",
        Speaks::Grpc => "grpc",
        Speaks::Tcp => "tcp",
        Speaks::TcpServerFirst => "tcp-server-first",
    }
}

fn manifest(service: &Service) -> Value {
    let ports: Vec<_> = service
        .ports
        .iter()
        .map(|port| {
            let target = match &port.target_port {
                Target::Number(number) => json!(number),
                Target::Name(name) => json!(name),
            };
            let speaks = protocol(port.speaks);
            json!({"name": port.name, "port": port.port, "targetPort": target, "appProtocol": speaks})
        })
        .collect();
    let mut spec = json!({"selector": service.selector, "ports": ports});
    if service.headless {
        spec["clusterIP"] = json!("None");
    }
    let metadata = json!({"name": service.name, "namespace": service.namespace});
    json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
}
