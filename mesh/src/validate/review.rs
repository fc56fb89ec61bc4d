//! One admission review: reads the object, asks the rules, and answers.

use serde_json::{Value, json};

use super::{Finding, Severity, Surroundings, access, egress, group, ingress, root_certificate, split, upstream};
use crate::{
    api::{self, Manifest},
    model::Code,
    policy,
    world::{Change, Object, World},
};

/// The answer to an AdmissionRequest (`admission.k8s.io/v1`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdmissionResponse {
    /// The request's `uid`.
    pub uid: String,
    /// Whether the object is let in.
    pub allowed: bool,
    /// Why not.
    pub message: Option<String>,
    /// What its author is told besides, 256 characters each at most.
    pub warnings: Vec<String>,
}

impl AdmissionResponse {
    /// The AdmissionReview that carries the answer.
    pub fn review(&self) -> Value {
        let mut response = json!({ "uid": self.uid, "allowed": self.allowed });
        if let Some(message) = &self.message {
            response["status"] = json!({ "code": 422, "reason": "Invalid", "message": message });
        }
        if !self.warnings.is_empty() {
            response["warnings"] = self.warnings.as_slice().into();
        }
        json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response })
    }
}

/// Answers an AdmissionRequest (the `request` of a review).
///
/// What is not written (deletion, connection) is let in, and so is what is being deleted. A request without an object is not.
pub fn review(request: &Value, surroundings: &Surroundings) -> AdmissionResponse {
    let uid = request["uid"].as_str().unwrap_or_default().to_owned();
    let allowed = AdmissionResponse { uid, allowed: true, ..AdmissionResponse::default() };
    let object = &request["object"];
    let writes = matches!(request["operation"].as_str(), Some("CREATE" | "UPDATE"));
    if !writes || !object["metadata"]["deletionTimestamp"].is_null() {
        return allowed;
    }
    if !object.is_object() {
        let message = Some("the review carries no object".to_owned());
        return AdmissionResponse { allowed: false, message, ..allowed };
    }
    let updates = request["operation"] == "UPDATE";
    let old = Some(&request["oldObject"]).filter(|old| updates && old.is_object());
    let mut errors = Vec::new();
    let mut warnings = Vec::new();
    for finding in judge(object, old, surroundings) {
        match finding.severity {
            Severity::Error => errors.push(finding.to_string()),
            Severity::Warning => warnings.push(shortened(&finding.to_string())),
        }
    }
    let message = (!errors.is_empty()).then(|| errors.join("; "));
    AdmissionResponse { allowed: message.is_none(), message, warnings, ..allowed }
}

/// The API server cuts longer warnings off, and drops all beyond 4096 characters.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 256;
    let mut short: String = text.chars().take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.pop();
        short.push('…');
    }
    short
}

/// All that the rules have to say about an object as it is to be written. `old` is what it replaces.
pub fn judge(object: &Value, old: Option<&Value>, surroundings: &Surroundings) -> Vec<Finding> {
    if object["kind"] == "MeshRootCertificate" {
        return root(object, old, &surroundings.root_certificates);
    }
    let mut found = alone(object, surroundings);
    let before = old.map(|old| alone(old, surroundings)).unwrap_or_default();
    for finding in found.iter_mut().filter(|finding| finding.severity == Severity::Error) {
        // It was let in with this mistake; refusing it now would lock its other fields.
        if before.iter().any(|old| old.rule == finding.rule && old.message == finding.message) {
            finding.severity = Severity::Warning;
        }
    }
    found
}

/// What is to be said about an object, whatever was there before.
fn alone(object: &Value, surroundings: &Surroundings) -> Vec<Finding> {
    let mut found = match object["kind"].as_str() {
        Some("Egress") => egress::matches(object),
        Some("UpstreamTrafficSetting") => upstream::statuses(object),
        _ => Vec::new(),
    };
    match api::read(object) {
        Ok(Manifest::Object(object)) => found.extend(within(&object, surroundings)),
        // What has no place in the world (settings) is checked as it is read.
        Ok(_) => {}
        Err(fault) => {
            let told = found.iter().any(|finding| fault.field.starts_with(&finding.field));
            let hint = fault.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            let finding = Finding::error("Unreadable", fault.field, format!("{}{hint}", fault.message));
            // The rule says what to change.
            found.extend(Some(finding).filter(|_| !told));
        }
    }
    found
}

/// What is to be said about an object in the world as it would be with it.
pub(super) fn within(object: &Object, surroundings: &Surroundings) -> Vec<Finding> {
    let mut world = surroundings.world.clone();
    world.apply(Change::Put(object.clone()));
    let world = &world;
    let mut found = match object {
        Object::TrafficTarget(o) => access::target(o, world),
        Object::HttpRouteGroup(o) => {
            [group::expressions(o, world), group::names(o, world), group::wanted(o, world)].concat()
        }
        Object::TrafficSplit(o) => [
            split::references(o, world),
            split::once(o, world),
            split::weights(o, world),
            split::one_for_a_root(o, world),
            split::no_cycle(o, world),
        ]
        .concat(),
        Object::IngressBackend(o) => {
            [ingress::once(o, world), ingress::no_overlap(o, world), ingress::principals(o, world)].concat()
        }
        Object::UpstreamTrafficSetting(o) => [upstream::host(o, world), upstream::one_for_a_host(o, world)].concat(),
        _ => Vec::new(),
    };
    found.extend(policy(object, world));
    found
}

/// What policy says about it, in policy's own words. What a rule here tells better, or more strictly, is left out.
fn policy(object: &Object, world: &World) -> impl Iterator<Item = Finding> {
    let told_here = |code| matches!(code, Code::UnprovablePrincipal | Code::ConflictingSetting | Code::ForeignService);
    let found = policy::diagnose_policy(world, &object.reference());
    found.into_iter().filter(move |diagnostic| !told_here(diagnostic.code)).map(Finding::from)
}

fn root(object: &Value, old: Option<&Value>, all: &[Value]) -> Vec<Finding> {
    let mut found = match old {
        Some(old) => root_certificate::immutable(object, old),
        None => [root_certificate::provider(object), root_certificate::trust_domain(object)].concat(),
    };
    found.extend(root_certificate::transition(object, old));
    if found.is_empty() {
        found.extend(root_certificate::in_use(object, old, all));
    }
    found
}
