use TestVerdict::{CouldNotRun, Failed, Fixed, Flaky, Inconclusive, KnownFailing, NotSupported, Passed};

use super::*;
use crate::report::sample;

const SPLIT: [&str; 3] = ["AllowAll", "TrafficSplit", "Http1"];

fn of(claimed: &[&str], tests: Vec<TestResult>) -> Report {
    assemble(sample::circumstances(), sample::suite(), sample::mesh(claimed), tests)
}

/// Tests of these verdicts, all about weights.
fn tests(verdicts: &[TestVerdict]) -> Vec<TestResult> {
    verdicts
        .iter()
        .enumerate()
        .map(|(i, verdict)| sample::test(&format!("t{i}"), *verdict, &SPLIT, &["TS-01"]))
        .collect()
}

fn baseline(mut tests: Vec<TestResult>) -> Vec<TestResult> {
    tests.iter_mut().for_each(|test| test.baseline = true);
    tests
}

fn feature(report: &Report, name: &str) -> FeatureStatus {
    report.features.iter().find(|feature| feature.name == name).unwrap().status
}

fn clause<'a>(report: &'a Report, id: &str) -> &'a ClauseResult {
    report.clauses.iter().find(|clause| clause.id == id).unwrap()
}

fn split_core(report: &Report) -> ProfileVerdict {
    report.profiles.iter().find(|profile| profile.name == "SPLIT-HTTP").unwrap().core.result
}

