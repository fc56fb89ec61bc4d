//! Rules for the policies of OSM, on the model.

use serde_json::json;

use super::{
    super::{Surroundings, egress, ingress, review::within, upstream},
    NONE, services, told,
};
use crate::{
    model::{
        ConnectionSettings, Egress, IngressBackend, IngressPort, IngressSource, IngressTls, ObjectName, RateLimit,
        Subject, UpstreamTrafficSetting,
    },
    testing::name,
    world::{Change, Object, World},
};

fn tls(skip: bool) -> Option<IngressTls> {
    Some(IngressTls { skip_client_certificate: skip, sni_hosts: Vec::new() })
}

fn ingress_of(written: &str, ports: &[(&str, u16, Option<IngressTls>)], sources: Vec<IngressSource>) -> IngressBackend {
    let port = |(service, port, tls): &(&str, u16, Option<IngressTls>)| IngressPort {
        service: (*service).into(),
        port: *port,
        tls: tls.clone(),
    };
    let backends = ports.iter().map(port).collect();
    IngressBackend { name: name(written), backends, sources, route_groups: Vec::new() }
}

fn with(object: Object) -> World {
    let mut world = services();
    world.apply(Change::Put(object));
    world
}

/// All that is told about an object beside the services.
fn all(object: &Object) -> (Vec<&'static str>, Vec<&'static str>) {
    told(&within(object, &Surroundings { world: services(), root_certificates: Vec::new() }))
}

fn range() -> Vec<IngressSource> {
    vec![IngressSource::Range("10.0.0.0/8".parse().expect("a range"))]
}

#[test]
fn an_ingress_names_a_port_once() {
    let twice = ingress_of("i", &[("web", 8080, None), ("web", 8080, tls(true))], range());
    assert_eq!(told(&ingress::once(&twice, &services())).0, ["DuplicateBackend"]);
    let two = ingress_of("i", &[("web", 8080, None), ("web", 8081, None)], range());
    assert_eq!(told(&ingress::once(&two, &services())).0, NONE);
}

#[test]
fn ingresses_overlap_only_in_one_namespace() {
    let world = with(Object::IngressBackend(ingress_of("elder", &[("web", 8080, None)], range())));
    let overlaps = |written: &str, port| {
        let found = ingress::no_overlap(&ingress_of(written, &[("web", port, None)], range()), &world);
        told(&found).0
    };
    assert_eq!(overlaps("i", 8080), ["ConflictingIngressBackend"]);
    assert_eq!(overlaps("i", 8081), NONE);
    assert_eq!(overlaps("other/i", 8080), NONE);
    assert_eq!(overlaps("other/elder", 8080), NONE);
    assert_eq!(overlaps("elder", 8080), NONE);
}

#[test]
fn principals_can_be_proved() {
    let principal = || vec![IngressSource::Principal("gateway".into())];
    let of = |tls, sources| ingress::principals(&ingress_of("i", &[("web", 8080, tls)], sources), &services());
    assert_eq!(told(&of(tls(true), principal())), (vec!["UnprovablePrincipal"], vec![]));
    assert_eq!(told(&of(None, principal())), (vec!["UnprovablePrincipal"], vec![]));
    assert_eq!(told(&of(tls(false), principal())), (vec![], vec![]));
    // What OSM refuses: it admits by address alone.
    assert_eq!(told(&of(tls(true), range())), (vec![], vec![]));
    assert_eq!(told(&of(tls(false), range())), (vec![], vec!["AnyPrincipal"]));
}

#[test]
fn what_an_ingress_names_may_still_come() {
    let of = |ports: &[_], sources| all(&Object::IngressBackend(ingress_of("i", ports, sources)));
    assert_eq!(of(&[("web", 8080, None)], range()), (vec![], vec![]));
    assert_eq!(of(&[("web", 80, None)], range()), (vec![], vec!["PortMismatch"]));
    let gateway = vec![IngressSource::Service(name("gateways/envoy"))];
    assert_eq!(of(&[("soon", 80, None)], gateway), (vec![], vec!["NoEndpoint", "NotFound"]));
    assert_eq!(of(&[("web", 8080, None)], Vec::new()), (vec![], vec!["NoSource"]));
}

