use super::*;
use crate::{
    metrics::{
        flow::{Flow, Party},
        histogram::Histogram,
        resource::Owners,
    },
    testing::{self, pod},
    world::World,
};

const SPLIT: &str = "kind: Service\napiVersion: v1\nmetadata: {name: web}\n\
    spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{port: 80}]}\n---\n\
    apiVersion: split.smi-spec.io/v1alpha4\nkind: TrafficSplit\nmetadata: {name: s}\n\
    spec: {service: web, backends: [{service: web-v1, weight: 90}, {service: web-v2, weight: 10}]}\n";

fn world() -> World {
    testing::world(SPLIT, [pod("web-h-1", "web", "app=web,pod-template-hash=h"), pod("client", "client", "app=client")])
}

fn measured() -> Measured {
    let party = |kind: &str, name: &str, pod: &str| Party {
        namespace: "shop".into(),
        kind: kind.into(),
        name: name.into(),
        pod: pod.into(),
    };
    let flow = Flow {
        source: party("Pod", "client", "client"),
        destination: party("Deployment", "web", "web-h-1"),
        service: "web-v1".into(),
        split: "shop/s".into(),
    };
    let latency = Histogram::from_cumulative(&[(250_000, 10)].into(), 10);
    let traffic = Traffic([(flow, Counts { success: 7, failure: 3, latency })].into());
    Measured { traffic, at: 1_554_762_355, window: 30, gaps: BTreeMap::new() }
}

fn ask(
    path: &str,
    selector: Option<&str>,
    measured: &Measured,
    mutation: Option<MetricsMutation>,
) -> Result<Value, u16> {
    let world = world();
    let directory = Directory { world: &world, owners: &Owners::of_kubernetes() };
    let question = Question::read("GET", &format!("/apis/metrics.smi-spec.io/v1alpha1{path}"), selector);
    question.and_then(|q| answer(&q, measured, &directory, mutation)).map_err(|refusal| refusal.code)
}

fn counts(item: &Value) -> (String, String) {
    let of = |name: &str| {
        let metric = item["metrics"].as_array().unwrap().iter().find(|m| m["name"] == name).unwrap();
        metric["value"].as_str().unwrap().to_owned()
    };
    (of("success_count"), of("failure_count"))
}

fn pair(success: &str, failure: &str) -> (String, String) {
    (success.to_owned(), failure.to_owned())
}

#[test]
fn one_resource_has_all_that_it_received() {
    let web = ask("/namespaces/shop/deployments/web", None, &measured(), None).unwrap();
    let reference = json!({"kind": "Deployment", "namespace": "shop", "name": "web", "apiVersion": "apps/v1"});
    assert_eq!(web["resource"], reference);
    assert_eq!(web["edge"], json!({"direction": "from", "side": "client", "resource": {}}));
    assert_eq!((&web["timestamp"], &web["window"]), (&json!("2019-04-08T22:25:55Z"), &json!("30s")));
    assert_eq!(counts(&web), pair("7", "3"));
    assert_eq!(web["metrics"][1], json!({"name": "p90_response_latency", "unit": "seconds", "value": "225m"}));
    let client = ask("/namespaces/shop/pods/client", None, &measured(), None).unwrap();
    assert_eq!(counts(&client), pair("0", "0"), "it received nothing");
    for unknown in
        ["/namespaces/shop/deployments/wep", "/namespaces/other/pods/client", "/namespaces/other", "/nodes/n"]
    {
        assert_eq!(ask(unknown, None, &measured(), None), Err(404), "{unknown}");
    }
}

#[test]
fn a_list_has_everyone_and_a_selector_picks() {
    let all = ask("/namespaces/shop/pods", None, &measured(), None).unwrap();
    assert_eq!(all["resource"], json!({"kind": "Pod", "namespace": "shop", "apiVersion": "v1"}));
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
    assert_eq!(all.get("selector"), None);
    let some = ask("/pods", Some("app=web"), &measured(), None).unwrap();
    assert_eq!(some["selector"], json!({"matchLabels": {"app": "web"}}));
    assert_eq!(some["items"].as_array().unwrap().len(), 1);
    assert_eq!(counts(&some["items"][0]), pair("7", "3"));
    assert_eq!(ask("/services", Some("app=web"), &measured(), None), Err(400));
    assert_eq!(ask("/nodes", None, &measured(), None).unwrap()["items"], json!([]));
    assert_eq!(ask("/namespaces", None, &measured(), None).unwrap()["items"][0]["resource"]["name"], "shop");
}

#[test]
fn edges_name_peer_direction_and_side() {
    let edges = ask("/namespaces/shop/pods/web-h-1/edges", None, &measured(), None).unwrap();
    assert_eq!(edges["resource"]["name"], "web-h-1");
    let peer = json!({"kind": "Pod", "namespace": "shop", "name": "client", "apiVersion": "v1"});
    assert_eq!(edges["items"][0]["edge"], json!({"direction": "from", "side": "client", "resource": peer}));
    let none = ask("/namespaces/shop/pods/web-h-1/edges", Some("app=web"), &measured(), None).unwrap();
    assert_eq!(none["items"], json!([]));
    let swapped =
        ask("/namespaces/shop/pods/web-h-1/edges", None, &measured(), Some(MetricsMutation::EdgesSwapped)).unwrap();
    assert_eq!(swapped["items"][0]["edge"]["direction"], "to");
}

#[test]
fn a_split_has_a_row_for_each_backend() {
    let split = ask("/namespaces/shop/trafficsplits/s", None, &measured(), None).unwrap();
    let rows = split["items"].as_array().unwrap();
    assert_eq!(rows[0]["backend"], json!({"apex": "web", "name": "web-v1", "weight": 90}));
    assert_eq!(rows.iter().map(counts).collect::<Vec<_>>(), [pair("7", "3"), pair("0", "0")]);
}

#[test]
fn mutations_are_wrong_in_their_own_way() {
    let of = |mutation| counts(&ask("/namespaces/shop/deployments/web", None, &measured(), Some(mutation)).unwrap());
    assert_eq!(of(MetricsMutation::Doubled), pair("14", "6"));
    assert_eq!(of(MetricsMutation::FailuresAsSuccesses), pair("10", "0"));
    assert_eq!(of(MetricsMutation::EdgesSwapped), pair("7", "3"));
}

#[test]
fn silent_sidecars_are_told_but_none_of_other_namespaces_by_name() {
    let gaps = BTreeMap::from([(ObjectName::new("other", "x"), "timeout".to_owned())]);
    let measured = Measured { gaps, ..measured() };
    let told = |path| ask(path, None, &measured, None).unwrap()["metadata"]["annotations"][GAPS].clone();
    assert_eq!(told("/pods"), "1: other/x (timeout)");
    assert_eq!(told("/namespaces/shop/pods"), "1: of other namespaces");
    assert_eq!(told("/namespaces/shop/pods/client"), "1: of other namespaces");
}

#[test]
fn discovery_names_every_kind() {
    let resources = ask("", None, &measured(), None).unwrap();
    let all = resources["resources"].as_array().unwrap();
    assert_eq!(all.len(), 11);
    for resource in all {
        assert_eq!((&resource["kind"], &resource["verbs"]), (&json!("TrafficMetrics"), &json!(["get", "list"])));
        let cluster_wide = ["namespaces", "nodes"].contains(&resource["name"].as_str().unwrap());
        assert_eq!(resource["namespaced"], !cluster_wide);
    }
}
