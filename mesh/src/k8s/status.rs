//! What is written into `status.conditions`, in the manner of the Gateway API. Pure.
//!
//! | condition | is true when |
//! |---|---|
//! | `Accepted` | the object can be read, and is not refused as a whole |
//! | `ResolvedRefs` | everything that it names exists |
//! | `Programmed` | it is part of what sidecars are configured from |

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Entry, FIELD_MANAGER};
use crate::model::{Code, Diagnostic, Kind, ObjectRef};

/// An entry of `status.conditions` (Kubernetes `metav1.Condition`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Its name.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, for machines.
    #[serde(default)]
    pub reason: String,
    /// Why, for people.
    #[serde(default)]
    pub message: String,
    /// The generation of the object that this is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// When `status` last became something else (RFC 3339).
    #[serde(default)]
    pub last_transition_time: String,
}

impl Condition {
    /// Whether both say the same, whenever they were written.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let said =
            |c: &Self| (c.kind.clone(), c.status.clone(), c.reason.clone(), c.message.clone(), c.observed_generation);
        said(self) == said(other)
    }
}

/// The conditions that an object has now, of `{status: {conditions: […]}}`. Those that cannot be read are left out.
pub fn conditions(object: &Value) -> Vec<Condition> {
    let written = object.pointer("/status/conditions").and_then(Value::as_array);
    written.into_iter().flatten().filter_map(|c| Condition::deserialize(c).ok()).collect()
}

/// Whether objects of this kind have conditions. Kubernetes' own get Events only.
pub fn has_conditions(kind: Kind) -> bool {
    !matches!(kind, Kind::Service | Kind::Pod | Kind::EndpointSlice | Kind::MeshRootCertificate)
}

/// The conditions that an object should have, given the diagnostics about it.
pub fn wanted(entry: &Entry, diagnostics: &[&Diagnostic], now: &str) -> Vec<Condition> {
    let condition = |kind: &str, good: bool, reason: &str, message: String| {
        let status = if good { "True" } else { "False" };
        let before = entry.conditions.iter().find(|c| c.kind == kind && c.status == status);
        Condition {
            kind: kind.into(),
            status: status.into(),
            reason: reason.into(),
            message,
            observed_generation: entry.generation,
            last_transition_time: before.map_or_else(|| now.to_owned(), |c| c.last_transition_time.clone()),
        }
    };
    if let Some(why) = &entry.unreadable {
        let message = format!("{why}; it counts as absent until it is mended");
        return vec![
            condition("Accepted", false, "Unreadable", message),
            condition("Programmed", false, "Invalid", String::new()),
        ];
    }
    let (references, own): (Vec<&Diagnostic>, Vec<&Diagnostic>) =
        diagnostics.iter().copied().partition(|d| is_reference(d.code));
    let refused = own.iter().copied().find(|d| refuses(d.code));
    let first = refused.or(own.first().copied());
    let reason = first.map_or("Accepted", |d| d.code.as_str());
    let unresolved = references.first().map_or("ResolvedRefs", |d| d.code.as_str());
    let programmed = if refused.is_some() { "Invalid" } else { "Programmed" };
    vec![
        condition("Accepted", refused.is_none(), reason, text(&own)),
        condition("ResolvedRefs", references.is_empty(), unresolved, text(&references)),
        condition("Programmed", refused.is_none(), programmed, String::new()),
    ]
}

/// The conditions that are ours.
const OURS: [&str; 3] = ["Accepted", "ResolvedRefs", "Programmed"];

/// Whether the API server has to be told: `wanted` says something that the object does not.
pub fn differs(entry: &Entry, wanted: &[Condition]) -> bool {
    let has = entry.conditions.iter().filter(|c| OURS.contains(&c.kind.as_str())).count();
    let same = |condition: &Condition| entry.conditions.iter().any(|c| c.says_the_same(condition));
    has != wanted.len() || !wanted.iter().all(same)
}

/// What is applied to the status subresource. Conditions of other managers stay: the list is a map by `type`.
pub fn patch(object: &ObjectRef, entry: &Entry, conditions: &[Condition]) -> Value {
    json!({
        "apiVersion": &*entry.api_version,
        "kind": object.kind.as_str(),
        "metadata": { "name": &*object.name.name, "namespace": &*object.name.namespace },
        "status": { "conditions": conditions },
    })
}

/// The same as a JSON merge patch, which replaces the list: conditions of others are in it as they were.
pub fn merge_patch(entry: &Entry, conditions: &[Condition]) -> Value {
    let others = entry.conditions.iter().filter(|c| !OURS.contains(&c.kind.as_str()));
    json!({ "status": { "conditions": others.chain(conditions).collect::<Vec<_>>() } })
}

/// An Event about a diagnostic (`events.k8s.io/v1`). Its name follows from what it says, so that it exists once however
/// often, and by however many, it is reported.
pub fn event(object: &ObjectRef, entry: &Entry, reason: &str, note: &str, instance: &str, now: &str) -> Value {
    /// The API takes at most 1024 bytes.
    const NOTE: usize = 1000;
    let note: String = note
        .chars()
        .scan(0, |length, c| {
            *length += c.len_utf8();
            (*length <= NOTE).then_some(c)
        })
        .collect();
    let hash = xxhash_rust::xxh3::xxh3_64(format!("{} {reason} {note}", entry.uid).as_bytes());
    let stem: String = object.name.name.chars().take(200).collect();
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": { "name": format!("{}.{hash:016x}", stem.trim_end_matches(['.', '-'])), "namespace": &*object.name.namespace },
        "eventTime": now,
        "type": "Warning",
        "reason": reason,
        "action": "Configure",
        "note": note,
        "reportingController": FIELD_MANAGER,
        "reportingInstance": instance,
        "regarding": {
            "apiVersion": &*entry.api_version, "kind": object.kind.as_str(), "uid": &*entry.uid,
            "namespace": &*object.name.namespace, "name": &*object.name.name,
        },
    })
}

