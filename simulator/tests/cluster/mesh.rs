//! The mesh under test: API server, controllers, pods, and the verbs of the tests.

use std::{
    collections::BTreeMap,
    future::Future,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use clap::Parser as _;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use mesh::{
    admin::Level,
    controller::{Controller, assemble, flags::Flags},
};
use serde_json::json;
use simulator::{
    client::{RequestIds, Route, Session},
    envoy::find::{Backend, Preference, Wish, choose},
    exchange::{ClientResult, Request, RequestId},
    scenario::model::{Connections, Proto, Respond},
    workload::{Application, ApplicationPort, Kind, Witness},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Runtime,
};

use crate::{
    harness::{self, ApiServer},
    kubelet::{self, Running},
    node,
};

/// Longest time that anything may take. Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// One request, as an application sends it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The pod that sends it.
    pub(crate) from: &'static str,
    /// What the application dials.
    pub(crate) to: SocketAddr,
    pub(crate) authority: &'static str,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) proto: Proto,
}

/// A mesh with nothing in it.
pub(crate) struct Mesh {
    pub(crate) api: ApiServer,
    pub(crate) client: Client,
    pub(crate) controllers: Vec<Option<Controller>>,
    pods: BTreeMap<String, (Running, Application)>,
    pub(crate) witness: Arc<Witness>,
    ids: RequestIds,
    envoy: PathBuf,
}

/// What became of traffic that went on all the time.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// Pairs of an allowed and a denied request.
    pub(crate) sent: usize,
    /// Allowed requests without an answer.
    pub(crate) lost: Vec<String>,
    /// Denied requests that arrived.
    pub(crate) let_through: Vec<String>,
}

impl Watched {
    /// # Panics
    /// If an allowed request was lost, or a denied one was let through.
    pub(crate) fn is_clean(&self) {
        assert!(
            self.lost.is_empty(),
            "{} of {} allowed requests were lost: {:?}",
            self.lost.len(),
            self.sent,
            self.lost
        );
        assert!(self.let_through.is_empty(), "denied requests were let through: {:?}", self.let_through);
    }
}

pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap())
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(future)
}

/// What keeps the tests from running here, besides the tools of the node.
pub(crate) fn missing() -> Option<String> {
    if let Some(reason) = harness::missing() {
        return Some(reason);
    }
    runtime().block_on(envoy()).err()
}

async fn envoy() -> Result<PathBuf, String> {
    let wish = Wish { preference: Preference::Process, ..Wish::default() };
    match choose(&wish).await.map_err(|error| error.to_string())?.backend {
        Backend::Process { envoy, .. } => Ok(envoy),
        _ => Err("there is no Envoy binary".into()),
    }
}

/// Waits until a condition holds.
pub(crate) async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "not within {PATIENCE:?}: {what}");
}

/// Whether a GET is answered with 200.
pub(crate) async fn answers(url: &str) -> bool {
    let Some((host, path)) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')) else { return false };
    let asked = async {
        let mut stream = TcpStream::connect(host).await.ok()?;
        let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer.starts_with("HTTP/1.1 200"))
    };
    matches!(tokio::time::timeout(Duration::from_secs(2), asked).await, Ok(Some(true)))
}

fn level() -> Level {
    static LEVEL: Mutex<Option<Level>> = Mutex::new(None);
    let mut level = LEVEL.lock().unwrap();
    let verbosity = std::env::var("SMI_LOG").unwrap_or_else(|_| "error".into());
    level.get_or_insert_with(|| Level::init(mesh::admin::Format::Text, &verbosity).unwrap()).clone()
}

impl Mesh {
    /// Starts an API server and one controller, and waits until it is ready.
    pub(crate) async fn start() -> Self {
        node::set_up();
        let api = ApiServer::start().await;
        let client = api.client();
        let envoy = node::visible(&envoy().await.unwrap());
        let mut mesh = Self {
            api,
            client,
            controllers: Vec::new(),
            pods: BTreeMap::new(),
            witness: Arc::new(Witness::new()),
            ids: RequestIds::new(1),
            envoy,
        };
        mesh.namespace("osm-system", json!({})).await;
        mesh.start_controller(0).await;
        mesh
    }

