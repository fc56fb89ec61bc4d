mod policies;
mod roots;
mod server;

use serde_json::{Value, json};

use super::{Finding, Severity, Surroundings, judge, review};
use crate::{testing, world::World};

/// Services `web`, `v1` and `v2` in `shop`.
fn services() -> World {
    let service = |name: &str| {
        format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{selector: {{app: {name}}}, ports: [{{port: 80, targetPort: 8080}}]}}}}\n"
        )
    };
    testing::world(&["web", "v1", "v2"].map(service).join("---\n"), [])
}

/// The services, and these manifests.
fn around(yaml: &str) -> Surroundings {
    let mut world = services();
    testing::add(&mut world, yaml);
    Surroundings { world, root_certificates: Vec::new() }
}

fn object(api_version: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": name, "namespace": "shop" }, "spec": spec })
}

fn split(name: &str, root: &str, backends: &[(&str, u64)]) -> Value {
    let backends: Vec<_> = backends.iter().map(|(s, w)| json!({ "service": s, "weight": w })).collect();
    object("split.smi-spec.io/v1alpha4", "TrafficSplit", name, &json!({ "service": root, "backends": backends }))
}

fn group(matches: &Value) -> Value {
    object("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", "g", &json!({ "matches": matches }))
}

/// The rules that refuse an object, and those that only remark on it.
fn told(found: &[Finding]) -> (Vec<&'static str>, Vec<&'static str>) {
    let of = |severity| found.iter().filter(|f| f.severity == severity).map(|f| f.rule).collect();
    (of(Severity::Error), of(Severity::Warning))
}

fn refused(object: &Value, around: &Surroundings) -> Vec<&'static str> {
    told(&judge(object, None, around)).0
}

fn remarked(object: &Value, around: &Surroundings) -> Vec<&'static str> {
    told(&judge(object, None, around)).1
}

const NONE: [&str; 0] = [];

#[test]
fn a_target_lies_with_its_destination() {
    let target = |namespace: &str| {
        object(
            "access.smi-spec.io/v1alpha3",
            "TrafficTarget",
            "t",
            &json!({
                "destination": { "kind": "ServiceAccount", "name": "web", "namespace": namespace },
                "rules": [{ "kind": "HTTPRouteGroup", "name": "g" }],
                "sources": [{ "kind": "ServiceAccount", "name": "x" }],
            }),
        )
    };
    let around = around("");
    assert_eq!(refused(&target("other"), &around), ["ForeignTarget"]);
    assert_eq!(refused(&target("shop"), &around), NONE);
    // The group may still come.
    assert_eq!(remarked(&target("shop"), &around), ["NotFound"]);
}

#[test]
fn a_root_has_one_split() {
    let around = around(&split("elder", "web", &[("v1", 1)]).to_string());
    assert_eq!(refused(&split("s", "web", &[("v2", 1)]), &around), ["ConflictingSplit"]);
    assert_eq!(refused(&split("s", "web.shop.svc.cluster.local", &[("v2", 1)]), &around), ["ConflictingSplit"]);
    assert_eq!(refused(&split("elder", "web", &[("v2", 1)]), &around), NONE);
    assert_eq!(refused(&split("s", "v2", &[("v1", 1)]), &around), NONE);
}

#[test]
fn splits_do_not_go_round_in_circles() {
    let second = split("second", "v1", &[("v2", 1)]).to_string();
    assert_eq!(refused(&split("s", "v2", &[("web", 1)]), &around(&second)), NONE);
    let around = around(&format!("{second}\n---\n{}", split("third", "v2", &[("web", 1), ("v2x", 0)])));
    assert_eq!(refused(&split("s", "web", &[("v1", 1)]), &around), ["CyclicSplit"]);
    assert_eq!(remarked(&split("s", "other", &[("v1", 1)]), &around), ["NotFound", "NestedSplit"]);
}

#[test]
fn a_root_is_not_among_its_backends() {
    let around = around("");
    assert_eq!(refused(&split("s", "web", &[("web.shop", 1), ("v1", 1)]), &around), ["SelfReference"]);
    assert_eq!(refused(&split("s", "web", &[("v1", 1)]), &around), NONE);
}

