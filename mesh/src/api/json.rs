//! Objects as an API server serves them: JSON, without places in a text.

use serde_json::Value as Json;

use super::{
    error::{Fault, segment},
    manifest::{self, Manifest},
    tree::{Key, MAX_DEPTH, Node, Place, Value},
};

/// What is read of `metadata`. A server may add more at any time, and none of that says what is wanted.
const METADATA: [&str; 5] = ["name", "namespace", "labels", "annotations", "creationTimestamp"];

/// What is read of the `spec` of a Service, and of its ports: no CRD prunes the rest.
const SERVICE: [&str; 4] = ["type", "clusterIP", "selector", "ports"];
const SERVICE_PORT: [&str; 5] = ["name", "port", "targetPort", "protocol", "appProtocol"];

/// Reads one object as an API server serves it.
///
/// Unlike in [`parse`](super::parse), fields of `metadata` that are not known are skipped, and so are the whole `status` and what
/// a Service has beyond what the mesh reads.
/// An object without a namespace belongs to `default`.
///
/// # Errors
/// The first mistake, with its field. Nesting deeper than 32 levels is one.
pub fn read(value: &Json) -> Result<Manifest, Fault> {
    manifest::from_node(&object(value)?, "default")
}

/// An object as a tree, without what [`read`] skips.
pub(super) fn object(value: &Json) -> Result<Node, Fault> {
    let Json::Object(fields) = value else { return node(value, 0) };
    let is_service = fields.get("kind").is_some_and(|kind| kind == "Service");
    let mut entries = Vec::with_capacity(fields.len());
    for (name, value) in fields.iter().filter(|(name, _)| *name != "status") {
        let value = match (value, name.as_str()) {
            (Json::Object(fields), "metadata") => map(only(fields, &METADATA), 1),
            (Json::Object(fields), "spec") if is_service => service(fields),
            (other, _) => node(other, 1),
        };
        entries.push((key(name), value.map_err(|fault| fault.under(&segment(name)))?));
    }
    Ok(bare(Value::Map(entries)))
}

fn service(spec: &serde_json::Map<String, Json>) -> Result<Node, Fault> {
    let mut read = map(only(spec, &SERVICE).filter(|(name, _)| *name != "ports"), 1)?;
    if let (Some(Json::Array(ports)), Value::Map(entries)) = (spec.get("ports"), &mut read.value) {
        let port = |port: &Json| match port {
            Json::Object(fields) => map(only(fields, &SERVICE_PORT), 3),
            other => node(other, 3),
        };
        let ports = ports.iter().map(port).collect::<Result<_, _>>()?;
        entries.push((key("ports"), bare(Value::List(ports))));
    }
    Ok(read)
}

fn only<'j>(
    fields: &'j serde_json::Map<String, Json>,
    known: &'j [&str],
) -> impl Iterator<Item = (&'j String, &'j Json)> {
    fields.iter().filter(|(name, _)| known.contains(&name.as_str()))
}

/// A tree as JSON.
pub(super) fn of(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(b) => (*b).into(),
        Value::Unsigned(n) => (*n).into(),
        Value::Signed(n) => (*n).into(),
        Value::Float(n) => (*n).into(),
        Value::Text(text) => text.as_str().into(),
        Value::List(items) => items.iter().map(of).collect(),
        Value::Map(entries) => entries.iter().map(|(key, value)| (key.text.clone(), of(value))).collect(),
    }
}

fn node(value: &Json, depth: usize) -> Result<Node, Fault> {
    if depth > MAX_DEPTH {
        return Err(Fault::new("", format!("nests deeper than {MAX_DEPTH} levels")));
    }
    Ok(bare(match value {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(n), _) => Value::Unsigned(n),
            (None, Some(n)) => Value::Signed(n),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(|item| node(item, depth + 1)).collect::<Result<_, _>>()?),
        Json::Object(fields) => return map(fields, depth),
    }))
}

fn map<'j>(fields: impl IntoIterator<Item = (&'j String, &'j Json)>, depth: usize) -> Result<Node, Fault> {
    let entry = |(name, value): (&String, &Json)| Ok((key(name), node(value, depth + 1)?));
    Ok(bare(Value::Map(fields.into_iter().map(entry).collect::<Result<_, Fault>>()?)))
}

fn key(text: &str) -> Key {
    Key { place: Place::default(), text: text.to_owned() }
}

fn bare(value: Value) -> Node {
    Node { place: Place::default(), value }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::parse, *};

    fn split() -> Json {
        json!({
            "apiVersion": "split.smi-spec.io/v1alpha4",
            "kind": "TrafficSplit",
            "metadata": {"name": "n", "namespace": "shop"},
            "spec": {"service": "a", "backends": [{"service": "b", "weight": 1}]},
        })
    }

    #[test]
    fn an_object_reads_the_same_from_json_as_from_yaml() {
        let yaml = serde_json::to_string(&split()).expect("plain JSON");
        assert_eq!(vec![read(&split()).expect("a sound split")], parse(&yaml, "t", "default").expect("a sound split"));
    }

    #[test]
    fn what_servers_add_is_skipped() {
        let mut served = split();
        served["status"] = json!({"conditions": [{"type": "Accepted"}]});
        for (field, value) in [
            ("managedFields", json!([{"fieldsV1": {"f:spec": {"f:backends": {".": {}}}}}])),
            ("uid", json!("5b0f")),
            ("generation", json!(3)),
            ("addedByTheNextRelease", json!({"any": ["shape"]})),
        ] {
            served["metadata"][field] = value;
        }
        assert_eq!(read(&served), read(&split()));
    }

    #[test]
    fn a_service_is_read_as_the_server_completes_it() {
        let served = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {
                "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "ipFamilies": ["IPv4"],
                "internalTrafficPolicy": "Cluster", "sessionAffinity": "None", "type": "NodePort", "selector": {"app": "web"},
                "ports": [{"port": 80, "targetPort": "http", "protocol": "TCP", "nodePort": 30080}],
            },
        });
        let Ok(Manifest::Object(crate::world::Object::Service(service))) = read(&served) else { panic!("a Service") };
        assert_eq!((service.ports.len(), service.ports[0].port), (1, 80));
    }

    #[test]
    fn a_mistake_names_its_field() {
        let mut bad = split();
        bad["spec"]["backends"][0]["weight"] = json!(-1);
        let fault = read(&bad).expect_err("a negative weight");
        assert_eq!(fault.field, "spec.backends[0].weight");
        let mut deep = json!(0);
        for _ in 0..200 {
            deep = json!([deep]);
        }
        bad["spec"] = deep;
        assert!(read(&bad).expect_err("too deep").to_string().contains("32 levels"));
        for shape in [json!(null), json!([]), json!("x"), json!({"kind": 1})] {
            assert!(read(&shape).is_err(), "{shape}");
        }
    }
}
