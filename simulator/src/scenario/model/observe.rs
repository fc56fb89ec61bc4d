//! What sidecars must have told of the traffic so far. All of it counts from the start of the scenario.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Spans or log entries that a collector must have got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Collected {
    /// The collector.
    pub by: String,
    /// What it got.
    pub what: Signal,
    /// How many that `having` describes: so many, and no more.
    pub count: usize,
    /// Texts that those must have: attributes or tags by name; `resource.<name>`; of log entries also `body` or
    /// `body.<field>`; of spans also `name`, `kind` (`CLIENT`, `SERVER`) and `service`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub having: BTreeMap<String, String>,
    /// Spans only: they are one trace, and each but the first is the child of another of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub linked: bool,
    /// How long to wait for them; `10s` if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
}

/// What a collector takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// Log entries.
    Logs,
    /// Spans.
    Spans,
}

/// Lines that the sidecars of a workload must have written to their standard output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Logged {
    /// The workload (`name`, or `name/INDEX` for one of its pods).
    pub by: String,
    /// How many lines: so many, and no more.
    pub count: usize,
    /// The whole line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// Fields of a line that is a JSON object; numbers as text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// Fields that the line must not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// How long to wait for them; `10s` if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
}

/// Statistics that Prometheus must find at the sidecars of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metrics {
    /// The workload (`name`, or `name/INDEX` for one of its pods).
    pub of: String,
    /// The statistics.
    pub rows: Vec<MetricRow>,
    /// How long to wait for them; `10s` if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
}

/// One statistic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricRow {
    /// Its name.
    pub name: String,
    /// Labels that its series must have; the values of all such series add up.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The sum; 0 also if there is no such series.
    pub value: u64,
}
