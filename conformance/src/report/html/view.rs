//! A report as the template wants it: flat, in order, with all words and figures ready.

use std::collections::BTreeMap;

use serde::Serialize;
use simulator::report::{CheckReport, StepReport};

use super::{
    super::{
        ClauseResult, ClauseStatus, FeatureResult, ProfileResult, Report, Tally, TestResult, TestVerdict,
        facts::{self, Headline},
    },
    mark::Mark,
    plot::Plot,
};

/// The page.
#[derive(Debug, Serialize)]
pub(super) struct Page<'a> {
    name: String,
    verdict: Mark,
    headline: Headline,
    figures: Vec<Figure>,
    report: &'a Report,
    budget: String,
    duration: String,
    attention: Vec<Test<'a>>,
    profiles: Vec<Profile<'a>>,
    features: Vec<Feature<'a>>,
    groups: Vec<Group<'a>>,
    statuses: Vec<Figure>,
    readings: Vec<&'a ClauseResult>,
    splits: Vec<Split<'a>>,
    convergence: Convergence<'a>,
    tests: Vec<Test<'a>>,
}

#[derive(Debug, Serialize)]
struct Figure {
    n: usize,
    mark: Mark,
}

#[derive(Debug, Serialize)]
struct Test<'a> {
    test: &'a TestResult,
    anchor: usize,
    mark: Mark,
    /// The reason, unless the findings tell it.
    reason: Option<&'a str>,
    duration: String,
    convergence: Option<String>,
    clauses: Vec<Link<'a>>,
    findings: Vec<Finding<'a>>,
}

/// A clause or a test, and the number of its anchor.
#[derive(Debug, Serialize)]
struct Link<'a> {
    anchor: Option<usize>,
    id: &'a str,
    text: &'a str,
    spec: &'a str,
}

#[derive(Debug, Serialize)]
struct Finding<'a> {
    step: &'a StepReport,
    check: &'a CheckReport,
    mark: Mark,
    observed: Vec<&'a str>,
    plot: Option<Plot>,
}

#[derive(Debug, Serialize)]
struct Profile<'a> {
    name: &'a str,
    halves: [Half<'a>; 2],
}

#[derive(Debug, Serialize)]
struct Half<'a> {
    name: &'static str,
    mark: Mark,
    counts: Vec<Figure>,
    unclaimed: &'a [String],
}

#[derive(Debug, Serialize)]
struct Feature<'a> {
    name: &'a str,
    text: &'a str,
    claimed: bool,
    mark: Mark,
    passed: usize,
    tests: usize,
}

#[derive(Debug, Serialize)]
struct Group<'a> {
    title: &'static str,
    about: &'static str,
    kept: usize,
    clauses: Vec<Clause<'a>>,
}

#[derive(Debug, Serialize)]
struct Clause<'a> {
    anchor: usize,
    clause: &'a ClauseResult,
    mark: Mark,
    tests: Vec<Link<'a>>,
}

#[derive(Debug, Serialize)]
struct Split<'a> {
    test: Link<'a>,
    mark: Mark,
    what: &'a str,
    expected: &'a str,
    plot: Plot,
}

#[derive(Debug, Serialize)]
struct Convergence<'a> {
    measured: usize,
    median: String,
    slowest: Vec<Slow<'a>>,
}

#[derive(Debug, Serialize)]
struct Slow<'a> {
    test: Link<'a>,
    time: String,
    /// Per cent of the slowest.
    width: u64,
}

impl<'a> Page<'a> {
    pub(super) fn of(report: &'a Report) -> Self {
        let places = Places::of(report);
        Self {
            name: facts::name(report),
            verdict: report.run.verdict.into(),
            headline: facts::headline(report),
            figures: figures(&facts::verdicts(report)),
            report,
            budget: facts::probability(report.run.false_failure_budget),
            duration: facts::duration(report.run.duration_ms),
            attention: facts::attention(report).into_iter().map(|test| places.test(test)).collect(),
            profiles: report.profiles.iter().map(profile).collect(),
            features: features(report),
            groups: facts::groups(report).into_iter().map(|group| places.group(group)).collect(),
            statuses: statuses(report),
            readings: report.clauses.iter().filter(|clause| clause.status == ClauseStatus::Read).collect(),
            splits: places.splits(),
            convergence: places.convergence(),
            tests: report.tests.iter().map(|test| places.test(test)).collect(),
        }
    }
}

/// Where on the page everything is. Anchors are numbers, because ids come from strangers.
struct Places<'a> {
    report: &'a Report,
    clauses: BTreeMap<&'a str, usize>,
    tests: BTreeMap<&'a str, usize>,
}

impl<'a> Places<'a> {
    fn of(report: &'a Report) -> Self {
        Self {
            report,
            clauses: report.clauses.iter().enumerate().map(|(i, clause)| (clause.id.as_str(), i)).collect(),
            tests: report.tests.iter().enumerate().map(|(i, test)| (test.id.as_str(), i)).collect(),
        }
    }

