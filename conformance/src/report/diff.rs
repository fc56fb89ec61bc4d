//! What has changed between two reports: two runs of one mesh, or two meshes.

use std::{collections::BTreeMap, fmt::Display};

use serde::Serialize;

use super::{ClauseStatus, FeatureStatus, Report, RunVerdict, TestResult, TestVerdict, facts};

mod render;

/// Durations differ if one is this many times the other …
const TIMES: u64 = 2;
/// … and they are this far apart, in milliseconds.
const APART: u64 = 250;

/// The differences from one report to another.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diff {
    /// The first report.
    pub before: Side,
    /// The second report.
    pub after: Side,
    /// Whether both asked the same questions: the same scenarios.
    pub same_suite: bool,
    /// The verdict of the run, if it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Change>,
    /// Clauses with another status, in the order of the catalogue.
    pub clauses: Vec<Change>,
    /// Features with another status.
    pub features: Vec<Change>,
    /// Tests with another verdict, and tests that only one of the reports has.
    pub tests: Vec<Change>,
    /// Ambiguous clauses that are read in another way.
    pub readings: Vec<Change>,
    /// Tests that took much longer or shorter, and changes that took effect much later or sooner.
    pub durations: Vec<Change>,
}

/// What is compared.
#[derive(Debug, Serialize)]
pub struct Side {
    /// The mesh, with its version.
    pub mesh: String,
    /// When it was run.
    pub date: String,
    /// Where it was run.
    pub backend: String,
    /// The result.
    pub verdict: RunVerdict,
}

/// One difference.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The id or name of what differs.
    pub id: String,
    /// What it is, in words.
    pub text: String,
    /// What the first report says.
    pub before: String,
    /// What the second report says.
    pub after: String,
    /// Whether that is good.
    pub direction: Direction,
}

/// Whether a difference is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The second report is worse.
    Worse,
    /// The second report is better.
    Better,
    /// Neither.
    Other,
}

/// Compares two reports.
#[must_use]
pub fn diff(before: &Report, after: &Report) -> Diff {
    Diff {
        before: Side::of(before),
        after: Side::of(after),
        same_suite: before.suite.scenarios_sha256 == after.suite.scenarios_sha256,
        verdict: change("run", "", Some(before.run.verdict), Some(after.run.verdict), |verdict| match verdict {
            Some(RunVerdict::Pass) => 0,
            Some(RunVerdict::Inconclusive | RunVerdict::Infrastructure) | None => 1,
            Some(RunVerdict::Fail) => 2,
        }),
        clauses: compare(
            before.clauses.iter().map(|clause| (clause.id.as_str(), clause.text.as_str(), clause.status)),
            after.clauses.iter().map(|clause| (clause.id.as_str(), clause.text.as_str(), clause.status)),
            |status| match status {
                Some(ClauseStatus::Kept | ClauseStatus::Read) => 0,
                Some(ClauseStatus::Open | ClauseStatus::NotSupported | ClauseStatus::NotTested) | None => 1,
                Some(ClauseStatus::Broken) => 2,
            },
        ),
        features: compare(
            before.features.iter().map(|feature| (feature.name.as_str(), feature.text.as_str(), feature.status)),
            after.features.iter().map(|feature| (feature.name.as_str(), feature.text.as_str(), feature.status)),
            |status| match status {
                Some(FeatureStatus::Proven) => 0,
                Some(FeatureStatus::Unproven | FeatureStatus::Unclaimed) | None => 1,
                Some(FeatureStatus::Failed) => 2,
            },
        ),
        tests: compare(verdicts(before), verdicts(after), |verdict| match verdict {
            Some(TestVerdict::Passed | TestVerdict::Fixed) => 0,
            Some(
                TestVerdict::Flaky | TestVerdict::Inconclusive | TestVerdict::CouldNotRun | TestVerdict::NotSupported,
            )
            | None => 1,
            Some(TestVerdict::Failed | TestVerdict::KnownFailing) => 2,
        }),
        readings: compare(readings(before), readings(after), |_| 0),
        durations: durations(before, after),
    }
}