    /// Starts replica `number`, each on an address of its own, and waits until it is ready.
    pub(crate) async fn start_controller(&mut self, number: usize) {
        let address = node::replica(number);
        let kubeconfig = self.api.kubeconfig();
        let hosts = node::control_plane();
        let line = [
            "osm-controller".to_owned(),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--listen-address={address}"),
            format!("--webhook-url=https://{address}"),
            format!("--ads-host={hosts}"),
            "--install-crds".to_owned(),
            "--shutdown-notice=0".to_owned(),
            "--root-step-pause=0".to_owned(),
            format!("--debug-address=127.0.0.1:{}", 9192 + number),
        ];
        let flags = Flags::parse_from(line);
        let controller = assemble::start(&flags, level()).await.unwrap_or_else(|error| panic!("{error:#}"));
        let ready = format!("http://{}/readyz", controller.http());
        eventually("the controller is ready", async || answers(&ready).await).await;
        if self.controllers.len() <= number {
            self.controllers.resize_with(number + 1, || None);
        }
        self.controllers[number] = Some(controller);
    }

    async fn namespace(&self, name: &str, labels: serde_json::Value) {
        let annotations = json!({ "openservicemesh.io/sidecar-injection": "enabled" });
        let object = json!({ "metadata": { "name": name, "labels": labels, "annotations": annotations } });
        let api: Api<Namespace> = Api::all(self.client.clone());
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }

    /// A namespace of the mesh.
    pub(crate) async fn add_namespace(&self, name: &str) {
        self.namespace(name, json!({ "openservicemesh.io/monitored-by": "osm" })).await;
    }

    pub(crate) async fn apply(&self, yaml: &str) {
        harness::apply(&self.client, "default", yaml).await;
    }

    pub(crate) async fn delete(&self, yaml: &str) {
        for document in yaml.split("\n---").filter(|d| !d.trim().is_empty()) {
            let object: DynamicObject = serde_saphyr::from_str(document).unwrap();
            let types = object.types.unwrap();
            let (name, namespace) = (object.metadata.name.unwrap(), object.metadata.namespace.unwrap());
            let kind = format!("{}/{}", types.api_version, types.kind);
            harness::delete(&self.client, &namespace, &kind, &name).await;
        }
    }

