//! Every kind of several versions, written in one and read in each other through the API server.

use kube::Client;
use mesh::{
    api::{self, Manifest},
    world::Object,
};
use serde_json::{Value, json};

use super::harness::{Test, call, client, collection, crds, namespace, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("conversion::traffic_targets", targets),
        test("conversion::http_route_groups", groups),
        test("conversion::tcp_routes", tcp_routes),
        test("conversion::traffic_splits", splits),
        test("conversion::what_cannot_be_converted_is_told", refused),
    ]
}

/// What each version can say, oldest first: what is beside `metadata`.
type Examples = Vec<Value>;

async fn targets() {
    let destination = json!({ "kind": "ServiceAccount", "name": "store" });
    let with_port = json!({ "kind": "ServiceAccount", "name": "store", "port": 8080 });
    let rules = json!([{ "kind": "HTTPRouteGroup", "name": "g", "matches": ["a", "b"] }]);
    let sources = json!([{ "kind": "ServiceAccount", "name": "x", "namespace": "other" }]);
    let examples = vec![
        json!({ "destination": with_port, "specs": rules, "sources": sources }),
        json!({ "spec": { "destination": with_port, "rules": rules, "sources": sources } }),
        json!({ "spec": { "destination": destination, "rules": rules, "sources": sources } }),
    ];
    every_way("access.smi-spec.io", "TrafficTarget", "traffictargets", examples).await;
}

async fn groups() {
    let plain = json!([{ "name": "a", "pathRegex": "/a/.*", "methods": ["GET"] }, { "name": "b", "methods": ["*"] }]);
    let mut headers = plain.clone();
    headers[0]["headers"] = json!({ "client": "x-.*", "y": "2" });
    let examples = vec![
        json!({ "matches": plain }),
        json!({ "matches": headers }),
        json!({ "spec": { "matches": headers } }),
        json!({ "spec": { "matches": headers } }),
    ];
    every_way("specs.smi-spec.io", "HTTPRouteGroup", "httproutegroups", examples).await;
}

async fn tcp_routes() {
    let examples =
        vec![json!({}), json!({}), json!({ "spec": {} }), json!({ "spec": { "matches": { "ports": [3306, 6446] } } })];
    every_way("specs.smi-spec.io", "TCPRoute", "tcproutes", examples).await;
}

async fn splits() {
    let backends =
        |one: Value, two: Value| json!([{ "service": "v1", "weight": one }, { "service": "v2", "weight": two }]);
    let whole = backends(json!(90), json!(10));
    let matches = json!([{ "kind": "HTTPRouteGroup", "name": "g", "apiGroup": "specs.smi-spec.io" }]);
    let examples = vec![
        json!({ "spec": { "service": "web", "backends": backends(json!("1"), json!("500m")) } }),
        json!({ "spec": { "service": "web", "backends": whole } }),
        json!({ "spec": { "service": "web", "backends": whole, "matches": matches } }),
        json!({ "spec": { "service": "web", "backends": whole, "matches": matches } }),
    ];
    every_way("split.smi-spec.io", "TrafficSplit", "trafficsplits", examples).await;
}

/// The object without what the API server adds; `with` is what is said besides `metadata`.
fn said(object: &Value) -> Value {
    let mut object = object.clone();
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.retain(|field, _| ["name", "namespace", "annotations"].contains(&field.as_str()));
    object
}

async fn every_way(group: &str, kind: &str, plural: &str, examples: Examples) {
    let client = client().await;
    crds(&client).await;
    let ns = namespace(&client, "convert").await;
    let versions: Vec<_> = (1..=examples.len()).map(|i| format!("v1alpha{i}")).collect();
    let at = |version: &str| collection(&ns, &format!("{plural}.{group}/{version}"));
    let mut names = Vec::new();
    for (version, example) in versions.iter().zip(&examples) {
        let mut object = example.clone();
        let name = format!("from-{version}");
        object["apiVersion"] = format!("{group}/{version}").into();
        object["kind"] = kind.into();
        object["metadata"] = json!({ "name": name, "namespace": ns, "annotations": { "team": "a" } });
        let written = call(&client, "POST", &at(version), &object).await.object();
        assert_eq!(said(&written), object, "nothing was pruned");
        read_everywhere(&client, &versions, &at, &written).await;
        names.push(name);
    }
    for version in &versions {
        let list = call(&client, "GET", &at(version), &Value::Null).await.object();
        let items = list["items"].as_array().unwrap();
        let listed: Vec<_> = items.iter().map(|o| o["metadata"]["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(listed, names);
        let own = format!("{group}/{version}");
        assert!(items.iter().all(|o| o["apiVersion"] == own.as_str()), "{items:?}");
    }
}

/// Read in each version it means the same, and written back in that version it is what it was.
async fn read_everywhere(client: &Client, versions: &[String], at: &impl Fn(&str) -> String, written: &Value) {
    let name = written["metadata"]["name"].as_str().unwrap();
    let own = written["apiVersion"].as_str().unwrap().rsplit('/').next().unwrap();
    for version in versions {
        let path = format!("{}/{name}", at(version));
        let there = call(client, "GET", &path, &Value::Null).await.object();
        assert!(there["apiVersion"].as_str().unwrap().ends_with(version.as_str()), "{there}");
        assert_eq!(meaning(&there), meaning(written), "{name} read in {version}: {there}");
        let mut touched = there.clone();
        touched["metadata"]["labels"] = json!({ "by": version });
        call(client, "PUT", &path, &touched).await.object();
        let back = call(client, "GET", &format!("{}/{name}", at(own)), &Value::Null).await.object();
        assert_eq!(said(&back), said(written), "{name} over {version}");
    }
}

/// What the mesh makes of it. Weights are proportions.
fn meaning(object: &Value) -> Manifest {
    let mut read = api::read(object).unwrap();
    if let Manifest::Object(Object::TrafficSplit(split)) = &mut read {
        let total: u64 = split.backends.iter().map(|b| b.weight).sum();
        split.backends.iter_mut().for_each(|b| b.weight = b.weight * 1_000_000 / total);
    }
    read
}

/// An older client's weight that no whole number can tell.
async fn refused() {
    let client = client().await;
    crds(&client).await;
    let ns = namespace(&client, "convert").await;
    let object = json!({
        "apiVersion": "split.smi-spec.io/v1alpha1", "kind": "TrafficSplit", "metadata": { "name": "s" },
        "spec": { "service": "web", "backends": [{ "service": "v1", "weight": "many" }] },
    });
    let path = collection(&ns, "trafficsplits.split.smi-spec.io/v1alpha1");
    let refusal = call(&client, "POST", &path, &object).await;
    assert!(refusal.refusal().contains("spec.backends[0].weight"), "{refusal:?}");
}
