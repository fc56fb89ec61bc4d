//! Certificates on both sides of a connection, real ones.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};

use super::{
    allowed, denied,
    fixture::{
        Authority, CLIENT_NAME, FQDN, Mesh, WEB, WEB_NAME, any_permission, caller, certificate_secret, exact, get,
        inbound, ip, policy, request, validation_secret,
    },
    shape,
};
use crate::{
    evaluator::{Caller, DirectTls, PeerCertificate, Pod, Stage, Standing},
    exchange::Request,
    scenario::model::{Because, Proto, Shape},
};

fn mesh() -> Mesh {
    Mesh::http(vec![inbound(".*", Vec::new(), CLIENT_NAME)])
}

/// To the pod itself.
fn direct() -> Request {
    request(Proto::Http1, &format!("{}:8080", WEB[0]), "GET", "/")
}

fn tls(certificate: Option<PeerCertificate>) -> Caller {
    Caller::Tls(DirectTls { server_name: Some(FQDN.into()), alpn: vec!["osm".into()], certificate })
}

fn presented((chain, _): (String, String)) -> Option<PeerCertificate> {
    Some(PeerCertificate::from_pem(&chain).expect("certificate"))
}

#[test]
fn the_client_checks_the_server() {
    for (name, until, foreign, ok) in [
        (WEB_NAME, 2040, false, true),
        ("other.ns.cluster.local", 2040, false, false),
        (WEB_NAME, 2021, false, false),
        (WEB_NAME, 2040, true, false),
    ] {
        let mut mesh = mesh();
        let foreigner = Authority::new("root");
        let authority = if foreign { &foreigner } else { &mesh.authority };
        let secret = certificate_secret(&authority.leaf(name, until));
        mesh.server.secrets.insert("cert".into(), secret);
        let evaluator = mesh.evaluator();
        if ok {
            assert!(allowed(&evaluator, &caller(), &get("/")));
            continue;
        }
        let denial = denied(&evaluator, &caller(), &get("/"));
        assert_eq!(
            (denial.layer, denial.shape, denial.because),
            (Stage::UpstreamTls, Some(Shape::Http503), Because::BadIdentity)
        );
    }
}

#[test]
fn the_server_checks_the_client() {
    let mesh = mesh();
    let evaluator = mesh.evaluator();
    let foreigner = Authority::new("root");
    assert!(allowed(&evaluator, &tls(presented(mesh.authority.leaf(CLIENT_NAME, 2040))), &direct()));
    for (certificate, because) in [
        (None, Because::NoIdentity),
        (presented(mesh.authority.leaf(CLIENT_NAME, 2021)), Because::BadIdentity),
        (presented(mesh.authority.leaf("client.ns.other.domain", 2040)), Because::BadIdentity),
        (presented(foreigner.leaf(CLIENT_NAME, 2040)), Because::BadIdentity),
        (Some(PeerCertificate::stated(&[CLIENT_NAME], &[], Standing::Expired)), Because::BadIdentity),
        (Some(PeerCertificate::stated(&[CLIENT_NAME], &[], Standing::UnknownIssuer)), Because::BadIdentity),
    ] {
        let denial = denied(&evaluator, &tls(certificate), &direct());
        assert_eq!((denial.layer, denial.shape, denial.because), (Stage::DownstreamTls, Some(Shape::Tls), because));
    }
    let stated = Some(PeerCertificate::stated(&[CLIENT_NAME], &[], Standing::Trusted));
    assert!(allowed(&evaluator, &tls(stated), &direct()));
}

#[test]
fn time_decides_on_certificates() {
    let mut mesh = mesh();
    mesh.client.secrets.insert("cert".into(), certificate_secret(&mesh.authority.leaf(CLIENT_NAME, 2030)));
    let mut evaluator = mesh.evaluator();
    assert!(allowed(&evaluator, &caller(), &get("/")));
    evaluator.set_now(1_900_000_000);
    let denial = denied(&evaluator, &caller(), &get("/"));
    assert_eq!((denial.layer, denial.shape), (Stage::DownstreamTls, Some(Shape::Http503)));
    // Leaves that outlive their root are worth nothing.
    mesh.client.secrets.insert("cert".into(), certificate_secret(&mesh.authority.leaf(CLIENT_NAME, 2049)));
    mesh.server.secrets.insert("cert".into(), certificate_secret(&mesh.authority.leaf(WEB_NAME, 2049)));
    let mut evaluator = mesh.evaluator();
    assert!(allowed(&evaluator, &caller(), &get("/")));
    evaluator.set_now(2_300_000_000);
    assert_eq!(denied(&evaluator, &caller(), &get("/")).layer, Stage::UpstreamTls);
}

#[test]
fn a_refused_handshake_closes_a_tcp_connection() {
    let mut mesh = Mesh::tcp(vec![policy("ns/t", any_permission(), CLIENT_NAME)]);
    mesh.server.secrets.insert("inbound".into(), validation_secret(&mesh.authority.pem(), &[exact("someone.else")]));
    for proto in [Proto::Tcp, Proto::TcpServerFirst] {
        let denial = denied(&mesh.evaluator(), &caller(), &request(proto, "10.96.0.1:80", "", ""));
        assert_eq!((denial.layer, denial.shape), (Stage::DownstreamTls, Some(Shape::Closed)));
    }
}

