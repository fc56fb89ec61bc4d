//! Admission: what is refused when an object is written, and what is only remarked.
//!
//! ```text
//! AdmissionReview ── read (api) ──► rules (pure) ──► findings ──► allowed, or why not; warnings
//! ConversionReview ── convert (api) ──► objects in the version asked for
//! ```
//!
//! A rule refuses what can never be right, whatever is written next: two names for one thing, a grant in the wrong namespace, an
//! expression that Envoy refuses. What may become right is a warning, because objects may be created in any order: a reference to
//! something that is not there yet, a split without pods.
//!
//! An update is never refused for what the object said before: old mistakes stay editable, and become warnings. Objects that are
//! being deleted pass, or their finalizers could not be taken off.
//!
//! The world is that of the watches: two objects that contradict each other may both pass if they come at the same moment. The
//! diagnostics in their status tell then.
//!
//! | rule of OSM | here |
//! |---|---|
//! | a TrafficTarget lies in its destination's namespace | refused otherwise |
//! | no two IngressBackends with one service and port | the same, but within a namespace, where OSM forgets to look |
//! | https, no client certificate asked for, no principal: refused | inverted in OSM; here a principal that no certificate can prove is refused |
//! | rules for UpstreamTrafficSetting | registered here; OSM's webhook never asks for them |
//! | nothing for TrafficSplit and HTTPRouteGroup | one split a root, no cycle, no root among its backends; RE2 expressions, match names |

mod access;
mod conversion;
mod egress;
mod group;
mod ingress;
mod review;
mod root_certificate;
mod server;
mod split;
#[cfg(test)]
mod tests;
mod upstream;
pub mod webhook;

use std::fmt;

pub use self::{
    conversion::convert_review,
    review::{AdmissionResponse, judge, review},
    server::{MAX_BODY, conversion_router, router},
};
use crate::{
    model::{Code, Diagnostic},
    world::World,
};

/// What rules know besides the object itself. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The world as the watches tell it.
    pub world: World,
    /// All MeshRootCertificates, as the API server serves them. The world has only what became of them.
    pub root_certificates: Vec<serde_json::Value>,
}

/// Something about an object that a rule has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The name of the rule.
    pub rule: &'static str,
    /// The field, for example `spec.backends[1].service`; empty if it is about the object as a whole.
    pub field: String,
    /// What is wrong, and what to change.
    pub message: String,
    /// Whether the object is refused for it.
    pub severity: Severity,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The object is refused.
    Error,
    /// The object passes; its author is told.
    Warning,
}

impl Finding {
    fn error(rule: &'static str, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { rule, field: field.into(), message: message.into(), severity: Severity::Error }
    }

    fn warning(rule: &'static str, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(rule, field, message) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// A mistake that policy found. Most may be mended by writing another object, so they are warnings.
impl From<Diagnostic> for Finding {
    fn from(found: Diagnostic) -> Self {
        let severity = match found.code {
            // These can only be mended in the object itself.
            Code::ForeignTarget
            | Code::InvalidRegex
            | Code::InvalidFormat
            | Code::DuplicateMatch
            | Code::SelfReference
            | Code::ForeignService => Severity::Error,
            // Among them: subjects and rules that other meshes honour, and references to what is not there yet.
            _ => Severity::Warning,
        };
        Self { rule: found.code.as_str(), field: found.field, message: found.message, severity }
    }
}