    pub(crate) async fn set_permissive(&self, on: bool) {
        let resource = kube::api::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(
            "config.openservicemesh.io",
            "v1alpha2",
            "MeshConfig",
        ));
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), "osm-system", &resource);
        let patch = json!({ "spec": { "traffic": { "enablePermissiveTrafficPolicyMode": on } } });
        api.patch("osm-mesh-config", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// Creates a pod with one application, and starts it as the API server has it.
    pub(crate) async fn start_pod(
        &mut self,
        namespace: &str,
        name: &str,
        account: &str,
        labels: &[(&str, &str)],
        port: u16,
        proto: Proto,
    ) {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        let object = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": account } });
        let parameters = PatchParams::apply("test").force();
        accounts.patch(account, &parameters, &Patch::Apply(object)).await.unwrap();
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": name, "namespace": namespace, "labels": labels },
            "spec": {
                "serviceAccountName": account,
                "containers": [{ "name": "app", "image": "app", "ports": [{ "containerPort": port }] }],
            },
        }))
        .unwrap();
        let running = kubelet::start(&self.client, pod, self.envoy.clone()).await;
        let kind = if proto == Proto::TcpServerFirst { Kind::TcpServerFirst } else { Kind::Http };
        let application = ApplicationPort {
            pod: name.into(),
            port,
            kind,
            bind: SocketAddr::new(IpAddr::from([0, 0, 0, 0]), port),
            respond: Respond::default(),
            tls: None,
        };
        let witness = self.witness.clone();
        let started = running.network.run(Application::start(application, witness)).await;
        let application = started.unwrap_or_else(|error| panic!("{error}"));
        self.pods.insert(name.to_owned(), (running, application));
    }

    /// The address of a pod.
    pub(crate) fn address(&self, pod: &str) -> IpAddr {
        self.pods[pod].0.network.address
    }

    /// Sends a request, on a connection of its own.
    pub(crate) async fn send(&self, call: &Call) -> ClientResult {
        self.send_as(self.ids.next_id(), call).await
    }

    async fn send_as(&self, id: RequestId, call: &Call) -> ClientResult {
        let request = Request {
            id,
            proto: call.proto,
            destination: call.to,
            authority: call.authority.into(),
            method: call.method.into(),
            path: call.path.into(),
            headers: call.headers.clone(),
        };
        let (running, _) = &self.pods[call.from];
        let session = Session::new(Route::Direct { source: None }, Connections::PerRequest);
        running.network.run(async move { session.send(&request).await.result }).await
    }

    /// Whether the application answered.
    pub(crate) async fn is_answered(&self, call: &Call) -> bool {
        matches!(self.send(call).await, ClientResult::Answered { status: None | Some(200), .. })
    }

    /// Sends a request that nobody must see.
    ///
    /// # Panics
    /// If it is answered, or arrives.
    pub(crate) async fn is_denied(&self, call: &Call) {
        let id = self.ids.next_id();
        let result = self.send_as(id, call).await;
        assert!(matches!(result, ClientResult::Failed { .. }), "{call:?} is answered: {result:?}");
        assert!(self.witness.sightings(id).is_empty(), "{call:?} arrived");
    }

    /// Creates so many pods, which are not started, and takes every other one away again.
    pub(crate) async fn churn(&self, pods: u16) {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), "bookstore");
        let one = async |number: u16| {
            let name = format!("churned-{number}");
            let pod = json!({
                "metadata": { "name": name, "labels": { "app": "churned" } },
                "spec": { "serviceAccountName": "bookstore", "containers": [{ "name": "app", "image": "app" }] },
            });
            api.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
            let [high, low] = number.to_be_bytes();
            let address = format!("10.245.{high}.{low}");
            let ready = json!([{ "type": "Ready", "status": "True" }]);
            let status = json!({ "status": { "phase": "Running", "podIP": address, "conditions": ready } });
            api.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
            if number.is_multiple_of(2) {
                let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
                api.delete(&name, &at_once).await.unwrap();
            }
        };
        futures::stream::iter(0..pods).for_each_concurrent(16, one).await;
    }

    /// Waits until every proxy holds what is in force: one answer proves one pod.
    pub(crate) async fn settled(&self) {
        for controller in self.controllers.iter().flatten() {
            controller.plane().synced(PATIENCE).await.unwrap();
        }
    }

    /// Ends replica `number` at once, as a crash would.
    pub(crate) async fn kill_controller(&mut self, number: usize) {
        self.controllers[number].take().unwrap().kill().await;
    }

    /// Sends until it is told to stop. Must not be told to stop before the first answer.
    pub(crate) async fn watch_traffic(
        &self,
        allowed: &Call,
        denied: &Call,
        stop: &std::sync::atomic::AtomicBool,
    ) -> Watched {
        let mut watched = Watched::default();
        while !stop.load(std::sync::atomic::Ordering::Relaxed) || watched.sent == 0 {
            let result = self.send(allowed).await;
            watched.sent += 1;
            if !matches!(result, ClientResult::Answered { status: Some(200), .. }) {
                watched.lost.push(format!("{result:?}"));
            }
            let id = self.ids.next_id();
            let result = self.send_as(id, denied).await;
            if matches!(result, ClientResult::Answered { .. }) || !self.witness.sightings(id).is_empty() {
                watched.let_through.push(format!("{result:?}"));
            }
        }
        watched
    }

    /// Ends everything.
    pub(crate) async fn stop(self) {
        for (_, (running, application)) in self.pods {
            running.stop().await;
            drop(application);
        }
        for controller in self.controllers.into_iter().flatten() {
            controller.shutdown().await;
        }
    }
}
