//! Objects of random worlds as manifests.

use serde_json::{Value, json};

use super::world::Group;

pub(crate) fn tcp_route(name: &str, namespace: &str, ports: &[u16]) -> Value {
    json!({
        "apiVersion": "specs.smi-spec.io/v1alpha4", "kind": "TCPRoute",
        "metadata": {"name": name, "namespace": namespace}, "spec": {"matches": {"ports": ports}},
    })
}

pub(crate) fn routes(name: &str, namespace: &str, group: &Group) -> Value {
    let matches = group.matches.iter().enumerate().map(|(m, one)| {
        let mut value = json!({"name": format!("m{m}")});
        if let Some(path) = &one.path {
            value["pathRegex"] = json!(path);
        }
        if !one.methods.is_empty() {
            value["methods"] = json!(one.methods);
        }
        let headers = one.headers.iter().map(|(header, pattern)| ((*header).to_owned(), json!(pattern)));
        if !one.headers.is_empty() && group.map {
            value["headers"] = Value::Object(headers.collect());
        } else if !one.headers.is_empty() {
            value["headers"] = headers.map(|(header, pattern)| json!({header: pattern})).collect();
        }
        value
    });
    json!({
        "apiVersion": "specs.smi-spec.io/v1alpha4", "kind": "HTTPRouteGroup",
        "metadata": {"name": name, "namespace": namespace}, "spec": {"matches": matches.collect::<Vec<_>>()},
    })
}

/// Objects as the text of one manifest.
pub(crate) fn yaml(objects: &[Value]) -> String {
    let texts: Vec<_> =
        objects.iter().map(|object| serde_saphyr::to_string(object).expect("JSON values are YAML")).collect();
    texts.join("---\n")
}
