use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use super::{Manifest, good, object};
use crate::{
    api::mesh_root_certificate::{IssuerKind, Provider, Role, VaultProtocol},
    model::{
        Backend, HttpMatch, HttpRouteGroup, Methods, ObjectName, Protocol, RoutePorts, Rule, RuleKind, Service,
        ServicePort, Subject, TargetPort, TcpRoute, TrafficSplit, TrafficTarget, TrustDomain, UdpRoute,
    },
    world::Object,
};

fn name() -> ObjectName {
    ObjectName::new("shop", "n")
}

fn only(text: &str) -> Object {
    match <[Manifest; 1]>::try_from(good(text)) {
        Ok([Manifest::Object(object)]) => object,
        other => panic!("{other:?}"),
    }
}

#[test]
fn traffic_target_in_every_version() {
    let content = |rules: &str, port: &str, indent: &str| {
        [
            &format!("destination: {{kind: ServiceAccount, name: api.v1, namespace: shop{port}}}"),
            &format!("{rules}: [{{kind: HTTPRouteGroup, name: r, matches: [get]}}, {{kind: TCPRoute, name: t}},"),
            "  {kind: UDPRoute, name: u}, {kind: Magic, name: 'any: thing'}]",
            "sources: [{kind: ServiceAccount, name: web, namespace: front}, {kind: Group, name: 'system:masters'}]",
        ]
        .map(|line| format!("{indent}{line}\n"))
        .concat()
    };
    let rule = |kind, name: &str, matches: &[&str]| Rule {
        kind,
        name: name.into(),
        matches: matches.iter().copied().map(Arc::from).collect(),
    };
    let subject = |kind: &str, name: &str, namespace: Option<&str>| Subject {
        kind: kind.into(),
        name: name.into(),
        namespace: namespace.map(Arc::from),
    };
    let expected = |destination_port| {
        Object::TrafficTarget(TrafficTarget {
            name: name(),
            destination: subject("ServiceAccount", "api.v1", Some("shop")),
            destination_port,
            sources: vec![subject("ServiceAccount", "web", Some("front")), subject("Group", "system:masters", None)],
            rules: vec![
                rule(RuleKind::HttpRouteGroup, "r", &["get"]),
                rule(RuleKind::TcpRoute, "t", &[]),
                rule(RuleKind::UdpRoute, "u", &[]),
                rule(RuleKind::Other("Magic".into()), "any: thing", &[]),
            ],
        })
    };
    let read =
        |version: &str, rest: &str| only(&object(&format!("access.smi-spec.io/{version}"), "TrafficTarget", rest));
    let spec = |port: &str| format!("spec:\n{}", content("rules", port, "  "));
    assert_eq!(read("v1alpha1", &content("specs", "", "")), expected(None));
    assert_eq!(read("v1alpha2", &spec("")), expected(None));
    assert_eq!(read("v1alpha3", &spec("")), expected(None));
    // The port narrows the target; it must not get lost.
    assert_eq!(read("v1alpha1", &content("specs", ", port: 8080", "")), expected(Some(8080)));
    assert_eq!(read("v1alpha2", &spec(", port: 8080")), expected(Some(8080)));
}

#[test]
fn traffic_target_may_lack_rules_and_sources() {
    // The specification wants both; policy says so, and lets nothing through.
    for spec in [
        "{destination: {kind: ServiceAccount, name: a}}",
        "{destination: {kind: ServiceAccount, name: a}, rules: , sources: []}",
    ] {
        let text = object("access.smi-spec.io/v1alpha3", "TrafficTarget", &format!("spec: {spec}"));
        let Object::TrafficTarget(target) = only(&text) else { panic!("another kind") };
        assert!(target.rules.is_empty() && target.sources.is_empty());
        assert_eq!(target.destination.namespace, None);
    }
}

