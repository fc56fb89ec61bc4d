//! The specification's own examples, and where it is silent.

use simulator::scenario::{Scenario, builder::traffic, model::Traffic};

use super::{Readings, Request, Share, Unknown, World};

/// Two services of one account, a third of another, and callers.
fn scenario(manifest: &str) -> Scenario {
    Scenario::new("oracle")
        .workload("website", |w| w)
        .workload("payments", |w| w)
        .workload("prometheus", |w| w)
        .workload("api", |w| w.service("api").service("web").port("http", 8080).port("tcp", 9000))
        .workload("api-next", |w| w.account("api").service("api-next").port("http", 8080))
        .workload("other", |w| w.service("other").port("http", 8080))
        .manifest("policy", manifest)
}

fn world(manifest: &str) -> World {
    let mut world = World::new(&scenario(manifest));
    world.apply("policy").unwrap();
    world
}

fn said(world: &World, traffic: &Traffic, readings: &Readings) -> Result<String, Unknown> {
    world.answer(&Request::new(traffic)?, readings).map(|answer| answer.to_string())
}

fn allowed(world: &World, traffic: &Traffic) -> bool {
    let answer = world.answer(&Request::new(traffic).unwrap(), &Readings::ours()).unwrap();
    assert!(answer.denied() == Share::NONE || answer.denied() == Share::ALL, "{answer}");
    answer.denied() == Share::NONE
}

/// traffic-access v1alpha3, lines 120-198.
const EXAMPLE: &str = r#"
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: api-service-routes}
spec:
  matches:
  - {name: api, pathRegex: /api, methods: ["*"]}
  - {name: metrics, pathRegex: /metrics, methods: [GET]}
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: api-service-metrics}
spec:
  destination: {kind: ServiceAccount, name: api}
  rules: [{kind: HTTPRouteGroup, name: api-service-routes, matches: [metrics]}]
  sources: [{kind: ServiceAccount, name: prometheus}]
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: api-service-api}
spec:
  destination: {kind: ServiceAccount, name: api}
  rules: [{kind: HTTPRouteGroup, name: api-service-routes, matches: [api]}]
  sources: [{kind: ServiceAccount, name: website}, {kind: ServiceAccount, name: payments}]
"#;

#[test]
fn the_table_of_the_specification_comes_out() {
    let world = world(EXAMPLE);
    for (from, path, method, expected) in [
        ("website", "/api", "GET", true),
        ("website", "/metrics", "GET", false),
        ("payments", "/api", "POST", true),
        ("payments", "/metrics", "GET", false),
        ("prometheus", "/api", "GET", false),
        ("prometheus", "/metrics", "GET", true),
        ("prometheus", "/metrics", "POST", false),
        ("other", "/api", "GET", false),
    ] {
        for service in ["api", "api-next"] {
            let mut sent = traffic(from, service).get(path);
            sent.method = Some(method.into());
            assert_eq!(allowed(&world, &sent), expected, "{from} → {service} {method} {path}");
        }
        assert!(!allowed(&world, &traffic(from, "other").get(path)), "another account is another destination");
    }
}

#[test]
fn an_answer_names_its_clauses_and_its_reasons() {
    let denied = said(&world(EXAMPLE), &traffic("website", "api").get("/apis"), &Readings::ours()).unwrap();
    assert!(denied.starts_with("1 of it is denied, because the rules for the sender do not describe it"), "{denied}");
    assert!(denied.contains("HR-02") && denied.contains("TT-04"), "{denied}");
    let prefix =
        said(&world(EXAMPLE), &traffic("website", "api").get("/apis"), &Readings::ours().but("HR-02", "prefix"));
    assert!(prefix.as_ref().is_ok_and(|text| text.starts_with("api gets 1 of it")), "{prefix:?}");
}

const SPLIT: &str = "
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: web}
spec:
  service: web
  backends: [{service: api, weight: 1000}, {service: api-next, weight: 500}, {service: nobody, weight: 7}]
";

#[test]
fn shares_are_exact_and_follow_the_readings() {
    let mut split = world(SPLIT);
    split.permissive = true;
    let answer =
        |readings: &Readings| split.answer(&Request::new(&traffic("website", "web")).unwrap(), readings).unwrap();
    let ours = answer(&Readings::ours());
    assert_eq!((ours.share("api"), ours.share("api-next")), (Share::new(2, 3), Share::new(1, 3)));
    let fails = answer(&Readings::ours().but("TS-07", "share-fails"));
    assert_eq!((fails.share("api"), fails.denied()), (Share::new(1000, 1507), Share::new(7, 1507)));
}

#[test]
fn nothing_is_guessed() {
    let world = world(EXAMPLE);
    let mut other_host = traffic("website", "api").get("/api");
    other_host.host = Some("other".into());
    for (sent, reason) in [
        (traffic("website", "nowhere"), "nowhere is no service"),
        (traffic("website", "pod:api:8080").get("/api"), "a mesh need not carry"),
        (traffic("website", "api").get("/%61pi"), "escaped characters"),
        (other_host, "Host header"),
    ] {
        let unknown = said(&world, &sent, &Readings::ours()).unwrap_err().to_string();
        assert!(unknown.contains(reason), "{unknown}");
    }
}

#[test]
fn what_no_schema_allows_is_refused_whole() {
    let mut world = World::new(&scenario(&SPLIT.replace("500", "0.5")));
    assert!(world.apply("policy").unwrap_err().contains("whole number"));
    assert_eq!(world.splits().count(), 0);
}
