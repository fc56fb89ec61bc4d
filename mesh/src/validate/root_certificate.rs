//! Rules for MeshRootCertificate: a root comes as `passive`, becomes `active`, and goes as `passive`, so that every workload
//! trusts a root before the first certificate of it is seen, and until the last one is gone.

use serde_json::Value;

use super::Finding;

/// Fields that a provider needs, below `spec.provider`.
const PROVIDERS: [(&str, &[&str]); 3] = [
    ("tresor", &["ca.secretRef.name", "ca.secretRef.namespace"]),
    (
        "vault",
        &["host", "port", "role", "token.secretKeyRef.name", "token.secretKeyRef.key", "token.secretKeyRef.namespace"],
    ),
    ("certManager", &["issuerName"]),
];

/// What omitted fields mean: owner (a JSON pointer below `spec`), field, value. A root without a role is one of OSM 1.2, and active.
const DEFAULTS: [(&str, &str, &str); 5] = [
    ("", "trustDomain", "cluster.local"),
    ("", "role", "active"),
    ("/provider/vault", "protocol", "https"),
    ("/provider/certManager", "issuerKind", "Issuer"),
    ("/provider/certManager", "issuerGroup", "cert-manager.io"),
];

/// The `spec` with what is omitted written out.
fn complete(object: &Value) -> Value {
    let mut spec = object["spec"].clone();
    for (owner, field, value) in DEFAULTS {
        if let Some(Value::Object(owner)) = spec.pointer_mut(owner)
            && owner.get(field).is_none_or(Value::is_null)
        {
            owner.insert(field.into(), value.into());
        }
    }
    if let Value::Object(spec) = &mut spec {
        spec.entry("spiffeEnabled").or_insert(false.into());
    }
    spec
}

/// Exactly one provider, with all that it needs.
pub(super) fn provider(object: &Value) -> Vec<Finding> {
    const RULE: &str = "IncompleteProvider";
    let given: Vec<_> = PROVIDERS.iter().filter(|(name, _)| !object["spec"]["provider"][name].is_null()).collect();
    let [(name, fields)] = given[..] else {
        let message = format!("{} providers are given: give one of `tresor`, `vault` and `certManager`", given.len());
        return vec![Finding::error(RULE, "spec.provider", message)];
    };
    let missing = fields.iter().filter(|field| {
        let value = field.split('.').fold(&object["spec"]["provider"][name], |value, part| &value[part]);
        value.is_null() || value == "" || value == 0
    });
    missing.map(|field| Finding::error(RULE, format!("spec.provider.{name}.{field}"), "is missing or empty")).collect()
}

/// The trust domain is part of every identity.
pub(super) fn trust_domain(object: &Value) -> Vec<Finding> {
    let empty = object["spec"]["trustDomain"].as_str() == Some("");
    let message = "is empty; leave it out for `cluster.local`";
    empty.then(|| Finding::error("NoTrustDomain", "spec.trustDomain", message)).into_iter().collect()
}

/// What certificates are issued with does not change under a root: that takes a new one.
pub(super) fn immutable(object: &Value, old: &Value) -> Vec<Finding> {
    let (new, old) = (complete(object), complete(old));
    let changed = ["provider", "trustDomain", "spiffeEnabled"].into_iter().filter(|field| new[field] != old[field]);
    let message =
        "cannot change once certificates were issued with it: create another MeshRootCertificate, and rotate to it";
    changed.map(|field| Finding::error("Immutable", format!("spec.{field}"), message)).collect()
}

/// The role, and how a root may come to it.
pub(super) fn transition(object: &Value, old: Option<&Value>) -> Vec<Finding> {
    const FIELD: &str = "spec.role";
    let (from, to) = (old.map(role), role(object));
    if !["active", "passive", "inactive"].contains(&to) {
        let message = format!("`{to}` is not a role: write `active`, `passive` or `inactive`");
        return vec![Finding::error("UnknownRole", FIELD, message)];
    }
    if !matches!((from, to), (Some("active"), "inactive") | (Some("inactive"), "active")) {
        return Vec::new();
    }
    let message = format!(
        "from {} to {to} workloads would meet certificates that they do not trust: set `passive` first, and wait until all have it",
        from.unwrap_or_default()
    );
    vec![Finding::error("RoleTransition", FIELD, message)]
}

/// At most two roots are in use, one of them active. `all` may or may not have the object itself, in its old state.
pub(super) fn in_use(object: &Value, old: Option<&Value>, all: &[Value]) -> Vec<Finding> {
    let (own, own_role) = (&object["metadata"]["name"], role(object));
    let others: Vec<_> = all.iter().filter(|o| o["metadata"]["name"] != *own && role(o) != "inactive").collect();
    let finding = |message: String| vec![Finding::error("RootsInUse", "spec.role", message)];
    let names = || others.iter().filter_map(|o| o["metadata"]["name"].as_str()).collect::<Vec<_>>().join(" and ");
    let active = others.iter().any(|other| role(other) == "active");
    if own_role == "inactive" {
        let last = old.is_some_and(|old| role(old) != "inactive") && !active;
        let message = "no other root is active: nothing could be issued";
        return if last { finding(message.into()) } else { Vec::new() };
    }
    if others.len() >= 2 {
        return finding(format!("{} are in use already, and two are the most: set one of them to `inactive`", names()));
    }
    if old.is_none() && others.iter().any(|other| role(other) == own_role) {
        return finding(format!("{} is {own_role} already: create this one as {}", names(), other_role(own_role)));
    }
    match (own_role, active, old) {
        ("passive", false, Some(_)) => {
            finding("then no root would be active, and nothing could be issued: make another one active first".into())
        }
        ("passive", false, None) => {
            let message = "no other root is active: nothing is issued until one is";
            vec![Finding::warning("RootsInUse", "spec.role", message)]
        }
        _ => Vec::new(),
    }
}

fn other_role(role: &str) -> &'static str {
    if role == "active" { "`passive`, and make it active when every workload trusts it" } else { "`inactive`" }
}

fn role(object: &Value) -> &str {
    match &object["spec"]["role"] {
        Value::Null => "active",
        role => role.as_str().unwrap_or_default(),
    }
}
