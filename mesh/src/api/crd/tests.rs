use serde_json::{Value, json};

use super::{WebhookClient, WebhookTarget, definitions, name, rule, served, structural};

fn all() -> Vec<Value> {
    definitions(&WebhookClient::default()).expect("every wire type has a structural schema")
}

fn schemas(definition: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
    versions.map(|v| (v["name"].as_str().unwrap_or_default(), &v["schema"]["openAPIV3Schema"]))
}

/// Every part has one type, and none of the words that a structural schema must not have.
fn check(schema: &Value, path: &str) {
    let open = schema.get("x-kubernetes-preserve-unknown-fields").is_some();
    let either = schema.get("x-kubernetes-int-or-string").is_some();
    assert!(open || either || schema["type"].is_string(), "{path}: {schema:#}");
    for word in ["$ref", "oneOf", "allOf", "not", "nullable", "default", "const", "$defs", "definitions"] {
        assert!(schema.get(word).is_none(), "{path}: {word}");
    }
    for (field, inner) in schema["properties"].as_object().into_iter().flatten() {
        check(inner, &format!("{path}.{field}"));
    }
    for inner in ["items", "additionalProperties"].into_iter().filter_map(|word| schema.get(word)) {
        check(inner, &format!("{path}[]"));
    }
}

#[test]
fn every_schema_is_structural() {
    for definition in all() {
        for (version, schema) in schemas(&definition) {
            check(schema, &format!("{} {version}", name(&definition)));
            assert_eq!(schema["properties"]["metadata"], json!({"type": "object"}));
        }
    }
}

#[test]
fn one_version_is_stored_and_the_others_are_converted() {
    for definition in all() {
        let spec = &definition["spec"];
        let versions = spec["versions"].as_array().expect("versions");
        let stored: Vec<_> = versions.iter().map(|v| v["storage"] == true).collect();
        assert_eq!(stored.iter().filter(|s| **s).count(), 1);
        assert_eq!(stored.last(), Some(&true), "the newest is stored");
        let webhook = spec["conversion"]["strategy"] == "Webhook";
        assert_eq!(webhook, versions.len() > 1, "{}", name(&definition));
        if webhook {
            assert_eq!(spec["conversion"]["webhook"]["clientConfig"]["service"]["path"], "/convert");
        }
    }
    let names: Vec<_> = all().iter().map(name).collect();
    assert!(names.contains(&"trafficsplits.split.smi-spec.io".to_owned()) && names.is_sorted(), "{names:?}");
    assert_eq!(served("UDPRoute"), ["specs.smi-spec.io/v1alpha4"]);
    assert_eq!(served("Pod"), [""; 0]);
}

#[test]
fn a_webhook_has_one_address() {
    let bundle = Some("Q0E=".to_owned());
    let client = WebhookClient { target: WebhookTarget::Url("https://127.0.0.1:9095/".into()), ca_bundle: bundle };
    assert_eq!(client.config("/convert"), json!({"url": "https://127.0.0.1:9095/convert", "caBundle": "Q0E="}));
}

#[test]
fn a_rule_about_nothing_is_told() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}});
    let with = |path| rule::apply(schema.clone(), &[rule::rule(path, rule::Demand::Length(3))], "v1");
    assert_eq!(with("a[]").expect("there")["properties"]["a"]["items"]["maxLength"], 3);
    assert!(with("b").expect_err("not there").contains("`b`"));
}

#[test]
fn what_fits_no_structural_schema_is_told() {
    let of = |field: Value| structural::schema(json!({"type": "object", "properties": {"f": field}}), false);
    let words = json!({"oneOf": [{"type": "string", "enum": ["A"]}, {"type": "string", "const": "B"}]});
    assert_eq!(of(words).expect("words")["properties"]["f"], json!({"type": "string", "enum": ["A", "B"]}));
    let maybe = json!({"anyOf": [{"type": "string", "enum": ["A"]}, {"type": "null"}]});
    assert_eq!(of(maybe).expect("a word")["properties"]["f"], json!({"type": "string", "enum": ["A"]}));
    for bad in [json!({"oneOf": [{"type": "string"}, {"type": "object"}]}), json!(true), json!({})] {
        assert!(of(bad.clone()).expect_err("no structural schema").contains(".f"), "{bad}");
    }
}