impl Diff {
    /// Every difference.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        let lists = [&self.clauses, &self.features, &self.tests, &self.readings, &self.durations];
        self.verdict.iter().chain(lists.into_iter().flatten())
    }

    /// Whether something is worse.
    #[must_use]
    pub fn is_worse(&self) -> bool {
        self.changes().any(|change| change.direction == Direction::Worse)
    }

    /// The exit code of the process: 1 if something is worse, otherwise 0.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        u8::from(self.is_worse())
    }
}

impl Side {
    fn of(report: &Report) -> Self {
        let environment = &report.run.environment;
        Self {
            mesh: facts::name(report),
            date: report.run.date.clone(),
            backend: format!("{} ({})", environment.target, environment.backend),
            verdict: report.run.verdict,
        }
    }
}

fn verdicts(report: &Report) -> impl Iterator<Item = (&str, &str, TestVerdict)> {
    report.tests.iter().map(|test| (test.id.as_str(), test.title.as_str(), test.verdict))
}

/// Only of clauses of which a reading was seen: whether one was seen at all is the status.
fn readings(report: &Report) -> impl Iterator<Item = (&str, &str, String)> {
    let read = report.clauses.iter().filter(|clause| !clause.readings.is_empty());
    read.map(|clause| {
        let readings: Vec<&str> = clause.readings.iter().map(String::as_str).collect();
        (clause.id.as_str(), clause.text.as_str(), readings.join(", "))
    })
}

/// What differs, in the order of the second list; what only the first has comes last.
fn compare<'a, T: Display + PartialEq>(
    before: impl Iterator<Item = (&'a str, &'a str, T)>,
    after: impl Iterator<Item = (&'a str, &'a str, T)>,
    rank: impl Fn(Option<&T>) -> u8,
) -> Vec<Change> {
    let order: Vec<(&str, &str, T)> = before.collect();
    let mut left: BTreeMap<&str, usize> = order.iter().enumerate().map(|(i, (id, ..))| (*id, i)).collect();
    let mut changes = Vec::new();
    for (id, text, value) in after {
        let earlier = left.remove(id).map(|place| &order[place].2);
        changes.extend(change(id, text, earlier, Some(&value), |value| rank(value.copied())));
    }
    for (id, text, value) in order.iter().filter(|(id, ..)| left.contains_key(id)) {
        changes.extend(change(id, text, Some(value), None, |value| rank(value.copied())));
    }
    changes
}

/// The change of one value, if there is one. A higher rank is worse.
fn change<T: Display + PartialEq>(
    id: &str,
    text: &str,
    before: Option<T>,
    after: Option<T>,
    rank: impl Fn(Option<&T>) -> u8,
) -> Option<Change> {
    if before == after {
        return None;
    }
    let direction = match rank(after.as_ref()).cmp(&rank(before.as_ref())) {
        std::cmp::Ordering::Greater => Direction::Worse,
        std::cmp::Ordering::Less => Direction::Better,
        std::cmp::Ordering::Equal => Direction::Other,
    };
    let word = |value: Option<T>| value.map_or_else(|| "not there".to_owned(), |value| value.to_string());
    Some(Change { id: id.to_owned(), text: text.to_owned(), before: word(before), after: word(after), direction })
}

/// Of tests that both reports have and that passed in both: others end early, or wait in vain.
fn durations(before: &Report, after: &Report) -> Vec<Change> {
    let passed = |report: &'_ Report, id: &str| -> Option<TestResult> {
        report.tests.iter().find(|test| test.id == id && test.verdict == TestVerdict::Passed).cloned()
    };
    let mut changes = Vec::new();
    for test in after.tests.iter().filter(|test| test.verdict == TestVerdict::Passed) {
        let Some(earlier) = passed(before, &test.id) else { continue };
        changes.extend(duration(test, "duration", Some(earlier.duration_ms), Some(test.duration_ms)));
        changes.extend(duration(test, "time until a change took effect", earlier.convergence_ms, test.convergence_ms));
    }
    changes
}

fn duration(test: &TestResult, what: &str, before: Option<u64>, after: Option<u64>) -> Option<Change> {
    let (before, after) = (before?, after?);
    let (less, more) = (before.min(after), before.max(after));
    (more - less >= APART && more >= TIMES.saturating_mul(less)).then(|| Change {
        id: test.id.clone(),
        text: what.to_owned(),
        before: facts::duration(before),
        after: facts::duration(after),
        direction: Direction::Other,
    })
}

#[cfg(test)]
mod tests;
