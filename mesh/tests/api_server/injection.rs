//! Pods that are created through the API server, and what the sidecar injector makes of them.

use std::{collections::BTreeMap, sync::Arc};

use kube::{
    Api, Client,
    api::{DeleteParams, ListParams},
};
use mesh::{
    api::mesh_config::MeshConfigSpec,
    inject::{
        Injector, Installation, Namespace, Settings, router,
        settings::ControlPlane,
        webhook::{Address, Registration},
    },
};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::harness::{Answer, Hook, Test, apply, call, client, collection, create, eventually, namespace, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("injection::a_pod_gets_a_native_sidecar_and_its_identity", native),
        test("injection::a_pod_gets_a_classic_sidecar_where_there_is_no_other", classic),
        test("injection::pods_and_namespaces_that_do_not_want_one_are_left_alone", skipped),
        test("injection::what_cannot_be_is_refused_with_the_annotation_and_the_remedy", refused),
        test("injection::a_dry_run_leaves_nothing", dry_run),
    ]
}

/// The injector of a mesh of its own, registered at the API server.
struct Stage {
    client: Client,
    mesh: &'static str,
    registration: Registration,
    _hook: Hook,
}

impl Stage {
    async fn new(mesh: &'static str, native_sidecar: bool) -> Self {
        let client = client().await;
        let home = namespace(&client, &format!("{mesh}-home")).await;
        let control_plane = ControlPlane {
            host: "osm-controller.osm-system.svc.cluster.local".into(),
            port: 15128,
            server_name: None,
            roots: "-----BEGIN CERTIFICATE-----\n".into(),
        };
        let installation = Installation {
            mesh: mesh.into(),
            namespace: home.clone(),
            envoy_image: "envoy:1".into(),
            init_image: "init:1".into(),
            pull_policy: "IfNotPresent".into(),
            control_plane,
            native_sidecar,
            ipv6: false,
        };
        let settings = Arc::new(Settings::new(installation, &MeshConfigSpec::default()));
        let namespaces = follow(&client);
        let injector = Injector {
            namespace: Arc::new(move |name| namespaces.borrow().get(name).cloned()),
            settings: Arc::new(move || settings.clone()),
        };
        let hook = Hook::serve(router(injector)).await;
        let registration = Registration {
            mesh: mesh.into(),
            namespace: home,
            address: Address::Url(hook.url.clone()),
            authority: hook.roots.to_string(),
            timeout: 10,
        };
        apply(&client, "", &with_types(&registration).to_string()).await;
        let stage = Self { client, mesh, registration, _hook: hook };
        // The API server takes a moment to hear of it.
        let probe = stage.namespace("yes").await;
        let asked = || async {
            let answer = create(&stage.client, &probe, "dryRun=All", &pod("probe", "{}")).await;
            (answer.status == 201 && names(&answer.body, "initContainers").contains(&"osm-init".into())).then_some(())
        };
        eventually("the injector is asked", asked).await;
        stage
    }

    /// A namespace of the mesh whose annotation asks for sidecars, or for none.
    async fn namespace(&self, injection: &str) -> String {
        let name = namespace(&self.client, "inject").await;
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {
                "name": name,
                "labels": { "openservicemesh.io/monitored-by": self.mesh },
                "annotations": { "openservicemesh.io/sidecar-injection": injection },
            },
        });
        apply(&self.client, "", &object.to_string()).await;
        // Until the webhook knows it, pods are refused; and the API server must have seen the label.
        let known = || async {
            let answer = create(
                &self.client,
                &name,
                "dryRun=All",
                &pod("probe", "{openservicemesh.io/sidecar-injection: 'yes'}"),
            )
            .await;
            (names(&answer.body, "initContainers").len() > 1 || names(&answer.body, "containers").len() > 1)
                .then_some(())
        };
        eventually("the namespace is known", known).await;
        name
    }

    async fn end(self) {
        let api: Api<k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration> =
            Api::all(self.client.clone());
        let name = self.registration.configuration().metadata.name.unwrap();
        api.delete(&name, &DeleteParams::default()).await.unwrap();
    }
}

