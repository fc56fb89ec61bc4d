use serde_json::json;

use super::*;

fn item(name: &str, edge: &Value, success: &str, failure: &str) -> Value {
    json!({
        "kind": "TrafficMetrics",
        "resource": {"kind": "Deployment", "namespace": "default", "name": name},
        "edge": edge,
        "timestamp": "2019-04-08T22:25:55Z",
        "window": "1m30s",
        "metrics": [
            {"name": "p99_response_latency", "unit": "ms", "value": "300"},
            {"name": "p90_response_latency", "unit": "seconds", "value": "250m"},
            {"name": "p50_response_latency", "unit": "seconds", "value": "200m"},
            {"name": "success_count", "value": success},
            {"name": "failure_count", "value": failure},
        ],
    })
}

fn edge(direction: &str, peer: &str) -> Value {
    json!({"direction": direction, "side": "client", "resource": {"kind": "Deployment", "namespace": "default", "name": peer}})
}

fn list(items: &[Value]) -> Answer {
    let resource = json!({"kind": "Deployment", "namespace": "default", "name": "web"});
    Answer { code: 200, body: json!({"kind": "TrafficMetricsList", "resource": resource, "items": items}) }
}

fn wanted(yaml: &str) -> TrafficMetrics {
    serde_saphyr::from_str(&format!("{{kind: Deployment, name: web, edges: true, {yaml}}}")).unwrap()
}

#[test]
fn rows_are_found_by_what_describes_them() {
    let answer = list(&[item("web", &edge("from", "a"), "7", "1"), item("web", &edge("to", "b"), "3", "0")]);
    for holds in [
        "rows: [{peer: a, direction: from, successCount: 7, failureCount: 1}, {peer: b, side: client}], only: true",
        "rows: [{peer: c, successCount: 0}], absent: [{peer: a, direction: to}, {peer: a, peerNamespace: other}]",
        "total: {successCount: 10, failureCount: 1}",
        "rows: [{peer: a, latency: {p50AtLeast: 200ms, p50AtMost: 200ms, p99AtLeast: 300ms, p99AtMost: 300ms}}]",
        "rows: [{peer: b, successAtLeast: 3, successAtMost: 3}]",
    ] {
        assert_eq!(wrong(&wanted(holds), &answer), Vec::<String>::new(), "{holds}");
    }
    for fails in [
        "rows: [{peer: a, successCount: 8}]",
        "rows: [{peer: a, failureCount: 0}]",
        "rows: [{peer: a, direction: to}]",
        "rows: [{peer: a, side: server}]",
        "rows: [{peer: c, successCount: 1}]",
        "rows: [{peer: a, successCount: 7}], only: true",
        "absent: [{peer: a}]",
        "total: {successCount: 11}",
        "rows: [{peer: a, latency: {p50AtLeast: 201ms}}]",
        "rows: [{peer: a, latency: {p99AtMost: 299ms}}]",
        "rows: [{peer: b, successAtLeast: 4}]",
        "rows: [{peer: b, successAtMost: 2}]",
        "refused: [404]",
    ] {
        assert_eq!(wrong(&wanted(fails), &answer).len(), 1, "{fails}");
    }
}

#[test]
fn what_breaks_the_form_fails_whatever_is_wanted() {
    let wanted = wanted("rows: [{peer: a, successCount: 7}]");
    let spoil = |pointer: &str, value: Value| {
        let mut item = item("web", &edge("from", "a"), "7", "1");
        *item.pointer_mut(pointer).unwrap() = value;
        wrong(&wanted, &list(&[item]))
    };
    assert!(spoil("/window", json!("1h")).is_empty());
    for (pointer, value) in [
        ("/timestamp", json!("yesterday")),
        ("/window", json!(30)),
        ("/edge/direction", json!("both")),
        ("/edge/side", json!("middle")),
        ("/resource/kind", json!("Pod")),
        ("/metrics/0/value", json!("0")),
        ("/metrics/1/unit", json!("minutes")),
        ("/metrics/3/name", json!("requests")),
        ("/metrics/3/value", json!("many")),
    ] {
        assert_eq!(spoil(pointer, value.clone()).len(), 1, "{pointer} {value}");
    }
    let refused = Answer { code: 404, body: json!("") };
    assert_eq!(wrong(&wanted, &refused).len(), 1);
    assert!(wrong(&TrafficMetrics { refused: vec![404], ..wanted }, &refused).is_empty());
}

#[test]
fn discovery_lists_kinds_with_both_verbs() {
    let wanted = TrafficMetrics { discovery: vec![MeasuredKind::Pod, MeasuredKind::Namespace], ..Default::default() };
    let body = |verbs: &[&str]| {
        let of = |name: &str, namespaced: bool| json!({"name": name, "namespaced": namespaced, "kind": "TrafficMetrics", "verbs": verbs});
        Answer { code: 200, body: json!({"resources": [of("pods", true), of("namespaces", false)]}) }
    };
    assert!(wrong(&wanted, &body(&["get", "list"])).is_empty());
    assert_eq!(wrong(&wanted, &body(&["get"])).len(), 2);
}
