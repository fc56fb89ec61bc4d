use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};

use super::convert;
use crate::{
    api::{Manifest, crd, read},
    testing::cases,
    world::Object,
};

fn object(kind: &str, version: &str, content: &Value) -> Value {
    let group = match kind {
        "TrafficTarget" => "access",
        "TrafficSplit" => "split",
        _ => "specs",
    };
    let mut object = json!({
        "apiVersion": format!("{group}.smi-spec.io/{version}"), "kind": kind,
        "metadata": {"name": "n", "namespace": "shop", "uid": "1", "annotations": {"team": "a"}},
        "status": {"conditions": []},
    });
    for (field, value) in content.as_object().expect("content is a mapping") {
        object[field] = value.clone();
    }
    object
}

/// Anything that a served version can say.
fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![target(), group(), tcp_route(), split()]
}

fn target() -> impl Strategy<Value = Value> {
    let port = option::of(1_u16..);
    let matches = option::of(vec(select(vec!["a", "b"]), 0..3));
    (select(vec![1, 2, 3]), port, option::of(matches), any::<bool>()).prop_map(|(version, port, rule, sources)| {
        let mut destination = json!({"kind": "ServiceAccount", "name": "web", "namespace": "shop"});
        if let (Some(port), 1 | 2) = (port, version) {
            destination["port"] = port.into();
        }
        let mut content = json!({"destination": destination});
        if let Some(matches) = rule {
            let mut rule = json!({"kind": "HTTPRouteGroup", "name": "g"});
            matches.into_iter().for_each(|m| rule["matches"] = json!(m));
            content[if version == 1 { "specs" } else { "rules" }] = json!([rule]);
        }
        if sources {
            content["sources"] = json!([{"kind": "ServiceAccount", "name": "x"}]);
        }
        let content = if version == 1 { content } else { json!({ "spec": content }) };
        object("TrafficTarget", &format!("v1alpha{version}"), &content)
    })
}

fn group() -> impl Strategy<Value = Value> {
    let headers = prop_oneof![Just(json!({"x": "1", "y": ".*"})), Just(json!([{"x": "1"}])), Just(json!({}))];
    let one = (select(vec!["a", "b", "c"]), option::of(Just("/.*")), option::of(Just("GET")), option::of(headers));
    (1..=4, vec(one, 0..5)).prop_map(|(version, matches)| {
        let entry = |(name, path, method, headers): (&str, Option<&str>, Option<&str>, Option<Value>)| {
            let mut entry = json!({ "name": name });
            path.into_iter().for_each(|path| entry["pathRegex"] = path.into());
            method.into_iter().for_each(|method| entry["methods"] = json!([method]));
            headers.into_iter().filter(|_| version > 1).for_each(|headers| entry["headers"] = headers);
            entry
        };
        let content = json!({"matches": matches.into_iter().map(entry).collect::<Vec<_>>()});
        let content = if version < 3 { content } else { json!({ "spec": content }) };
        object("HTTPRouteGroup", &format!("v1alpha{version}"), &content)
    })
}

fn tcp_route() -> impl Strategy<Value = Value> {
    (1..=4, vec(1_u16.., 0..3)).prop_map(|(version, ports)| {
        let content = match version {
            4 => json!({"spec": {"matches": {"ports": ports}}}),
            3 => json!({"spec": {}}),
            _ => json!({}),
        };
        object("TCPRoute", &format!("v1alpha{version}"), &content)
    })
}

fn split() -> impl Strategy<Value = Value> {
    let quantity = prop_oneof![
        3 => (0_u64..2000).prop_map(|n| json!(n)),
        2 => (0_u64..5000).prop_map(|n| json!(format!("{n}m"))),
        1 => select(vec![json!("1"), json!("0.25"), json!("1k"), json!("1e2")]),
    ];
    let backends = vec((select(vec!["a", "b", "c"]), quantity, 0_u64..1000), 0..4);
    let matches = option::of(vec(select(vec!["g", "h"]), 0..3));
    (1..=4, backends, matches).prop_map(|(version, backends, matches)| {
        let backend = |(service, quantity, weight): (&str, Value, u64)| {
            json!({"service": service, "weight": if version == 1 { quantity } else { weight.into() }})
        };
        let mut spec = json!({"service": "root", "backends": backends.into_iter().map(backend).collect::<Vec<_>>()});
        if let (Some(matches), 3 | 4) = (matches, version) {
            let reference = |name| json!({"kind": "HTTPRouteGroup", "name": name});
            spec["matches"] = matches.into_iter().map(reference).collect();
        }
        object("TrafficSplit", &format!("v1alpha{version}"), &json!({ "spec": spec }))
    })
}

/// What an object means. Weights only count in proportion.
fn meaning(object: &Value) -> Manifest {
    let mut read = read(object).unwrap_or_else(|fault| panic!("{fault}\n{object:#}"));
    if let Manifest::Object(Object::TrafficSplit(split)) = &mut read {
        let total: u64 = split.backends.iter().map(|b| b.weight).sum();
        split.backends.iter_mut().for_each(|b| b.weight = b.weight * 1_000_000_000 / total.max(1));
    }
    read
}

