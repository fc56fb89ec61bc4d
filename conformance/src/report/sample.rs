//! A report for the tests of this module: made by hand, with a test of every verdict.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use simulator::{
    judge::Verdict,
    report::{CheckReport, ReadingReport, StepReport},
};

use super::{
    Circumstances, Environment, HeaderEncoding, Implementation, Report, SelfTest, Suite, TestResult, TestVerdict,
    assemble,
};
use crate::clause::Api;

pub(super) fn circumstances() -> Circumstances {
    Circumstances {
        date: "2026-11-23T20:00:00Z".to_owned(),
        seed: 7,
        replay: "smi-conformance run --seed 7".to_owned(),
        duration_ms: 41_230,
        environment: Environment {
            target: "simulator".to_owned(),
            backend: "process".to_owned(),
            reason: "found on PATH".to_owned(),
            envoy: Some("1.40.0".to_owned()),
            platform: "linux x86_64".to_owned(),
        },
    }
}

pub(super) fn suite() -> Suite {
    Suite {
        version: "0.1.0".to_owned(),
        specification: "SMI main, 2023-10-20 (cc4babd)".to_owned(),
        scenarios_sha256: "5e7f1c".repeat(8),
        self_test: Some(SelfTest {
            mutants: 62,
            survivors: Vec::new(),
            vacuous: Vec::new(),
            fair_runs: 1000,
            false_alarms: 0,
            expected_false_alarms: 0.3,
        }),
    }
}

pub(super) fn mesh(features: &[&str]) -> Implementation {
    Implementation {
        organization: "Example".to_owned(),
        project: "Halfmesh".to_owned(),
        version: "1.2.3".to_owned(),
        url: Some("https://mesh.example".to_owned()),
        contact: vec!["@maintainers".to_owned()],
        mode: Some("sidecar".to_owned()),
        apis: BTreeMap::from([(Api::Split, vec!["v1alpha4".to_owned()])]),
        header_encoding: HeaderEncoding::List,
        features: features.iter().map(|&name| name.to_owned()).collect(),
    }
}

/// A test of this verdict, without steps.
pub(super) fn test(id: &str, verdict: TestVerdict, features: &[&str], clauses: &[&str]) -> TestResult {
    TestResult {
        id: id.to_owned(),
        title: format!("What {id} says holds"),
        file: format!("scenarios/{}.yaml", id.replace('.', "/")),
        features: features.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>(),
        clauses: clauses.iter().map(|&id| id.to_owned()).collect(),
        baseline: false,
        verdict,
        reason: None,
        attempts: 1,
        duration_ms: 420,
        convergence_ms: None,
        replay: format!("smi-conformance run --only '{id}' --seed 7"),
        steps: Vec::new(),
    }
}

pub(super) fn check(what: &str, expected: &str, verdict: Verdict, observed: &str) -> CheckReport {
    CheckReport {
        what: what.to_owned(),
        expected: expected.to_owned(),
        verdict,
        observed: observed.to_owned(),
        client_saw: Vec::new(),
        server_saw: Vec::new(),
        trace: Vec::new(),
        remedy: None,
        unmodelled: None,
        statistics: None,
        reading: None,
        beta: 0.0,
    }
}

pub(super) fn step(number: &str, summary: &str, checks: Vec<CheckReport>) -> StepReport {
    let verdict = checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Pass);
    let (number, summary) = (number.to_owned(), summary.to_owned());
    StepReport { number, id: None, summary, verdict, duration_ms: 12, convergence_ms: None, checks }
}

/// A check that saw how a clause is read.
pub(super) fn reading(clause: &str, reading: &str) -> CheckReport {
    let mut check = check("client → web GET /", "one of the readings", Verdict::Pass, "");
    check.reading = Some(ReadingReport { clause: clause.to_owned(), reading: reading.to_owned() });
    check
}

