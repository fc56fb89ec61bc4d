//! JUnit XML: one test suite a scenario, one test case a step.

use std::{collections::BTreeMap, time::Duration};

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{RunReport, ScenarioReport, StepReport, text};
use crate::judge::Verdict;

/// The report as JUnit XML.
///
/// # Errors
/// The XML cannot be written.
pub fn junit(run: &RunReport) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new("smi-simulator");
    report.set_time(Duration::from_millis(run.duration_ms));
    for scenario in &run.scenarios {
        let mut suite = TestSuite::new(scenario.id.clone());
        suite.set_time(Duration::from_millis(scenario.duration_ms));
        suite.add_property(("file", scenario.file.as_str()));
        suite.add_property(("replay", scenario.replay.as_str()));
        for step in &scenario.steps {
            suite.add_test_case(case(scenario, step));
        }
        if scenario.steps.is_empty() {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message("no step was executed");
            suite.add_test_case(TestCase::new("steps", status));
        }
        report.add_test_suite(suite);
    }
    report.to_string()
}

fn case(scenario: &ScenarioReport, step: &StepReport) -> TestCase {
    let status = match step.verdict {
        Verdict::Pass => TestCaseStatus::success(),
        Verdict::Unobservable => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(first_words(step));
            status
        }
        Verdict::Fail | Verdict::Inconclusive => non_success(NonSuccessKind::Failure, step),
        Verdict::Infrastructure => non_success(NonSuccessKind::Error, step),
    };
    let mut case = TestCase::new(format!("step {}: {}", step.number, step.summary), status);
    case.set_classname(scenario.id.clone());
    case.set_time(Duration::from_millis(step.duration_ms));
    case.extra = BTreeMap::from([("file".into(), scenario.file.as_str().into())]).into_iter().collect();
    case
}

fn non_success(kind: NonSuccessKind, step: &StepReport) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(first_words(step));
    status.set_description(text::step(step));
    status
}

fn first_words(step: &StepReport) -> String {
    let telling = step.checks.iter().find(|check| check.verdict != Verdict::Pass);
    telling.map_or_else(String::new, |check| format!("{}: {}", check.what, check.observed))
}
