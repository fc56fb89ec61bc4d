//! What a report says, in the words and in the order that every rendering uses.

use std::collections::{BTreeMap, BTreeSet};

use simulator::{
    judge::Verdict,
    report::{CheckReport, StepReport},
};

use super::{ClauseResult, ClauseStatus, FeatureStatus, Report, TestResult, TestVerdict};
use crate::feature::Profile;

mod headline;

pub use headline::{Headline, Item, Point, headline};

/// Clauses that belong together, by the first part of their ids.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// In a word or two, for example `Traffic split`.
    pub title: &'static str,
    /// What it is about, for someone who does not know the API.
    pub about: &'static str,
    /// The clauses, in the order of the report.
    pub clauses: Vec<&'a ClauseResult>,
}

const GROUPS: [(&str, &str, &str); 8] = [
    ("TT", "Access control", "TrafficTarget: which service account may call which"),
    ("HR", "HTTP routes", "HTTPRouteGroup: which paths, methods and headers are meant"),
    ("L4", "TCP and UDP routes", "TCPRoute and UDPRoute: which ports are meant"),
    ("SEC", "Identity and encryption", "who a caller is, and who can listen"),
    ("TS", "Traffic split", "TrafficSplit: how requests to a service are shared out over backends"),
    ("TM", "Metrics", "TrafficMetrics: what the mesh tells about the traffic it has seen"),
    ("API", "API versions", "which versions and spellings of the objects are taken"),
    ("", "Other", "clauses of another version of this suite"),
];

/// The clauses by group, access control first. Groups without a clause are left out.
#[must_use]
pub fn groups(report: &Report) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> =
        GROUPS.iter().map(|&(_, title, about)| Group { title, about, clauses: Vec::new() }).collect();
    for clause in &report.clauses {
        let prefix = clause.id.split('-').next().unwrap_or_default();
        let place = GROUPS.iter().position(|(name, ..)| *name == prefix).unwrap_or(GROUPS.len() - 1);
        groups[place].clauses.push(clause);
    }
    groups.retain(|group| !group.clauses.is_empty());
    groups
}

impl Group<'_> {
    /// How many clauses have this status.
    #[must_use]
    pub fn count(&self, status: ClauseStatus) -> usize {
        self.clauses.iter().filter(|clause| clause.status == status).count()
    }
}

/// How many clauses of the report have this status.
#[must_use]
pub fn count(report: &Report, status: ClauseStatus) -> usize {
    report.clauses.iter().filter(|clause| clause.status == status).count()
}

/// How many tests have each verdict.
#[must_use]
pub fn verdicts(report: &Report) -> BTreeMap<TestVerdict, usize> {
    let mut counts = BTreeMap::new();
    for test in &report.tests {
        *counts.entry(test.verdict).or_insert(0) += 1;
    }
    counts
}

/// The tests that need attention, failures first; otherwise in the order of the report. What passed and what is not supported is
/// left out.
#[must_use]
pub fn attention(report: &Report) -> Vec<&TestResult> {
    const ORDER: [TestVerdict; 6] = [
        TestVerdict::Failed,
        TestVerdict::Fixed,
        TestVerdict::CouldNotRun,
        TestVerdict::Flaky,
        TestVerdict::Inconclusive,
        TestVerdict::KnownFailing,
    ];
    ORDER.iter().flat_map(|verdict| report.tests.iter().filter(move |test| test.verdict == *verdict)).collect()
}

/// What did not pass in a test, each check with its step.
pub fn findings(test: &TestResult) -> impl Iterator<Item = (&StepReport, &CheckReport)> {
    let all = test.steps.iter().flat_map(|step| step.checks.iter().map(move |check| (step, check)));
    all.filter(|(_, check)| check.verdict != Verdict::Pass)
}

/// Why a test did not pass, unless its findings tell the same.
#[must_use]
pub fn reason(test: &TestResult) -> Option<&str> {
    let told =
        |reason: &&str| findings(test).any(|(_, check)| !check.observed.is_empty() && reason.contains(&check.observed));
    test.reason.as_deref().filter(|reason| !told(reason))
}

/// The API that a test is about: the second part of `conformance.split.weights`, else the group of its first clause.
#[must_use]
pub fn area(test: &TestResult) -> &str {
    let mut parts = test.id.split('.');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("conformance"), Some(api), Some(_)) => api,
        _ => match test.clauses.first().and_then(|id| id.split('-').next()) {
            Some("TT" | "SEC") => "access",
            Some("HR" | "L4") => "specs",
            Some("TS") => "split",
            Some("TM") => "metrics",
            _ => "api",
        },
    }
}

/// The clauses of a test, as the report knows them.
pub fn clauses<'a>(report: &'a Report, test: &'a TestResult) -> impl Iterator<Item = &'a ClauseResult> {
    test.clauses.iter().filter_map(|id| report.clauses.iter().find(|clause| clause.id == *id))
}

/// The features with this status, in the order of the report.
#[must_use]
pub fn features(report: &Report, status: FeatureStatus) -> Vec<&str> {
    report.features.iter().filter(|f| f.status == status).map(|f| f.name.as_str()).collect()
}

/// `project version`, for a title.
#[must_use]
pub fn name(report: &Report) -> String {
    let mesh = &report.implementation;
    format!("{} {}", mesh.project, mesh.version).trim().to_owned()
}

/// `1 clause`, `2 clauses`.
#[must_use]
pub fn number(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

/// A duration in the unit that suits it.
#[must_use]
pub fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

/// A probability, for readers: `0.1 %`, or `1 in 100,000` if it is small.
#[must_use]
pub fn probability(p: f64) -> String {
    match p {
        p if p <= 0.0 => "0".to_owned(),
        p if p < 0.001 => format!("1 in {}", grouped((1.0 / p).round())),
        p => format!("{:.1} %", p * 100.0),
    }
}

fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// One half of a profile: its features, and the tests that belong to it.
#[derive(Clone, Debug, Default)]
pub struct Half<'a> {
    /// The names of the features.
    pub features: BTreeSet<&'a str>,
    /// The tests, in the order of the report.
    pub tests: Vec<&'a TestResult>,
}

/// The core and the extended half of a profile. A test belongs to a profile that has all the features that it needs, if it needs the one
/// that the profile is about; it is a core test if they are all core features. A profile that this suite does not know has neither.
#[must_use]
pub fn halves<'a>(tests: &'a [TestResult], profile: Option<&'a Profile>) -> (Half<'a>, Half<'a>) {
    let Some(Profile { core, extended, about, .. }) = profile else { return Default::default() };
    let within = tests.iter().filter(|test| {
        test.features.contains(about) && test.features.iter().all(|name| core.contains(name) || extended.contains(name))
    });
    let (core_tests, extended_tests) = within.partition(|test| test.features.is_subset(core));
    let names = |names: &'a BTreeSet<String>| names.iter().map(String::as_str).collect();
    (Half { features: names(core), tests: core_tests }, Half { features: names(extended), tests: extended_tests })
}
