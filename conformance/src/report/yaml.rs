//! YAML in the manner of the Gateway API's `ConformanceReport`, for those who collect the reports of many meshes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    ClauseStatus, FORMAT, FeatureStatus, ProfileVerdict, Report, RunVerdict, Tally, TestResult, TestVerdict, facts,
};
use crate::{clause::Api, feature};

/// Why no YAML could be written.
#[derive(Debug, thiserror::Error)]
#[error("the report cannot be written as YAML: {0}")]
pub struct YamlError(String);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConformanceReport<'a> {
    api_version: &'static str,
    kind: &'static str,
    date: &'a str,
    verdict: RunVerdict,
    mode: &'a str,
    implementation: Implementation<'a>,
    apis: &'a BTreeMap<Api, Vec<String>>,
    suite: Suite<'a>,
    profiles: Vec<Profile<'a>>,
    readings: Vec<Reading<'a>>,
    broken_clauses: Vec<&'a str>,
    seed: u64,
    replay: &'a str,
    false_failure_budget: f64,
}

#[derive(Serialize)]
struct Implementation<'a> {
    organization: &'a str,
    project: &'a str,
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    contact: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Suite<'a> {
    version: &'a str,
    specification: &'a str,
    scenarios_sha256: &'a str,
    target: &'a str,
    backend: &'a str,
}

#[derive(Serialize)]
struct Profile<'a> {
    name: &'a str,
    core: Half<'a>,
    extended: Half<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Half<'a> {
    result: ProfileVerdict,
    statistics: Statistics,
    failed_tests: Vec<&'a str>,
    skipped_tests: Vec<&'a str>,
    supported_features: Vec<&'a str>,
    unsupported_features: Vec<&'a str>,
    unproven_features: Vec<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Statistics {
    passed: usize,
    failed: usize,
    known_failing: usize,
    fixed: usize,
    flaky: usize,
    inconclusive: usize,
    could_not_run: usize,
    skipped: usize,
}

#[derive(Serialize)]
struct Reading<'a> {
    clause: &'a str,
    question: &'a str,
    readings: Vec<&'a str>,
}

/// The report as YAML; the same report gives the same text.
///
/// # Errors
/// The report cannot be expressed.
pub fn yaml(report: &Report) -> Result<String, YamlError> {
    serde_saphyr::to_string(&document(report)).map_err(|error| YamlError(error.to_string()))
}

fn document(report: &Report) -> ConformanceReport<'_> {
    let (mesh, run, suite) = (&report.implementation, &report.run, &report.suite);
    let with = |status| report.clauses.iter().filter(move |clause| clause.status == status);
    ConformanceReport {
        api_version: FORMAT,
        kind: "ConformanceReport",
        date: &run.date,
        verdict: run.verdict,
        mode: mesh.mode.as_deref().unwrap_or("default"),
        implementation: Implementation {
            organization: &mesh.organization,
            project: &mesh.project,
            version: &mesh.version,
            url: mesh.url.as_deref(),
            contact: &mesh.contact,
        },
        apis: &mesh.apis,
        suite: Suite {
            version: &suite.version,
            specification: &suite.specification,
            scenarios_sha256: &suite.scenarios_sha256,
            target: &run.environment.target,
            backend: &run.environment.backend,
        },
        profiles: profiles(report),
        readings: with(ClauseStatus::Read)
            .map(|clause| Reading {
                clause: &clause.id,
                question: &clause.text,
                readings: clause.readings.iter().map(String::as_str).collect(),
            })
            .collect(),
        broken_clauses: with(ClauseStatus::Broken).map(|clause| clause.id.as_str()).collect(),
        seed: run.seed,
        replay: &run.replay,
        false_failure_budget: run.false_failure_budget,
    }
}

fn profiles(report: &Report) -> Vec<Profile<'_>> {
    let profile =
        |result: &'_ super::ProfileResult| feature::catalogue().profiles.iter().find(|p| p.name == result.name);
    report
        .profiles
        .iter()
        .map(|result| {
            let (core, extended) = facts::halves(&report.tests, profile(result));
            Profile {
                name: &result.name,
                core: half(report, &result.core, &core),
                extended: half(report, &result.extended, &extended),
            }
        })
        .collect()
}

fn half<'a>(report: &'a Report, tally: &'a Tally, half: &facts::Half<'a>) -> Half<'a> {
    let count = |verdict| tally.counts.get(&verdict).copied().unwrap_or_default();
    let tests = |verdicts: &[TestVerdict]| -> Vec<&'a str> {
        let some = half.tests.iter().filter(|test| verdicts.contains(&test.verdict));
        some.map(|test: &&'a TestResult| test.id.as_str()).collect()
    };
    let features = |status: FeatureStatus| -> Vec<&'a str> {
        facts::features(report, status).into_iter().filter(|name| half.features.contains(name)).collect()
    };
    Half {
        result: tally.result,
        statistics: Statistics {
            passed: count(TestVerdict::Passed),
            failed: count(TestVerdict::Failed),
            known_failing: count(TestVerdict::KnownFailing),
            fixed: count(TestVerdict::Fixed),
            flaky: count(TestVerdict::Flaky),
            inconclusive: count(TestVerdict::Inconclusive),
            could_not_run: count(TestVerdict::CouldNotRun),
            skipped: count(TestVerdict::NotSupported),
        },
        failed_tests: tests(&[TestVerdict::Failed, TestVerdict::KnownFailing]),
        skipped_tests: tests(&[TestVerdict::NotSupported]),
        supported_features: features(FeatureStatus::Proven),
        unsupported_features: tally.unclaimed.iter().map(String::as_str).collect(),
        unproven_features: features(FeatureStatus::Unproven),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn says_what_collectors_of_reports_look_for() {
        insta::assert_snapshot!(yaml(&sample::report()).unwrap());
    }

    #[test]
    fn hostile_texts_stay_texts() {
        let hostile = "x\n- a: b\n#\u{1b}[31m: {%YAML} \u{7}'\"";
        let mut report = sample::report();
        report.implementation.project = hostile.to_owned();
        report.implementation.contact = vec!["- !!binary".to_owned(), "no".to_owned()];
        let read: serde_json::Value = serde_saphyr::from_str(&yaml(&report).unwrap()).unwrap();
        assert_eq!(read["implementation"]["project"], hostile);
        assert_eq!(read["implementation"]["contact"], serde_json::json!(["- !!binary", "no"]));
    }
}
