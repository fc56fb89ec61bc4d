//! Random worlds: small enough that objects meet, wide enough for every kind of rule, port and mistake.

pub(crate) mod edge;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use proptest::{
    collection::{btree_map, btree_set, vec},
    option::{self, weighted},
    prelude::*,
    sample::{select, subsequence},
};

use super::{leaf, pod};
use crate::{
    api::{Manifest, parse},
    model::{
        AccessLog, Backend, EndpointSlice, ExtensionService, Features, HttpMatch, HttpRouteGroup, Kind, Methods,
        ObjectName, ObjectRef, OpenTelemetryLog, Protocol, RoutePorts, Rule, RuleKind, Service, ServiceAccount,
        ServicePort, Settings, Subject, TargetPort, TcpRoute, Telemetry, Tracing, TracingProtocol, TrafficSplit,
        TrafficTarget, TrustBundle, TrustDomain, UdpRoute, Workload,
    },
    world::{Change, Object},
};

type Text = Arc<str>;

/// A sound core, so that rules, splits and pods meet: `z` may call `x`, whose pod is one leaf of the split on `r`.
const CORE: &str = "
{kind: Service, apiVersion: v1, metadata: {name: r}, spec: {clusterIP: 10.96.0.1, selector: {app: none}, ports: [{port: 80}]}}
---
{kind: Service, apiVersion: v1, metadata: {name: s}, spec: {clusterIP: 10.96.0.2, selector: {app: '1'}, ports: [{port: 80}]}}
---
{kind: Service, apiVersion: v1, metadata: {name: t}, spec: {clusterIP: 10.96.0.3, selector: {app: '2'}, ports: [{port: 80}]}}
---
kind: TrafficSplit
apiVersion: split.smi-spec.io/v1alpha4
metadata: {name: v}
spec: {service: s, backends: [{service: t, weight: 1}], matches: [{kind: HTTPRouteGroup, name: h}]}
---
{kind: HTTPRouteGroup, apiVersion: specs.smi-spec.io/v1alpha4, metadata: {name: h}, spec: {matches: [{name: one}]}}
---
kind: TrafficSplit
apiVersion: split.smi-spec.io/v1alpha4
metadata: {name: u}
spec: {service: r, backends: [{service: s, weight: 1}, {service: t, weight: 1}]}
---
kind: TrafficTarget
apiVersion: access.smi-spec.io/v1alpha3
metadata: {name: m}
spec:
  destination: {kind: ServiceAccount, name: x}
  rules: [{kind: HTTPRouteGroup, name: g}]
  sources: [{kind: ServiceAccount, name: z}]
---
kind: HTTPRouteGroup
apiVersion: specs.smi-spec.io/v1alpha4
metadata: {name: g}
spec: {matches: [{name: one, pathRegex: /a}]}
";

fn core() -> Vec<Change> {
    let objects = parse(CORE, "core", "a").expect("the core is sound").into_iter();
    let objects = objects.filter_map(|m| if let Manifest::Object(object) = m { Some(object) } else { None });
    let pods = [("p", "x", "app=1"), ("q", "y", "app=2"), ("v", "z", "app=3")];
    let pods = (1..).zip(pods).map(|(i, (name, account, labels))| {
        let address = Ipv4Addr::new(10, 0, 0, i).into();
        Object::Workload(Workload { address, ..pod(&format!("a/{name}"), account, labels) })
    });
    puts(objects.chain(pods).collect())
}

/// A world as the changes that make it: enough objects that most of them find each other.
pub(crate) fn world() -> impl Strategy<Value = Vec<Change>> {
    prop_oneof![any_world(), (any_world(), some_core()).prop_map(|(any, core)| [any, core].concat()), some_core()]
}

fn some_core() -> impl Strategy<Value = Vec<Change>> {
    let core = core();
    let number = core.len();
    subsequence(core, number - 2..=number)
}

