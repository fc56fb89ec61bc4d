//! One admission: an `AdmissionReview` as bytes in, the answer with the patch out. The aim is less than 5 ms.

use std::{hint::black_box, sync::Arc};

use benches::cpu::CpuTime;
use criterion::Criterion;
use mesh::{
    api::mesh_config::MeshConfigSpec,
    inject::{Injector, Installation, Namespace, Settings, settings::ControlPlane},
};

/// A pod with two containers, probes of every kind and a list of exclusions.
const REVIEW: &str = r#"{
    "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
    "request": {
        "uid": "2f0c2f8e-3c3e-4d7c-9a43-0c8f5f1f6f5a", "namespace": "shop", "operation": "CREATE",
        "kind": { "group": "", "version": "v1", "kind": "Pod" },
        "object": {
            "metadata": {
                "generateName": "shop-",
                "annotations": { "openservicemesh.io/outbound-port-exclusion-list": "6379,7070", "prometheus.io/scrape": "true" }
            },
            "spec": {
                "serviceAccountName": "shop",
                "containers": [
                    {
                        "name": "web", "image": "web:1", "ports": [{ "name": "http", "containerPort": 8080 }],
                        "livenessProbe": { "httpGet": { "path": "/live", "port": "http" } },
                        "readinessProbe": { "tcpSocket": { "port": 8080 } }
                    },
                    {
                        "name": "rpc", "image": "rpc:1",
                        "livenessProbe": { "grpc": { "port": 9090 } },
                        "startupProbe": { "httpGet": { "path": "/start", "port": 8443, "scheme": "HTTPS" } }
                    }
                ]
            }
        }
    }
}"#;

fn injector() -> Injector {
    let installation = Installation {
        mesh: "osm".into(),
        namespace: "osm-system".into(),
        envoy_image: "envoy".into(),
        init_image: "init".into(),
        pull_policy: "IfNotPresent".into(),
        control_plane: ControlPlane {
            host: "osm-controller.osm-system.svc.cluster.local".into(),
            port: 15128,
            server_name: None,
            roots: "-".repeat(1200),
        },
        native_sidecar: true,
        ipv6: false,
    };
    let settings = Arc::new(Settings::new(installation, &MeshConfigSpec::default()));
    let namespace = Namespace {
        name: "shop".into(),
        labels: [("openservicemesh.io/monitored-by".to_owned(), "osm".to_owned())].into(),
        annotations: [("openservicemesh.io/sidecar-injection".to_owned(), "enabled".to_owned())].into(),
    };
    Injector { namespace: Arc::new(move |_| Some(namespace.clone())), settings: Arc::new(move || settings.clone()) }
}

fn main() {
    let mut criterion = Criterion::default().with_measurement(CpuTime).configure_from_args();
    let injector = injector();
    criterion.bench_function("admission", |bench| {
        bench.iter(|| injector.review(black_box(REVIEW.as_bytes())).expect("the review is sound"));
    });
    criterion.final_summary();
}
