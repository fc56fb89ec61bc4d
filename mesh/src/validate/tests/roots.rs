//! Rules for MeshRootCertificate.

use serde_json::{Value, json};

use super::{super::Surroundings, NONE, judge, told};

fn mrc(name: &str, role: &str) -> Value {
    json!({
        "apiVersion": "config.openservicemesh.io/v1alpha2", "kind": "MeshRootCertificate",
        "metadata": { "name": name, "namespace": "osm-system" },
        "spec": {
            "role": role, "trustDomain": "cluster.local",
            "provider": { "tresor": { "ca": { "secretRef": { "name": "osm-ca-bundle", "namespace": "osm-system" } } } },
        },
    })
}

fn errors(object: &Value, old: Option<&Value>, all: &[Value]) -> Vec<&'static str> {
    let around = Surroundings { root_certificates: all.to_vec(), ..Surroundings::default() };
    told(&judge(object, old, &around)).0
}

#[test]
fn a_root_has_one_whole_provider() {
    let with = |provider: Value| {
        let mut root = mrc("a", "active");
        root["spec"]["provider"] = provider;
        errors(&root, None, &[])
    };
    assert_eq!(errors(&mrc("a", "active"), None, &[]), NONE);
    assert_eq!(with(json!({})), ["IncompleteProvider"]);
    assert_eq!(with(json!({"tresor": {}})), ["IncompleteProvider", "IncompleteProvider"]);
    let issuer = json!({"issuerName": "ca"});
    assert_eq!(with(json!({ "certManager": issuer })), NONE);
    assert_eq!(with(json!({ "certManager": issuer, "tresor": {} })), ["IncompleteProvider"]);
    let vault = json!({"host": "v", "port": 0, "role": "r", "protocol": "http",
        "token": {"secretKeyRef": {"name": "s", "key": "k", "namespace": "n"}}});
    assert_eq!(with(json!({ "vault": vault })), ["IncompleteProvider"]);
    let mut empty = mrc("a", "active");
    empty["spec"]["trustDomain"] = json!("");
    assert_eq!(errors(&empty, None, &[]), ["NoTrustDomain"]);
}

#[test]
fn what_certificates_were_issued_with_stays() {
    let old = mrc("a", "active");
    let change = |field: &str, value: Value| {
        let mut new = old.clone();
        new["spec"][field] = value;
        errors(&new, Some(&old), std::slice::from_ref(&old))
    };
    assert_eq!(change("trustDomain", json!("other")), ["Immutable"]);
    assert_eq!(change("provider", json!({})), ["Immutable"]);
    assert_eq!(change("spiffeEnabled", json!(true)), ["Immutable"]);
    // Written out or not, the default is the same.
    assert_eq!(change("spiffeEnabled", json!(false)), NONE);
    let mut bare = old.clone();
    bare["spec"].as_object_mut().expect("a spec").retain(|field, _| field == "provider");
    assert_eq!(errors(&bare, Some(&old), std::slice::from_ref(&old)), NONE);
    assert_eq!(errors(&old, Some(&bare), std::slice::from_ref(&bare)), NONE);
}

#[test]
fn a_root_is_trusted_before_it_signs_and_after() {
    let step =
        |from: &str, to: &str| errors(&mrc("a", to), Some(&mrc("a", from)), &[mrc("a", from), mrc("b", "active")]);
    assert_eq!(step("active", "inactive"), ["RoleTransition"]);
    assert_eq!(step("inactive", "active"), ["RoleTransition"]);
    for (from, to) in [("inactive", "passive"), ("passive", "active"), ("active", "passive"), ("passive", "inactive")] {
        assert_eq!(step(from, to), NONE, "{from} to {to}");
    }
    assert_eq!(step("passive", "retired"), ["UnknownRole"]);
}

#[test]
fn two_roots_are_the_most_and_one_is_active() {
    let create = |role: &str, all: &[Value]| errors(&mrc("new", role), None, all);
    let (active, passive) = (mrc("a", "active"), mrc("b", "passive"));
    assert_eq!(create("active", &[]), NONE);
    assert_eq!(create("passive", std::slice::from_ref(&active)), NONE);
    assert_eq!(create("active", std::slice::from_ref(&active)), ["RootsInUse"]);
    assert_eq!(create("passive", std::slice::from_ref(&passive)), ["RootsInUse"]);
    assert_eq!(create("passive", &[active.clone(), passive.clone()]), ["RootsInUse"]);
    assert_eq!(create("inactive", &[active.clone(), passive.clone()]), NONE);
    // The last active one stays.
    assert_eq!(errors(&mrc("a", "passive"), Some(&active), &[active.clone(), passive.clone()]), ["RootsInUse"]);
    let both = [active.clone(), mrc("b", "active")];
    assert_eq!(errors(&mrc("a", "passive"), Some(&active), &both), NONE);
    assert_eq!(errors(&mrc("b", "inactive"), Some(&passive), std::slice::from_ref(&passive)), ["RootsInUse"]);
}
