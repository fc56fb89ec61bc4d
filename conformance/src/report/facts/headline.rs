//! The result of a run in words, for someone who has never seen the mesh.

use serde::Serialize;

use super::{
    super::{ClauseStatus, FeatureStatus, Report, RunVerdict, TestVerdict},
    count, features, groups, name, number, verdicts,
};

/// What a run says about the mesh, for someone who has never seen it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Headline {
    /// The result, in a sentence.
    pub sentence: String,
    /// What it consists of, most important first.
    pub points: Vec<Point>,
}

/// One part of a headline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Point {
    /// `Breaks`, `Keeps`, `Lacks`, …
    pub label: &'static str,
    /// What.
    pub items: Vec<Item>,
}

/// One item of a point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// The id of a clause, the name of a feature or of a group of clauses.
    pub name: String,
    /// What it means, or how many there are; may be empty.
    pub text: String,
}

/// The result in words.
#[must_use]
pub fn headline(report: &Report) -> Headline {
    Headline { sentence: sentence(report), points: points(report) }
}

fn sentence(report: &Report) -> String {
    let mesh = name(report);
    let (kept, broken) = (count(report, ClauseStatus::Kept), count(report, ClauseStatus::Broken));
    let tests = |verdict| report.tests.iter().filter(|test| test.verdict == verdict).count();
    match report.run.verdict {
        RunVerdict::Pass if broken > 0 => {
            format!("{mesh} breaks {}, as was known before this run, and keeps {kept}.", number(broken, "clause"))
        }
        RunVerdict::Pass => {
            format!("{mesh} keeps all {} of the Service Mesh Interface that this run tested.", number(kept, "clause"))
        }
        RunVerdict::Fail if tests(TestVerdict::Failed) > 0 => {
            let decided = number(kept + broken, "clause");
            format!("{mesh} breaks {broken} of the {decided} of the Service Mesh Interface that this run decided.")
        }
        RunVerdict::Fail => {
            let fixed = tests(TestVerdict::Fixed);
            format!(
                "{} pass that {mesh} was said to fail: the list of known failures is out of date.",
                number(fixed, "test")
            )
        }
        RunVerdict::Infrastructure => {
            let broke = number(tests(TestVerdict::CouldNotRun), "test");
            format!("{broke} could not be carried out, so this run does not say whether {mesh} passes.")
        }
        RunVerdict::Inconclusive => format!("This run does not say whether {mesh} passes: {}.", open(report)),
    }
}

/// Why a run is inconclusive.
fn open(report: &Report) -> String {
    let counts = verdicts(report);
    let tests = |verdict| counts.get(&verdict).copied().unwrap_or_default();
    let mut reasons = Vec::new();
    if report.tests.iter().all(|test| test.verdict == TestVerdict::NotSupported) {
        reasons.push("no test was run".to_owned());
    }
    for (verdict, what) in [(TestVerdict::Flaky, "flaky"), (TestVerdict::Inconclusive, "inconclusive")] {
        if tests(verdict) > 0 {
            reasons.push(format!("{} {} {what}", number(tests(verdict), "test"), is(tests(verdict))));
        }
    }
    let unproven = features(report, FeatureStatus::Unproven).len();
    if unproven > 0 {
        reasons.push(format!("{} it claims {} unproven", number(unproven, "feature"), is(unproven)));
    }
    if reasons.is_empty() {
        reasons.push("nothing passed that could tell it from a cluster without a mesh".to_owned());
    }
    reasons.join(", and ")
}

fn is(n: usize) -> &'static str {
    if n == 1 { "is" } else { "are" }
}

fn points(report: &Report) -> Vec<Point> {
    let item = |name: &str, text: &str| Item { name: name.to_owned(), text: text.to_owned() };
    let clauses = |status: ClauseStatus| -> Vec<Item> {
        let some = report.clauses.iter().filter(|clause| clause.status == status);
        some.map(|clause| item(&clause.id, &clause.text)).collect()
    };
    let groups = groups(report);
    let groups = |status: ClauseStatus| -> Vec<Item> {
        let some = groups.iter().map(|group| (group, group.count(status))).filter(|(_, n)| *n > 0);
        some.map(|(group, n)| item(group.title, &format!("{n} of {}", number(group.clauses.len(), "clause")))).collect()
    };
    let features = |status: FeatureStatus| -> Vec<Item> {
        let some = report.features.iter().filter(|feature| feature.status == status);
        some.map(|feature| item(&feature.name, &feature.text)).collect()
    };
    let candidates = [
        ("Breaks", clauses(ClauseStatus::Broken)),
        ("Keeps", groups(ClauseStatus::Kept)),
        ("Left open", groups(ClauseStatus::Open)),
        ("Claims, unproven", features(FeatureStatus::Unproven)),
        ("Does not claim", features(FeatureStatus::Unclaimed)),
        ("Not tested", groups(ClauseStatus::NotTested)),
    ];
    candidates.into_iter().filter(|(_, items)| !items.is_empty()).map(|(label, items)| Point { label, items }).collect()
}
