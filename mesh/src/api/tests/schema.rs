use schemars::{JsonSchema, schema_for};
use serde_json::Value;

use crate::api::{
    egress, extension_service, ingress_backend, mesh_config, mesh_root_certificate, retry, route_group, service,
    stream_route, telemetry, traffic_split, traffic_target, upstream_traffic_setting,
};

fn of<T: JsonSchema>() -> Value {
    schema_for!(T).to_value()
}

/// Whether every type with named fields is closed.
fn closed(schema: &Value) -> bool {
    let here = schema.get("properties").is_none_or(|_| schema.get("additionalProperties") == Some(&Value::Bool(false)));
    here && match schema {
        Value::Object(entries) => {
            entries.iter().filter(|(key, _)| *key != "properties").all(|(_, v)| closed(v))
                && schema.get("properties").and_then(Value::as_object).is_none_or(|p| p.values().all(closed))
        }
        Value::Array(items) => items.iter().all(closed),
        _ => true,
    }
}

#[test]
fn every_wire_type_has_a_closed_schema() {
    let schemas = [
        of::<traffic_target::v1alpha1::TrafficTarget>(),
        of::<traffic_target::v1alpha2::TrafficTarget>(),
        of::<traffic_target::v1alpha3::TrafficTarget>(),
        of::<route_group::v1alpha1::HttpRouteGroup>(),
        of::<route_group::v1alpha2::HttpRouteGroup>(),
        of::<route_group::v1alpha3::HttpRouteGroup>(),
        of::<stream_route::v1alpha1::TcpRoute>(),
        of::<stream_route::v1alpha3::TcpRoute>(),
        of::<stream_route::v1alpha4::TcpRoute>(),
        of::<stream_route::v1alpha4::UdpRoute>(),
        of::<traffic_split::v1alpha1::TrafficSplit>(),
        of::<traffic_split::v1alpha2::TrafficSplit>(),
        of::<traffic_split::v1alpha3::TrafficSplit>(),
        of::<service::Service>(),
        of::<mesh_config::MeshConfig>(),
        of::<egress::v1alpha1::Egress>(),
        of::<ingress_backend::v1alpha1::IngressBackend>(),
        of::<retry::Retry>(),
        of::<upstream_traffic_setting::UpstreamTrafficSetting>(),
        of::<telemetry::Telemetry>(),
        of::<extension_service::ExtensionService>(),
        of::<mesh_root_certificate::MeshRootCertificate>(),
    ];
    for schema in schemas {
        assert!(closed(&schema), "{schema:#}");
    }
}

#[test]
fn limits_are_in_the_schema() {
    let split = of::<traffic_split::v1alpha4::TrafficSplitSpec>();
    assert_eq!(split["required"], serde_json::json!(["service", "backends"]));
    assert_eq!(split["$defs"]["Weight"]["maximum"], 1_000_000_000);
    assert_eq!(split["$defs"]["Weight"]["minimum"], 0);
    assert_eq!(of::<stream_route::v1alpha4::RouteSpec>()["required"], serde_json::json!(["matches"]));
    let route = of::<stream_route::v1alpha4::RouteMatch>();
    assert_eq!(route["required"], serde_json::json!(["ports"]));
    assert_eq!(route["$defs"]["Port"]["minimum"], 1);
    assert_eq!(route["$defs"]["Port"]["maximum"], 65535);
}

/// The wire types are for API servers too, which speak JSON.
#[test]
fn json_is_read_too() {
    let json = serde_json::json!({
        "apiVersion": "split.smi-spec.io/v1alpha4", "kind": "TrafficSplit", "metadata": { "name": "a", "namespace": "b" },
        "spec": { "service": "web", "backends": [{ "service": "x", "weight": 7 }] },
    });
    let wire: traffic_split::v1alpha4::TrafficSplit = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(crate::model::TrafficSplit::try_from(wire).unwrap().backends[0].weight, 7);
    let mut bad = json;
    bad["spec"]["backends"][0]["weight"] = (-1).into();
    assert!(serde_json::from_value::<traffic_split::v1alpha4::TrafficSplit>(bad).is_err());
}
