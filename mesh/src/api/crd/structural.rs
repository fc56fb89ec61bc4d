//! A JSON Schema as schemars makes it into the structural schema that Kubernetes wants: every part has a type, nothing
//! refers to anything, and choices stand only where values do.

use serde_json::{Map, Value, json};

/// Marks a place where anything goes.
const OPEN: &str = "x-kubernetes-preserve-unknown-fields";

/// The structural schema of a whole object.
///
/// # Errors
/// Names the first place that cannot be told so.
pub(super) fn schema(written: Value, open_status: bool) -> Result<Value, String> {
    let mut schema = convert(written, "")?;
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return Err("is no object".into());
    };
    for field in ["apiVersion", "kind"] {
        properties.insert(field.into(), json!({ "type": "string" }));
    }
    // The API server checks metadata itself, and refuses a CRD that tries.
    properties.insert("metadata".into(), json!({ "type": "object" }));
    properties.insert("status".into(), status(open_status));
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|field| !matches!(field.as_str(), Some("apiVersion" | "kind" | "metadata" | "status")));
        if required.is_empty() {
            schema.as_object_mut().map(|schema| schema.remove("required"));
        }
    }
    Ok(schema)
}

/// `status` in the manner of the Gateway API. `open` lets a controller add what OSM has there.
fn status(open: bool) -> Value {
    let text = |longest: u32| json!({ "type": "string", "maxLength": longest });
    let mut status = json!({
        "type": "object",
        "description": "Written by the control plane.",
        "properties": { "conditions": {
            "type": "array",
            "maxItems": 16,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": {
                "type": "object",
                "required": ["type", "status", "lastTransitionTime", "reason", "message"],
                "properties": {
                    "type": text(316),
                    "status": { "type": "string", "enum": ["True", "False", "Unknown"] },
                    "observedGeneration": { "type": "integer", "format": "int64", "minimum": 0 },
                    "lastTransitionTime": { "type": "string", "format": "date-time" },
                    "reason": text(1024),
                    "message": text(32768),
                },
            },
        } },
    });
    if open {
        status[OPEN] = true.into();
    }
    status
}

/// Keywords that stay as they are.
const KEPT: [&str; 12] = [
    "description",
    "enum",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "pattern",
    "x-kubernetes-int-or-string",
];

fn convert(written: Value, path: &str) -> Result<Value, String> {
    let Value::Object(mut written) = written else { return Err(format!("{path}: anything goes, or nothing")) };
    fold_choices(&mut written, path)?;
    if written.contains_key(OPEN) {
        let description = written.remove("description").map(|d| ("description".to_owned(), d));
        let open = (OPEN.to_owned(), Value::Bool(true));
        return Ok(Value::Object(description.into_iter().chain([open]).collect()));
    }
    let mut schema = Map::new();
    for keyword in KEPT {
        schema.extend(written.remove(keyword).map(|value| (keyword.to_owned(), value)));
    }
    if schema.contains_key("x-kubernetes-int-or-string") {
        schema.insert("anyOf".into(), json!([{ "type": "integer" }, { "type": "string" }]));
        return Ok(Value::Object(schema));
    }
    let Some(kind) = type_of(&written) else { return Err(format!("{path}: has no type")) };
    match kind.as_str() {
        "object" => object(written, &mut schema, path)?,
        "array" => {
            let items = written.remove("items").ok_or_else(|| format!("{path}: a list of anything"))?;
            schema.insert("items".into(), convert(items, &format!("{path}[]"))?);
        }
        "integer" => integer(&written, &mut schema),
        _ => {}
    }
    schema.insert("type".into(), kind.into());
    Ok(Value::Object(schema))
}

/// The only type besides null. Null itself is not offered: what is absent is left out.
fn type_of(written: &Map<String, Value>) -> Option<String> {
    match written.get("type")? {
        Value::String(kind) => Some(kind.clone()),
        Value::Array(kinds) => {
            let mut kinds = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
            let only = kinds.next()?;
            kinds.next().is_none().then(|| only.to_owned())
        }
        _ => None,
    }
}

/// Unknown fields are pruned (and refused by clients that ask for it), so objects are not closed here.
fn object(mut written: Map<String, Value>, schema: &mut Map<String, Value>, path: &str) -> Result<(), String> {
    if let Some(Value::Object(properties)) = written.remove("properties") {
        let converted = properties.into_iter().map(|(name, value)| {
            let value = convert(value, &format!("{path}.{name}"))?;
            Ok((name, value))
        });
        schema.insert("properties".into(), Value::Object(converted.collect::<Result<_, String>>()?));
    } else if let Some(values @ Value::Object(_)) = written.remove("additionalProperties") {
        schema.insert("additionalProperties".into(), convert(values, &format!("{path}{{}}"))?);
    }
    schema.extend(written.remove("required").map(|required| ("required".to_owned(), required)));
    Ok(())
}

/// OpenAPI knows two sizes of integers; limits say the rest.
fn integer(written: &Map<String, Value>, schema: &mut Map<String, Value>) {
    if written.get("format").is_some_and(|format| format == "uint32") {
        schema.entry("maximum").or_insert(u32::MAX.into());
    }
    schema.insert("format".into(), "int64".into());
}

/// `oneOf` and `anyOf` as schemars makes them of plain words and of `Option`: into one `enum`, or the only choice.
fn fold_choices(written: &mut Map<String, Value>, path: &str) -> Result<(), String> {
    for keyword in ["oneOf", "anyOf"] {
        if written.contains_key(OPEN) || written.contains_key("x-kubernetes-int-or-string") {
            return Ok(());
        }
        let Some(Value::Array(choices)) = written.remove(keyword) else { continue };
        let mut choices: Vec<_> = choices.into_iter().filter(|choice| choice["type"] != "null").collect();
        if let (1, Some(Value::Object(only))) = (choices.len(), choices.first_mut()) {
            let mut only = std::mem::take(only);
            fold_choices(&mut only, path)?;
            // The field's own description says more than its type's.
            for (key, value) in only {
                written.entry(key).or_insert(value);
            }
            continue;
        }
        let words = choices.iter().map(words).collect::<Option<Vec<_>>>();
        let words = words.ok_or_else(|| format!("{path}: a choice between other things than plain words"))?;
        written.insert("type".into(), "string".into());
        written.insert("enum".into(), words.concat().into());
    }
    if let Some(word) = written.remove("const") {
        written.insert("enum".into(), json!([word]));
    }
    if let Some(Value::Array(words)) = written.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    Ok(())
}

fn words(choice: &Value) -> Option<Vec<Value>> {
    match (choice.get("const"), choice.get("enum")) {
        (Some(word), _) => Some(vec![word.clone()]),
        (None, Some(Value::Array(words))) => Some(words.clone()),
        _ => None,
    }
}
