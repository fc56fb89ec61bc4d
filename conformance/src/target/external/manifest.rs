//! The manifests of a scenario, in the versions and the spelling that a mesh has.

use serde_json::{Map, Value};
use simulator::scenario::model::{Fault, Manifest, Scenario, Step, Traffic};

use crate::{
    clause::Api,
    report::{HeaderEncoding, Implementation},
    target::adapter::protocol::Name,
};

/// Why a mesh behind a protocol cannot be asked this scenario: a version that it does not serve, or something of our own mesh.
/// Features are none of its business.
#[must_use]
pub fn unsupported(implementation: &Implementation, scenario: &Scenario) -> Option<String> {
    if let Some(why) = unportable(scenario) {
        return Some(why);
    }
    for name in scenario.resources.keys() {
        let objects = match objects(scenario, name, implementation.header_encoding) {
            Ok(objects) => objects,
            Err(why) => return Some(why),
        };
        let unserved = objects.iter().find_map(|object| unserved(implementation, object));
        if unserved.is_some() {
            return unserved;
        }
    }
    None
}

fn unserved(implementation: &Implementation, object: &Value) -> Option<String> {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let kind = object["kind"].as_str().unwrap_or_default();
    if version == "v1" && kind == "Service" {
        return None;
    }
    let api = version.split_once('/').and_then(|(group, version)| {
        let api = match group.strip_suffix(".smi-spec.io")? {
            "access" => Api::Access,
            "specs" => Api::Specs,
            "split" => Api::Split,
            "metrics" => Api::Metrics,
            _ => return None,
        };
        Some((api, version))
    });
    let Some((api, wanted)) = api else { return Some(format!("{version} {kind} is no object of SMI")) };
    let served = implementation.apis.get(&api).map(Vec::as_slice).unwrap_or_default();
    (!served.iter().any(|one| one == wanted)).then(|| format!("the mesh does not serve {version}"))
}

/// What only our own mesh, or our own lab, has.
fn unportable(scenario: &Scenario) -> Option<String> {
    let no = |what: &str| Some(format!("{what} cannot be asked of a mesh behind a protocol"));
    if !scenario.extensions.is_empty() || !scenario.collectors.is_empty() {
        return no("a service beside the mesh");
    }
    if scenario.mesh.trust_domain.is_some() {
        return no("a trust domain");
    }
    if scenario.workloads.values().any(|workload| workload.outside.is_some() || workload.presents.is_some()) {
        return no("somebody outside of the cluster");
    }
    let steps = scenario.steps.iter().find_map(step);
    let sent = simulator::run::traffic_of(scenario);
    steps.or_else(|| sent.iter().find_map(traffic)).and_then(no)
}

fn step(step: &Step) -> Option<&'static str> {
    let here = match &step.fault {
        Some(Fault::ControlPlane(_) | Fault::Ready(_) | Fault::Remove(_) | Fault::Respond(_)) | None => None,
        Some(_) => Some("this fault"),
    };
    let here = here.or_else(|| step.diagnostic.as_ref().map(|_| "a diagnostic"));
    let here = here.or_else(|| step.collected.as_ref().map(|_| "what collectors get"));
    let here = here.or_else(|| step.logged.as_ref().map(|_| "a log"));
    let here = here.or_else(|| step.metrics.as_ref().map(|_| "a sidecar's statistics"));
    let mut inner = step.parallel.iter().flatten().flatten().chain(step.repeat.iter().flat_map(|repeat| &repeat.steps));
    here.or_else(|| inner.find_map(self::step))
}

fn traffic(traffic: &Traffic) -> Option<&'static str> {
    let forged = traffic.present.as_ref().is_some_and(|credentials| !credentials.plaintext);
    (forged || traffic.tls.is_some()).then_some("a certificate")
}

/// The objects of a resource, with namespaces, and with headers as the mesh writes them.
///
/// # Errors
/// There is none, it is no YAML, or the mesh cannot write it; in words.
pub fn objects(scenario: &Scenario, resource: &str, encoding: HeaderEncoding) -> Result<Vec<Value>, String> {
    let text = match scenario.resources.get(resource) {
        Some(Manifest::Inline(text)) => text,
        Some(Manifest::File(beside)) => return Err(format!("{} was not read", beside.file)),
        None => return Err(format!("no resource is called {resource}")),
    };
    // Header `y` is text, as it is to Kubernetes.
    let mut objects: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, serde_saphyr::options! { strict_booleans: true })
            .map_err(|error| format!("resource {resource}: {error}"))?;
    objects.retain(|object| !object.is_null());
    // What is about the two encodings itself stays as it is written.
    let as_written = scenario.clauses.iter().any(|clause| clause == "API-03");
    for object in &mut objects {
        place(object);
        if !as_written {
            encode(object, encoding).map_err(|why| format!("resource {resource}: {why}"))?;
        }
    }
    Ok(objects)
}

