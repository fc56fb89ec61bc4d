use std::{collections::BTreeSet, time::Duration};

use x509_parser::{extensions::GeneralName, oid_registry, public_key::PublicKey};

use super::*;
use crate::{
    ca::testing::{DAY, End, START, account, der, handshake, present_leaf, request},
    ca::{Clock as _, SystemClock},
    model::{ServiceAccount, TrustDomain},
};

fn ca() -> BuiltinCa {
    BuiltinCa::generate(START).unwrap()
}

fn key_id<'a>(certificate: &'a X509Certificate<'_>) -> &'a [u8] {
    let ids: Vec<_> = certificate
        .iter_extensions()
        .filter_map(|extension| match extension.parsed_extension() {
            x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
            _ => None,
        })
        .collect();
    assert_eq!(ids.len(), 1);
    ids[0]
}

fn authority_key_id<'a>(certificate: &'a X509Certificate<'_>) -> &'a [u8] {
    let found = certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        x509_parser::extensions::ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref(),
        _ => None,
    });
    found.unwrap().0
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = certificate.subject_alternative_name().unwrap().unwrap().value;
    names
        .general_names
        .iter()
        .map(|name| match name {
            GeneralName::DNSName(name) => format!("DNS:{name}"),
            GeneralName::URI(name) => format!("URI:{name}"),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn root_says_what_a_root_must() {
    let ca = ca();
    let der = der(ca.root_pem());
    let root = parse(&der).unwrap();
    assert_eq!(root.subject().to_string(), "O=Open Service Mesh, CN=osm-ca.openservicemesh.io");
    assert_eq!(root.issuer().as_raw(), root.subject().as_raw());
    assert_eq!(root.version(), x509_parser::x509::X509Version::V3);
    let basic = root.basic_constraints().unwrap().unwrap();
    assert!(basic.critical && basic.value.ca && basic.value.path_len_constraint.is_none());
    let usage = root.key_usage().unwrap().unwrap();
    assert!(usage.critical);
    assert_eq!(usage.value.flags, (1 << 5) | (1 << 6), "keyCertSign, cRLSign and nothing else");
    assert_eq!(key_id(&root).len(), 20);
    assert_eq!(root.validity().not_before.timestamp(), START - 60);
    assert_eq!(root.validity().not_after.timestamp(), START + 3650 * DAY);
    assert!(matches!(root.public_key().parsed().unwrap(), PublicKey::EC(point) if point.key_size() == 256));
    root.verify_signature(None).unwrap();
}

#[test]
fn leaf_says_what_a_workload_is() {
    let ca = ca();
    let leaf = ca.sign(&request("bookbuyer", START)).unwrap();
    let (root, der) = (der(ca.root_pem()), der(&leaf.chain_pem));
    let (root, certificate) = (parse(&root).unwrap(), parse(&der).unwrap());
    assert_eq!(leaf.account, account("bookbuyer"));
    assert_eq!(names(&certificate), ["DNS:bookbuyer.shop.cluster.local", "URI:spiffe://cluster.local/bookbuyer/shop"]);
    assert!(!certificate.subject_alternative_name().unwrap().unwrap().critical, "the subject is not empty");
    assert_eq!(certificate.subject().to_string(), "O=Open Service Mesh, CN=bookbuyer.shop.cluster.local");
    assert_eq!(certificate.issuer().as_raw(), root.subject().as_raw());
    let usage = certificate.key_usage().unwrap().unwrap();
    assert!(usage.critical);
    assert_eq!(usage.value.flags, 1, "digitalSignature and nothing else");
    let extended = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.server_auth && extended.client_auth && !extended.any && !extended.code_signing);
    let basic = certificate.basic_constraints().unwrap();
    assert!(basic.is_none_or(|basic| !basic.value.ca));
    assert_eq!(authority_key_id(&certificate), key_id(&root));
    assert_eq!((leaf.not_before, leaf.not_after), (START - 60, START + DAY));
    assert_eq!(certificate.validity().not_before.timestamp(), leaf.not_before);
    assert_eq!(certificate.validity().not_after.timestamp(), leaf.not_after);
    assert_eq!(certificate.signature_algorithm.algorithm, oid_registry::OID_SIG_ECDSA_WITH_SHA256);
    assert_eq!(leaf.chain_pem.matches("BEGIN CERTIFICATE").count(), 1);
    certificate.verify_signature(Some(root.public_key())).unwrap();
    let key = KeyPair::from_pem(leaf.key.expose()).unwrap();
    assert_eq!(certificate.public_key().raw, key.subject_public_key_info());
}

#[test]
fn rsa_on_request_within_its_range() {
    for bits in [0, 1024, 2047, 2049, 8192, u16::MAX] {
        let refused = ca().sign(&LeafRequest { key: KeyType::Rsa { bits }, ..request("a", START) });
        assert_eq!(refused, Err(IssueError::RsaBits(bits)));
    }
    // An RSA root, and an RSA leaf of it. The longer keys take too long for a test of every day.
    let ca = BuiltinCa::generate_with(KeyType::Rsa { bits: 2048 }, Validity::starting(START, ROOT_YEARS_10)).unwrap();
    let again = BuiltinCa::from_pem(ca.to_pem().expose()).unwrap();
    let leaf = again.sign(&LeafRequest { key: KeyType::Rsa { bits: 2048 }, ..request("a", START) }).unwrap();
    let (root, der) = (der(ca.root_pem()), der(&leaf.chain_pem));
    let (root, certificate) = (parse(&root).unwrap(), parse(&der).unwrap());
    assert!(matches!(certificate.public_key().parsed().unwrap(), PublicKey::RSA(key) if key.key_size() == 2048));
    assert_eq!(certificate.key_usage().unwrap().unwrap().value.flags, 1 | (1 << 2), "keyEncipherment too");
    assert_eq!(certificate.signature_algorithm.algorithm, oid_registry::OID_PKCS1_SHA256WITHRSA);
    certificate.verify_signature(Some(root.public_key())).unwrap();
}

#[test]
fn serials_are_positive_128_bit_and_never_repeat() {
    let ca = ca();
    let mut seen = BTreeSet::new();
    for _ in 0..300 {
        let leaf = ca.sign(&request("a", START)).unwrap();
        let der = der(&leaf.chain_pem);
        let serial = parse(&der).unwrap().raw_serial().to_vec();
        assert_eq!(serial.len(), 16);
        assert!(serial[0] & 0x80 == 0 && serial[0] != 0);
        assert!(seen.insert(serial));
    }
}

#[test]
fn names_that_do_not_fit_are_errors() {
    let ca = ca();
    let sign = |namespace: &str, name: &str, domain: &str| {
        let account = ServiceAccount::new(namespace, name);
        ca.sign(&LeafRequest { account, trust_domain: TrustDomain::new(domain), ..request("", START) })
    };
    assert!(sign("shop", "with.dots", "cluster.local").is_ok());
    let long = "a".repeat(64);
    for (namespace, name, domain) in [
        ("shop", "", "td"),
        ("shop", "bücher", "td"),
        ("shop", "a/b", "td"),
        ("shop", "a b", "td"),
        ("shop", &long, "td"),
        ("shop", "a", "under_score"),
        ("shop", "a", ""),
        ("", "a", "td"),
        ("two.labels", "a", "td"),
        ("shop", &["abc"; 70].join("."), "cluster.local"),
    ] {
        let refused = sign(namespace, name, domain);
        assert!(matches!(refused, Err(IssueError::DnsName(_) | IssueError::Namespace(_))), "{refused:?}");
    }
}

#[test]
fn a_long_name_stands_in_the_san_only() {
    let name = format!("{}.{}", "a".repeat(60), "b".repeat(60));
    let leaf = ca().sign(&request(&name, START)).unwrap();
    let der = der(&leaf.chain_pem);
    let certificate = parse(&der).unwrap();
    assert_eq!(certificate.subject().to_string(), "O=Open Service Mesh");
    assert_eq!(names(&certificate)[0], format!("DNS:{name}.shop.cluster.local"));
}

#[test]
fn validity_is_what_was_asked_for_within_the_root() {
    let ca = ca();
    let sign = |not_before, not_after| {
        ca.sign(&LeafRequest { validity: Validity { not_before, not_after }, ..request("a", START) })
    };
    let expired = sign(START - 2 * DAY, START - DAY).unwrap();
    assert_eq!((expired.not_before, expired.not_after), (START - 2 * DAY, START - DAY));
    for (from, to) in [(START, START), (START, START - 1), (-1, START), (i64::MIN, i64::MAX)] {
        assert!(matches!(sign(from, to), Err(IssueError::Validity(_))), "{from} {to}");
    }
    let root_ends = ca.validity().not_after;
    assert_eq!(sign(root_ends - 10, i64::MAX).unwrap().not_after, root_ends, "no leaf outlives its root");
    assert_eq!(sign(root_ends, root_ends + 10), Err(IssueError::RootEnds { root_ends }));
    let endless = Validity { not_before: START, not_after: i64::MAX };
    assert!(BuiltinCa::generate_with(KeyType::EcdsaP256, endless).is_err());
}

#[test]
fn a_restart_finds_the_same_root() {
    let ca = ca();
    let stored = ca.to_pem();
    let again = BuiltinCa::from_pem(stored.expose()).unwrap();
    assert_eq!(again.root_pem(), ca.root_pem());
    assert_eq!(again.to_pem(), stored);
    let (certificate, key) = stored.expose().split_at(ca.root_pem().len());
    assert_eq!(BuiltinCa::from_pem(&format!("{key}{certificate}")).unwrap().root_pem(), ca.root_pem(), "any order");

    let leaf = again.sign(&request("a", START)).unwrap();
    let (root, der) = (der(ca.root_pem()), der(&leaf.chain_pem));
    let (root, leaf) = (parse(&root).unwrap(), parse(&der).unwrap());
    leaf.verify_signature(Some(root.public_key())).unwrap();
    assert_eq!(leaf.issuer().as_raw(), root.subject().as_raw());
    assert_eq!(authority_key_id(&leaf), key_id(&root));
}

#[test]
fn a_store_with_anything_else_is_refused() {
    let (one, other) = (ca(), ca());
    let key = one.0.key_pem.expose();
    let from = |text: &str| BuiltinCa::from_pem(text).err();
    assert_eq!(from(""), Some(StoreError::Blocks));
    assert_eq!(from(one.root_pem()), Some(StoreError::Blocks));
    assert_eq!(from(&format!("{key}{key}")), Some(StoreError::Blocks));
    assert_eq!(from(&format!("{}{key}", other.root_pem())), Some(StoreError::OtherKey));
    let leaf = one.sign(&request("a", START)).unwrap();
    assert_eq!(from(&format!("{}{}", leaf.chain_pem, leaf.key.expose())), Some(StoreError::NotAnAuthority));
    let broken = one.to_pem().expose().replacen("MI", "!!", 1);
    assert!(from(&broken).is_some());
    // A root that was made elsewhere is fine.
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let foreign = params.self_signed(&key).unwrap();
    assert_eq!(from(&format!("{}{}", foreign.pem(), key.serialize_pem())), None);
}

#[test]
fn key_material_never_appears_in_debug() {
    let ca = ca();
    let leaf = ca.sign(&request("a", START)).unwrap();
    let roots = crate::ca::Roots::<Arc<dyn Issuer>>::Stable(Arc::new(ca.clone()));
    let shown = format!("{ca:?} {:?} {leaf:?} {roots:?} {:?}", ca.to_pem(), roots.to_pem());
    assert!(!shown.contains("PRIVATE KEY"));
    for key in [&ca.0.key_pem, &leaf.key] {
        let secret = key.expose().lines().nth(1).unwrap();
        assert!(secret.len() > 40 && !shown.contains(secret));
    }
}

#[tokio::test]
async fn workloads_talk_and_strangers_do_not() {
    let now = SystemClock.now();
    let (ca, stranger) = (BuiltinCa::generate(now).unwrap(), BuiltinCa::generate(now).unwrap());
    let (buyer, store) = (present_leaf(&ca, "buyer"), present_leaf(&ca, "store"));
    let (buyer, store) = (End::of(&buyer, ca.root_pem()), End::of(&store, ca.root_pem()));
    handshake(buyer, store, "store.shop.cluster.local").await.unwrap();
    handshake(store, buyer, "buyer.shop.cluster.local").await.unwrap();
    let refused = handshake(buyer, store, "thief.shop.cluster.local").await.unwrap_err();
    assert!(refused.contains("not valid for name"), "{refused}");

    let validity = Validity { not_before: now - 100, not_after: now - 10 };
    let expired = ca.sign(&LeafRequest { validity, ..request("buyer", now) }).unwrap();
    let expired = End::of(&expired, ca.root_pem());
    let refused = handshake(expired, store, "store.shop.cluster.local").await.unwrap_err();
    assert!(refused.starts_with("server: ") && refused.contains("expired"), "{refused}");
    let refused = handshake(store, expired, "buyer.shop.cluster.local").await.unwrap_err();
    assert!(refused.starts_with("client: ") && refused.contains("expired"), "{refused}");

    let thief = present_leaf(&stranger, "buyer");
    let thief = End::of(&thief, ca.root_pem());
    let refused = handshake(thief, store, "store.shop.cluster.local").await.unwrap_err();
    assert!(refused.starts_with("server: invalid peer certificate"), "{refused}");
    let refused = handshake(store, thief, "buyer.shop.cluster.local").await.unwrap_err();
    assert!(refused.starts_with("client: invalid peer certificate"), "{refused}");
}

/// `cargo test -p mesh --lib ca::builtin -- --ignored --nocapture`
#[test]
#[ignore = "prints a figure, checks nothing"]
fn issuance_speed() {
    let ca = ca();
    let start = std::time::Instant::now();
    let count = 2_000;
    for _ in 0..count {
        ca.sign(&request("bookbuyer", START)).unwrap();
    }
    let spent: Duration = start.elapsed();
    println!("{count} leaves on one core in {spent:?}: {:?} each", spent / count);
}

#[test]
fn a_root_as_osm_has_made_it_signs_on() {
    // C=US, L=CA and so on as PrintableString, RSA 2048; the key as PKCS #8, and as PKCS #1.
    let root = include_str!("osm/ca.crt");
    for key in [include_str!("osm/private.key"), include_str!("osm/private-pkcs1.key")] {
        let ca = BuiltinCa::from_pem(&format!("{root}{key}")).unwrap();
        assert_eq!(&**ca.root_pem(), root);
        let now = ca.validity().not_before + 3600;
        let request = request("store", now);
        let leaf = ca.sign(&request).unwrap();
        let wanted = request.certificate().unwrap();
        crate::ca::csr::look(&leaf.chain_pem, leaf.key.expose(), &wanted, root).unwrap();
    }
}
