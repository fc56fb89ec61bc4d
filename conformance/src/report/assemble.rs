//! From the results of the tests to what they say about profiles, features and clauses, and about the run.
//!
//! The rules, in one place:
//! * A feature is *proven* by a test that needs it, passed, and is no baseline test: such a test passes without any mesh. A claim
//!   that nothing proves is *unproven*, never passed. One failure (a known one too) makes it *failed*.
//! * A clause is *broken* by one failure (a known one too), *open* after a flaky test, else *kept* if a test passed. An ambiguous
//!   clause is never broken: it is *read*.
//! * A test belongs to every profile that has all the features that it needs, if it needs the one that the profile is about; it is a core
//!   test if they are all core features.
//! * A run *fails* if a test failed, or if a known failure is none any more. Otherwise it is *infrastructure* if a test could not be
//!   run, *inconclusive* if a test was flaky or inconclusive, a claim is unproven, or nothing passed that proves something.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ClauseResult, ClauseStatus, Environment, FORMAT, FeatureResult, FeatureStatus, Implementation, ProfileResult,
    ProfileVerdict, Report, Run, RunVerdict, Suite, Tally, TestResult, TestVerdict, facts,
};
use crate::{
    catalogue,
    clause::{Clause, Level, Proof},
    feature::{self, Profile},
};

/// When, how and where a run took place: a [`Run`] without what follows from the tests.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// When it began, in UTC (RFC 3339).
    pub date: String,
    /// The seed of everything that is random.
    pub seed: u64,
    /// The command that runs the same again.
    pub replay: String,
    /// Wall-clock time in milliseconds.
    pub duration_ms: u64,
    /// Where it ran.
    pub environment: Environment,
}

/// Makes the report. Tests keep their order; profiles, features and clauses have that of the catalogue. Features that the mesh
/// claims and the catalogue does not know come last, unproven.
#[must_use]
pub fn assemble(
    circumstances: Circumstances,
    suite: Suite,
    implementation: Implementation,
    tests: Vec<TestResult>,
) -> Report {
    let features = features(&implementation, &tests);
    let profiles = feature::catalogue().profiles.iter().map(|each| profile(each, &features, &tests)).collect();
    let clauses = catalogue::clauses().iter().map(|each| clause(each, &implementation, &tests)).collect();
    let run = Run {
        date: circumstances.date,
        seed: circumstances.seed,
        replay: circumstances.replay,
        duration_ms: circumstances.duration_ms,
        verdict: verdict(&features, &tests),
        false_failure_budget: tests.iter().flat_map(|t| &t.steps).flat_map(|s| &s.checks).map(|c| c.beta).sum(),
        environment: circumstances.environment,
    };
    Report { format: FORMAT.to_owned(), run, suite, implementation, profiles, features, clauses, tests }
}

/// All verdicts together.
fn verdict(features: &[FeatureResult], tests: &[TestResult]) -> RunVerdict {
    let any = |verdicts: &[TestVerdict]| tests.iter().any(|test| verdicts.contains(&test.verdict));
    let proves = tests.iter().any(|test| test.verdict == TestVerdict::Passed && !test.baseline);
    if any(&[TestVerdict::Failed, TestVerdict::Fixed]) {
        RunVerdict::Fail
    } else if any(&[TestVerdict::CouldNotRun]) {
        RunVerdict::Infrastructure
    } else if any(&[TestVerdict::Flaky, TestVerdict::Inconclusive])
        || features.iter().any(|feature| feature.status == FeatureStatus::Unproven)
        || !proves
    {
        RunVerdict::Inconclusive
    } else {
        RunVerdict::Pass
    }
}

fn features(implementation: &Implementation, tests: &[TestResult]) -> Vec<FeatureResult> {
    let known = feature::catalogue().features.iter().map(|each| (each.name.as_str(), each.text.as_str()));
    let names: BTreeSet<&str> = known.clone().map(|(name, _)| name).collect();
    let unknown = implementation.features.iter().filter(|name| !names.contains(name.as_str()));
    known
        .chain(unknown.map(|name| (name.as_str(), "")))
        .map(|(name, text)| {
            let needing: Vec<&TestResult> = tests.iter().filter(|test| test.features.contains(name)).collect();
            let claimed = implementation.features.contains(name);
            FeatureResult {
                name: name.to_owned(),
                text: text.to_owned(),
                claimed,
                status: if claimed { claim(&needing) } else { FeatureStatus::Unclaimed },
                tests: needing.iter().map(|test| test.id.clone()).collect(),
            }
        })
        .collect()
}

/// What the tests that need a claimed feature say of it.
fn claim(tests: &[&TestResult]) -> FeatureStatus {
    if tests.iter().any(|test| failed(test)) {
        FeatureStatus::Failed
    } else if tests.iter().any(|test| passed(test) && !test.baseline) {
        FeatureStatus::Proven
    } else {
        FeatureStatus::Unproven
    }
}

/// By evidence, whether it was foreseen or not.
fn failed(test: &TestResult) -> bool {
    matches!(test.verdict, TestVerdict::Failed | TestVerdict::KnownFailing)
}

/// By evidence, whether it was foreseen or not.
fn passed(test: &TestResult) -> bool {
    matches!(test.verdict, TestVerdict::Passed | TestVerdict::Fixed)
}

