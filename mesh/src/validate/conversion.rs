//! The conversion webhook: a ConversionReview in and out (`apiextensions.k8s.io/v1`).

use serde_json::{Value, json};

use crate::api;

/// Answers a ConversionReview. Either all objects are converted, or none, and the answer says which one could not be.
pub fn convert_review(review: &Value) -> Value {
    let request = &review["request"];
    let response = match converted(request) {
        Ok(objects) => json!({ "convertedObjects": objects, "result": { "status": "Success" } }),
        Err(message) => json!({ "convertedObjects": [], "result": { "status": "Failure", "message": message } }),
    };
    let mut answer =
        json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response": response });
    answer["response"]["uid"] = request["uid"].clone();
    answer
}

fn converted(request: &Value) -> Result<Vec<Value>, String> {
    let to = request["desiredAPIVersion"].as_str().ok_or("the review names no `desiredAPIVersion`")?;
    let objects = request["objects"].as_array().ok_or("the review carries no `objects`")?;
    let convert = |object: &Value| {
        api::convert(object.clone(), to).map_err(|fault| {
            let part = |part: &str| object["metadata"][part].as_str().unwrap_or_default().to_owned();
            let kind = object["kind"].as_str().unwrap_or_default();
            format!("{kind} {}/{}: {fault}", part("namespace"), part("name"))
        })
    };
    objects.iter().map(convert).collect()
}
