//! What a run of the suite found, as data. The JSON is the canonical form; everything else is made from it.
//!
//! ```text
//! assemble    test results → profiles, features, clauses, verdict
//! facts       what a report says, in the words and in the order that every rendering uses
//! json        the canonical form and its schema
//! yaml junit markdown text html   what is made from it
//! diff        what has changed between two reports
//! ```

pub mod assemble;
pub mod diff;
pub mod facts;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
#[cfg(test)]
mod sample;
pub mod text;
mod words;
pub mod yaml;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use simulator::report::StepReport;

pub use assemble::{Circumstances, assemble};

use crate::clause::{Api, Level};

/// The version of the JSON form.
pub const FORMAT: &str = "smi-conformance/v1";

/// One run of the suite on one mesh.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Report {
    /// Always [`FORMAT`].
    pub format: String,
    /// The run.
    pub run: Run,
    /// The suite that asked.
    pub suite: Suite,
    /// The mesh that answered.
    pub implementation: Implementation,
    /// Each profile, in the order of the catalogue.
    pub profiles: Vec<ProfileResult>,
    /// Each feature, in the order of the catalogue.
    pub features: Vec<FeatureResult>,
    /// Each clause, in the order of the catalogue.
    pub clauses: Vec<ClauseResult>,
    /// Each test, in the order of the files.
    pub tests: Vec<TestResult>,
}

/// When, how and with what result.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Run {
    /// When it began, in UTC (RFC 3339).
    pub date: String,
    /// The seed of everything that is random.
    pub seed: u64,
    /// The command that runs the same again.
    pub replay: String,
    /// Wall-clock time in milliseconds.
    pub duration_ms: u64,
    /// All verdicts together.
    pub verdict: RunVerdict,
    /// Upper bound of the probability that a correct mesh fails this run: the sum of β over all statistical checks.
    pub false_failure_budget: f64,
    /// Where it ran.
    pub environment: Environment,
}

/// The verdict of a run; each has its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunVerdict {
    /// Every test of a claimed feature passed, and every claim is proven. Exit code 0.
    Pass,
    /// A test failed, or a known failure is none any more. Exit code 1.
    Fail,
    /// Something around the tests broke. Exit code 3.
    Infrastructure,
    /// Not decided: a test was inconclusive or flaky, a claim is unproven, or nothing was run. Exit code 4.
    Inconclusive,
}

/// Where a run took place.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Environment {
    /// `simulator`, `adapter` or `cluster`.
    pub target: String,
    /// Of the simulator: `evaluator`, `process` or `container`. Of others, what they say of themselves.
    pub backend: String,
    /// Why this one, in a sentence.
    pub reason: String,
    /// The version of Envoy, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envoy: Option<String>,
    /// Operating system and processor, for example `linux x86_64`.
    pub platform: String,
}

/// The suite.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Suite {
    /// Its version.
    pub version: String,
    /// The specification that its clauses are taken from.
    pub specification: String,
    /// SHA-256 over the scenario files, in hexadecimal.
    pub scenarios_sha256: String,
    /// What is known of the suite itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_test: Option<SelfTest>,
}

/// Whether the suite can tell a broken mesh from a correct one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SelfTest {
    /// Broken meshes that were tried.
    pub mutants: usize,
    /// Those that no test caught. None in a released suite.
    pub survivors: Vec<String>,
    /// Tests that pass without any mesh, and are not marked as baseline. None in a released suite.
    pub vacuous: Vec<String>,
    /// Runs of all split measurements on a fair sampler of the correct shares.
    pub fair_runs: usize,
    /// How many of those runs had a false alarm.
    pub false_alarms: usize,
    /// How many the stated error probabilities allow, on average.
    pub expected_false_alarms: f64,
}

/// The mesh, as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Implementation {
    /// Who makes it.
    pub organization: String,
    /// What it is called.
    pub project: String,
    /// Its version.
    pub version: String,
    /// Where to read about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whom to ask.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contact: Vec<String>,
    /// The mode of operation, if it has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The versions of each API that it serves.
    pub apis: BTreeMap<Api, Vec<String>>,
    /// How it writes the headers of an HTTPRouteGroup.
    pub header_encoding: HeaderEncoding,
    /// The features that it claims.
    pub features: BTreeSet<String>,
}