fn any_world() -> impl Strategy<Value = Vec<Change>> {
    let many = |object: BoxedStrategy<Object>, n| vec(object, n).prop_map(puts);
    let objects = (
        many(service().prop_map(Object::Service).boxed(), 2..6),
        many(workload().prop_map(Object::Workload).boxed(), 3..9),
        many(target().prop_map(Object::TrafficTarget).boxed(), 1..6),
        many(routes(), 2..6),
        many(split().prop_map(Object::TrafficSplit).boxed(), 0..4),
        many(telemetry().boxed(), 0..4),
        many(slice().prop_map(Object::EndpointSlice).boxed(), 0..3),
    );
    let certificates = select(accounts()).prop_map(|a| Change::Certificate(leaf(&a)));
    let settings = settings().prop_map(Change::Settings);
    (objects, vec(certificates, 0..4), vec(settings, 0..2)).prop_map(
        |((a, b, c, d, e, f, g), certificates, settings)| {
            let trust = Change::Trust(TrustBundle { roots_pem: "ROOT".into() });
            let parts = [vec![trust], a, b, c, d, e, f, g, certificates, settings];
            parts.into_iter().flatten().collect()
        },
    )
}

/// Anything that can happen.
pub(crate) fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => select(core()),
        12 => object().prop_map(Change::Put),
        1 => edge::egress().prop_map(|e| Change::Put(Object::Egress(e))),
        2 => edge::ingress().prop_map(|i| Change::Put(Object::IngressBackend(i))),
        1 => edge::ingress().prop_map(|i| Change::Gone(Object::IngressBackend(i).reference())),
        6 => object().prop_map(|o| Change::Gone(o.reference())),
        1 => select(namespaces()).prop_map(|ns| Change::Gone(ObjectRef::new(Kind::MeshConfig, ObjectName::new(ns, "m")))),
        1 => settings().prop_map(Change::Settings),
        1 => select(vec!["ROOT", "ROOT and NEW"]).prop_map(|r| Change::Trust(TrustBundle { roots_pem: r.into() })),
        2 => select(accounts()).prop_map(|a| Change::Certificate(leaf(&a))),
        1 => select(accounts()).prop_map(Change::CertificateGone),
    ]
}

fn puts(objects: Vec<Object>) -> Vec<Change> {
    objects.into_iter().map(Change::Put).collect()
}

fn object() -> impl Strategy<Value = Object> {
    prop_oneof![
        3 => service().prop_map(Object::Service),
        3 => workload().prop_map(Object::Workload),
        3 => target().prop_map(Object::TrafficTarget),
        2 => split().prop_map(Object::TrafficSplit),
        2 => slice().prop_map(Object::EndpointSlice),
        3 => routes(),
        1 => telemetry(),
    ]
}

fn routes() -> BoxedStrategy<Object> {
    prop_oneof![
        5 => group().prop_map(Object::HttpRouteGroup),
        3 => (named(&["k", "l"]), ports()).prop_map(|(name, ports)| Object::TcpRoute(TcpRoute { name, ports })),
        1 => (named(&["k"]), ports()).prop_map(|(name, ports)| Object::UdpRoute(UdpRoute { name, ports })),
    ]
    .boxed()
}

fn namespaces() -> Vec<&'static str> {
    vec!["a", "a", "a", "b"]
}

fn accounts() -> Vec<ServiceAccount> {
    let of = |ns| ["x", "y", "z"].map(|name| ServiceAccount::new(ns, name));
    [of("a"), of("a"), of("b")].concat()
}

