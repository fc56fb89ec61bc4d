//! The same worlds as an API server tells them: lists and events in JSON.

use kube::core::ObjectList;
use mesh::{
    k8s::{Intake, MONITORED_BY, Namespace, event::Event, source::KINDS, told::Told},
    model::Kind,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::PODS_PER_SERVICE;

/// Objects of a page, as the watches ask for them.
const PAGE: usize = 500;

/// Pod `index` in namespace `bench`, as large as they are: what the API server, the kubelet and the scheduler add is there.
#[must_use]
pub fn pod(index: usize, ready: bool) -> Value {
    let service = index / PODS_PER_SERVICE;
    let managed = |manager: &str| {
        let fields = json!({ "f:metadata": { "f:labels": { "f:app": {}, "f:team": {} } }, "f:spec": { "f:containers": {
            "k:{\"name\":\"app\"}": { ".": {}, "f:image": {}, "f:ports": {}, "f:resources": {}, "f:env": {} },
            "k:{\"name\":\"envoy\"}": { ".": {}, "f:image": {}, "f:ports": {}, "f:resources": {}, "f:env": {} } } } });
        json!({ "manager": manager, "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z", "fieldsV1": fields })
    };
    let container = |name: &str| {
        let env: Vec<_> = (0..8).map(|i| json!({ "name": format!("VARIABLE_{i}"), "value": "value" })).collect();
        json!({ "name": name, "image": "registry.example/app:1", "env": env, "imagePullPolicy": "Always",
            "ports": [{ "name": format!("{name}-web"), "containerPort": 8080, "protocol": "TCP" }],
            "resources": { "limits": { "cpu": "1", "memory": "1Gi" }, "requests": { "cpu": "1", "memory": "1Gi" } },
            "readinessProbe": { "httpGet": { "path": "/ready", "port": 8080 }, "periodSeconds": 5 } })
    };
    let condition = |kind: &str, status: bool| {
        let status = if status { "True" } else { "False" };
        json!({ "type": kind, "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z" })
    };
    let conditions = ["Initialized", "Ready", "ContainersReady", "PodScheduled"].map(|kind| condition(kind, ready));
    json!({
        "metadata": {
            "name": format!("pod-{index}"), "namespace": "bench", "uid": format!("00000000-0000-0000-0000-{index:012}"),
            "resourceVersion": index.to_string(), "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": { "app": format!("service-{service}"), "team": "red", "pod-template-hash": "5d4f8c7b9" },
            "annotations": { "openservicemesh.io/sidecar-injection": "enabled" },
            "managedFields": [managed("kubelet"), managed("kube-controller-manager")],
        },
        "spec": { "serviceAccountName": format!("service-{service}"), "containers": [container("app"), container("envoy")],
            "nodeName": "node-1", "restartPolicy": "Always", "schedulerName": "default-scheduler" },
        "status": { "phase": "Running", "podIP": format!("10.{}.{}.{}", index >> 16, (index >> 8) & 255, index & 255),
            "conditions": conditions },
    })
}

/// Service `index` in namespace `bench`, over ten of these pods.
#[must_use]
pub fn service(index: usize) -> Value {
    let address = format!("10.96.{}.{}", index >> 8, index & 255);
    json!({
        "metadata": { "name": format!("service-{index}"), "namespace": "bench", "resourceVersion": "1" },
        "spec": { "type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "selector": { "app": format!("service-{index}") },
            "ports": [{ "name": "http", "port": 80, "targetPort": "app-web" }] },
    })
}

/// The pages of a list.
#[must_use]
pub fn pages(kind: &str, objects: impl Iterator<Item = Value>) -> Vec<Vec<u8>> {
    let objects: Vec<_> = objects.collect();
    let page =
        |items: &[Value]| json!({ "apiVersion": "v1", "kind": kind, "metadata": {}, "items": items }).to_string();
    objects.chunks(PAGE).map(|items| page(items).into_bytes()).collect()
}

/// The objects of all pages.
///
/// # Panics
/// If a page is no list.
pub fn read<T: DeserializeOwned + Clone>(pages: &[Vec<u8>]) -> Vec<T> {
    let page = |bytes: &Vec<u8>| serde_json::from_slice::<ObjectList<T>>(bytes).expect("a list").items;
    pages.iter().flat_map(page).collect()
}

/// An intake of the mesh `osm` that has listed all but services and pods.
#[must_use]
pub fn intake() -> Intake {
    let mut intake = Intake::new("osm", "osm-system");
    let mut bench = Namespace::default();
    bench.labels.insert(MONITORED_BY.into(), "osm".into());
    intake.take(Told::Namespaces(Event::Listed(vec![("bench".into(), bench)])));
    for kind in KINDS.into_iter().chain([Kind::MeshConfig]).filter(|kind| !matches!(kind, Kind::Service | Kind::Pod)) {
        intake.take(Told::Objects(kind, Event::Missing));
    }
    intake
}
