//! Counts the answers of webhooks, whatever they decide.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;

use crate::admin::{Metrics, routes::counted};

/// A review, as far as it is counted. The rest is skipped, not kept.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Review {
    request: Asked,
    response: Answered,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    kind: Kind,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Kind {
    kind: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answered {
    allowed: bool,
}

/// More than any webhook takes (lists of objects to be converted are long): the webhook itself refuses what is too long.
const LONGEST: usize = 32 << 20;

/// Longest name of a kind that becomes a label.
const LONGEST_KIND: usize = 63;

/// Counts what `router` answers to admission reviews.
pub(super) fn observed(router: Router, metrics: Arc<Metrics>) -> Router {
    counted(router.layer(middleware::from_fn_with_state(metrics.clone(), observe)), metrics)
}

async fn observe(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LONGEST).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "the review is too long\n").into_response();
    };
    let kind = read(&body).request.kind.kind;
    let response = next.run(Request::from_parts(head, Body::from(body))).await;
    let (head, body) = response.into_parts();
    let Ok(body) = to_bytes(body, LONGEST).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    // Conversions have no kind here, and what is no review is no answer of an admission.
    if !kind.is_empty() && kind.len() <= LONGEST_KIND {
        metrics.admission(&kind, read(&body).response.allowed);
    }
    Response::from_parts(head, Body::from(body))
}

fn read(body: &Bytes) -> Review {
    serde_json::from_slice(body).unwrap_or_default()
}