fn off_by_ten() -> CheckReport {
    let observed = "web-v2 gets too much: web-v1 301, web-v2 200 of 501 requests, 0 elsewhere";
    let mut check = check("client → web GET /", "allowed, shares web-v1 70 : web-v2 30", Verdict::Fail, observed);
    check.client_saw = vec![
        "301 × an answer: status 200 from web-v1-0".to_owned(),
        "200 × an answer: status 200 from web-v2-0".to_owned(),
    ];
    check.server_saw = vec!["301 × web-v1-0:8080 GET web/".to_owned(), "200 × web-v2-0:8080 GET web/".to_owned()];
    check.trace = vec![
        "listener       client-0: outbound-listener takes 10.0.0.1:8080".to_owned(),
        "  split        client-0: web-v1 6 of 10".to_owned(),
    ];
    check.remedy = Some("kind: TrafficSplit\nmetadata: {name: web}\n".to_owned());
    check.statistics = Some(json!({
        "n": 501, "maxSamples": 3220, "delta": 0.05, "alpha": 1e-3, "beta": 1e-5, "elsewhere": 0,
        "categories": [
            {"name": "web-v1", "weight": 70, "declared": 0.7, "count": 301, "interval": [0.527, 0.670], "more": -3.1, "less": 9.8},
            {"name": "web-v2", "weight": 30, "declared": 0.3, "count": 200, "interval": [0.330, 0.473], "more": 12.9, "less": -5.0},
        ],
        "decision": {"fail": {"too-many": 1}},
    }));
    check.beta = 1e-5;
    check
}

/// One of each verdict.
pub(super) fn report() -> Report {
    let mut weights = test(
        "conformance.split.weights[proto=http1]",
        TestVerdict::Failed,
        &["AllowAll", "TrafficSplit", "Http1"],
        &["TS-01", "TS-04"],
    );
    weights.title = "Weights decide the share of each backend".to_owned();
    weights.reason = Some("web-v2 gets too much".to_owned());
    weights.steps =
        vec![step("1", "apply split", Vec::new()), step("2", "traffic client → web GET /", vec![off_by_ten()])];
    weights.convergence_ms = Some(187);

    let mut reads = test(
        "conformance.split.missing-backend",
        TestVerdict::Passed,
        &["AllowAll", "TrafficSplit", "Http1"],
        &["TS-06", "TS-07"],
    );
    reads.steps = vec![step("1", "reading of TS-07", vec![reading("TS-07", "left-out")])];

    let mut flaky = test(
        "conformance.access.default-deny",
        TestVerdict::Flaky,
        &["TrafficTarget", "HttpRoutes", "Http1"],
        &["TT-01"],
    );
    flaky.reason = Some("failed first: 1 of 20 requests reached an application".to_owned());
    flaky.attempts = 2;
    let mut open = test(
        "conformance.access.methods",
        TestVerdict::Inconclusive,
        &["TrafficTarget", "HttpRoutes", "Http1"],
        &["HR-08"],
    );
    open.reason = Some("no answer either way within 10 s".to_owned());
    let mut broke = test(
        "conformance.specs.headers",
        TestVerdict::CouldNotRun,
        &["TrafficTarget", "HttpRoutes", "HttpHeaders", "Http1"],
        &["HR-12"],
    );
    broke.reason = Some("the API server is gone".to_owned());
    let mut known = test(
        "conformance.split.matches",
        TestVerdict::KnownFailing,
        &["AllowAll", "TrafficSplit", "SplitMatches", "Http1"],
        &["TS-17"],
    );
    known.reason = Some("matches are ignored; see issue 12".to_owned());
    let mut fixed =
        test("conformance.split.zero", TestVerdict::Fixed, &["AllowAll", "TrafficSplit", "Http1"], &["TS-05"]);
    fixed.reason = Some("it is in the list of known failures, and passed".to_owned());
    let mut grpc = test(
        "conformance.split.weights[proto=grpc]",
        TestVerdict::NotSupported,
        &["AllowAll", "TrafficSplit", "Grpc"],
        &["TS-01", "TS-30"],
    );
    grpc.reason = Some("needs Grpc".to_owned());
    let mut base = test("conformance.api.reachable", TestVerdict::Passed, &["AllowAll", "Http1"], &["TS-26"]);
    base.baseline = true;

    let claimed = [
        "AllowAll",
        "TrafficSplit",
        "SplitMatches",
        "Http1",
        "TrafficTarget",
        "HttpRoutes",
        "HttpHeaders",
        "Readiness",
    ];
    let tests = vec![weights, reads, flaky, open, broke, known, fixed, grpc, base];
    assemble(circumstances(), suite(), mesh(&claimed), tests)
}
