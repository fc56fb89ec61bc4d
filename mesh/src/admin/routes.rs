//! Health, metrics and version over HTTP.

use std::{sync::Arc, time::Instant};

use axum::{
    Json, Router,
    extract::{MatchedPath, Request, State},
    http::{StatusCode, header::CONTENT_TYPE},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;

use super::{
    VERSION,
    health::{Check, Health, report},
    metrics::{MEDIA_TYPE, Metrics},
};

#[derive(Clone)]
struct Admin {
    health: Arc<dyn Health>,
    metrics: Arc<Metrics>,
}

/// `/healthz`, `/readyz` (also under the names of Open Service Mesh, `/health/alive` and `/health/ready`), `/metrics`,
/// `/version` and `/smi/version`. Nothing here is secret.
pub fn router(health: Arc<dyn Health>, metrics: Arc<Metrics>) -> Router {
    let routes = Router::new()
        .route("/healthz", get(alive))
        .route("/health/alive", get(alive))
        .route("/readyz", get(ready))
        .route("/health/ready", get(ready))
        .route("/metrics", get(encode))
        .route("/version", get(async || Json(VERSION)))
        .route("/smi/version", get(async || Json(smi_versions())))
        .with_state(Admin { health, metrics: metrics.clone() });
    counted(routes, metrics)
}

/// Counts the answers of a router.
pub fn counted(router: Router, metrics: Arc<Metrics>) -> Router {
    router.layer(middleware::from_fn_with_state(metrics, count))
}

async fn count(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    // What no route knows is a client's invention, and would be counted without end.
    let path = path.as_ref().map_or("other", MatchedPath::as_str);
    let method = match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE") => known,
        _ => "other",
    };
    metrics.http_response(response.status().as_u16(), method, path, began.elapsed());
    response
}

async fn alive(State(admin): State<Admin>) -> Response {
    answer(&admin.health.alive().await)
}

async fn ready(State(admin): State<Admin>) -> Response {
    answer(&admin.health.ready().await)
}

fn answer(checks: &[Check]) -> Response {
    let (well, text) = report(checks);
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, text).into_response()
}

async fn encode(State(admin): State<Admin>) -> Response {
    ([(CONTENT_TYPE, MEDIA_TYPE)], admin.metrics.encode()).into_response()
}

/// The served versions of the SMI kinds, as OSM tells them.
fn smi_versions() -> serde_json::Value {
    json!({
        "TrafficTarget": ["access.smi-spec.io/v1alpha1", "access.smi-spec.io/v1alpha2", "access.smi-spec.io/v1alpha3"],
        "HTTPRouteGroup": ["specs.smi-spec.io/v1alpha1", "specs.smi-spec.io/v1alpha2", "specs.smi-spec.io/v1alpha3",
            "specs.smi-spec.io/v1alpha4"],
        "TCPRoute": ["specs.smi-spec.io/v1alpha1", "specs.smi-spec.io/v1alpha2", "specs.smi-spec.io/v1alpha3",
            "specs.smi-spec.io/v1alpha4"],
        "UDPRoute": ["specs.smi-spec.io/v1alpha4"],
        "TrafficSplit": ["split.smi-spec.io/v1alpha1", "split.smi-spec.io/v1alpha2", "split.smi-spec.io/v1alpha3",
            "split.smi-spec.io/v1alpha4"],
    })
}