/// The two wire forms of `HTTPRouteGroup.spec.matches[].headers` (specs v1alpha2 and later).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HeaderEncoding {
    /// A list of mappings of one key each, as in the released v0.6.0.
    #[default]
    List,
    /// One mapping, as in the text since September 2021.
    Map,
}

/// One profile.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProfileResult {
    /// Its name, for example `SPLIT-HTTP`.
    pub name: String,
    /// What every mesh of the profile must do.
    pub core: Tally,
    /// What it may do beyond.
    pub extended: Tally,
}

/// Tests by verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tally {
    /// `pass`, `fail`, `partial` (something is not supported), `inconclusive`, `none` (nothing was run).
    pub result: ProfileVerdict,
    /// How many tests of each verdict.
    pub counts: BTreeMap<TestVerdict, usize>,
    /// Features of the profile that the mesh does not claim.
    pub unclaimed: Vec<String>,
}

/// The verdict of one half of a profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProfileVerdict {
    /// Everything is claimed, and passed.
    Pass,
    /// What is claimed passed; something is not claimed.
    Partial,
    /// A test failed.
    Fail,
    /// Something is open.
    Inconclusive,
    /// Nothing was run. Not a pass.
    #[default]
    None,
}

/// One feature.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FeatureResult {
    /// Its name, for example `SplitMatches`.
    pub name: String,
    /// What it means, in a sentence. Empty if the suite does not know the feature.
    pub text: String,
    /// Whether the mesh claims it.
    pub claimed: bool,
    /// What the tests say.
    pub status: FeatureStatus,
    /// The tests that need it, by id.
    pub tests: Vec<String>,
}

/// What the tests say of a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FeatureStatus {
    /// Claimed, and a test that can tell passed; none failed.
    Proven,
    /// Claimed, and no test that can tell passed; none failed.
    Unproven,
    /// Claimed, and a test failed.
    Failed,
    /// Not claimed.
    Unclaimed,
}

/// One clause.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClauseResult {
    /// Its id.
    pub id: String,
    /// How binding it is.
    pub level: Level,
    /// The requirement.
    pub text: String,
    /// Where the specification says it.
    pub spec: String,
    /// What the tests say.
    pub status: ClauseStatus,
    /// Of an ambiguous clause: the readings that were seen; more than one if the mesh is not consistent.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub readings: BTreeSet<String>,
    /// Of an ambiguous clause: how it can be read, by name. None of these is a failure.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub alternatives: BTreeMap<String, String>,
    /// Why there is no verdict, or what the verdict leaves out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The tests that are about it, by id.
    pub tests: Vec<String>,
}

/// What the tests say of a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClauseStatus {
    /// Kept: a test passed, and none failed.
    Kept,
    /// Broken: a test failed.
    Broken,
    /// Ambiguous: it is recorded how the mesh reads it.
    Read,
    /// Tests were run, and left it open.
    Open,
    /// The mesh does not claim what it needs.
    NotSupported,
    /// This run had no test for it.
    NotTested,
}

/// One test: one combination of a scenario file's matrix.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestResult {
    /// Its id, with the values of its matrix.
    pub id: String,
    /// What holds if it passes.
    pub title: String,
    /// The file.
    pub file: String,
    /// The features that it needs.
    pub features: BTreeSet<String>,
    /// The clauses that it is about.
    pub clauses: Vec<String>,
    /// Whether it passes without any mesh too, as it says: it cannot prove a feature.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub baseline: bool,
    /// The verdict.
    pub verdict: TestVerdict,
    /// Why, unless it passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How often it was run.
    pub attempts: u32,
    /// Wall-clock time of the last attempt in milliseconds.
    pub duration_ms: u64,
    /// The slowest change until the mesh followed it, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub convergence_ms: Option<u64>,
    /// The command that runs exactly this again.
    pub replay: String,
    /// The steps of the last attempt.
    pub steps: Vec<StepReport>,
}

/// The verdict of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TestVerdict {
    /// It holds, by evidence.
    Passed,
    /// It does not hold, by evidence.
    Failed,
    /// It failed, as was said before. Does not fail a run.
    KnownFailing,
    /// It was said to fail, and passed. Fails a run: the list is out of date.
    Fixed,
    /// It failed first, and passed when it was run again. Not a pass.
    Flaky,
    /// The evidence does not suffice either way.
    Inconclusive,
    /// Something around it broke.
    CouldNotRun,
    /// The mesh does not claim what it needs.
    NotSupported,
}