fn with_types(registration: &Registration) -> Value {
    let mut object = serde_json::to_value(registration.configuration()).unwrap();
    object["apiVersion"] = "admissionregistration.k8s.io/v1".into();
    object["kind"] = "MutatingWebhookConfiguration".into();
    object
}

/// All namespaces, from a watch.
fn follow(client: &Client) -> watch::Receiver<BTreeMap<String, Namespace>> {
    use futures::TryStreamExt as _;
    use kube::runtime::{WatchStreamExt as _, watcher};
    let api: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
    let (tell, told) = watch::channel(BTreeMap::new());
    let mut events = Box::pin(watcher(api, watcher::Config::default()).default_backoff().applied_objects());
    tokio::spawn(async move {
        loop {
            let Ok(object) = events.try_next().await else { continue };
            let Some(object) = object else { return };
            let name = object.metadata.name.unwrap_or_default();
            let namespace = Namespace {
                name: name.clone(),
                labels: object.metadata.labels.unwrap_or_default(),
                annotations: object.metadata.annotations.unwrap_or_default(),
            };
            tell.send_modify(|all| drop(all.insert(name, namespace)));
        }
    });
    told
}

/// A pod with a probe; `annotations` is YAML.
fn pod(name: &str, annotations: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: {name}, annotations: {annotations}}}
spec:
  serviceAccountName: bookstore
  initContainers: [{{name: first, image: first}}]
  containers:
  - name: app
    image: app
    ports: [{{containerPort: 8080}}]
    livenessProbe: {{httpGet: {{path: /live, port: 8080}}, timeoutSeconds: 3}}
"
    )
}

fn names(pod: &Value, list: &str) -> Vec<String> {
    let list = pod["spec"][list].as_array();
    list.into_iter().flatten().map(|c| c["name"].as_str().unwrap().to_owned()).collect()
}

fn of<'p>(pod: &'p Value, list: &str, name: &str) -> &'p Value {
    pod["spec"][list].as_array().unwrap().iter().find(|c| c["name"] == name).unwrap()
}