#[test]
fn http_route_group_in_every_version() {
    let matches = |headers: &str| {
        format!(
            "[{{name: metrics, pathRegex: /metrics, methods: [GET, HEAD]{headers}}}, {{name: any, pathRegex: '', methods: ['*', GET]}}]"
        )
    };
    let expected = |headers: &[(&str, &str)]| {
        Object::HttpRouteGroup(HttpRouteGroup {
            name: name(),
            matches: vec![
                HttpMatch {
                    name: "metrics".into(),
                    path: Some("/metrics".into()),
                    methods: Methods::Only(BTreeSet::from(["GET".into(), "HEAD".into()])),
                    headers: headers.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
                },
                HttpMatch { name: "any".into(), path: None, methods: Methods::Any, headers: BTreeMap::new() },
            ],
        })
    };
    let read =
        |version: &str, rest: &str| only(&object(&format!("specs.smi-spec.io/{version}"), "HTTPRouteGroup", rest));
    assert_eq!(read("v1alpha1", &format!("matches: {}", matches(""))), expected(&[]));
    let headers = [("user-agent", ".*Android.*"), ("x-n", "1")];
    for written in
        [", headers: [{User-Agent: '.*Android.*'}, {x-n: '1'}]", ", headers: {User-Agent: '.*Android.*', x-n: '1'}"]
    {
        assert_eq!(read("v1alpha2", &format!("matches: {}", matches(written))), expected(&headers));
        for version in ["v1alpha3", "v1alpha4"] {
            assert_eq!(read(version, &format!("spec: {{matches: {}}}", matches(written))), expected(&headers));
        }
    }
}

#[test]
fn every_method() {
    let all = ["GET", "HEAD", "PUT", "POST", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    let spec = format!("spec: {{matches: [{{name: a, methods: [{}]}}]}}", all.join(", "));
    let Object::HttpRouteGroup(group) = only(&object("specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", &spec)) else {
        panic!("another kind")
    };
    assert_eq!(group.matches[0].methods, Methods::Only(all.map(Arc::from).into()));
}

#[test]
fn tcp_route_in_every_version() {
    let read = |version: &str, rest: &str| only(&object(&format!("specs.smi-spec.io/{version}"), "TCPRoute", rest));
    let expected = |ports| Object::TcpRoute(TcpRoute { name: name(), ports });
    for (version, rest) in [
        ("v1alpha1", ""),
        ("v1alpha2", ""),
        ("v1alpha3", ""),
        ("v1alpha3", "spec: {}"),
        ("v1alpha4", "spec: {matches: {ports: []}}"),
        ("v1alpha4", "spec: {matches: {name: all, ports: []}}"),
    ] {
        assert_eq!(read(version, rest), expected(RoutePorts::All), "{version} {rest}");
    }
    let ports = RoutePorts::Only([1, 3306, 65535].into());
    assert_eq!(read("v1alpha4", "spec: {matches: {ports: [3306, 1, 65535, 3306]}}"), expected(ports));
}

#[test]
fn udp_route() {
    let read = |rest: &str| only(&object("specs.smi-spec.io/v1alpha4", "UDPRoute", rest));
    let expected = |ports| Object::UdpRoute(UdpRoute { name: name(), ports });
    assert_eq!(read("spec: {matches: {ports: []}}"), expected(RoutePorts::All));
    assert_eq!(read("spec: {matches: {ports: [53]}}"), expected(RoutePorts::Only([53].into())));
}

#[test]
fn traffic_split_in_every_version() {
    let read = |version: &str, weights: [&str; 2], rest: &str| {
        let [a, b] = weights;
        let spec = format!(
            "spec: {{service: web.shop, backends: [{{service: a, weight: {a}}}, {{service: b, weight: {b}}}]{rest}}}"
        );
        only(&object(&format!("split.smi-spec.io/{version}"), "TrafficSplit", &spec))
    };
    let expected = |weights: [u64; 2], matches: &[&str]| {
        let backend = |service: &str, weight| Backend { service: service.into(), weight };
        Object::TrafficSplit(TrafficSplit {
            name: name(),
            created: None,
            service: "web.shop".into(),
            backends: vec![backend("a", weights[0]), backend("b", weights[1])],
            matches: matches.iter().copied().map(Arc::from).collect(),
        })
    };
    for (written, thousandths) in [
        (["1", "500m"], [1000, 500]),
        (["90", "10"], [90_000, 10_000]),
        (["0m", "1"], [0, 1000]),
        (["0.5", "'1.5'"], [500, 1500]),
        (["1e3", "1k"], [1_000_000, 1_000_000]),
    ] {
        assert_eq!(read("v1alpha1", written, ""), expected(thousandths, &[]), "{written:?}");
    }
    for version in ["v1alpha2", "v1alpha3", "v1alpha4"] {
        assert_eq!(read(version, ["90", "0"], ""), expected([90, 0], &[]), "{version}");
    }
    let matches =
        ", matches: [{kind: HTTPRouteGroup, name: beta}, {apiGroup: specs.smi-spec.io, kind: HTTPRouteGroup, name: g}]";
    for version in ["v1alpha3", "v1alpha4"] {
        assert_eq!(
            read(version, ["1", "1000000000"], matches),
            expected([1, 1_000_000_000], &["beta", "g"]),
            "{version}"
        );
    }
}

#[test]
fn traffic_split_names_and_age() {
    let text = "\
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: a, creationTimestamp: 1970-01-02T00:00:00Z}
spec: {service: web.default.svc.cluster.local., backends: []}
";
    let Object::TrafficSplit(split) = only(text) else { panic!("another kind") };
    assert_eq!(split.created, Some(86_400));
    assert_eq!(&*split.service, "web.default.svc.cluster.local");
    assert_eq!(split.name, ObjectName::new("default", "a"));
}

fn port(number: u16, name: Option<&str>, target: TargetPort, protocol: Protocol) -> ServicePort {
    ServicePort { name: name.map(Arc::from), port: number, target, protocol }
}

#[test]
fn service() {
    let spec = "\
spec:
  type: ClusterIP
  clusterIP: 10.0.0.7
  selector: {app: web}
  ports:
  - {name: tcp-db, port: 3306, targetPort: mysql}
  - {name: dns, port: 53, protocol: UDP}
  - {name: dns-tcp, port: 53, appProtocol: tcp}
  - {name: api, port: 80, targetPort: 8080, protocol: TCP}";
    let expected = Service {
        name: name(),
        cluster_ip: Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7))),
        selector: BTreeMap::from([("app".into(), "web".into())]),
        ports: vec![
            port(53, Some("dns-tcp"), TargetPort::Number(53), Protocol::Tcp),
            port(80, Some("api"), TargetPort::Number(8080), Protocol::Http),
            port(3306, Some("tcp-db"), TargetPort::Name("mysql".into()), Protocol::Tcp),
        ],
    };
    assert_eq!(only(&object("v1", "Service", spec)), Object::Service(expected));
}

