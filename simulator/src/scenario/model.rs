//! The scenario file as data: typed, closed (an unknown field is an error), and the source of the JSON Schema.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod expect;
mod extension;
mod fault;
mod observe;
mod reading;
mod shorthand;
mod step;
mod traffic;
mod traffic_metrics;
mod workload;

pub use expect::{Because, Denied, DeniedDetail, Echo, Expect, Shape, Split};
pub use extension::{Authorization, DescriptorLimit, Extension, RateLimits, Refusal};
pub use fault::{ControlPlane, Fault, Readiness, RespondChange, Rotation};
pub use observe::{Collected, Logged, MetricRow, Metrics, Signal};
pub use reading::Reading;
pub use step::{Check, Control, Repeat, Step, Until, Wait};
pub use traffic::{Auto, Connections, Count, Credentials, OwnTls, Probe, Probes, Proto, Traffic};
pub use traffic_metrics::{
    MeasuredKind, TrafficDirection, TrafficLatency, TrafficMetrics, TrafficRow, TrafficSide, TrafficTotal,
};
pub use workload::{FullPort, Outside, Port, Respond, Workload};

/// One scenario: who there is, what is applied, what is tried, and what must come of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// The format. Always `smi/v1`.
    pub scenario: Format,
    /// Unique dotted name, for example `split.weights.70-30`; selects the scenario with `--only`.
    pub id: String,
    /// One sentence that says what holds if the scenario passes.
    pub title: String,
    /// Why it is tested, or what is surprising about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Clauses of the SMI specification that it proves, by id, for example `TS-01`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clauses: Vec<String>,
    /// Words to select scenarios by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Names of broken meshes that this scenario must catch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kills: Vec<String>,
    /// What a mesh must have for the scenario to say anything about it, beyond what the scenario shows by itself (its kinds, its
    /// protocols): names of features of the conformance suite.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Axes: the scenario runs once for every combination; `${axis}` stands for the value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub matrix: BTreeMap<String, Vec<String>>,
    /// Constants: `${name}` stands for the value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vars: BTreeMap<String, String>,
    /// It is about what the evaluator does not model (limits, retries, health): there it is skipped, and counted as such, where it
    /// would otherwise leave an open question.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub real_only: bool,
    /// Mesh-wide settings at the start.
    #[serde(default, skip_serializing_if = "Mesh::is_default")]
    pub mesh: Mesh,
    /// The pods and their services, by name.
    pub workloads: BTreeMap<String, Workload>,
    /// Services beside the mesh that sidecars ask, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extensions: BTreeMap<String, Extension>,
    /// Manifests (one or more YAML documents each), by the name that steps use. Nothing is applied until a step says so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, Manifest>,
    /// Receivers of log entries (OTLP) and spans (OTLP, Zipkin). Each is reached as `<name>.collectors.test`, on any port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collectors: Vec<String>,
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// Checked at the start and after every step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub always: Vec<Check>,
}

/// The format of a scenario file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Format {
    /// The first version.
    #[serde(rename = "smi/v1")]
    SmiV1,
}

/// Mesh-wide settings at the start of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Mesh {
    /// Start in permissive mode: everyone in the mesh may call everyone.
    pub permissive: bool,
    /// The trust domain; `cluster.local` if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_domain: Option<String>,
}

impl Mesh {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A manifest, inline or in a file beside the scenario.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Manifest {
    /// The YAML text.
    Inline(String),
    /// A file, relative to the scenario file.
    File(ManifestFile),
}

/// Where a manifest lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Path relative to the scenario file.
    pub file: String,
}
