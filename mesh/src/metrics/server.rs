//! The API over HTTP. TLS is the work of whoever serves the router.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Extension, Query, Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::any,
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    admission::Admission,
    aggregate::MetricsMutation,
    answer::{self, Measured, status},
    observer::Observer,
    question::{Question, Refusal},
    resource::{Directory, Owners},
};
use crate::{
    admin::{Metrics, http::PeerCertificate},
    world::World,
};

/// Answers questions about what an [`Observer`] saw.
pub struct Api {
    observer: Arc<Observer>,
    worlds: Box<dyn Fn() -> World + Send + Sync>,
    owners: Owners,
    mutation: Option<MetricsMutation>,
    first: Mutex<Option<Measured>>,
}

impl Api {
    /// About what `observer` sees in the worlds that `worlds` gives.
    pub fn new(
        observer: Arc<Observer>,
        worlds: impl Fn() -> World + Send + Sync + 'static,
        owners: Owners,
        mutation: Option<MetricsMutation>,
    ) -> Self {
        Self { observer, worlds: Box::new(worlds), owners, mutation, first: Mutex::default() }
    }

    /// Answers a request; whether its sender may ask is decided before.
    ///
    /// # Errors
    /// [`Refusal`]; 503 until every sidecar has been asked once.
    pub fn answer(&self, question: &Question) -> Result<Value, Refusal> {
        let measured = self.measured().ok_or_else(|| Refusal {
            code: 503,
            reason: "ServiceUnavailable",
            message: "the sidecars have not been asked yet; try again in a moment".into(),
        })?;
        let world = (self.worlds)();
        let directory = Directory { world: &world, owners: &self.owners };
        answer::answer(question, &measured, &directory, self.mutation)
    }

    fn measured(&self) -> Option<Measured> {
        let now = self.observer.measured();
        if self.mutation != Some(MetricsMutation::Stale) {
            return now;
        }
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none() {
            *first = now;
        }
        first.clone()
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("observer", &self.observer)
            .field("mutation", &self.mutation)
            .finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Served {
    api: Arc<Api>,
    admission: Arc<dyn Admission>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    label_selector: Option<String>,
}

/// Serves the API to those whom `admission` lets in. Every other path is refused as the API server would.
pub fn router(api: Arc<Api>, admission: Arc<dyn Admission>) -> Router {
    Router::new()
        .route("/apis", any(respond))
        .route("/apis/{*path}", any(respond))
        .fallback(respond)
        .with_state(Served { api, admission })
}

async fn respond(
    State(served): State<Served>,
    Query(parameters): Query<Parameters>,
    certificate: Option<Extension<PeerCertificate>>,
    request: Request,
) -> Response {
    let (head, _) = request.into_parts();
    let question = Question::read(head.method.as_str(), head.uri.path(), parameters.label_selector.as_deref());
    let certificate = certificate.as_ref().map(|Extension(certificate)| &*certificate.0);
    let access = question.as_ref().ok().and_then(Question::access);
    // Whoever is not known is not even told which paths there are.
    let admitted = served.admission.admit(certificate, &head.headers, access.as_ref()).await;
    let answer = admitted.and(question).and_then(|question| served.api.answer(&question));
    match answer {
        Ok(answer) => Json(answer).into_response(),
        Err(refusal) => {
            let code = StatusCode::from_u16(refusal.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (code, Json(status(&refusal))).into_response()
        }
    }
}

/// Asks every sidecar again and again, as long as anybody else has the observer.
pub async fn observe(observer: Weak<Observer>, every: Duration, metrics: Arc<Metrics>) {
    let mut looks = tokio::time::interval(every);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let Some(observer) = observer.upgrade() else { return };
        let (told, silent) = observer.observe().await;
        metrics.sidecars_asked(told, silent);
        tracing::debug!(told, silent, "asked the sidecars for their statistics");
    }
}

#[cfg(test)]
mod tests;