#[test]
fn service_addresses() {
    let read = |spec: &str| good(&object("v1", "Service", &format!("spec: {{{spec}}}"))).remove(0);
    let service = |cluster_ip| Service {
        name: name(),
        cluster_ip,
        selector: BTreeMap::new(),
        ports: vec![port(80, None, TargetPort::Number(80), Protocol::Http)],
    };
    let address = IpAddr::from([10, 0, 0, 1]);
    for spec in ["ports: [{port: 80}]", "clusterIP: '', ports: [{port: 80}]", "clusterIP: , ports: [{port: 80}]"] {
        let Manifest::UnassignedService(unassigned) = read(spec) else { panic!("{spec}") };
        assert_eq!(unassigned.assign(address), service(Some(address)));
    }
    let put = |service| Manifest::Object(Object::Service(service));
    assert_eq!(read("clusterIP: None, ports: [{port: 80}]"), put(service(None)));
    assert_eq!(read("clusterIP: 'fd00::1', ports: [{port: 80}]"), put(service("fd00::1".parse().ok())));
    assert_eq!(read("clusterIP: None"), put(Service { ports: vec![], ..service(None) }));
}

#[test]
fn mesh_config() {
    for (spec, expected) in [
        ("{}", false),
        ("{traffic: {}}", false),
        ("{traffic: {enablePermissiveTrafficPolicyMode: false}}", false),
        ("{traffic: {enablePermissiveTrafficPolicyMode: true}}", true),
    ] {
        let text = object("config.openservicemesh.io/v1alpha2", "MeshConfig", &format!("spec: {spec}"));
        let manifests = good(&text);
        let [Manifest::MeshConfig { name: found, spec: read }] = manifests.as_slice() else { panic!("{spec}") };
        assert_eq!((found, read.settings(TrustDomain::default()).permissive), (&name(), expected), "{spec}");
    }
}

