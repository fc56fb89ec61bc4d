//! What a run found, as data, and its renderings. The JSON is the canonical form; text and JUnit are made from it.

mod junit;
mod text;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use junit::junit;
pub use text::{Style, failure, line, summary};

use crate::judge::Verdict;

/// The version of the JSON form.
pub const FORMAT: &str = "smi-simulator/v1";

/// One run of one or more scenarios.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunReport {
    /// Always [`FORMAT`].
    pub format: &'static str,
    /// What ran the scenarios, and why it was chosen.
    pub backend: BackendReport,
    /// The seed of everything that is random in the run.
    pub seed: u64,
    /// All verdicts together.
    pub verdict: Verdict,
    /// Wall-clock time in milliseconds.
    pub duration_ms: u64,
    /// Upper bound of the probability that a correct mesh fails this run: the sum of all β.
    pub false_failure_budget: f64,
    /// The scenarios, in the order of their files.
    pub scenarios: Vec<ScenarioReport>,
}

/// What ran the scenarios.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendReport {
    /// `evaluator`, `process` or `container`.
    pub name: String,
    /// Why it was chosen, in a sentence.
    pub reason: String,
    /// The version of Envoy, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envoy: Option<String>,
    /// `delta` or `sotw`, if there is an xDS stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xds: Option<String>,
}

/// One scenario (one combination of its matrix).
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScenarioReport {
    /// Its id, with the values of its matrix.
    pub id: String,
    /// Its title.
    pub title: String,
    /// The file.
    pub file: String,
    /// Clauses that it proves.
    pub clauses: Vec<String>,
    /// The verdict over all steps.
    pub verdict: Verdict,
    /// It says itself that it is for real Envoys only (`realOnly`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub real_only: bool,
    /// It is about what this backend cannot show.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub beyond_backend: bool,
    /// Wall-clock time in milliseconds.
    pub duration_ms: u64,
    /// The steps that ran.
    pub steps: Vec<StepReport>,
    /// The command that runs exactly this again.
    pub replay: String,
    /// Where the failure bundle lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
}

/// One step.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepReport {
    /// Its place: `3`, or `3.2.1` within `parallel` and `repeat`.
    pub number: String,
    /// Its id, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What it did, in a line.
    pub summary: String,
    /// The verdict over its checks.
    pub verdict: Verdict,
    /// Wall-clock time in milliseconds.
    pub duration_ms: u64,
    /// From a change until every sidecar used it, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub convergence_ms: Option<u64>,
    /// What was checked.
    pub checks: Vec<CheckReport>,
}

/// One expectation.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// What was sent: `bookbuyer → bookstore GET /books`.
    pub what: String,
    /// What was expected, in words.
    pub expected: String,
    /// The verdict.
    pub verdict: Verdict,
    /// What was observed, or why there is no verdict.
    pub observed: String,
    /// What the client saw, one line per distinct outcome with its count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub client_saw: Vec<String>,
    /// What the applications saw, one line per distinct sighting with its count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub server_saw: Vec<String>,
    /// The way of the request through the generated configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<String>,
    /// For a denial: what would have allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// What the evaluator does not model: real traffic then had no second opinion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmodelled: Option<String>,
    /// The statistics of a split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<serde_json::Value>,
    /// How the mesh reads the ambiguous clause that was asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<ReadingReport>,
    /// The probability that a correct mesh fails this check.
    #[serde(skip)]
    pub beta: f64,
}

/// How a mesh reads an ambiguous clause.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadingReport {
    /// The clause.
    pub clause: String,
    /// The name of the reading.
    pub reading: String,
}

impl ScenarioReport {
    /// Whether nothing of it could be observed, as was known before: it is left out of the verdict of a run, and counted apart.
    pub fn is_skipped(&self) -> bool {
        (self.real_only || self.beyond_backend) && self.verdict == Verdict::Unobservable
    }
}

impl RunReport {
    /// All verdicts together. A scenario of which nothing could be observed keeps a run from passing, unless it is declared to be
    /// for real Envoys only and others did pass: what proves nothing at all is not a pass.
    pub fn verdict_of(scenarios: &[ScenarioReport]) -> Verdict {
        let counted = scenarios.iter().filter(|s| !s.is_skipped()).map(|s| s.verdict).max();
        counted.unwrap_or(if scenarios.is_empty() { Verdict::Inconclusive } else { Verdict::Unobservable })
    }

    /// The process exit code: 0 pass, 1 fail, 3 infrastructure, 4 inconclusive. Nothing executed is not a pass.
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Pass => 0,
            Verdict::Fail => 1,
            Verdict::Infrastructure => 3,
            Verdict::Inconclusive | Verdict::Unobservable => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(verdict: Verdict, real_only: bool) -> ScenarioReport {
        ScenarioReport {
            id: "a".into(),
            title: "A".into(),
            file: "a.yaml".into(),
            clauses: Vec::new(),
            verdict,
            real_only,
            beyond_backend: false,
            duration_ms: 1,
            steps: Vec::new(),
            replay: String::new(),
            bundle: None,
        }
    }

    #[test]
    fn what_is_declared_unobservable_does_not_keep_others_from_passing() {
        use Verdict::{Fail, Inconclusive, Pass, Unobservable};
        let declared = || scenario(Unobservable, true);
        for (others, expected) in [
            (vec![scenario(Pass, false)], Pass),
            (vec![scenario(Pass, true)], Pass),
            (vec![scenario(Pass, false), scenario(Unobservable, false)], Unobservable),
            (vec![scenario(Fail, true)], Fail),
            (vec![scenario(Inconclusive, true)], Inconclusive),
            (Vec::new(), Unobservable),
        ] {
            let all: Vec<_> = others.into_iter().chain([declared()]).collect();
            assert_eq!(RunReport::verdict_of(&all), expected);
        }
        assert_eq!(RunReport::verdict_of(&[]), Inconclusive);
    }
}