fn text(diagnostics: &[&Diagnostic]) -> String {
    let lines: Vec<_> = diagnostics.iter().map(|d| format!("{}: {}", d.field, d.message)).collect();
    // metav1.Condition takes 32768 bytes; nobody reads so many.
    lines.join("\n").chars().take(4000).collect()
}

/// Whether something that it names is missing. What names it is sound, and works once that is there.
fn is_reference(code: Code) -> bool {
    matches!(code, Code::NotFound | Code::MatchNotFound | Code::PortMismatch | Code::NoEndpoint)
}

/// Whether it makes the whole object do nothing. Without a destination or with a principal that nothing proves, that is so but
/// for objects of several ports of which some are sound; `message` says which.
///
/// A Retry that conflicts does so for one destination, a condition that is unknown is left out, and in place of a format that
/// Envoy refuses the default is used: none of these is here.
fn refuses(code: Code) -> bool {
    matches!(
        code,
        Code::ForeignTarget
            | Code::NoSource
            | Code::NoRule
            | Code::SelfReference
            | Code::ConflictingSplit
            | Code::NoDestination
            | Code::UnprovablePrincipal
            | Code::ConflictingSetting
            | Code::ConflictingTelemetry
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::name;

    fn entry(conditions: Vec<Condition>, generation: i64) -> Entry {
        Entry { api_version: "x/v1".into(), uid: "u".into(), generation, conditions, unreadable: None }
    }

    fn diagnostic(code: Code) -> Diagnostic {
        let object = ObjectRef::new(Kind::TrafficTarget, name("t"));
        Diagnostic { object, field: "spec.x".into(), code, message: "is wrong".into() }
    }

    fn said(conditions: &[Condition]) -> Vec<(&str, &str, &str)> {
        conditions.iter().map(|c| (c.kind.as_str(), c.status.as_str(), c.reason.as_str())).collect()
    }

    #[test]
    fn diagnostics_become_conditions() {
        let entry = entry(Vec::new(), 1);
        let good = [
            ("Accepted", "True", "Accepted"),
            ("ResolvedRefs", "True", "ResolvedRefs"),
            ("Programmed", "True", "Programmed"),
        ];
        assert_eq!(said(&wanted(&entry, &[], "now")), good);
        let lost = diagnostic(Code::NotFound);
        let found = wanted(&entry, &[&lost], "now");
        assert_eq!(said(&found)[1], ("ResolvedRefs", "False", "NotFound"));
        assert_eq!((found[1].message.as_str(), found[0].status.as_str()), ("spec.x: is wrong", "True"));
        let (partly, wholly) = (diagnostic(Code::UnsupportedSubject), diagnostic(Code::ForeignTarget));
        let found = wanted(&entry, &[&partly, &wholly], "now");
        assert_eq!(said(&found)[0], ("Accepted", "False", "ForeignTarget"));
        assert_eq!(said(&found)[2], ("Programmed", "False", "Invalid"));
        assert_eq!(said(&wanted(&entry, &[&partly], "now"))[0], ("Accepted", "True", "UnsupportedSubject"));
        for code in [Code::UnknownCondition, Code::ConflictingRetry, Code::InvalidFormat] {
            assert_eq!(said(&wanted(&entry, &[&diagnostic(code)], "now"))[0], ("Accepted", "True", code.as_str()));
        }
        let empty = diagnostic(Code::NoEndpoint);
        assert_eq!(said(&wanted(&entry, &[&empty], "now"))[1], ("ResolvedRefs", "False", "NoEndpoint"));
        let other = diagnostic(Code::ConflictingSetting);
        assert_eq!(said(&wanted(&entry, &[&other], "now"))[2], ("Programmed", "False", "Invalid"));
        let unreadable = Entry { unreadable: Some(super::super::Unreadable::new("spec", "bad")), ..entry };
        assert_eq!(said(&wanted(&unreadable, &[], "now"))[0], ("Accepted", "False", "Unreadable"));
    }

    #[test]
    fn what_is_written_is_not_written_again_and_keeps_its_time() {
        let written = wanted(&entry(Vec::new(), 1), &[], "2026-01-01T00:00:00Z");
        let same = entry(written.clone(), 1);
        assert!(!differs(&same, &wanted(&same, &[], "2027-01-01T00:00:00Z")));
        assert!(differs(&entry(Vec::new(), 1), &written));
        let newer = entry(written, 2);
        let lost = diagnostic(Code::NotFound);
        let again = wanted(&newer, &[&lost], "2027-01-01T00:00:00Z");
        assert!(differs(&newer, &again));
        let times: Vec<_> = again.iter().map(|c| &c.last_transition_time[..4]).collect();
        assert_eq!(times, ["2026", "2027", "2026"]);
    }

    #[test]
    fn events_say_the_same_under_the_same_name() {
        let object = ObjectRef::new(Kind::TrafficTarget, name("t"));
        let of = |note: &str| {
            event(&object, &entry(Vec::new(), 1), "NotFound", note, "a", "now")["metadata"]["name"].clone()
        };
        assert_eq!(of("x"), of("x"));
        assert_ne!(of("x"), of("y"));
        let long = event(&object, &entry(Vec::new(), 1), "NotFound", &"ß".repeat(2000), "a", "now");
        assert!(long["note"].as_str().unwrap().len() <= 1024);
    }
}