#[test]
fn names_are_matched_by_kind_and_pattern() {
    let suffix =
        |text: &str| StringMatcher { match_pattern: Some(MatchPattern::Suffix(text.into())), ignore_case: false };
    for (names, ok) in [
        (vec![], true),
        (vec![exact("x"), exact(CLIENT_NAME)], true),
        (vec![exact("CLIENT.ns.cluster.local")], true),
        (vec![suffix(".cluster.local")], true),
        (vec![suffix(".CLUSTER.local")], false),
        (vec![exact("spiffe://cluster.local/client/ns/cluster/local")], false),
    ] {
        let mut mesh = mesh();
        mesh.server.secrets.insert("inbound".into(), validation_secret(&mesh.authority.pem(), &names));
        assert_eq!(allowed(&mesh.evaluator(), &caller(), &get("/")), ok, "{names:?}");
    }
}

#[test]
fn old_and_new_root_are_both_trusted() {
    let mut mesh = mesh();
    let new = Authority::new("new root");
    let both = format!("{}{}", mesh.authority.pem(), new.pem());
    mesh.server.secrets.insert("inbound".into(), validation_secret(&both, &[exact(CLIENT_NAME)]));
    assert!(allowed(&mesh.evaluator(), &caller(), &get("/")));
    mesh.client.secrets.insert("cert".into(), certificate_secret(&new.leaf(CLIENT_NAME, 2040)));
    assert!(allowed(&mesh.evaluator(), &caller(), &get("/")));
    mesh.server.secrets.insert("inbound".into(), validation_secret(&mesh.authority.pem(), &[exact(CLIENT_NAME)]));
    assert_eq!(shape(&mesh.evaluator(), &caller(), &get("/")), Shape::Http503);
}

#[test]
fn past_the_sidecars_no_chain_is_for_plaintext_or_another_name() {
    let evaluator = mesh().evaluator();
    let denial = denied(&evaluator, &Caller::Plaintext, &direct());
    assert_eq!((denial.layer, denial.shape, denial.because), (Stage::Chain, Some(Shape::Closed), Because::NoIdentity));
    let odd = [
        DirectTls { server_name: Some("other".into()), alpn: vec!["osm".into()], certificate: None },
        DirectTls { server_name: None, alpn: vec!["osm".into()], certificate: None },
        DirectTls { server_name: Some(FQDN.into()), alpn: vec!["h2".into()], certificate: None },
    ];
    for hello in odd {
        assert_eq!(denied(&evaluator, &Caller::Tls(hello), &direct()).layer, Stage::Chain);
    }
    let port = request(Proto::Http1, &format!("{}:9", WEB[0]), "GET", "/");
    assert_eq!(denied(&evaluator, &tls(None), &port).because, Because::PortNotAllowed);
}

#[test]
fn pods_outside_the_mesh() {
    let mesh = mesh();
    let mut evaluator = mesh.evaluator();
    let bare = |presents| Pod {
        name: "bare-0".into(),
        snapshot: None,
        ports: BTreeSet::from([8080]),
        presents,
        tls_ports: BTreeSet::new(),
    };
    evaluator.insert(ip("10.0.0.9"), bare(None));
    evaluator.set_service("10.96.0.1:80".parse().expect("address"), vec!["10.0.0.2:8080".parse().expect("address")]);
    let naked = Caller::Pod(ip("10.0.0.9"));
    assert_eq!(shape(&evaluator, &naked, &get("/")), Shape::Closed);
    assert!(allowed(&evaluator, &Caller::Plaintext, &request(Proto::Http1, "10.0.0.9:8080", "GET", "/")));
    assert_eq!(
        shape(&evaluator, &Caller::Plaintext, &request(Proto::Http1, "10.0.0.9:81", "GET", "/")),
        Shape::Refused
    );
    assert_eq!(
        shape(&evaluator, &Caller::Plaintext, &request(Proto::Http1, "10.0.0.77:8080", "GET", "/")),
        Shape::Refused
    );
    // A pod takes the address of a server: without TLS, as an impostor, and with the right certificate.
    let foreigner = Authority::new("root");
    evaluator.remove(ip(WEB[1]));
    for (presents, ok) in [
        (None, false),
        (presented(foreigner.leaf(WEB_NAME, 2040)), false),
        (presented(mesh.authority.leaf("thief.ns.cluster.local", 2040)), false),
        (presented(mesh.authority.leaf(WEB_NAME, 2040)), true),
    ] {
        evaluator.insert(ip(WEB[0]), bare(presents));
        evaluator.insert(ip(WEB[1]), bare(presented(mesh.authority.leaf(WEB_NAME, 2040))));
        let evaluation = evaluator.evaluate(&caller(), &get("/")).expect("modelled");
        assert_eq!(evaluation.outcomes.len(), if ok { 1 } else { 2 }, "{evaluation:?}");
    }
}
