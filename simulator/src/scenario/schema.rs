//! The JSON Schema of scenario files, for editors (draft 2020-12).
//!
//! Generated from the types, then adjusted to what files may hold before `${name}` is replaced.

use schemars::{generate::SchemaSettings, transform::Transform};
use serde_json::{Map, Value, json};

use super::model::Scenario;

/// What a `${name}` in the place of a number or word looks like.
const PLACEHOLDER: &str = r"^\$\{[A-Za-z][A-Za-z0-9_-]*\}$";

/// The verbs of a step: exactly one is there.
pub const VERBS: [&str; 14] = [
    "apply",
    "delete",
    "wait",
    "control",
    "traffic",
    "probes",
    "reading",
    "fault",
    "collected",
    "logged",
    "metrics",
    "trafficMetrics",
    "parallel",
    "repeat",
];

/// The schema, pretty-printed with a final newline: the content of `scenarios/scenario.schema.json`.
#[must_use]
pub fn schema() -> String {
    let settings = SchemaSettings::draft2020_12();
    let mut root = settings.into_generator().into_root_schema_for::<Scenario>();
    schemars::transform::RecursiveTransform(adjust).transform(&mut root);
    let mut value = root.to_value();
    if let Some(step) = value.pointer_mut("/$defs/Step").and_then(Value::as_object_mut) {
        step.insert("oneOf".to_owned(), VERBS.iter().map(|verb| json!({"required": [verb]})).collect());
        step.insert(
            "dependentRequired".to_owned(),
            json!({"traffic": ["expect"], "expect": ["traffic"], "diagnostic": ["apply"], "mayRefuse": ["apply"]}),
        );
    }
    // Optional for serde because they have defaults in Rust; `check` demands them.
    for (name, fields) in
        [("Traffic", json!(["from", "to"])), ("Probe", json!(["expect"])), ("Split", json!(["shares"]))]
    {
        if let Some(object) = value.pointer_mut(&format!("/$defs/{name}")).and_then(Value::as_object_mut) {
            object.insert("required".to_owned(), fields);
        }
    }
    if let Some(format) = value.pointer_mut("/$defs/Format") {
        *format = json!({"description": "The format of a scenario file.", "const": "smi/v1"});
    }
    let text = serde_json::to_string_pretty(&value).unwrap_or_default();
    format!("{text}\n")
}

/// Adjusts one schema: no nulls (a field without a value is refused), and `${name}` wherever it may stand.
fn adjust(schema: &mut schemars::Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    drop_null(object);
    allow_placeholder(object);
    allow_scalars_as_text(object);
}

fn drop_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|t| t != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    let Some(Value::Array(choices)) = object.get_mut("anyOf") else { return };
    choices.retain(|choice| choice.get("type") != Some(&json!("null")));
    // A reference may stand beside a description in this draft.
    if choices.len() == 1
        && let Some(Value::Array(mut choices)) = object.remove("anyOf")
        && let Some(Value::Object(only)) = choices.pop()
    {
        object.extend(only);
    }
}

fn allow_placeholder(object: &mut Map<String, Value>) {
    let words = |choice: &Value| choice.get("const").is_some_and(Value::is_string) || choice.get("enum").is_some();
    if matches!(object.get("type"), Some(Value::String(t)) if ["integer", "number", "boolean"].contains(&t.as_str())) {
        let of = object.remove("type");
        object.insert("type".to_owned(), json!([of, "string"]));
        object.insert("pattern".to_owned(), json!(PLACEHOLDER));
    } else if let Some(Value::Array(choices)) = object.get_mut("oneOf")
        && choices.iter().all(words)
    {
        choices.push(placeholder());
    } else if object.get("enum").is_some_and(|_| object.get("type") == Some(&json!("string"))) {
        let words = object.remove("enum");
        object.remove("type");
        object.insert("oneOf".to_owned(), json!([{"type": "string", "enum": words}, placeholder()]));
    }
}

fn placeholder() -> Value {
    json!({"description": "A value of `matrix` or `vars`.", "type": "string", "pattern": PLACEHOLDER})
}

/// Header values, labels, variables and axes: `200` and `true` need no quotes there.
fn allow_scalars_as_text(object: &mut Map<String, Value>) {
    let scalars = json!({"type": ["string", "number", "boolean"]});
    let Some(values) = object.get_mut("additionalProperties") else { return };
    if *values == json!({"type": "string"}) {
        *values = scalars;
    } else if values.get("items") == Some(&json!({"type": "string"})) {
        *values = json!({"type": "array", "items": scalars, "minItems": 1});
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_beside_the_scenarios_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/scenario.schema.json");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == schema(), "run `cargo run --bin simulator -- schema > scenarios/scenario.schema.json`");
    }

    #[test]
    fn describes_files_before_names_are_replaced() {
        let schema: Value = serde_json::from_str(&schema()).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let proto = schema["$defs"]["Proto"]["oneOf"].as_array().unwrap();
        assert_eq!(proto.last().unwrap()["pattern"], PLACEHOLDER);
        assert!(proto.iter().any(|choice| choice["const"] == "grpc"), "{proto:?}");
        assert_eq!(schema["$defs"]["Workload"]["properties"]["replicas"]["type"], json!(["integer", "string"]));
        assert_eq!(schema["properties"]["matrix"]["additionalProperties"]["type"], "array");
        assert_eq!(schema["$defs"]["Step"]["oneOf"][4], json!({"required": ["traffic"]}));
    }

    #[test]
    fn every_object_is_closed_and_nothing_is_null() {
        fn visit(value: &Value, path: &str) {
            match value {
                Value::Object(object) => {
                    assert!(
                        object.get("type") != Some(&json!("object")) || object.contains_key("additionalProperties"),
                        "{path} is open"
                    );
                    assert_ne!(object.get("type"), Some(&json!("null")), "{path} may be null");
                    object.iter().for_each(|(key, value)| visit(value, &format!("{path}/{key}")));
                }
                Value::Array(items) => items.iter().for_each(|item| visit(item, path)),
                _ => {}
            }
        }
        visit(&serde_json::from_str(&schema()).unwrap(), "");
    }
}