fn profile(profile: &Profile, features: &[FeatureResult], tests: &[TestResult]) -> ProfileResult {
    let (core, extended) = facts::halves(tests, Some(profile));
    ProfileResult { name: profile.name.clone(), core: tally(&core, features), extended: tally(&extended, features) }
}

fn tally(half: &facts::Half<'_>, features: &[FeatureResult]) -> Tally {
    let tests = &half.tests;
    let mut counts = BTreeMap::new();
    for test in tests {
        *counts.entry(test.verdict).or_insert(0) += 1;
    }
    let features = features.iter().filter(|feature| half.features.contains(feature.name.as_str()));
    let unclaimed: Vec<String> = features.clone().filter(|f| !f.claimed).map(|f| f.name.clone()).collect();
    let unproven = features.clone().any(|f| f.status == FeatureStatus::Unproven);
    let undecided = |test: &&TestResult| {
        matches!(test.verdict, TestVerdict::Flaky | TestVerdict::Inconclusive | TestVerdict::CouldNotRun)
    };
    let result = if tests.iter().all(|test| test.verdict == TestVerdict::NotSupported) {
        ProfileVerdict::None
    } else if tests.iter().any(|test| failed(test)) {
        ProfileVerdict::Fail
    } else if unproven || tests.iter().any(undecided) {
        ProfileVerdict::Inconclusive
    } else if !unclaimed.is_empty() {
        ProfileVerdict::Partial
    } else {
        ProfileVerdict::Pass
    };
    Tally { result, counts, unclaimed }
}

fn clause(clause: &Clause, implementation: &Implementation, tests: &[TestResult]) -> ClauseResult {
    let about: Vec<&TestResult> = tests.iter().filter(|test| test.clauses.contains(&clause.id)).collect();
    let readings: BTreeSet<String> = about.iter().flat_map(|test| readings(test, &clause.id)).collect();
    let status = status(clause, &about, &readings);
    ClauseResult {
        id: clause.id.clone(),
        level: clause.level,
        text: clause.text.clone(),
        spec: clause.spec.clone(),
        status,
        readings,
        alternatives: clause.readings.clone(),
        reason: reason(clause, status, implementation, &about),
        tests: about.iter().map(|test| test.id.clone()).collect(),
    }
}

fn readings<'a>(test: &'a TestResult, clause: &'a str) -> impl Iterator<Item = String> + 'a {
    let checks = test.steps.iter().flat_map(|step| &step.checks);
    checks.filter_map(|check| check.reading.as_ref()).filter(move |r| r.clause == clause).map(|r| r.reading.clone())
}

fn status(clause: &Clause, tests: &[&TestResult], readings: &BTreeSet<String>) -> ClauseStatus {
    let ambiguous = clause.level == Level::Ambiguous;
    if !readings.is_empty() {
        ClauseStatus::Read
    } else if tests.is_empty() {
        ClauseStatus::NotTested
    } else if tests.iter().all(|test| test.verdict == TestVerdict::NotSupported) {
        ClauseStatus::NotSupported
    } else if ambiguous {
        ClauseStatus::Open
    } else if tests.iter().any(|test| failed(test)) {
        ClauseStatus::Broken
    } else if tests.iter().any(|test| passed(test)) && tests.iter().all(|test| test.verdict != TestVerdict::Flaky) {
        ClauseStatus::Kept
    } else {
        ClauseStatus::Open
    }
}

fn reason(clause: &Clause, status: ClauseStatus, mesh: &Implementation, tests: &[&TestResult]) -> Option<String> {
    match status {
        ClauseStatus::Broken | ClauseStatus::Read => None,
        ClauseStatus::Kept if tests.iter().all(|test| !passed(test) || test.baseline) => {
            Some("only by tests that pass without any mesh too".to_owned())
        }
        ClauseStatus::Kept => catalogue::shown_in_part(&clause.id).map(|missing| format!("not shown: {missing}")),
        ClauseStatus::Open if clause.level == Level::Ambiguous => {
            Some("tests were run, and none of the readings was seen".to_owned())
        }
        ClauseStatus::Open => tests.iter().find_map(|test| test.reason.clone()),
        ClauseStatus::NotSupported => Some(not_claimed(mesh, tests)),
        ClauseStatus::NotTested => Some(not_tested(clause)),
    }
}

fn not_claimed(mesh: &Implementation, tests: &[&TestResult]) -> String {
    let needed = tests.iter().flat_map(|test| &test.features);
    let missing: BTreeSet<&str> = needed.filter(|name| !mesh.features.contains(*name)).map(String::as_str).collect();
    match missing.is_empty() {
        true => tests.iter().find_map(|test| test.reason.clone()).unwrap_or_default(),
        false => format!("needs {}", missing.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

fn not_tested(clause: &Clause) -> String {
    if let Some(reason) = catalogue::unshown(&clause.id) {
        return reason.to_owned();
    }
    match clause.proof {
        Proof::Traffic => "this run had no test of it",
        Proof::Admission => "only the reply to a manifest can show it, and this run had no test of it",
        Proof::Metrics => "only the metrics API can show it, and this run had no test of it",
        Proof::Cluster => "only a real cluster can show it",
        Proof::None => "nothing from outside can show it",
    }
    .to_owned()
}

#[cfg(test)]
mod tests;