#[test]
fn mesh_root_certificate() {
    let read = |spec: &str| {
        let text = object("config.openservicemesh.io/v1alpha2", "MeshRootCertificate", &format!("spec: {spec}"));
        match good(&text).remove(0) {
            Manifest::MeshRootCertificate { name: found, created: None, spec } if found == name() => *spec,
            other => panic!("{other:?}"),
        }
    };
    let tresor = read("{provider: {tresor: {ca: {secretRef: {name: osm-ca-bundle, namespace: osm-system}}}}}");
    assert_eq!((tresor.trust_domain(), tresor.role), (TrustDomain::default(), Role::Active));
    assert!(matches!(tresor.provider.chosen(), Ok(Provider::Tresor(t)) if t.ca.secret_ref.name == "osm-ca-bundle"));
    let token = "token: {secretKeyRef: {name: t, key: k, namespace: n}}";
    let vault = format!("{{host: 10.0.0.1, port: 8200, role: osm, protocol: http, {token}}}");
    let vault = read(&format!("{{provider: {{vault: {vault}}}, trustDomain: td, role: passive, spiffeEnabled: true}}"));
    assert_eq!((vault.trust_domain(), vault.role), (TrustDomain::new("td"), Role::Passive));
    assert!(matches!(vault.provider.chosen(), Ok(Provider::Vault(v)) if v.protocol == VaultProtocol::Http));
    let issuer = read("{provider: {certManager: {issuerName: i, issuerKind: ClusterIssuer}}, role: inactive}");
    assert!(
        matches!(issuer.provider.chosen(), Ok(Provider::CertManager(c)) if c.issuer_kind == IssuerKind::ClusterIssuer)
    );
}

#[test]
fn what_servers_add_is_ignored() {
    let text = "\
apiVersion: specs.smi-spec.io/v1alpha4
kind: TCPRoute
metadata:
  name: n
  namespace: shop
  labels: {app: web}
  annotations: {kubectl.kubernetes.io/last-applied-configuration: '{}'}
  creationTimestamp: null
  uid: 0b6c
  resourceVersion: '7'
  generation: 3
  managedFields: [{manager: kubectl}]
  ownerReferences: [{name: x}]
  finalizers: [a/b]
spec: {matches: {ports: []}}
status: {conditions: []}
";
    assert_eq!(only(text), Object::TcpRoute(TcpRoute { name: name(), ports: RoutePorts::All }));
}

#[test]
fn egress_and_ingress_backend() {
    let egress = only(&object(
        "policy.openservicemesh.io/v1alpha1",
        "Egress",
        "spec:
  sources: [{kind: ServiceAccount, name: curl, namespace: front}]
  hosts: [httpbin.org.]
  ipAddresses: [10.1.2.3/8]
  ports: [{number: 80, protocol: http}, {number: 25, protocol: tcp-server-first}]
  matches:
  - {apiGroup: specs.smi-spec.io/v1alpha4, kind: HTTPRouteGroup, name: r}
  - {apiGroup: policy.openservicemesh.io/v1alpha1, kind: UpstreamTrafficSetting, name: u}",
    ));
    let Object::Egress(egress) = egress else { panic!("another kind") };
    assert_eq!((&*egress.hosts[0], egress.ip_ranges[0].to_string()), ("httpbin.org", "10.0.0.0/8".to_owned()));
    assert_eq!(egress.ports[1].protocol, crate::model::EgressProtocol::TcpServerFirst);
    assert_eq!((&*egress.route_groups[0], egress.upstream_setting.as_deref()), ("r", Some("u")));
    let ingress = only(&object(
        "policy.openservicemesh.io/v1alpha1",
        "IngressBackend",
        "spec:
  backends: [{name: web, port: {number: 80, protocol: https}, tls: {skipClientCertValidation: true, sniHosts: [a.b]}}]
  sources: [{kind: Service, name: gate}, {kind: IPRange, name: 10.0.0.0/8}, {kind: AuthenticatedPrincipal, name: '*'}]
  matches: [{apiGroup: specs.smi-spec.io/v1alpha4, kind: HTTPRouteGroup, name: r}]",
    ));
    let Object::IngressBackend(ingress) = ingress else { panic!("another kind") };
    assert!(ingress.backends[0].tls.as_ref().is_some_and(|t| t.skip_client_certificate && t.sni_hosts.len() == 1));
    assert_eq!(ingress.sources[0], crate::model::IngressSource::Service(ObjectName::new("shop", "gate")));
    assert_eq!(ingress.sources.len(), 3);
}
