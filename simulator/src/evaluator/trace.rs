//! How an outcome came about, step by step. This is what `explain` prints.

use std::{fmt, sync::Arc};

use serde::Serialize;

/// What a step decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The listener that takes the connection.
    Listener,
    /// The filter chain for the connection's destination.
    Chain,
    /// The TLS handshake, as the proxy that accepts the connection sees it.
    DownstreamTls,
    /// RBAC over connections.
    NetworkRbac,
    /// Reading the bytes as HTTP.
    Codec,
    /// The path and host that routing goes by.
    Normalisation,
    /// An upgrade of the connection (websocket).
    Upgrade,
    /// The virtual host for the request's authority.
    VirtualHost,
    /// The route within the virtual host.
    Route,
    /// RBAC over requests.
    HttpRbac,
    /// One choice among weighted clusters.
    Split,
    /// The cluster.
    Cluster,
    /// One choice among a cluster's endpoints.
    Endpoint,
    /// The TLS handshake, as the proxy that opens the connection sees it.
    UpstreamTls,
    /// The application.
    App,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What was decided on.
    pub stage: Stage,
    /// The pod whose proxy (or application) decided.
    pub pod: Arc<str>,
    /// The decision, in words.
    pub decided: String,
    /// The Kubernetes objects that the configuration's metadata, or an RBAC policy's name, gives as the cause.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<Arc<str>>,
    /// What came into question and was not taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rejected>,
}

/// A candidate that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Its name.
    pub candidate: String,
    /// Why not.
    pub reason: String,
}

impl Rejected {
    /// `candidate` was not taken because of `reason`.
    pub fn new(candidate: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { candidate: candidate.into(), reason: reason.into() }
    }
}

/// All steps, in order. Empty unless asked for: it costs more than the evaluation itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Trace {
    /// The steps.
    pub steps: Vec<Step>,
    #[serde(skip)]
    wanted: bool,
}

impl Trace {
    /// Records steps if `wanted`, and nothing otherwise.
    pub(super) fn new(wanted: bool) -> Self {
        Self { steps: Vec::new(), wanted }
    }

    /// Records a step. `step` is not called if nobody wants to know.
    pub(super) fn push(&mut self, step: impl FnOnce() -> Step) {
        if self.wanted {
            self.steps.push(step());
        }
    }
}

impl Step {
    /// A step without objects and rejected candidates.
    pub(super) fn new(stage: Stage, pod: &Arc<str>, decided: impl Into<String>) -> Self {
        Self { stage, pod: pod.clone(), decided: decided.into(), objects: Vec::new(), rejected: Vec::new() }
    }

    /// With the objects that caused it.
    #[must_use]
    pub(super) fn because_of(mut self, objects: &[Arc<str>]) -> Self {
        self.objects = objects.to_vec();
        self
    }

    /// With the candidates that were not taken.
    #[must_use]
    pub(super) fn instead_of(mut self, rejected: Vec<Rejected>) -> Self {
        self.rejected = rejected;
        self
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Listener => "listener",
            Self::Chain => "chain",
            Self::DownstreamTls => "downstream-tls",
            Self::NetworkRbac => "network-rbac",
            Self::Codec => "codec",
            Self::Normalisation => "normalisation",
            Self::Upgrade => "upgrade",
            Self::VirtualHost => "virtual-host",
            Self::Route => "route",
            Self::HttpRbac => "http-rbac",
            Self::Split => "split",
            Self::Cluster => "cluster",
            Self::Endpoint => "endpoint",
            Self::UpstreamTls => "upstream-tls",
            Self::App => "app",
        })
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            write!(f, "{:<14} {}: {}", step.stage, step.pod, step.decided)?;
            if !step.objects.is_empty() {
                write!(f, "  [{}]", step.objects.join(", "))?;
            }
            writeln!(f)?;
            for rejected in &step.rejected {
                writeln!(f, "{:14}   not {}: {}", "", rejected.candidate, rejected.reason)?;
            }
        }
        Ok(())
    }
}