/// What every injected pod has, whichever way its sidecar runs.
fn has_an_identity(pod: &Value, list: &str) {
    let token = &of(pod, "volumes", "osm-identity")["projected"]["sources"][0]["serviceAccountToken"];
    assert_eq!(*token, json!({ "audience": "osm", "expirationSeconds": 3600, "path": "token" }));
    let envoy = of(pod, list, "envoy");
    let mounts = envoy["volumeMounts"].as_array().unwrap();
    assert!(mounts.iter().any(|m| m["name"] == "osm-identity" && m["readOnly"] == true), "{envoy}");
    let arguments: Vec<_> = envoy["args"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
    let node = arguments.iter().position(|a| *a == "--service-node").unwrap();
    assert_eq!(arguments[node + 1], "$(POD_NAMESPACE)/$(POD_NAME)");
    assert_eq!(envoy["securityContext"]["runAsUser"], 1500);
    let probe = &of(pod, "containers", "app")["livenessProbe"];
    assert_eq!((&probe["httpGet"]["port"], &probe["timeoutSeconds"]), (&json!(15901), &json!(3)), "{probe}");
}

/// As it is stored.
async fn stored(stage: &Stage, ns: &str, name: &str) -> Value {
    call(&stage.client, "GET", &format!("{}/{name}", collection(ns, "pods.v1")), &Value::Null).await.object()
}

async fn native() {
    let stage = Stage::new("native", true).await;
    let ns = stage.namespace("enabled").await;
    create(&stage.client, &ns, "", &pod("p", "{}")).await.object();
    let pod = stored(&stage, &ns, "p").await;
    assert_eq!(names(&pod, "initContainers"), ["osm-init", "envoy", "first"], "rules, proxy, and then the others");
    assert_eq!(names(&pod, "containers"), ["app"]);
    assert_eq!(of(&pod, "initContainers", "envoy")["restartPolicy"], "Always");
    has_an_identity(&pod, "initContainers");
    stage.end().await;
}

async fn classic() {
    let stage = Stage::new("classic", false).await;
    let ns = stage.namespace("enabled").await;
    create(&stage.client, &ns, "", &pod("p", "{}")).await.object();
    let pod = stored(&stage, &ns, "p").await;
    let mut containers = names(&pod, "containers");
    containers.sort();
    assert_eq!(containers, ["app", "envoy"]);
    assert!(names(&pod, "initContainers").contains(&"osm-init".to_owned()));
    assert!(of(&pod, "containers", "envoy").get("restartPolicy").is_none());
    has_an_identity(&pod, "containers");
    stage.end().await;
}

async fn skipped() {
    let stage = Stage::new("skipped", true).await;
    let (yes, no) = (stage.namespace("enabled").await, stage.namespace("disabled").await);
    let outside = namespace(&stage.client, "outside").await;
    let asks = "{openservicemesh.io/sidecar-injection: enabled}";
    let declines = "{openservicemesh.io/sidecar-injection: disabled}";
    for (ns, annotations, injected) in [
        (&yes, "{}", true),
        (&yes, declines, false),
        (&no, "{}", false),
        (&no, asks, true),
        // Never asked about.
        (&outside, asks, false),
    ] {
        let made = create(&stage.client, ns, "dryRun=All", &pod("p", annotations)).await.object();
        let has = names(&made, "initContainers").contains(&"envoy".to_owned());
        assert_eq!(has, injected, "{annotations} in {ns}");
        if !injected {
            assert_eq!(names(&made, "initContainers"), ["first"]);
            assert_eq!(made["spec"]["containers"][0]["livenessProbe"]["httpGet"]["port"], 8080);
        }
    }
    let host = pod("p", asks).replace("spec:", "spec:\n  hostNetwork: true");
    // Kubernetes wants the same port on the host.
    let made = create(&stage.client, &yes, "dryRun=All", &host).await.object();
    assert_eq!(names(&made, "initContainers"), ["first"], "it would capture the node's connections");
    stage.end().await;
}

async fn refused() {
    let stage = Stage::new("refused", true).await;
    let ns = stage.namespace("enabled").await;
    let refusal = async |yaml: String| -> Answer { create(&stage.client, &ns, "", &yaml).await };
    for (annotations, told) in [
        (
            "{openservicemesh.io/sidecar-injection: maybe}",
            "annotation `openservicemesh.io/sidecar-injection` of the pod has the value \"maybe\": write `enabled` or `disabled`",
        ),
        (
            "{openservicemesh.io/outbound-port-exclusion-list: '6379,http'}",
            "openservicemesh.io/outbound-port-exclusion-list",
        ),
        (
            "{openservicemesh.io/outbound-ip-range-exclusion-list: '10.0.0.0/33'}",
            "openservicemesh.io/outbound-ip-range-exclusion-list",
        ),
    ] {
        let answer = refusal(pod("p", annotations)).await;
        assert!(answer.refusal().contains("osm-inject.k8s.io") && answer.refusal().contains(told), "{answer:?}");
    }
    let loops = pod("p", "{}").replace("image: app\n", "image: app\n    securityContext: {runAsUser: 1500}\n");
    let answer = refusal(loops).await;
    assert!(answer.refusal().contains("set another `runAsUser`"), "{answer:?}");
    let taken = pod("p", "{}").replace("name: app", "name: envoy");
    assert!(refusal(taken).await.refusal().contains("rename it"));
    let port = pod("p", "{}").replace("containerPort: 8080", "containerPort: 15003");
    assert!(refusal(port).await.refusal().contains("port 15003, on which the sidecar listens"));
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(stage.client.clone(), &ns);
    assert_eq!(pods.list(&ListParams::default()).await.unwrap().items.len(), 0, "none was let in");
    stage.end().await;
}

async fn dry_run() {
    let stage = Stage::new("dry", true).await;
    let ns = stage.namespace("enabled").await;
    let kinds = ["pods.v1", "secrets.v1", "configmaps.v1", "serviceaccounts.v1"];
    let there = async || {
        let mut all = Vec::new();
        for kind in kinds {
            let list = call(&stage.client, "GET", &collection(&ns, kind), &Value::Null).await.object();
            all.extend(list["items"].as_array().unwrap().iter().map(|o| (kind, o["metadata"]["name"].to_string())));
        }
        all
    };
    let before = there().await;
    let made = create(&stage.client, &ns, "dryRun=All", &pod("p", "{}")).await.object();
    has_an_identity(&made, "initContainers");
    assert_eq!(there().await, before);
    stage.end().await;
}
