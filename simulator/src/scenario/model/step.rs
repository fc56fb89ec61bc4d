//! What happens, in order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Collected, Expect, Fault, Logged, Metrics, Probes, Reading, Traffic, TrafficMetrics};

/// One step: exactly one verb, and what every step may have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// A name that other steps and reports can use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What the step is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Creates or updates resources, then waits until every sidecar has the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply: Option<Vec<String>>,
    /// Deletes every object of these resources, then waits until every sidecar has the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<Vec<String>>,
    /// With `apply`: the manifest must be refused, or accepted with a diagnostic, of this code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostic: Option<String>,
    /// With `apply`: the mesh may refuse the manifest instead; then the scenario goes on without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_refuse: bool,
    /// Waits for a condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// A check that must hold now, and shows that a later step can fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<Control>,
    /// Sends traffic; `expect` judges all of it together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
    /// With `traffic`: what must come of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
    /// Sends single requests, one a row, each with its own expectation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,
    /// Finds out how the mesh reads an ambiguous clause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
    /// Breaks or changes something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// Looks at what a collector has got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected: Option<Collected>,
    /// Looks at what sidecars have logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logged: Option<Logged>,
    /// Looks at the statistics of sidecars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
    /// Asks the mesh's metrics API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_metrics: Option<TrafficMetrics>,
    /// Runs branches side by side; ends when all of them have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel: Option<Vec<Vec<Step>>>,
    /// Runs steps several times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Repeat>,
}

impl Step {
    /// The step with this id among `steps`, in branches and repetitions too.
    #[must_use]
    pub fn find<'a>(steps: &'a [Self], id: &str) -> Option<&'a Self> {
        steps.iter().find_map(|step| {
            if step.id.as_deref() == Some(id) {
                return Some(step);
            }
            let branches = step.parallel.iter().flatten().find_map(|branch| Self::find(branch, id));
            branches.or_else(|| step.repeat.as_ref().and_then(|repeat| Self::find(&repeat.steps, id)))
        })
    }
}

/// A condition to wait for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wait {
    /// What to wait for.
    pub until: Until,
    /// How long at most; `10s` if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
}

/// What a `wait` step waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Until {
    /// Every connected sidecar has acknowledged its newest configuration, and uses it.
    Converged,
    /// Every sidecar is connected to the control plane.
    Connected,
    /// The sidecar of this workload has refused its newest configuration.
    Rejected(String),
}

/// A check that must hold before the policy under test is applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Control {
    /// The `id` of a later `traffic` step, whose expectation must fail now: it can tell the difference.
    pub discriminates: String,
    /// What is sent; the traffic of the discriminated step if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
    /// What must come of it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
}

/// Traffic and its expectation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Check {
    /// What is sent.
    pub traffic: Traffic,
    /// What must come of it.
    pub expect: Expect,
}

/// Steps that run several times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Repeat {
    /// How often, 1–1000.
    pub times: u32,
    /// What.
    pub steps: Vec<Step>,
}