fn place(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.entry("namespace").or_insert_with(|| "default".into());
    }
}

/// The name of an object.
#[must_use]
pub(super) fn name(object: &Value) -> Name {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Name {
        api_version: text(&object["apiVersion"]),
        kind: text(&object["kind"]),
        namespace: text(&object["metadata"]["namespace"]),
        name: text(&object["metadata"]["name"]),
    }
}

fn encode(object: &mut Value, encoding: HeaderEncoding) -> Result<(), String> {
    if object["kind"] != "HTTPRouteGroup" {
        return Ok(());
    }
    // Until v1alpha2 there is no `spec`.
    for pointer in ["/matches", "/spec/matches"] {
        let matches = object.pointer_mut(pointer).and_then(Value::as_array_mut);
        for headers in matches.into_iter().flatten().filter_map(|one| one.get_mut("headers")) {
            *headers = encoded(headers, encoding)?;
        }
    }
    Ok(())
}

fn encoded(headers: &Value, encoding: HeaderEncoding) -> Result<Value, String> {
    Ok(match (headers, encoding) {
        (Value::Array(list), HeaderEncoding::Map) => {
            let mut map = Map::new();
            for (name, value) in list.iter().filter_map(Value::as_object).flatten() {
                if map.insert(name.clone(), value.clone()).is_some() {
                    return Err(format!("a mapping cannot hold the header {name} twice"));
                }
            }
            Value::Object(map)
        }
        (Value::Object(map), HeaderEncoding::List) => {
            map.iter().map(|(name, value)| Value::Object(Map::from_iter([(name.clone(), value.clone())]))).collect()
        }
        (as_it_is, _) => as_it_is.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn scenario(text: &str) -> Scenario {
        let mut scenario = Scenario::new("x").workload("a", |w| w);
        scenario.resources = BTreeMap::from([("r".to_owned(), Manifest::Inline(text.to_owned()))]);
        scenario
    }

    const GROUP: &str = "apiVersion: specs.smi-spec.io/v1alpha4\nkind: HTTPRouteGroup\nmetadata: {name: g}\nspec:\n  matches:\n  - {name: m, headers: [{a: x}, {b: y}]}\n";

    #[test]
    fn headers_are_written_as_the_mesh_writes_them() {
        let written = |encoding| objects(&scenario(GROUP), "r", encoding).unwrap().remove(0);
        let map = written(HeaderEncoding::Map);
        assert_eq!(map["spec"]["matches"][0]["headers"], serde_json::json!({"a": "x", "b": "y"}));
        assert_eq!(map["metadata"]["namespace"], "default");
        assert_eq!(
            written(HeaderEncoding::List)["spec"]["matches"][0]["headers"],
            serde_json::json!([{"a": "x"}, {"b": "y"}])
        );
        let back = encoded(&map["spec"]["matches"][0]["headers"], HeaderEncoding::List).unwrap();
        assert_eq!(back, serde_json::json!([{"a": "x"}, {"b": "y"}]));
        let twice = scenario(&GROUP.replace("b: y", "a: y"));
        assert!(objects(&twice, "r", HeaderEncoding::Map).unwrap_err().contains("twice"));
        let mut about = scenario(GROUP);
        about.clauses = vec!["API-03".into()];
        assert!(objects(&about, "r", HeaderEncoding::Map).unwrap()[0]["spec"]["matches"][0]["headers"].is_array());
    }

    #[test]
    fn what_a_mesh_does_not_serve_is_not_asked_of_it() {
        let implementation = |version: &str| Implementation {
            organization: "x".into(),
            project: "x".into(),
            version: "1".into(),
            url: None,
            contact: Vec::new(),
            mode: None,
            apis: BTreeMap::from([(Api::Specs, vec![version.to_owned()])]),
            header_encoding: HeaderEncoding::List,
            features: Default::default(),
        };
        assert_eq!(unsupported(&implementation("v1alpha4"), &scenario(GROUP)), None);
        let why = unsupported(&implementation("v1alpha3"), &scenario(GROUP)).unwrap();
        assert_eq!(why, "the mesh does not serve specs.smi-spec.io/v1alpha4");
        let ours = scenario("apiVersion: policy.openservicemesh.io/v1alpha1\nkind: Egress\nmetadata: {name: e}\n");
        assert!(unsupported(&implementation("v1alpha4"), &ours).unwrap().contains("no object of SMI"));
        let mut poisoned = scenario(GROUP);
        poisoned.steps = vec![Step { fault: Some(Fault::Poison("a".into())), ..Step::default() }];
        assert!(unsupported(&implementation("v1alpha4"), &poisoned).unwrap().contains("this fault"));
    }
}
