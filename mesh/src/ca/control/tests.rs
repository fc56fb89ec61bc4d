use std::time::Duration;

use super::*;
use crate::ca::{
    Clock as _, SystemClock,
    testing::{End, START, der, handshake, present_leaf},
};

fn proxy() -> ProxyIdentity {
    ProxyIdentity {
        pod: ObjectName::new("shop", "store-v1.0-abc"),
        account: ServiceAccount::new("shop", "store.account"),
        trust_domain: TrustDomain::default(),
    }
}

impl<'a> End<'a> {
    fn with(credential: &'a Credential, roots: &'a str) -> Self {
        Self { chain: &credential.chain_pem, key: credential.key.expose(), roots }
    }
}

#[test]
fn a_proxy_certificate_names_the_proxy_and_nothing_else() {
    let ca = ControlCa::generate(START).unwrap();
    let credential = ca.proxy_certificate(&proxy(), START).unwrap();
    let der = der(&credential.chain_pem);
    assert_eq!(ProxyIdentity::from_der(&der), Ok(proxy()));
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
    let names = &certificate.subject_alternative_name().unwrap().unwrap().value.general_names;
    let uri = "spiffe://cluster.local/store-v1.0-abc/sidecar/store.account/shop";
    assert_eq!(names.as_slice(), [GeneralName::URI(uri)]);
    assert_eq!(certificate.subject().to_string(), "O=Open Service Mesh");
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth);
    assert_eq!(credential.validity, Validity::starting(START, ROOT_YEARS_10));
}

#[test]
fn proxies_with_impossible_names_get_no_certificate() {
    let ca = ControlCa::generate(START).unwrap();
    let sign = |pod: (&str, &str), account: (&str, &str), domain: &str| {
        let (pod, account) = (ObjectName::new(pod.0, pod.1), ServiceAccount::new(account.0, account.1));
        ca.proxy_certificate(&ProxyIdentity { pod, account, trust_domain: TrustDomain::new(domain) }, START)
    };
    assert!(matches!(sign(("a", "p"), ("b", "s"), "td"), Err(IssueError::OtherNamespace { .. })));
    assert!(matches!(sign(("a", "p/sidecar"), ("a", "s"), "td"), Err(IssueError::ObjectName(_))));
    assert!(matches!(sign(("a", "p"), ("a", ""), "td"), Err(IssueError::ObjectName(_))));
    assert!(matches!(sign(("a", "p"), ("a", "s"), "t/d"), Err(IssueError::ObjectName(_))));
    assert!(matches!(sign(("a.b", "p"), ("a.b", "s"), "td"), Err(IssueError::Namespace(_))));
}

#[test]
fn every_other_shape_is_refused() {
    for uri in [
        "spiffe://td/store/shop",
        "spiffe://td/pod/sidecar/store",
        "spiffe://td/pod/sidecar/store/shop/more",
        "spiffe://td/pod/gateway/store/shop",
        "spiffe://td/pod/Sidecar/store/shop",
        "spiffe://td//sidecar/store/shop",
        "spiffe://td/pod/sidecar/store/",
        "spiffe:///pod/sidecar/store/shop",
        "spiffe://td/pod/sidecar/store/two.labels",
        "spiffe://td/pod/sidecar/st%2Fore/shop",
        "spiffe://td:80/pod/sidecar/store/shop",
        "spiffe://td/pod/sidecar/store/shop?x",
        "SPIFFE://td/pod/sidecar/store/shop",
        "https://td/pod/sidecar/store/shop",
        "",
    ] {
        assert_eq!(ProxyIdentity::from_uri(uri), Err(NotAProxy::Uri), "{uri}");
    }
    assert_eq!(ProxyIdentity::from_uri(&proxy().to_string()), Ok(proxy()));

    let ca = ControlCa::generate(START).unwrap();
    assert_eq!(ProxyIdentity::from_der(b"nonsense"), Err(NotAProxy::Unreadable));
    assert_eq!(ProxyIdentity::from_der(&der(ca.root_pem())), Err(NotAProxy::Names), "no names");
    let workload = present_leaf(&ca.0, "store");
    assert_eq!(ProxyIdentity::from_der(&der(&workload.chain_pem)), Err(NotAProxy::Names), "a workload leaf");
    let uri = name::uri_san(&proxy().to_string()).unwrap();
    for extra in [name::dns_san("a.b").unwrap(), uri.clone(), rcgen::SanType::IpAddress([127, 0, 0, 1].into())] {
        let names = vec![uri.clone(), extra];
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        let credential = ca.sign(names, usage, Validity::starting(START, Duration::from_secs(60))).unwrap();
        assert_eq!(ProxyIdentity::from_der(&der(&credential.chain_pem)), Err(NotAProxy::Names));
    }
    let mut trailing = der(&ca.proxy_certificate(&proxy(), START).unwrap().chain_pem).to_vec();
    trailing.push(0);
    assert_eq!(ProxyIdentity::from_der(&trailing), Err(NotAProxy::Unreadable));
}

#[test]
fn a_server_without_a_name_is_refused() {
    let ca = ControlCa::generate(START).unwrap();
    let validity = Validity::starting(START, Duration::from_secs(60));
    assert_eq!(ca.server_certificate(&[], &[], validity), Err(IssueError::NoName));
    assert!(matches!(ca.server_certificate(&["a b"], &[], validity), Err(IssueError::DnsName(_))));
}

#[tokio::test]
async fn the_channel_accepts_proxies_and_no_workloads() {
    let now = SystemClock.now();
    let made = ControlCa::generate(now).unwrap();
    let control = ControlCa::from_pem(made.to_pem().expose()).unwrap();
    let workloads = BuiltinCa::generate(now).unwrap();
    let addresses = ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
    let validity = Validity::starting(now, Duration::from_secs(3600));
    let server = control.server_certificate(&["osm-controller.osm-system.svc"], &addresses, validity).unwrap();
    let proxy = control.proxy_certificate(&proxy(), now).unwrap();
    let server = End::with(&server, made.root_pem());
    let client = End::with(&proxy, made.root_pem());
    for name in ["osm-controller.osm-system.svc", "127.0.0.1", "::1"] {
        handshake(client, server, name).await.unwrap();
    }
    // A workload leaf is no key to the channel; a proxy certificate none to a workload, and it serves nobody.
    let store = present_leaf(&workloads, "store");
    let refused = handshake(End::of(&store, made.root_pem()), server, "127.0.0.1").await.unwrap_err();
    assert!(refused.starts_with("server: invalid peer certificate"), "{refused}");
    let workload = End::of(&store, workloads.root_pem());
    let intruder = End { roots: workloads.root_pem(), ..client };
    let refused = handshake(intruder, workload, "store.shop.cluster.local").await.unwrap_err();
    assert!(refused.starts_with("server: invalid peer certificate"), "{refused}");
    let refused = handshake(client, End { roots: made.root_pem(), ..client }, "127.0.0.1").await.unwrap_err();
    assert!(refused.starts_with("client: invalid peer certificate"), "{refused}");
}
