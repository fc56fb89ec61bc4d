//! The JSON Schema of the protocol's lines.

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};

use super::{
    Answers, Applied, Apply, Change, Delete, Described, Done, Explain, Hello, Measured, Metrics, PROTOCOL, Readied,
    Ready, Refusal, Send, Setup, Test, Told,
};

/// The schema, pretty-printed with a final newline: the content of `conformance/adapter.schema.json`.
#[must_use]
pub fn schema() -> String {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let methods = methods(&mut generator);
    let requests: Vec<_> = methods.iter().map(|(name, params, _)| request(name, params)).collect();
    let mut replies: Vec<_> = methods.iter().map(|(name, _, result)| reply(name, result)).collect();
    let error = generator.subschema_for::<Refusal>();
    replies.push(json!({
        "title": "error",
        "type": "object",
        "additionalProperties": false,
        "required": ["id", "error"],
        "properties": {"id": {"type": ["integer", "null"], "minimum": 0}, "error": error},
    }));
    let mut definitions = generator.take_definitions(true);
    definitions.insert("Request".to_owned() + "Line", json!({"oneOf": requests}));
    definitions.insert("Reply".to_owned() + "Line", json!({"anyOf": replies}));
    let root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": PROTOCOL,
        "description": "One line of the conversation between smi-conformance and an adapter. Each reply has the id of its request, and the result that belongs to the request's method.",
        "anyOf": [{"$ref": "#/$defs/RequestLine"}, {"$ref": "#/$defs/ReplyLine"}],
        "$defs": definitions,
    });
    format!("{root:#}\n")
}

fn methods(generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema, Schema)> {
    fn both<P: JsonSchema, R: JsonSchema>(generator: &mut SchemaGenerator) -> (Schema, Schema) {
        (generator.subschema_for::<P>(), generator.subschema_for::<R>())
    }
    let all = [
        ("hello", both::<Hello, Described>(generator)),
        ("setup", both::<Setup, Done>(generator)),
        ("apply", both::<Apply, Applied>(generator)),
        ("delete", both::<Delete, Done>(generator)),
        ("ready", both::<Ready, Readied>(generator)),
        ("send", both::<Send, Answers>(generator)),
        ("change", both::<Change, Done>(generator)),
        ("metrics", both::<Metrics, Measured>(generator)),
        ("explain", both::<Explain, Told>(generator)),
        ("dump", both::<Test, Told>(generator)),
        ("teardown", both::<Test, Done>(generator)),
    ];
    all.into_iter().map(|(name, (params, result))| (name, params, result)).collect()
}

fn request(name: &str, params: &Schema) -> Value {
    json!({
        "title": name,
        "type": "object",
        "additionalProperties": false,
        "required": ["id", "method", "params"],
        "properties": {"id": {"type": "integer", "minimum": 0}, "method": {"const": name}, "params": params},
    })
}

fn reply(name: &str, result: &Schema) -> Value {
    json!({
        "title": format!("result of {name}"),
        "type": "object",
        "additionalProperties": false,
        "required": ["id", "result"],
        "properties": {"id": {"type": "integer", "minimum": 0}, "result": result},
    })
}