#[test]
fn an_egress_matches_known_kinds() {
    let matches = |list: serde_json::Value| told(&egress::matches(&json!({ "spec": { "matches": list } }))).0;
    let group = json!({"apiGroup": "specs.smi-spec.io/v1alpha4", "kind": "HTTPRouteGroup", "name": "g"});
    let setting =
        json!({"apiGroup": "policy.openservicemesh.io/v1alpha1", "kind": "UpstreamTrafficSetting", "name": "u"});
    assert_eq!(matches(json!([group, group, setting])), NONE);
    assert_eq!(matches(json!(null)), NONE);
    assert_eq!(matches(json!([setting, setting])), ["DuplicateMatch"]);
    assert_eq!(matches(json!([{"kind": "HTTPRouteGroup", "name": "g"}])), ["UnsupportedMatch"]);
    assert_eq!(matches(json!([{"apiGroup": "v1", "kind": "Secret", "name": "g"}])), ["UnsupportedMatch"]);
}

#[test]
fn what_an_egress_names_may_still_come() {
    let source = |kind: &str| Subject { kind: kind.into(), name: "x".into(), namespace: None };
    let of = |kind, groups: &[&str], setting: Option<&str>| {
        let egress = Egress {
            name: name("e"),
            sources: vec![source(kind)],
            hosts: Vec::new(),
            ip_ranges: Vec::new(),
            ports: Vec::new(),
            route_groups: groups.iter().map(|g| (*g).into()).collect(),
            upstream_setting: setting.map(Into::into),
        };
        all(&Object::Egress(egress))
    };
    assert_eq!(of("ServiceAccount", &[], None), (vec![], vec![]));
    assert_eq!(of("Group", &["g"], Some("u")), (vec![], vec!["UnsupportedSubject", "NotFound", "NotFound"]));
}

fn setting(written: &str, host: &str) -> UpstreamTrafficSetting {
    UpstreamTrafficSetting {
        name: name(written),
        created: None,
        host: host.into(),
        connection: ConnectionSettings::default(),
        outlier: None,
        rate_limit: RateLimit::default(),
        routes: Vec::new(),
    }
}

#[test]
fn a_setting_is_for_a_host_of_its_namespace() {
    let of = |host| told(&upstream::host(&setting("u", host), &services()));
    for host in ["web", "web.shop", "web.shop.svc", "web.shop.svc.cluster.local", "example.com"] {
        assert_eq!(of(host), (vec![], vec![]), "{host}");
    }
    assert_eq!(of("web.other.svc.cluster.local"), (vec!["ForeignService"], vec![]));
    assert_eq!(of("soon"), (vec![], vec![]));
    let soon = Object::UpstreamTrafficSetting(Box::new(setting("u", "soon")));
    assert_eq!(all(&soon), (vec![], vec!["NotFound"]));
}

#[test]
fn a_host_has_one_setting() {
    let world = with(Object::UpstreamTrafficSetting(Box::new(setting("elder", "web.shop.svc.cluster.local"))));
    let of = |written: &str, host| told(&upstream::one_for_a_host(&setting(written, host), &world)).0;
    assert_eq!(of("u", "web"), ["ConflictingSetting"]);
    assert_eq!(of("elder", "web"), NONE);
    assert_eq!(of("u", "v1"), NONE);
    let foreign = ObjectName::new("other", "u");
    assert_eq!(of(&foreign.to_string(), "web"), NONE);
}

#[test]
fn statuses_are_those_of_envoy() {
    let of = |local: i64, route: i64| {
        let route = json!({"path": "/", "rateLimit": {"local": {"responseStatusCode": route}}});
        let limit = json!({"local": {"http": {"responseStatusCode": local}}});
        told(&upstream::statuses(&json!({"spec": {"rateLimit": limit, "httpRoutes": [route]}}))).0.len()
    };
    assert_eq!(of(429, 503), 0);
    // 418 is a status, but not one of Envoy's; 200 is no refusal.
    assert_eq!((of(418, 503), of(429, 200), of(-1, i64::MAX)), (1, 1, 2));
}
