//! JUnit XML for build servers: one test suite an API, one test case a test.

use std::{collections::BTreeMap, time::Duration};

use quick_junit::{NonSuccessKind, Report as Junit, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::{Report, TestResult, TestVerdict, facts, text};

/// The report as JUnit XML. What failed is a failure; what is not decided is an error; what is not supported, or is known to fail, is
/// skipped, with the reason.
///
/// # Errors
/// The XML cannot be written.
pub fn junit(report: &Report) -> Result<String, SerializeError> {
    let mut junit = Junit::new(format!("smi-conformance {}", facts::name(report)));
    junit.set_time(Duration::from_millis(report.run.duration_ms));
    let mut suites: BTreeMap<&str, TestSuite> = BTreeMap::new();
    for test in &report.tests {
        let area = facts::area(test);
        suites.entry(area).or_insert_with(|| TestSuite::new(area)).add_test_case(case(area, test));
    }
    if suites.is_empty() {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_message("no test was run");
        let mut suite = TestSuite::new("smi-conformance");
        suite.add_test_case(TestCase::new("tests", status));
        suites.insert("", suite);
    }
    for (_, mut suite) in suites {
        suite.set_time(suite.test_cases.iter().filter_map(|case| case.time).sum());
        suite.add_property(("seed", report.run.seed.to_string().as_str()));
        suite.add_property(("replay", report.run.replay.as_str()));
        junit.add_test_suite(suite);
    }
    junit.to_string()
}

fn case(area: &str, test: &TestResult) -> TestCase {
    let mut case = TestCase::new(test.id.clone(), status(test));
    case.set_classname(area);
    case.set_time(Duration::from_millis(test.duration_ms));
    case.extra.insert("file".into(), test.file.as_str().into());
    case
}

fn status(test: &TestResult) -> TestCaseStatus {
    let mut status = match test.verdict {
        TestVerdict::Passed => return TestCaseStatus::success(),
        TestVerdict::NotSupported | TestVerdict::KnownFailing => TestCaseStatus::skipped(),
        TestVerdict::Failed | TestVerdict::Fixed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        TestVerdict::Flaky | TestVerdict::Inconclusive | TestVerdict::CouldNotRun => {
            TestCaseStatus::non_success(NonSuccessKind::Error)
        }
    };
    let reason = test.reason.as_deref().unwrap_or(&test.title);
    status.set_message(format!("{}: {reason}", test.verdict));
    status.set_type(test.verdict.to_string());
    if test.verdict != TestVerdict::NotSupported {
        status.set_description(text::failure(test));
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn says_what_build_servers_look_for() {
        insta::assert_snapshot!(junit(&sample::report()).unwrap());
    }

    #[test]
    fn hostile_texts_stay_texts() {
        let mut report = sample::report();
        report.tests[0].id = "a\"/><failure>&\u{0}\u{1b}[31m".to_owned();
        report.tests[0].verdict = TestVerdict::Failed;
        report.tests[0].reason = Some("]]></failure><testcase/>\u{8}".to_owned());
        let text = junit(&report).unwrap();
        assert!(text.contains("a&quot;/&gt;&lt;failure&gt;&amp;") && !text.contains("<testcase/>"), "{text}");
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text}");
    }

    #[test]
    fn an_empty_run_is_no_success() {
        let mut report = sample::report();
        report.tests.clear();
        assert!(junit(&report).unwrap().contains("<error message=\"no test was run\""));
    }
}
