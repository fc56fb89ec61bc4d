//! What the mesh's metrics API (metrics.smi-spec.io, TrafficMetrics) must tell of the traffic so far.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A question to the metrics API, and what its answer must hold. All traffic counts from the start of the scenario.
///
/// Each workload counts as a Deployment of its name. Whatever is asked for, every item must have the form of the specification: the
/// resource, an edge, a time, a window, five values in known units, and percentiles in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TrafficMetrics {
    /// The kind of resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<MeasuredKind>,
    /// The resource; all of the kind if omitted. A pod is `WORKLOAD/INDEX`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its namespace; `default` if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Asks for the edges of the resource in place of the resource.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub edges: bool,
    /// A label selector; pods have the label `app: <workload>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The HTTP method; `GET` if omitted. For others say what must come of it with `refused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// What must be in the answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<TrafficRow>,
    /// No item may be that these rows describe (their values are not looked at).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<TrafficRow>,
    /// Nothing else may be in the answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub only: bool,
    /// What the counts of all items must add up to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<TrafficTotal>,
    /// The API must refuse, with one of these HTTP statuses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<u16>,
    /// In place of a resource: asks which kinds have metrics; these must be among them, each to be got and listed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub discovery: Vec<MeasuredKind>,
    /// How long to wait for it; `10s` if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
}

/// A kind of resource that has metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MeasuredKind {
    /// A namespace: all of its pods.
    Namespace,
    /// One pod.
    Pod,
    /// A service: the pods that it selects.
    Service,
    /// A workload of the scenario.
    Deployment,
    /// The backends of a TrafficSplit.
    TrafficSplit,
}

impl MeasuredKind {
    /// As references have it.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Namespace => "Namespace",
            Self::Pod => "Pod",
            Self::Service => "Service",
            Self::Deployment => "Deployment",
            Self::TrafficSplit => "TrafficSplit",
        }
    }

    /// As paths have it.
    #[must_use]
    pub fn plural(self) -> String {
        format!("{}s", self.kind().to_ascii_lowercase())
    }
}

/// An item of an answer: what describes it, and what it must say. At least one item must fit the description, and all that fit must
/// say so. Where all that is expected is that counts are 0, there need be none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TrafficRow {
    /// Described: the resource, in a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Described: the peer of an edge. A pod is `WORKLOAD/INDEX`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Described: the peer's namespace; that of the resource if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_namespace: Option<String>,
    /// Described: towards the peer, or from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<TrafficDirection>,
    /// Described: the backend of a split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// The root service of the split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apex: Option<String>,
    /// The weight of the backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u64>,
    /// Where it was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side: Option<TrafficSide>,
    /// Exactly so many requests succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_count: Option<u64>,
    /// At least so many did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_at_least: Option<u64>,
    /// At most so many did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_at_most: Option<u64>,
    /// Exactly so many requests failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_count: Option<u64>,
    /// How long they took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<TrafficLatency>,
}

/// Which way requests went, as the resource sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TrafficDirection {
    /// To the peer.
    To,
    /// From the peer.
    From,
}

/// Where traffic was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TrafficSide {
    /// At the client.
    Client,
    /// At the server.
    Server,
}

/// Sums of counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TrafficTotal {
    /// So many requests succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_count: Option<u64>,
    /// So many requests failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_count: Option<u64>,
}

/// Bounds of percentiles, for example `200ms`. Metrics may state them in any unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TrafficLatency {
    /// The median is no less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_at_least: Option<String>,
    /// The median is no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_at_most: Option<String>,
    /// The 90th percentile is no less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p90_at_least: Option<String>,
    /// The 99th percentile is no less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_at_least: Option<String>,
    /// The 99th percentile is no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_at_most: Option<String>,
}

impl TrafficLatency {
    /// Every bound that is given, with the name of its field.
    pub fn bounds(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let all = [
            ("p50AtLeast", &self.p50_at_least),
            ("p50AtMost", &self.p50_at_most),
            ("p90AtLeast", &self.p90_at_least),
            ("p99AtLeast", &self.p99_at_least),
            ("p99AtMost", &self.p99_at_most),
        ];
        all.into_iter().filter_map(|(name, bound)| Some((name, bound.as_ref()?)))
    }
}
