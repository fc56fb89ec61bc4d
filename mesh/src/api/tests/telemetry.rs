use std::time::Duration;

use super::{good, object, refused};
use crate::{api::Manifest, model::ObjectName, world::Object};

fn telemetry(spec: &str) -> String {
    object("policy.openservicemesh.io/v1alpha1", "Telemetry", &format!("spec: {spec}"))
}

fn service(spec: &str) -> String {
    object("config.openservicemesh.io/v1alpha2", "ExtensionService", &format!("spec: {spec}"))
}

#[test]
fn a_telemetry_is_read_and_a_receiver_without_namespace_is_its_neighbour() {
    let text =
        telemetry("{selector: {app: web}, accessLog: {format: '', openTelemetry: {extensionService: {name: e}}}}");
    let [Manifest::Object(Object::Telemetry(read))] = &good(&text)[..] else { panic!("no Telemetry") };
    assert_eq!(read.selector.get("app").map(|v| &**v), Some("web"));
    let log = read.access_log.as_ref().unwrap();
    assert_eq!(log.format, None, "an empty format would log empty lines");
    assert_eq!(log.open_telemetry.as_ref().unwrap().service, ObjectName::new("shop", "e"));
    let [Manifest::Object(Object::Telemetry(read))] = &good(&telemetry("{}"))[..] else { panic!("no Telemetry") };
    assert_eq!(read.access_log, None);
}

#[test]
fn an_extension_service_speaks_http2_unless_it_says_otherwise() {
    let read = |spec: &str| {
        let [Manifest::Object(Object::ExtensionService(read))] = &good(&service(spec))[..] else { panic!("{spec}") };
        read.clone()
    };
    assert!(read("{host: a.b, port: 4317}").http2);
    assert!(read("{host: a.b, port: 4317, protocol: http2}").http2);
    assert!(!read("{host: '::1', port: 4317, protocol: http1}").http2);
    assert_eq!(read("{host: a, port: 1, connectTimeout: 1m}").connect_timeout, Some(Duration::from_secs(60)));
}

#[test]
fn mistakes_name_their_field() {
    for (text, field) in [
        (telemetry("{accessLog: {openTelemetry: {}}}"), "spec.accessLog.openTelemetry.extensionService"),
        (
            telemetry("{accessLog: {openTelemetry: {extensionService: {name: A}}}}"),
            "spec.accessLog.openTelemetry.extensionService.name",
        ),
        (telemetry("{accesslog: {}}"), "spec.accesslog"),
        (service("{host: a}"), "spec.port"),
        (service("{host: 'a b', port: 1}"), "spec.host"),
        (service("{host: '', port: 1}"), "spec.host"),
        (service("{host: a, port: 0}"), "spec.port"),
        (service("{host: a, port: 1, protocol: tcp}"), "spec.protocol"),
        (service("{host: a, port: 1, connectTimeout: 0s}"), "spec.connectTimeout"),
    ] {
        let told = refused(&text);
        assert!(told.contains(&format!(" {field}: ")), "{told}");
    }
}
