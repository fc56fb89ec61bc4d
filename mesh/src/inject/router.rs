//! The mutating webhook: `AdmissionReview` (`admission.k8s.io/v1`) in and out.

use std::{fmt, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    WEBHOOK_PATH,
    decision::Namespace,
    patch::{self, Decision, Injection},
    settings::Settings,
};

/// The most bytes of a review. API servers take objects of 3 MiB.
const LARGEST: usize = 4 << 20;

/// Finds a namespace by its name.
pub type NamespaceLookup = Arc<dyn Fn(&str) -> Option<Namespace> + Send + Sync>;
/// Tells the settings in force.
pub type SettingsLookup = Arc<dyn Fn() -> Arc<Settings> + Send + Sync>;

/// What the webhook asks for each pod.
#[derive(Clone)]
pub struct Injector {
    /// A namespace by its name, if it is known.
    pub namespace: NamespaceLookup,
    /// The settings in force.
    pub settings: SettingsLookup,
}

impl fmt::Debug for Injector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Injector").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    api_version: String,
    kind: String,
    request: Request,
}

#[derive(Deserialize)]
struct Request {
    uid: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    kind: Kind,
    #[serde(default)]
    object: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Kind {
    group: String,
    kind: String,
}

/// The webhook at [`WEBHOOK_PATH`]. What is no review gets 400, 413 or 415; a pod that cannot be injected is not allowed.
pub fn router(injector: Injector) -> Router {
    let limit = DefaultBodyLimit::max(LARGEST);
    Router::new().route(WEBHOOK_PATH, post(serve)).layer(limit).with_state(injector)
}

async fn serve(State(injector): State<Injector>, headers: HeaderMap, body: Bytes) -> Response {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().map(str::trim) != Some("application/json") {
        let message = format!("content type {kind:?} is not served; send `application/json`");
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, message).into_response();
    }
    match injector.review(&body) {
        Ok(answer) => Json(answer).into_response(),
        Err(message) => (StatusCode::BAD_REQUEST, message).into_response(),
    }
}

impl Injector {
    /// Answers one `AdmissionReview`.
    ///
    /// # Errors
    /// The bytes are no `AdmissionReview` of `admission.k8s.io/v1`.
    pub fn review(&self, body: &[u8]) -> Result<Value, String> {
        let review: Review =
            serde_json::from_slice(body).map_err(|error| format!("this is no AdmissionReview: {error}"))?;
        if (review.api_version.as_str(), review.kind.as_str()) != ("admission.k8s.io/v1", "AdmissionReview") {
            return Err(format!(
                "{} {} is not served; send AdmissionReview of admission.k8s.io/v1",
                review.api_version, review.kind
            ));
        }
        let mut response = self.answer(&review.request);
        response["uid"] = review.request.uid.into();
        Ok(json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response }))
    }

    fn answer(&self, request: &Request) -> Value {
        let Request { namespace, operation, kind, object, .. } = request;
        if operation != "CREATE" || kind.kind != "Pod" || !kind.group.is_empty() {
            return refused(400, &format!("{operation} of {} is nothing that the sidecar injector answers", kind.kind));
        }
        let Some(metadata) = (self.namespace)(namespace) else {
            return refused(503, &format!("namespace {namespace:?} is not known to the mesh yet; try again"));
        };
        match patch::patch(object, &metadata, &(self.settings)()) {
            Ok(Decision::Inject(injection)) => injected(&injection),
            Ok(Decision::Skip(skip)) => json!({ "allowed": true, "auditAnnotations": { "sidecar": skip.to_string() } }),
            Err(refusal) => {
                tracing::info!(namespace, %refusal, "refused a pod");
                refused(422, &refusal.to_string())
            }
        }
    }
}

fn injected(injection: &Injection) -> Value {
    let mut response = json!({ "allowed": true, "auditAnnotations": { "sidecar": "injected" } });
    if !injection.patch.0.is_empty() {
        response["patchType"] = "JSONPatch".into();
        response["patch"] = STANDARD.encode(json!(injection.patch).to_string()).into();
    }
    if !injection.warnings.is_empty() {
        response["warnings"] = json!(injection.warnings);
    }
    response
}

fn refused(code: u16, message: &str) -> Value {
    let reason = if code == 503 { "ServiceUnavailable" } else { "Invalid" };
    json!({ "allowed": false, "status": { "status": "Failure", "code": code, "reason": reason, "message": message } })
}
