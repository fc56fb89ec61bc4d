//! Pods, injected as the webhook would.

use mesh::{
    api::mesh_config::MeshConfigSpec,
    inject::{Decision, Installation, Namespace, Settings, patch, settings::ControlPlane},
};
use serde_json::{Value, json};

/// The name in the control plane's certificate.
pub(crate) const SERVER: &str = "osm-controller.osm-system.svc";

/// Settings of a cluster with both families, and this MeshConfig.
pub(crate) fn settings(config: Value) -> Settings {
    let installation = Installation {
        mesh: "osm".into(),
        namespace: "osm-system".into(),
        envoy_image: "envoy".into(),
        init_image: "init".into(),
        pull_policy: "IfNotPresent".into(),
        control_plane: ControlPlane {
            host: "127.0.0.1".into(),
            port: 15128,
            server_name: Some(SERVER.into()),
            roots: rcgen::generate_simple_self_signed([SERVER.to_owned()]).unwrap().cert.pem(),
        },
        native_sidecar: true,
        ipv6: true,
    };
    let config: MeshConfigSpec = serde_json::from_value(config).unwrap();
    Settings::new(installation, &config)
}

/// A pod with these annotations and containers, after injection.
pub(crate) fn injected(annotations: &Value, containers: &Value, settings: &Settings) -> Value {
    let namespace = Namespace {
        name: "shop".into(),
        labels: [("openservicemesh.io/monitored-by".to_owned(), "osm".to_owned())].into(),
        annotations: [("openservicemesh.io/sidecar-injection".to_owned(), "yes".to_owned())].into(),
    };
    let mut pod = json!({ "metadata": { "annotations": annotations }, "spec": { "containers": containers } });
    let Decision::Inject(injection) = patch(&pod, &namespace, settings).unwrap() else { panic!("not injected") };
    json_patch::patch(&mut pod, &injection.patch).unwrap();
    pod
}

/// The script of the init container.
pub(crate) fn script(pod: &Value) -> &str {
    pod["spec"]["initContainers"][0]["command"][2].as_str().unwrap()
}

/// The configuration that Envoy starts with.
pub(crate) fn bootstrap(pod: &Value) -> &str {
    let args = pod["spec"]["initContainers"][1]["args"].as_array().unwrap();
    args.last().and_then(Value::as_str).unwrap()
}

/// Probes of every kind: two containers, one of which has the HTTPS and gRPC ports.
pub(crate) fn probed() -> Value {
    json!([
        {
            "name": "web",
            "ports": [{ "name": "http", "containerPort": 8080 }],
            "livenessProbe": { "httpGet": { "path": "/healthz?deep=1", "port": "http" } },
            "readinessProbe": { "tcpSocket": { "port": 8080 }, "periodSeconds": 1 },
            "startupProbe": { "httpGet": { "path": "/moved", "port": 8080 } },
        },
        {
            "name": "secure",
            "livenessProbe": { "httpGet": { "path": "/healthz", "port": 8443, "scheme": "HTTPS" } },
            "readinessProbe": { "grpc": { "port": 9090 } },
            "lifecycle": { "preStop": { "httpGet": { "path": "/broken", "port": 8080 } } },
        },
    ])
}