/// The verdicts of the tests; of the run, with its exit code; the statuses of a feature, a clause and a profile.
type Rule = (&'static [TestVerdict], RunVerdict, u8, FeatureStatus, ClauseStatus, ProfileVerdict);

/// One line a rule: the verdicts of the tests, and what they make of the run, a feature, a clause and a profile.
#[test]
fn verdicts_follow_from_the_tests() {
    use {ClauseStatus as C, FeatureStatus as F, ProfileVerdict as P, RunVerdict as R};
    let table: [Rule; 16] = [
        (&[Passed], R::Pass, 0, F::Proven, C::Kept, P::Pass),
        (&[Passed, Failed], R::Fail, 1, F::Failed, C::Broken, P::Fail),
        (&[Failed, CouldNotRun, Inconclusive], R::Fail, 1, F::Failed, C::Broken, P::Fail),
        (&[Fixed], R::Fail, 1, F::Proven, C::Kept, P::Pass),
        (&[Fixed, CouldNotRun], R::Fail, 1, F::Proven, C::Kept, P::Inconclusive),
        (&[Passed, CouldNotRun], R::Infrastructure, 3, F::Proven, C::Kept, P::Inconclusive),
        (&[CouldNotRun, Inconclusive], R::Infrastructure, 3, F::Unproven, C::Open, P::Inconclusive),
        (&[Passed, Inconclusive], R::Inconclusive, 4, F::Proven, C::Kept, P::Inconclusive),
        (&[Passed, Flaky], R::Inconclusive, 4, F::Proven, C::Open, P::Inconclusive),
        (&[Flaky], R::Inconclusive, 4, F::Unproven, C::Open, P::Inconclusive),
        (&[Inconclusive], R::Inconclusive, 4, F::Unproven, C::Open, P::Inconclusive),
        (&[Passed, KnownFailing], R::Pass, 0, F::Failed, C::Broken, P::Fail),
        (&[KnownFailing], R::Inconclusive, 4, F::Failed, C::Broken, P::Fail),
        (&[NotSupported], R::Inconclusive, 4, F::Unproven, C::NotSupported, P::None),
        (&[Passed, NotSupported], R::Pass, 0, F::Proven, C::Kept, P::Pass),
        (&[], R::Inconclusive, 4, F::Unproven, C::NotTested, P::None),
    ];
    for (verdicts, run, code, split, weights, profile) in table {
        let report = of(&SPLIT, tests(verdicts));
        assert_eq!((report.run.verdict, report.run.verdict.exit_code()), (run, code), "{verdicts:?}");
        assert_eq!(feature(&report, "TrafficSplit"), split, "{verdicts:?}");
        assert_eq!(clause(&report, "TS-01").status, weights, "{verdicts:?}");
        assert_eq!(split_core(&report), profile, "{verdicts:?}");
    }
}

#[test]
fn baseline_tests_prove_nothing() {
    let report = of(&SPLIT, baseline(tests(&[Passed])));
    assert_eq!(report.run.verdict, RunVerdict::Inconclusive);
    assert_eq!(feature(&report, "TrafficSplit"), FeatureStatus::Unproven);
    assert_eq!(split_core(&report), ProfileVerdict::Inconclusive);
    let kept = clause(&report, "TS-01");
    assert_eq!(
        (kept.status, kept.reason.as_deref()),
        (ClauseStatus::Kept, Some("only by tests that pass without any mesh too"))
    );
    let report = of(&SPLIT, baseline(tests(&[Failed])));
    assert_eq!((report.run.verdict, feature(&report, "TrafficSplit")), (RunVerdict::Fail, FeatureStatus::Failed));
}

#[test]
fn a_claim_without_a_test_is_unproven_and_keeps_the_run_from_passing() {
    let report = of(&["AllowAll", "TrafficSplit", "Http1", "Readiness"], tests(&[Passed]));
    assert_eq!(feature(&report, "Readiness"), FeatureStatus::Unproven);
    assert_eq!(report.run.verdict, RunVerdict::Inconclusive);
    assert_eq!(split_core(&report), ProfileVerdict::Pass, "the core is proven all the same");
}

#[test]
fn a_claim_that_nobody_knows_is_told_and_unproven() {
    let report = of(&["AllowAll", "TrafficSplit", "Http1", "TraficTarget"], tests(&[Passed]));
    let last = report.features.last().unwrap();
    assert_eq!((last.name.as_str(), last.status), ("TraficTarget", FeatureStatus::Unproven));
    assert_eq!(report.run.verdict, RunVerdict::Inconclusive);
}

#[test]
fn what_is_not_claimed_is_not_supported_and_no_failure() {
    let mut all = tests(&[Passed]);
    all.push(sample::test("grpc", NotSupported, &["AllowAll", "TrafficSplit", "Grpc"], &["TS-30"]));
    let report = of(&SPLIT, all);
    assert_eq!(report.run.verdict, RunVerdict::Pass);
    assert_eq!(feature(&report, "Grpc"), FeatureStatus::Unclaimed);
    let unsupported = clause(&report, "TS-30");
    assert_eq!((unsupported.status, unsupported.reason.as_deref()), (ClauseStatus::NotSupported, Some("needs Grpc")));
    let profile = report.profiles.iter().find(|profile| profile.name == "SPLIT-HTTP").unwrap();
    assert_eq!(profile.extended.result, ProfileVerdict::None);
    assert!(profile.extended.unclaimed.contains(&"Grpc".to_owned()));
}

#[test]
fn a_profile_is_partial_if_a_part_of_it_is_not_claimed() {
    let mut all = tests(&[Passed]);
    all.push(sample::test("h2", Passed, &["AllowAll", "TrafficSplit", "Http1", "Http2"], &["TS-01"]));
    let report = of(&["AllowAll", "TrafficSplit", "Http1", "Http2"], all);
    let profile = report.profiles.iter().find(|profile| profile.name == "SPLIT-HTTP").unwrap();
    assert_eq!((profile.core.result, profile.extended.result), (ProfileVerdict::Pass, ProfileVerdict::Partial));
    assert_eq!((profile.core.counts[&Passed], profile.extended.counts[&Passed]), (1, 1));
}

#[test]
fn readings_are_recorded_and_none_is_a_failure() {
    let mut test = sample::test("reads", Failed, &SPLIT, &["TS-07", "TS-08"]);
    test.steps = vec![sample::step(
        "1",
        "reading",
        vec![sample::reading("TS-07", "left-out"), sample::reading("TS-07", "share-fails")],
    )];
    let report = of(&SPLIT, vec![test]);
    let read = clause(&report, "TS-07");
    assert_eq!(read.status, ClauseStatus::Read);
    assert_eq!(read.readings.iter().collect::<Vec<_>>(), ["left-out", "share-fails"], "it is not consistent");
    assert!(read.alternatives.contains_key("share-fails"));
    assert_eq!(clause(&report, "TS-08").status, ClauseStatus::Open, "no reading of it was seen");
}

#[test]
fn what_is_not_tested_says_why() {
    let report = of(&SPLIT, Vec::new());
    let why = |id| clause(&report, id).reason.clone().unwrap();
    assert!(why("L4-05").contains("UDP"), "the catalogue knows");
    assert!(why("SEC-02").contains("real cluster"));
    assert!(why("TS-01").contains("no test"));
    assert!(report.clauses.iter().all(|clause| clause.status == ClauseStatus::NotTested && clause.reason.is_some()));
}

#[test]
fn the_budget_is_the_sum_over_all_statistical_checks() {
    let mut test = sample::test("sums", Passed, &SPLIT, &["TS-01"]);
    let check = |beta| simulator::report::CheckReport { beta, ..sample::reading("TS-07", "left-out") };
    test.steps = vec![sample::step("1", "a", vec![check(1e-5), check(0.0)]), sample::step("2", "b", vec![check(2e-5)])];
    assert!((of(&SPLIT, vec![test]).run.false_failure_budget - 3e-5).abs() < 1e-12);
}
