//! The webhooks as the API server meets them.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{
    super::{MAX_BODY, conversion_router, convert_review, review, router, webhook},
    around, request, split,
};
use crate::{
    api::crd::{WebhookClient, definitions},
    testing::cases,
};

async fn post(router: Router, path: &str, kind: &str, body: impl Into<Body>) -> (StatusCode, Value) {
    let request = Request::post(path).header("content-type", kind).body(body.into()).expect("a request");
    let response = router.oneshot(request).await.expect("a router always answers");
    let (status, body) = (response.status(), to_bytes(response.into_body(), usize::MAX).await.expect("a whole body"));
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn a_review_over_http() {
    let validator = || router(|| around(""));
    let good = json!({ "request": request("CREATE", &split("s", "web", &[("v1", 1)]), &Value::Null) });
    let (status, answer) = post(validator(), "/validate", "application/json; charset=utf-8", good.to_string()).await;
    assert_eq!((status, &answer["response"]["allowed"]), (StatusCode::OK, &json!(true)), "{answer}");
    let bad = json!({ "request": request("CREATE", &split("s", "web", &[("v1", 0)]), &Value::Null) });
    let (status, answer) = post(validator(), "/validate", "application/json", bad.to_string()).await;
    assert_eq!((status, &answer["response"]["allowed"]), (StatusCode::OK, &json!(false)), "{answer}");
    for (kind, body, refused) in [
        ("text/plain", good.to_string(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("application/json", "{".to_owned(), StatusCode::BAD_REQUEST),
        ("application/json", "[".repeat(100_000), StatusCode::BAD_REQUEST),
        ("application/json", " ".repeat(MAX_BODY + 1), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        assert_eq!(post(validator(), "/validate", kind, body).await.0, refused);
    }
}

#[tokio::test]
async fn a_conversion_over_http() {
    let ask = |objects: Value| json!({ "request": { "uid": "9", "desiredAPIVersion": "split.smi-spec.io/v1alpha1", "objects": objects } });
    let object = split("s", "web", &[("v1", 1)]);
    let body = ask(json!([object])).to_string();
    let (status, answer) = post(conversion_router(), "/convert", "application/json", body).await;
    let response = &answer["response"];
    assert_eq!(
        (status, &response["uid"], &response["result"]["status"]),
        (StatusCode::OK, &json!("9"), &json!("Success"))
    );
    assert_eq!(response["convertedObjects"][0]["apiVersion"], "split.smi-spec.io/v1alpha1");
    let foreign = json!({ "kind": "Pod", "apiVersion": "v1", "metadata": { "name": "p", "namespace": "n" } });
    let failed = convert_review(&ask(json!([object, foreign])));
    assert_eq!(failed["response"]["result"]["status"], "Failure");
    let message = failed["response"]["result"]["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("Pod n/p: "), "{message}");
}

#[test]
fn the_api_server_asks_for_every_kind_that_has_a_crd() {
    let configuration = webhook::configuration("osm", "osm-system", &WebhookClient::default());
    let asked: Vec<_> = configuration["webhooks"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|webhook| webhook["rules"].as_array().into_iter().flatten())
        .flat_map(|rule| {
            let resources = rule["resources"].as_array().into_iter().flatten().filter_map(Value::as_str);
            resources.map(|plural| format!("{plural}.{}", rule["apiGroups"][0].as_str().unwrap_or_default()))
        })
        .collect();
    for definition in definitions(&WebhookClient::default()).expect("CRDs") {
        let name = definition["metadata"]["name"].as_str().expect("a name");
        assert!(asked.iter().any(|asked| asked == name), "{name}");
    }
}

/// JSON with the words of reviews and objects in it.
fn any_json() -> impl Strategy<Value = Value> {
    let word = || {
        select(vec![
            "request",
            "object",
            "oldObject",
            "operation",
            "uid",
            "metadata",
            "name",
            "namespace",
            "spec",
            "kind",
            "apiVersion",
            "role",
            "provider",
            "tresor",
            "backends",
            "matches",
            "apiGroup",
            "rateLimit",
            "local",
            "http",
            "httpRoutes",
            "responseStatusCode",
            "CREATE",
            "UPDATE",
            "MeshRootCertificate",
            "Egress",
            "UpstreamTrafficSetting",
            "TrafficSplit",
            "split.smi-spec.io/v1alpha4",
            "objects",
            "desiredAPIVersion",
            "active",
            "annotations",
        ])
    };
    let leaf = prop_oneof![
        4 => word().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            1 => vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => vec((word(), inner), 0..6).prop_map(|e| e.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn no_review_panics(any in any_json(), kind in select(vec!["MeshRootCertificate", "Egress", "TrafficSplit"]), old in any_json()) {
        let around = around("");
        let answer = review(&any, &around);
        prop_assert_eq!(answer.allowed, answer.message.is_none());
        let _ = convert_review(&any);
        let mut object = any;
        if object.is_object() {
            object["kind"] = kind.into();
        }
        let _ = review(&request("UPDATE", &object, &old), &around);
    }
}