#[test]
fn a_split_has_weight_once_for_each_backend_of_its_namespace() {
    let around = around("");
    assert_eq!(refused(&split("s", "web", &[("v1", 0)]), &around), ["NoWeight"]);
    assert_eq!(refused(&split("s", "web", &[]), &around), ["NoWeight"]);
    assert_eq!(refused(&split("s", "web", &[("v1", 1), ("v1.shop", 1)]), &around), ["DuplicateBackend"]);
    assert_eq!(refused(&split("s", "web", &[("soon", 1), ("soon.shop", 1)]), &around), ["DuplicateBackend"]);
    assert_eq!(refused(&split("s", "web", &[("v1.other", 1)]), &around), ["ForeignService"]);
    // A backend may still come; that is no lack of weight.
    let soon = split("s", "web", &[("soon", 1)]);
    assert_eq!((refused(&soon, &around), remarked(&soon, &around)), (vec![], vec!["NotFound"]));
}

#[test]
fn expressions_are_those_of_re2() {
    let around = around("");
    assert_eq!(refused(&group(&json!([{"name": "a", "pathRegex": "/(?!x)"}])), &around), ["InvalidRegex"]);
    assert_eq!(refused(&group(&json!([{"name": "a", "headers": {"x": "("}}])), &around), ["InvalidRegex"]);
    assert_eq!(refused(&group(&json!([{"name": "a", "pathRegex": "/[a-z]+"}])), &around), NONE);
}

#[test]
fn a_name_means_one_match_and_is_there_for_those_who_use_it() {
    let target = "
kind: TrafficTarget
apiVersion: access.smi-spec.io/v1alpha3
metadata: {name: t}
spec:
  destination: {kind: ServiceAccount, name: web}
  rules: [{kind: HTTPRouteGroup, name: g, matches: [a]}]
  sources: [{kind: ServiceAccount, name: x}]
";
    let around = around(target);
    assert_eq!(refused(&group(&json!([{"name": "a"}, {"name": "a"}])), &around), ["DuplicateMatch"]);
    let (good, lost) = (group(&json!([{"name": "a"}])), group(&json!([{"name": "b"}])));
    assert_eq!((refused(&good, &around), remarked(&good, &around)), (vec![], vec![]));
    assert_eq!((refused(&lost, &around), remarked(&lost, &around)), (vec![], vec!["MatchNotFound"]));
}

#[test]
fn what_cannot_be_read_is_refused_with_its_field() {
    let mut bad = split("s", "web", &[("v1", 1)]);
    bad["spec"]["backends"][0]["weight"] = json!(-1);
    let found = judge(&bad, None, &around(""));
    assert_eq!((found[0].rule, &*found[0].field), ("Unreadable", "spec.backends[0].weight"));
    let settings = |spec: &Value| object("config.openservicemesh.io/v1alpha2", "MeshConfig", "osm-mesh-config", spec);
    let bad = json!({ "sidecar": { "tlsMinProtocolVersion": "TLSv1_3", "tlsMaxProtocolVersion": "TLSv1_2" } });
    assert_eq!(refused(&settings(&bad), &around("")), ["Unreadable"]);
    assert_eq!(refused(&settings(&json!({})), &around("")), NONE);
}

fn request(operation: &str, object: &Value, old: &Value) -> Value {
    json!({ "uid": "7", "operation": operation, "object": object, "oldObject": old })
}

#[test]
fn old_mistakes_stay_editable() {
    let around = around("");
    let before = split("s", "web", &[("v1", 1), ("v1.shop", 1)]);
    let mut after = before.clone();
    after["metadata"]["labels"] = json!({ "team": "a" });
    let answer = review(&request("UPDATE", &after, &before), &around);
    assert!(answer.allowed && answer.warnings.iter().any(|w| w.contains("more than once")), "{answer:?}");
    after["spec"]["backends"][0]["weight"] = json!(0);
    after["spec"]["backends"][1]["weight"] = json!(0);
    let answer = review(&request("UPDATE", &after, &before), &around);
    assert!(!answer.allowed && !answer.message.as_deref().unwrap_or_default().contains("once"), "{answer:?}");
}

#[test]
fn what_goes_away_is_let_go() {
    let bad = split("s", "web", &[]);
    let allowed = |operation: &str, object: &Value| review(&request(operation, object, &bad), &around("")).allowed;
    assert!(!allowed("CREATE", &bad));
    assert!(allowed("DELETE", &Value::Null));
    let mut going = bad.clone();
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert!(allowed("UPDATE", &going));
    assert!(!allowed("CREATE", &Value::Null));
}

#[test]
fn an_answer_names_field_and_remedy() {
    let answer = review(&request("CREATE", &split("s", "web", &[("v1", 0)]), &Value::Null), &around("")).review();
    assert_eq!(answer["response"]["uid"], "7");
    assert_eq!(answer["response"]["allowed"], false);
    let message = answer["response"]["status"]["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("spec.backends: ") && message.contains("give one a weight"), "{message}");
}