fn versions(object: &Value) -> Vec<String> {
    crd::served(object["kind"].as_str().expect("a kind"))
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn there_and_back_is_where_it_was(object in anything()) {
        let own = object["apiVersion"].as_str().expect("a version").to_owned();
        for version in versions(&object) {
            let there = convert(object.clone(), &version).expect("it can be told");
            prop_assert_eq!(there["apiVersion"].as_str(), Some(&*version));
            prop_assert_eq!(&convert(there.clone(), &own).expect("and back"), &object, "over {:#}", there);
        }
    }

    #[test]
    fn no_conversion_changes_what_is_allowed(object in anything()) {
        for version in versions(&object) {
            let there = convert(object.clone(), &version).expect("it can be told");
            prop_assert_eq!(meaning(&there), meaning(&object), "{:#}", there);
        }
    }

    #[test]
    fn any_road_leads_to_the_same_place(object in anything()) {
        let all = versions(&object);
        let newest = all.last().expect("a version");
        let straight = convert(object.clone(), newest).expect("it can be told");
        for by in &all {
            let round = convert(convert(object.clone(), by).expect("there"), newest).expect("and on");
            prop_assert_eq!(&round, &straight, "by {}", by);
        }
    }
}

#[test]
fn weights_keep_their_proportion() {
    let split = object(
        "TrafficSplit",
        "v1alpha1",
        &json!({"spec": {"service": "r", "backends": [{"service": "a", "weight": 1}, {"service": "b", "weight": "500m"}]}}),
    );
    let mut whole = convert(split, "split.smi-spec.io/v1alpha4").expect("whole weights");
    let weights = |o: &Value| [o["spec"]["backends"][0]["weight"].clone(), o["spec"]["backends"][1]["weight"].clone()];
    assert_eq!(weights(&whole), [json!(1000), json!(500)]);
    // Edited since: the quantities are history.
    whole["spec"]["backends"][1]["weight"] = json!(700);
    let back = convert(whole, "split.smi-spec.io/v1alpha1").expect("quantities");
    assert_eq!(weights(&back), [json!(1000), json!(700)]);
    assert_eq!(back["metadata"]["annotations"], json!({"team": "a"}));
}

#[test]
fn a_narrow_target_stays_narrow_in_yaml_too() {
    let target = object(
        "TrafficTarget",
        "v1alpha2",
        &json!({"spec": {"destination": {"kind": "ServiceAccount", "name": "web", "port": 8080}}}),
    );
    let stored = convert(target, "access.smi-spec.io/v1alpha3").expect("v1alpha3");
    let port = |o: &Value| match read(o) {
        Ok(Manifest::Object(Object::TrafficTarget(target))) => Ok(target.destination_port),
        Ok(other) => panic!("{other:?}"),
        Err(fault) => Err(fault.to_string()),
    };
    assert_eq!(port(&stored), Ok(Some(8080)));
    let mut bad = stored;
    bad["metadata"]["annotations"][super::DESTINATION_PORT] = json!("any");
    assert!(port(&bad).expect_err("not a port").contains("destination-port"));
    // A reader of the older version gets an answer all the same.
    assert!(convert(bad, "access.smi-spec.io/v1alpha2").is_ok());
}

#[test]
fn what_cannot_be_converted_says_why() {
    let fault = |object: Value, to: &str| convert(object, to).expect_err("must fail").to_string();
    let group = object("HTTPRouteGroup", "v1alpha1", &json!({"matches": []}));
    assert!(fault(group.clone(), "specs.smi-spec.io/v9").contains("v1alpha4"));
    assert!(fault(json!({"kind": "Pod", "apiVersion": "v1"}), "v2").contains("no version"));
    assert!(fault(json!([]), "v1").contains("an object"));
    let mut spoilt = group;
    spoilt["metadata"]["annotations"][super::annotation::HEADERS] = json!("{");
    assert!(fault(spoilt, "specs.smi-spec.io/v1alpha4").contains("headers"));
    let split = json!({"spec": {"service": "r", "backends": [{"service": "a", "weight": "heavy"}]}});
    let split = object("TrafficSplit", "v1alpha1", &split);
    assert!(fault(split, "split.smi-spec.io/v1alpha2").starts_with("spec.backends[0].weight"));
}

/// Any JSON, of a kind that is served.
fn any_shape() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z0-9{\\[\"]{0,6}".prop_map(Value::from)
    ];
    let names = select(vec![
        "metadata",
        "annotations",
        "spec",
        "matches",
        "headers",
        "backends",
        "weight",
        "destination",
        "port",
        "name",
        super::annotation::HEADERS,
        super::annotation::WEIGHTS,
        super::annotation::MATCHES,
        super::annotation::SPEC,
    ]);
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((names.clone(), inner), 0..5).prop_map(|e| e.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn no_shape_panics(shape in any_shape(), like in anything(), to in 0_usize..4) {
        let mut object = like.clone();
        if let (Some(object), Some(shape)) = (object.as_object_mut(), shape.as_object()) {
            object.extend(shape.clone());
        }
        let all = versions(&like);
        let _ = convert(object.clone(), &all[to % all.len()]);
        let _ = read(&object);
        let _ = convert(shape, &all[0]);
    }
}
