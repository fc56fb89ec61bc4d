//! Random Egress and IngressBackend objects, whose hosts, ranges and ports meet.

use std::sync::Arc;

use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::model::{
    Egress, EgressPort, EgressProtocol, IngressBackend, IngressPort, IngressSource, IngressTls, ObjectName, Subject,
};

fn texts(choices: &[&'static str], number: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Arc<str>>> + use<> {
    vec(select(choices.to_vec()).prop_map(Arc::from), number)
}

fn named() -> impl Strategy<Value = ObjectName> {
    select(vec!["e", "f", "g"]).prop_map(|name| ObjectName::new("a", name))
}

const RANGES: [&str; 5] = ["10.0.0.0/8", "10.96.0.1/32", "10.0.0.1/32", "0.0.0.0/0", "fd00::/8"];

pub(crate) fn egress() -> impl Strategy<Value = Egress> {
    use EgressProtocol::{Http, Https, Tcp, TcpServerFirst};
    let port = (select(vec![80_u16, 81]), select(vec![Http, Http, Https, Https, Tcp, TcpServerFirst]));
    let port = port.prop_map(|(number, protocol)| EgressPort { number, protocol });
    let ranges = vec(select(RANGES.to_vec()).prop_map(|r| r.parse().expect("a range")), 0..3);
    let groups = texts(&["g", "h", "missing"], 0..2);
    (named(), texts(&["api.test", "other.test"], 0..3), ranges, vec(port, 1..3), groups).prop_map(
        |(name, hosts, ip_ranges, ports, route_groups)| {
            let account = |name: &str| Subject { kind: "ServiceAccount".into(), name: name.into(), namespace: None };
            let sources = ["x", "y", "z"].map(account).to_vec();
            Egress { name, sources, hosts, ip_ranges, ports, route_groups, upstream_setting: None }
        },
    )
}

pub(crate) fn ingress() -> impl Strategy<Value = IngressBackend> {
    let tls = (any::<bool>(), texts(&["web.test", "s.a.svc.cluster.local"], 0..3))
        .prop_map(|(skip_client_certificate, sni_hosts)| IngressTls { skip_client_certificate, sni_hosts });
    let backend = (select(vec!["s", "t", "r"]), select(vec![80_u16, 8080, 8081]), option::of(tls))
        .prop_map(|(service, port, tls)| IngressPort { service: service.into(), port, tls });
    let source = prop_oneof![
        select(vec!["s", "missing"]).prop_map(|name| IngressSource::Service(ObjectName::new("a", name))),
        select(vec!["gate.a.cluster.local", "*"]).prop_map(|name| IngressSource::Principal(name.into())),
        select(RANGES.to_vec()).prop_map(|r| IngressSource::Range(r.parse().expect("a range"))),
    ];
    (named(), vec(backend, 1..3), vec(source, 0..3), texts(&["g", "h", "missing"], 0..2))
        .prop_map(|(name, backends, sources, route_groups)| IngressBackend { name, backends, sources, route_groups })
}
