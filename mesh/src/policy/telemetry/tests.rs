use super::*;
use crate::testing::{add, name, pod, world};

const RECEIVER: &str = "kind: ExtensionService\napiVersion: config.openservicemesh.io/v1alpha2\n\
    metadata: {name: logs, namespace: osm-system}\nspec: {host: logs.example, port: 4317}\n";

/// A Telemetry; `rest` goes on after `spec`.
fn telemetry(written: &str, created: &str, spec: &str) -> String {
    let name = name(written);
    format!(
        "---\nkind: Telemetry\napiVersion: policy.openservicemesh.io/v1alpha1\nmetadata: {{name: {}, namespace: {}, \
         creationTimestamp: '{created}'}}\nspec: {spec}\n",
        name.name, name.namespace
    )
}

fn format(text: &str) -> String {
    format!("{{accessLog: {{format: '{text}'}}}}")
}

fn told(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    check(world, &mut |d| found.push(d.to_string()));
    found
}

fn holding(world: &World, pod: &Workload) -> Option<String> {
    telemetry_of(world, pod).map(|t| t.name.to_string())
}

#[test]
fn a_selector_goes_before_the_namespace_and_that_before_the_mesh() {
    let (web, other) = (pod("web-0", "web", "app=web,tier=front"), pod("far/other-0", "other", "app=web"));
    let mut world = world("", [web.clone(), other.clone()]);
    assert_eq!(holding(&world, &web), None);
    add(&mut world, &telemetry("osm-system/mesh", "2024-01-01T00:00:00Z", &format("m")));
    assert_eq!(holding(&world, &web).as_deref(), Some("osm-system/mesh"));
    add(&mut world, &telemetry("shop/all", "2024-01-01T00:00:00Z", &format("n")));
    assert_eq!(holding(&world, &web).as_deref(), Some("shop/all"));
    assert_eq!(holding(&world, &other).as_deref(), Some("osm-system/mesh"));
    add(&mut world, &telemetry("shop/web", "2024-01-01T00:00:00Z", "{selector: {app: web}, accessLog: {format: 's'}}"));
    assert_eq!(holding(&world, &web).as_deref(), Some("shop/web"));
    // Labels of one namespace mean nothing in another.
    assert_eq!(holding(&world, &other).as_deref(), Some("osm-system/mesh"));
    assert_eq!(logging(&world, &web).format, Format::Text("s".into()));
}

#[test]
fn all_labels_must_match_and_an_object_without_an_access_log_says_nothing() {
    let web = pod("web-0", "web", "app=web");
    let mut world = world("", [web.clone()]);
    add(&mut world, &telemetry("shop/a", "2024-01-01T00:00:00Z", "{selector: {app: web, tier: back}, accessLog: {}}"));
    add(&mut world, &telemetry("shop/b", "2024-01-01T00:00:00Z", "{selector: {app: web}}"));
    assert_eq!(holding(&world, &web), None);
    add(&mut world, &telemetry("osm-system/c", "2024-01-01T00:00:00Z", "{selector: {app: web}, accessLog: {}}"));
    assert_eq!(holding(&world, &web), None, "a selector of the control plane's namespace is for its own pods");
}

#[test]
fn of_equal_ones_the_older_holds_and_the_other_is_told() {
    let web = pod("web-0", "web", "");
    let mut world = world("", [web.clone()]);
    add(&mut world, &telemetry("shop/a", "2024-01-02T00:00:00Z", &format("a")));
    add(&mut world, &telemetry("shop/b", "2024-01-01T00:00:00Z", &format("b")));
    assert_eq!(holding(&world, &web).as_deref(), Some("shop/b"));
    let told = told(&world);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("Telemetry shop/a spec.selector: Telemetry shop/b is older"), "{told:?}");
}

#[test]
fn a_format_that_envoy_would_refuse_gives_the_default_and_is_told() {
    let web = pod("web-0", "web", "");
    for bad in
        ["100%", "%PROTOCOL", "%NOPE%", "%REQ()%", "%REQ(A?B?C)%", "%PROTOCOL:5%", "%RESPONSE_CODE(5)%", "%REQ(a b)%"]
    {
        let mut world = world("", [web.clone()]);
        add(&mut world, &telemetry("shop/a", "2024-01-01T00:00:00Z", &format(bad)));
        assert_eq!(logging(&world, &web), Logging::default(), "{bad}");
        assert!(told(&world)[0].contains("InvalidFormat"), "{bad}");
        add(&mut world, &telemetry("shop/a", "2024-01-01T00:00:00Z", &format(&format!("{{\"a\": [\"{bad}\"]}}"))));
        assert_eq!(logging(&world, &web), Logging::default(), "{bad} inside of JSON");
    }
    for good in ["", "%%", "%REQ(:PATH)%", "%REQ(X-A?:AUTHORITY):7% %START_TIME(%s.%3f)%", "%DURATION%ms"] {
        assert_eq!(format::check(good), Ok(()), "{good}");
    }
}

#[test]
fn json_is_told_from_text() {
    let read = |text: &str| format::read(&text.into()).unwrap();
    assert!(matches!(read(r#"{"a": "%PROTOCOL%", "b": {"c": [1, true, null]}}"#), Format::Json(_)));
    assert!(matches!(read("[1]"), Format::Text(_)));
    assert!(matches!(read("{%PROTOCOL%}"), Format::Text(_)));
}

#[test]
fn a_receiver_must_exist_and_bad_attributes_are_left_out() {
    let web = pod("web-0", "web", "");
    let spec = "{accessLog: {openTelemetry: {extensionService: {name: logs, namespace: osm-system}, \
                attributes: {good: '%PROTOCOL%', bad: '%NOPE%'}}}}";
    let mut world = world("", [web.clone()]);
    add(&mut world, &telemetry("shop/a", "2024-01-01T00:00:00Z", spec));
    assert_eq!(logging(&world, &web).receiver, None);
    assert!(told(&world).iter().any(|d| d.contains("no ExtensionService osm-system/logs") && d.contains("NotFound")));
    add(&mut world, RECEIVER);
    let receiver = logging(&world, &web).receiver.expect("the receiver is there");
    assert_eq!(receiver.attributes.keys().map(|k| &**k).collect::<Vec<_>>(), ["good"]);
    assert_eq!(told(&world).len(), 1);
}

#[test]
fn pods_are_called_after_what_made_them() {
    let owner = |name: &str, labels: &str| {
        let Owner { kind, name } = owner(&pod(name, "a", labels));
        format!("{kind} {name}")
    };
    assert_eq!(owner("book-store-5d4f8c9b7-x2x9z", "pod-template-hash=5d4f8c9b7"), "Deployment book-store");
    assert_eq!(owner("db-0", "statefulset.kubernetes.io/pod-name=db-0"), "StatefulSet db");
    assert_eq!(owner("log-x2x9z", "pod-template-generation=3,controller-revision-hash=6"), "DaemonSet log");
    assert_eq!(owner("sum-x2x9z", "batch.kubernetes.io/job-name=sum"), "Job sum");
    assert_eq!(owner("alone", "app=alone"), "Pod alone");
    assert_eq!(owner("odd", "pod-template-hash=5d4f8c9b7"), "Pod odd");
}
