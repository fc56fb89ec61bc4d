//! What the API server posts to the webhooks, and anything else that is.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    http::{Request, header::CONTENT_TYPE},
};
use futures::FutureExt as _;
use mesh::{
    api::mesh_config::MeshConfigSpec,
    inject::{Injector, Installation, Namespace, Settings, WEBHOOK_PATH, remove, router, settings::ControlPlane},
    validate::{self, Surroundings},
};
use serde_json::Value;
use tower::ServiceExt as _;

/// Posts the bytes to every webhook, and takes back what the injector does to the pod.
pub fn run(data: &[u8]) {
    post(router(injector()), WEBHOOK_PATH, data);
    post(validate::router(Surroundings::default), "/validate", data);
    post(validate::conversion_router(), "/convert", data);
    if let Ok(review) = serde_json::from_slice::<Value>(data) {
        let _ = remove(&review["request"]["object"]);
    }
}

/// Every webhook answers at once: what is no review is refused, not failed.
fn post(router: Router, path: &str, data: &[u8]) {
    let request = Request::post(path).header(CONTENT_TYPE, "application/json").body(Body::from(data.to_vec()));
    let request = request.expect("a request can be made of any bytes");
    let answer = router.oneshot(request).now_or_never().expect("webhooks wait for nothing");
    let status = answer.unwrap_or_else(|never| match never {}).status();
    assert!(!status.is_server_error(), "{path}: {status}");
}

fn injector() -> Injector {
    let installation = Installation {
        mesh: "osm".into(),
        namespace: "osm-system".into(),
        envoy_image: "envoy".into(),
        init_image: "init".into(),
        pull_policy: "IfNotPresent".into(),
        control_plane: ControlPlane { host: "controller".into(), port: 15128, server_name: None, roots: "PEM".into() },
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