fn named(names: &[&'static str]) -> impl Strategy<Value = ObjectName> + use<> {
    (select(namespaces()), select(names.to_vec())).prop_map(|(ns, name)| ObjectName::new(ns, name))
}

fn text(choices: &[&'static str]) -> impl Strategy<Value = Text> + use<> {
    select(choices.to_vec()).prop_map(Text::from)
}

fn settings() -> impl Strategy<Value = Settings> {
    let tracing = |protocol| Some(Tracing { address: "spans.test".into(), port: 9411, protocol, sampling: 10_000 });
    let tracing =
        vec![None, tracing(TracingProtocol::OpenTelemetry), tracing(TracingProtocol::Zipkin("/api/v2/spans".into()))];
    let domain = select(vec!["cluster.local", "mesh.example"]);
    let parts = (proptest::bool::weighted(0.4), domain, proptest::bool::weighted(0.8), select(tracing));
    parts.prop_map(|(permissive, domain, request_metrics, tracing)| Settings {
        permissive,
        trust_domain: TrustDomain::new(domain),
        features: Features { request_metrics, ..Features::default() },
        tracing,
        ..Settings::default()
    })
}

/// A Telemetry, or the receiver that it names.
fn telemetry() -> impl Strategy<Value = Object> {
    let receiver =
        |name| ExtensionService { name, host: "logs.test".into(), port: 4317, http2: true, connect_timeout: None };
    let selector = prop_oneof![Just(BTreeMap::new()), labels(1..2)];
    let format =
        select(vec![None, Some("%PROTOCOL%"), Some(r#"{"b": {"d": 1, "c": ["x"]}, "a": "%PROTOCOL%"}"#), Some("%")]);
    let open_telemetry = option::of(named(&["e"]));
    let telemetry = (named(&["t", "u"]), selector, format, open_telemetry).prop_map(|(name, selector, format, to)| {
        let attributes = BTreeMap::from([("x".into(), "y".into()), ("code".into(), "%RESPONSE_CODE%".into())]);
        let open_telemetry = to.map(|service| OpenTelemetryLog { service, attributes });
        let access_log = Some(AccessLog { format: format.map(Text::from), open_telemetry });
        Object::Telemetry(Telemetry { name, created: None, selector, access_log })
    });
    prop_oneof![2 => telemetry, 1 => named(&["e"]).prop_map(move |name| Object::ExtensionService(receiver(name)))]
}

fn service() -> impl Strategy<Value = Service> {
    let cluster_ip = prop_oneof![
        5 => (1_u8..5).prop_map(|i| Some(IpAddr::from(Ipv4Addr::new(10, 96, 0, i)))),
        1 => Just(Some(IpAddr::from(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)))),
        3 => Just(None),
    ];
    let selector = prop_oneof![
        8 => labels(1..2),
        2 => labels(2..3),
        2 => Just(BTreeMap::new()),
    ];
    let ports = btree_map(select(vec![80_u16, 81, 90]), (target_port(), protocol()), 1..4);
    (named(&["s", "t", "r"]), cluster_ip, selector, ports).prop_map(|(name, cluster_ip, selector, ports)| {
        let port = |(port, (target, protocol))| ServicePort { name: None, port, target, protocol };
        Service { name, cluster_ip, selector, ports: ports.into_iter().map(port).collect() }
    })
}

fn target_port() -> impl Strategy<Value = TargetPort> {
    prop_oneof![
        select(vec![8080_u16, 8080, 8081]).prop_map(TargetPort::Number),
        text(&["web", "web", "db"]).prop_map(TargetPort::Name),
    ]
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![
        6 => Just(Protocol::Http),
        1 => Just(Protocol::Grpc),
        3 => Just(Protocol::Tcp),
        1 => Just(Protocol::TcpServerFirst),
        1 => Just(Protocol::Unsupported),
    ]
}

fn labels(number: std::ops::Range<usize>) -> impl Strategy<Value = BTreeMap<Text, Text>> {
    btree_map(text(&["app", "app", "tier"]), text(&["1", "1", "2"]), number)
}

fn workload() -> impl Strategy<Value = Workload> {
    let account = prop_oneof![4 => Just("x"), 3 => Just("y"), 1 => Just("z")];
    let named_ports = btree_map(text(&["web", "db"]), select(vec![8080_u16, 8081]), 0..3);
    let dns = (weighted(0.7, text(&["h", "h", "s"])), weighted(0.7, text(&["s", "s", "t"])));
    (named(&["p", "q", "u", "v"]), account, labels(1..3), 1_u8..7, named_ports, dns, proptest::bool::weighted(0.8))
        .prop_map(|(name, account, labels, address, named_ports, (hostname, subdomain), ready)| Workload {
            account: ServiceAccount::new(name.namespace.clone(), account),
            name,
            labels,
            address: Ipv4Addr::new(10, 0, 0, address).into(),
            named_ports,
            ready,
            hostname,
            subdomain,
        })
}

fn slice() -> impl Strategy<Value = EndpointSlice> {
    let addresses = || btree_set((1_u8..7).prop_map(|i| IpAddr::from(Ipv4Addr::new(10, 0, 0, i))), 0..4);
    (named(&["e", "f", "g"]), text(&["s", "t", "r"]), addresses(), addresses())
        .prop_map(|(name, service, ready, not_ready)| EndpointSlice { name, service, ready, not_ready })
}

fn group() -> impl Strategy<Value = HttpRouteGroup> {
    (named(&["g", "h"]), vec(http_match(), 0..4)).prop_map(|(name, matches)| HttpRouteGroup { name, matches })
}

fn http_match() -> impl Strategy<Value = HttpMatch> {
    let path = option::of(text(&["/", "/a", "/a/.*", "/[ab]", ".*", "("]));
    let method = btree_set(text(&["GET", "POST", "HEAD"]), 1..3).prop_map(Methods::Only);
    let methods = prop_oneof![Just(Methods::Any), method];
    let headers = btree_map(text(&["host", "x-user", ":authority"]), text(&["me", ".*", ""]), 0..2);
    (text(&["one", "two"]), path, methods, headers).prop_map(|(name, path, methods, headers)| HttpMatch {
        name,
        path,
        methods,
        headers,
    })
}

fn ports() -> impl Strategy<Value = RoutePorts> {
    let some = btree_set(select(vec![80_u16, 81, 90]), 1..3);
    prop_oneof![Just(RoutePorts::All), some.prop_map(RoutePorts::Only)]
}

fn subject() -> impl Strategy<Value = Subject> {
    let kind = prop_oneof![15 => Just("ServiceAccount"), 1 => Just("Group")];
    (kind, text(&["x", "y", "z"]), option::of(text(&["a", "a", "b"]))).prop_map(|(kind, name, namespace)| Subject {
        kind: kind.into(),
        name,
        namespace,
    })
}

fn target() -> impl Strategy<Value = TrafficTarget> {
    let port = weighted(0.1, select(vec![80_u16, 90]));
    (named(&["m", "n", "o"]), subject(), port, vec(subject(), 0..4), vec(rule(), 0..4)).prop_map(
        |(name, destination, destination_port, sources, rules)| TrafficTarget {
            name,
            destination,
            destination_port,
            sources,
            rules,
        },
    )
}

fn rule() -> impl Strategy<Value = Rule> {
    let http = (text(&["g", "g", "h", "missing"]), vec(text(&["one", "two", "missing"]), 0..2))
        .prop_map(|(name, matches)| Rule { kind: RuleKind::HttpRouteGroup, name, matches });
    let other = |kind: RuleKind| move |name| Rule { kind: kind.clone(), name, matches: Vec::new() };
    prop_oneof![
        6 => http,
        4 => text(&["k", "k", "l"]).prop_map(other(RuleKind::TcpRoute)),
        1 => text(&["k"]).prop_map(other(RuleKind::UdpRoute)),
        1 => text(&["k"]).prop_map(other(RuleKind::Other("Foo".into()))),
    ]
}

fn split() -> impl Strategy<Value = TrafficSplit> {
    let host = || text(&["s", "t", "r", "t", "r.a", "s.a.svc.cluster.local", "t.b", "missing"]);
    let weight = prop_oneof![2 => Just(0_u64), 6 => 1_u64..100, 1 => Just(u64::MAX)];
    let backend = (host(), weight).prop_map(|(service, weight)| Backend { service, weight });
    let matches = prop_oneof![3 => Just(Vec::new()), 2 => vec(text(&["g", "h", "missing"]), 1..3)];
    (named(&["u", "v"]), option::of(0_i64..3), host(), vec(backend, 0..4), matches).prop_map(
        |(name, created, service, backends, matches)| TrafficSplit { name, created, service, backends, matches },
    )
}
