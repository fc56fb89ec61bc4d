//! The webhooks over HTTP. TLS is the work of whoever serves the router.

use axum::{
    Json, Router,
    body::Bytes,
    extract::DefaultBodyLimit,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::Value;

use super::{Surroundings, conversion::convert_review, review::review};

/// Largest body that is read, in bytes: the API server's own limit for a request. Larger ones get status 413.
pub const MAX_BODY: usize = 3 << 20;

/// `POST /validate`: AdmissionReviews (`admission.k8s.io/v1`) against the surroundings of the moment.
pub fn router(surroundings: impl Fn() -> Surroundings + Clone + Send + Sync + 'static) -> Router {
    let answer = move |headers: HeaderMap, body: Bytes| {
        let answer = json(&headers, &body).map(|asked| review(&asked["request"], &surroundings()).review());
        std::future::ready(respond(answer))
    };
    Router::new().route("/validate", post(answer)).layer(DefaultBodyLimit::max(MAX_BODY))
}

/// `POST /convert`: ConversionReviews (`apiextensions.k8s.io/v1`).
pub fn conversion_router() -> Router {
    let answer = |headers: HeaderMap, body: Bytes| {
        std::future::ready(respond(json(&headers, &body).map(|asked| convert_review(&asked))))
    };
    // A list is converted as a whole, and may be larger than any one request.
    Router::new().route("/convert", post(answer)).layer(DefaultBodyLimit::max(8 * MAX_BODY))
}

fn json(headers: &HeaderMap, body: &Bytes) -> Result<Value, (StatusCode, String)> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().map(str::trim) != Some("application/json") {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "write application/json".into()));
    }
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, format!("the body is no JSON: {error}")))
}

fn respond(answer: Result<Value, (StatusCode, String)>) -> Response {
    match answer {
        Ok(answer) => Json(answer).into_response(),
        Err(refused) => refused.into_response(),
    }
}
