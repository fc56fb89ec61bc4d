use axum::{
    body::{Body, to_bytes},
    http::HeaderMap,
};
use futures::{FutureExt as _, future::BoxFuture};
use tower::ServiceExt as _;

use super::*;
use crate::{
    ca::SystemClock,
    metrics::{
        observer::{Pages, Source},
        question::Access,
    },
};

#[derive(Debug)]
struct Nothing;

impl Source for Nothing {
    fn pages(&self) -> BoxFuture<'_, Pages> {
        async { Vec::new() }.boxed()
    }
}

/// Admits who sends `x-may`, to what it names.
struct ByHeader;

impl Admission for ByHeader {
    fn admit<'a>(
        &'a self,
        _: Option<&'a [u8]>,
        headers: &'a HeaderMap,
        access: Option<&'a Access>,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        let may = headers.get("x-may").and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
        let refused = |code, reason| Err(Refusal { code, reason, message: String::new() });
        let decision = match (may, access) {
            (None, _) => refused(401, "Unauthorized"),
            (Some(may), Some(access)) if may != access.resource => refused(403, "Forbidden"),
            _ => Ok(()),
        };
        async { decision }.boxed()
    }
}

async fn ask(router: &Router, method: &str, path: &str, may: Option<&str>) -> (u16, Value) {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(may) = may {
        request = request.header("x-may", may);
    }
    let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let code = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (code, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn requests_are_admitted_then_read_then_answered() {
    let observer = Arc::new(Observer::new(Box::new(Nothing), Arc::new(SystemClock), Duration::from_secs(30)));
    let api = Arc::new(Api::new(observer.clone(), World::default, Owners::of_kubernetes(), None));
    let router = router(api, Arc::new(ByHeader));
    const PODS: &str = "/apis/metrics.smi-spec.io/v1alpha1/pods";
    assert_eq!(ask(&router, "GET", PODS, Some("pods")).await.0, 503, "nothing was measured yet");
    observer.observe().await;
    let (code, list) = ask(&router, "GET", &format!("{PODS}?labelSelector=app%3Dweb&limit=500"), Some("pods")).await;
    assert_eq!((code, &list["kind"]), (200, &"TrafficMetricsList".into()));
    assert_eq!(list["selector"]["matchLabels"]["app"], "web");
    for (method, path, may, expected) in [
        ("GET", PODS, None, 401),
        ("GET", PODS, Some("services"), 403),
        ("GET", "/apis/metrics.smi-spec.io/v1alpha1", Some(""), 200),
        ("GET", "/apis/metrics.smi-spec.io/v1alpha1", None, 401),
        ("GET", "/elsewhere", Some(""), 404),
        ("GET", "/elsewhere", None, 401),
        ("POST", PODS, Some("pods"), 405),
        ("DELETE", PODS, Some("pods"), 405),
        ("GET", "/apis/metrics.smi-spec.io/v1alpha1/namespaces/a/pods/b", Some("pods"), 404),
    ] {
        let (code, body) = ask(&router, method, path, may).await;
        assert_eq!(code, expected, "{method} {path} {may:?}");
        if code != 200 {
            assert_eq!((&body["kind"], &body["code"]), (&"Status".into(), &code.into()));
        }
    }
}
