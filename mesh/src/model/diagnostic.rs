//! A user's mistake, told so that it can be mended.

use std::fmt;

use super::ObjectRef;

/// Something in an object that cannot be honoured. It becomes a status condition, an admission reply or CLI output.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    /// The object at fault.
    pub object: ObjectRef,
    /// The field at fault, for example `spec.sources[1].kind`.
    pub field: String,
    /// What is wrong, for machines.
    pub code: Code,
    /// What is wrong, what follows from it, and what to change.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {} ({})", self.object, self.field, self.message, self.code.as_str())
    }
}

/// The kinds of mistake. Names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// A subject is not a ServiceAccount.
    UnsupportedSubject,
    /// A TrafficTarget lies outside its destination's namespace.
    ForeignTarget,
    /// A TrafficTarget names no source.
    NoSource,
    /// A TrafficTarget has no rule.
    NoRule,
    /// A rule's kind is unknown, or UDP, which sidecars do not carry.
    UnsupportedRule,
    /// A referenced object does not exist.
    NotFound,
    /// A named match does not exist in its group.
    MatchNotFound,
    /// A regular expression that Envoy (RE2) would refuse or read differently.
    InvalidRegex,
    /// Two matches of one group share a name.
    DuplicateMatch,
    /// A split's root is among its backends.
    SelfReference,
    /// A root has an older split already.
    ConflictingSplit,
    /// A host name that does not lie in the split's namespace.
    ForeignService,
    /// A backend lacks a port of the root.
    PortMismatch,
    /// No backend of a split has a weight above zero.
    NoWeight,
    /// A backend is named more than once.
    DuplicateBackend,
    /// Ports of services that cannot be told apart on the wire.
    PortConflict,
    /// A port's protocol is not carried by the sidecar.
    UnsupportedProtocol,
    /// An Egress names no destination.
    NoDestination,
    /// A service that is named as a source has no pods.
    NoEndpoint,
    /// A principal is demanded where no client certificate is asked for.
    UnprovablePrincipal,
    /// A Retry names a condition that Envoy does not know.
    UnknownCondition,
    /// Another Retry holds for the same source and destination.
    ConflictingRetry,
    /// Another UpstreamTrafficSetting holds for the same service.
    ConflictingSetting,
    /// A format of log entries that Envoy would refuse.
    InvalidFormat,
    /// Another Telemetry holds for the same pods.
    ConflictingTelemetry,
}

impl Code {
    /// The stable name, in the manner of Kubernetes condition reasons.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnsupportedSubject => "UnsupportedSubject",
            Self::ForeignTarget => "ForeignTarget",
            Self::NoSource => "NoSource",
            Self::NoRule => "NoRule",
            Self::UnsupportedRule => "UnsupportedRule",
            Self::NotFound => "NotFound",
            Self::MatchNotFound => "MatchNotFound",
            Self::InvalidRegex => "InvalidRegex",
            Self::DuplicateMatch => "DuplicateMatch",
            Self::SelfReference => "SelfReference",
            Self::ConflictingSplit => "ConflictingSplit",
            Self::ForeignService => "ForeignService",
            Self::PortMismatch => "PortMismatch",
            Self::NoWeight => "NoWeight",
            Self::DuplicateBackend => "DuplicateBackend",
            Self::PortConflict => "PortConflict",
            Self::UnsupportedProtocol => "UnsupportedProtocol",
            Self::NoDestination => "NoDestination",
            Self::NoEndpoint => "NoEndpoint",
            Self::UnprovablePrincipal => "UnprovablePrincipal",
            Self::UnknownCondition => "UnknownCondition",
            Self::ConflictingRetry => "ConflictingRetry",
            Self::ConflictingSetting => "ConflictingSetting",
            Self::InvalidFormat => "InvalidFormat",
            Self::ConflictingTelemetry => "ConflictingTelemetry",
        }
    }
}