    fn test(&self, test: &'a TestResult) -> Test<'a> {
        Test {
            test,
            anchor: self.tests[test.id.as_str()],
            mark: test.verdict.into(),
            reason: facts::reason(test),
            duration: facts::duration(test.duration_ms),
            convergence: test.convergence_ms.map(facts::duration),
            clauses: test.clauses.iter().map(|id| self.clause(id)).collect(),
            findings: facts::findings(test).map(|(step, check)| finding(step, check)).collect(),
        }
    }

    fn clause(&self, id: &'a str) -> Link<'a> {
        let anchor = self.clauses.get(id).copied();
        let clause = anchor.map(|place| &self.report.clauses[place]);
        Link { anchor, id, text: clause.map_or("", |c| &c.text), spec: clause.map_or("", |c| &c.spec) }
    }

    fn link(&self, id: &'a str) -> Link<'a> {
        let anchor = self.tests.get(id).copied();
        Link { anchor, id, text: anchor.map_or("", |place| &self.report.tests[place].title), spec: "" }
    }

    fn group(&self, group: facts::Group<'a>) -> Group<'a> {
        let clause = |clause: &'a ClauseResult| Clause {
            anchor: self.clauses[clause.id.as_str()],
            clause,
            mark: clause.status.into(),
            tests: clause.tests.iter().map(|id| self.link(id)).collect(),
        };
        Group {
            title: group.title,
            about: group.about,
            kept: group.count(ClauseStatus::Kept),
            clauses: group.clauses.into_iter().map(clause).collect(),
        }
    }

    /// Every measurement but those of controls: they are there to differ.
    fn splits(&self) -> Vec<Split<'a>> {
        let mut splits = Vec::new();
        for test in &self.report.tests {
            let steps = test.steps.iter().filter(|step| !step.summary.starts_with("control"));
            for check in steps.flat_map(|step| &step.checks) {
                let Some(plot) = check.statistics.as_ref().and_then(Plot::of) else { continue };
                let (what, expected) = (check.what.as_str(), check.expected.as_str());
                splits.push(Split { test: self.link(&test.id), mark: check.verdict.into(), what, expected, plot });
            }
        }
        splits
    }

    fn convergence(&self) -> Convergence<'a> {
        const SHOWN: usize = 10;
        let timed = self.report.tests.iter().filter_map(|test| Some((test.convergence_ms?, test)));
        let mut times: Vec<(u64, &TestResult)> = timed.collect();
        times.sort_by_key(|(ms, _)| std::cmp::Reverse(*ms));
        let most = times.first().map_or(1, |(ms, _)| (*ms).max(1));
        let slow = |(ms, test): &(u64, &'a TestResult)| Slow {
            test: self.link(&test.id),
            time: facts::duration(*ms),
            width: ms * 100 / most,
        };
        Convergence {
            measured: times.len(),
            median: times.get(times.len() / 2).map(|(ms, _)| facts::duration(*ms)).unwrap_or_default(),
            slowest: times.iter().take(SHOWN).map(slow).collect(),
        }
    }
}

fn finding<'a>(step: &'a StepReport, check: &'a CheckReport) -> Finding<'a> {
    Finding {
        step,
        check,
        mark: check.verdict.into(),
        observed: check.observed.split("; ").filter(|text| !text.is_empty()).collect(),
        plot: check.statistics.as_ref().and_then(Plot::of),
    }
}

fn profile(profile: &ProfileResult) -> Profile<'_> {
    let half = |name, tally| -> Half<'_> {
        let tally: &Tally = tally;
        Half { name, mark: tally.result.into(), counts: figures(&tally.counts), unclaimed: &tally.unclaimed }
    };
    Profile { name: &profile.name, halves: [half("core", &profile.core), half("extended", &profile.extended)] }
}

fn features(report: &Report) -> Vec<Feature<'_>> {
    let passed = |id: &String| report.tests.iter().any(|test| test.id == *id && test.verdict == TestVerdict::Passed);
    let feature =
        |feature: &'_ FeatureResult| (feature.tests.iter().filter(|id| passed(id)).count(), feature.tests.len());
    report
        .features
        .iter()
        .map(|each| {
            let (passed, tests) = feature(each);
            Feature {
                name: &each.name,
                text: &each.text,
                claimed: each.claimed,
                mark: each.status.into(),
                passed,
                tests,
            }
        })
        .collect()
}

fn statuses(report: &Report) -> Vec<Figure> {
    use ClauseStatus::{Broken, Kept, NotSupported, NotTested, Open, Read};
    let all = [Broken, Open, Kept, Read, NotSupported, NotTested];
    let figures = all.into_iter().map(|status| Figure { n: facts::count(report, status), mark: status.into() });
    figures.filter(|figure| figure.n > 0).collect()
}

fn figures(counts: &BTreeMap<TestVerdict, usize>) -> Vec<Figure> {
    counts.iter().map(|(verdict, n)| Figure { n: *n, mark: (*verdict).into() }).collect()
}
