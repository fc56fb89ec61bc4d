//! The debug endpoints.

mod proxies;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{FromRequestParts, Path, Query, Request, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{explain::explain, log::Level, profile};
use crate::{
    model::{ObjectName, ServiceAccount, Settings},
    policy::diagnose,
    run::ControlPlane,
    world::World,
};

/// What the debug endpoints look at.
#[derive(Clone)]
pub struct Debug {
    /// The control plane. Weak, so that a request never keeps it from ending.
    pub plane: Weak<ControlPlane>,
    /// The log level, shown and changed.
    pub level: Level,
    /// Demanded as `authorization: Bearer <token>`, if the listener can be reached from outside.
    pub token: Option<Arc<str>>,
}

/// The control plane, as long as it runs.
struct Plane(Arc<ControlPlane>);

const INDEX: &str = "\
/debug/proxies                        connected proxies and pods without one, with what they lack and refuse
/debug/xds/{namespace}/{pod}          what a proxy is told, resource by resource, and what it said to it
/debug/certs                          workload certificates, without keys
/debug/world                          how many objects of each kind are known
/debug/policies                       TrafficTargets, TrafficSplits and routes, and what is wrong with them
/debug/namespaces                     namespaces with workloads or services
/debug/feature-flags                  feature flags, and the other settings
/debug/explain?from=ns/sa&to=ns/sa    whether an account may call another, and why
/debug/profile?seconds=5              processor time by thread
/debug/log                            GET the log level; PUT another one
";

/// All debug endpoints. Serve them on a loopback address, or set a token.
pub fn router(debug: Debug) -> Router {
    Router::new()
        .route("/debug", get(async || INDEX))
        .route("/debug/proxies", get(proxies))
        .route("/debug/proxy", get(proxies))
        .route("/debug/xds/{namespace}/{pod}", get(xds))
        .route("/debug/certs", get(certificates))
        .route("/debug/world", get(world))
        .route("/debug/policies", get(policies))
        .route("/debug/namespaces", get(namespaces))
        .route("/debug/feature-flags", get(settings))
        .route("/debug/explain", get(explained))
        .route("/debug/profile", get(profiled))
        .route("/debug/log", get(level).put(set_level))
        .layer(middleware::from_fn_with_state(debug.clone(), guard))
        .with_state(debug)
}

async fn guard(State(debug): State<Debug>, request: Request, next: Next) -> Response {
    match &debug.token {
        Some(token) if !shows(request.headers(), token) => {
            (StatusCode::UNAUTHORIZED, "send the debug token as `authorization: Bearer <token>`\n").into_response()
        }
        _ => next.run(request).await,
    }
}

/// Whether the headers show the token. Takes the same time for every wrong one of its length.
fn shows(headers: &HeaderMap, token: &str) -> bool {
    let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(shown) = shown.and_then(|value| value.strip_prefix("Bearer ")) else { return false };
    let (shown, token) = (shown.trim().as_bytes(), token.as_bytes());
    shown.len() == token.len() && shown.iter().zip(token).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

impl FromRequestParts<Debug> for Plane {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(_: &mut Parts, debug: &Debug) -> Result<Self, Self::Rejection> {
        debug.plane.upgrade().map(Self).ok_or((StatusCode::SERVICE_UNAVAILABLE, "the control plane has ended\n"))
    }
}

async fn proxies(Plane(plane): Plane) -> Json<Value> {
    Json(plane.proxies().iter().map(proxies::status).collect())
}

async fn xds(Plane(plane): Plane, Path((namespace, pod)): Path<(String, String)>) -> Response {
    let pod = ObjectName::new(namespace, pod);
    let Some(snapshot) = plane.snapshot(&pod) else {
        return (StatusCode::NOT_FOUND, format!("there is no pod {pod} in the mesh\n")).into_response();
    };
    let status = plane.proxies().into_iter().find(|proxy| proxy.pod == pod);
    Json(proxies::snapshot(&snapshot, status.and_then(|proxy| proxy.stream).as_ref())).into_response()
}

async fn certificates(Plane(plane): Plane) -> Json<Value> {
    let world = plane.world();
    let accounts: std::collections::BTreeSet<_> = world.workloads().map(|pod| pod.account.clone()).collect();
    let leaves = accounts.iter().map(|account| match world.certificate(account) {
        Some(leaf) => json!({
            "account": account.to_string(), "notBefore": leaf.not_before, "notAfter": leaf.not_after,
            "chain": &*leaf.chain_pem,
        }),
        None => json!({ "account": account.to_string(), "pending": true }),
    });
    Json(json!({ "roots": &*world.trust().roots_pem, "certificates": leaves.collect::<Vec<_>>() }))
}

async fn world(Plane(plane): Plane) -> Json<Value> {
    let world = plane.world();
    Json(json!({
        "generation": plane.generation(),
        "pods": world.workloads().count(),
        "services": world.services().count(),
        "trafficTargets": world.targets().count(),
        "trafficSplits": world.splits().count(),
        "httpRouteGroups": world.http_route_groups().count(),
        "egresses": world.egresses().count(),
        "ingressBackends": world.ingress_backends().count(),
        "retries": world.retries().count(),
        "upstreamTrafficSettings": world.upstream_settings().count(),
        "telemetries": world.telemetries().count(),
        "extensionServices": world.extension_services().count(),
    }))
}

async fn policies(Plane(plane): Plane) -> Json<Value> {
    let world = plane.world();
    let text = |object: &dyn fmt::Debug| format!("{object:?}");
    Json(json!({
        "trafficTargets": world.targets().map(|o| text(o)).collect::<Vec<_>>(),
        "trafficSplits": world.splits().map(|o| text(o)).collect::<Vec<_>>(),
        "httpRouteGroups": world.http_route_groups().map(|o| text(o)).collect::<Vec<_>>(),
        "problems": diagnose(&world).iter().map(ToString::to_string).collect::<Vec<_>>(),
    }))
}

async fn namespaces(Plane(plane): Plane) -> Json<Value> {
    let world = plane.world();
    let mut names: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    world.workloads().for_each(|pod| names.entry(pod.name.namespace.to_string()).or_default().0 += 1);
    world.services().for_each(|service| names.entry(service.name.namespace.to_string()).or_default().1 += 1);
    Json(
        names
            .into_iter()
            .map(|(name, (pods, services))| json!({ "name": name, "pods": pods, "services": services }))
            .collect(),
    )
}

async fn settings(Plane(plane): Plane) -> Json<Value> {
    Json(shown(plane.world().settings()))
}

fn shown(settings: &Settings) -> Value {
    let features = settings.features;
    json!({
        "featureFlags": {
            "enableEgressPolicy": features.egress_policy,
            "enableIngressBackendPolicy": features.ingress_backend_policy,
            "enableRetryPolicy": features.retry_policy,
            "enableEnvoyActiveHealthChecks": features.active_health_checks,
            "enableWASMStats": features.request_metrics,
        },
        "permissive": settings.permissive,
        "egress": settings.egress,
        "trustDomain": settings.trust_domain.as_str(),
    })
}

#[derive(Deserialize)]
struct Pair {
    from: String,
    to: String,
}

async fn explained(Plane(plane): Plane, Query(Pair { from, to }): Query<Pair>) -> Response {
    let account = |written: &str| written.split_once('/').map(|(ns, name)| ServiceAccount::new(ns, name));
    let world: World = plane.world();
    match (account(&from), account(&to)) {
        (Some(from), Some(to)) => Json(explain(&world, &from, &to)).into_response(),
        _ => (StatusCode::BAD_REQUEST, "write accounts as namespace/name\n").into_response(),
    }
}

#[derive(Deserialize)]
struct During {
    seconds: Option<u64>,
}

async fn profiled(Query(During { seconds }): Query<During>) -> Response {
    Json(profile::threads(Duration::from_secs(seconds.unwrap_or(5).clamp(1, 60))).await).into_response()
}

async fn level(State(debug): State<Debug>) -> String {
    debug.level.current() + "\n"
}

async fn set_level(State(debug): State<Debug>, body: String) -> Response {
    match debug.level.set(body.trim()) {
        Ok(()) => debug.level.current().into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

impl fmt::Debug for Debug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Debug").field("level", &self.level).finish_non_exhaustive()
    }
}
