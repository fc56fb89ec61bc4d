use simulator::report::Style;

use super::*;
use crate::report::{assemble, sample};

/// A report with the tests of the sample changed.
fn with(change: impl Fn(&mut Vec<TestResult>)) -> Report {
    let report = sample::report();
    let mut tests = report.tests;
    change(&mut tests);
    assemble(sample::circumstances(), sample::suite(), report.implementation, tests)
}

#[test]
fn the_same_report_twice_is_no_difference() {
    let diff = diff(&sample::report(), &sample::report());
    assert_eq!((diff.changes().count(), diff.exit_code()), (0, 0));
    assert!(diff.text(Style::Plain).contains("Nothing differs."));
}

#[test]
fn what_is_worse_is_told_and_exits_with_1() {
    let better = with(|tests| tests[0].verdict = TestVerdict::Passed);
    let worse = diff(&better, &sample::report());
    assert_eq!(worse.exit_code(), 1);
    assert_eq!(
        worse.clauses.iter().map(|c| (c.id.as_str(), c.before.as_str(), c.after.as_str())).collect::<Vec<_>>(),
        [("TS-01", "kept", "broken"), ("TS-04", "kept", "broken")]
    );
    let back = diff(&sample::report(), &better);
    assert_eq!(back.exit_code(), 0);
    assert!(back.clauses.iter().all(|change| change.direction == Direction::Better));
}

#[test]
fn a_test_that_is_gone_or_new_is_a_difference() {
    let fewer = with(|tests| drop(tests.remove(1)));
    let gone = diff(&sample::report(), &fewer);
    let [change] = gone.tests.as_slice() else { panic!("{:?}", gone.tests) };
    assert_eq!(
        (change.before.as_str(), change.after.as_str(), change.direction),
        ("passed", "not there", Direction::Worse)
    );
    assert_eq!(diff(&fewer, &sample::report()).tests[0].direction, Direction::Better);
}

#[test]
fn another_reading_is_neither_better_nor_worse() {
    let other =
        with(|tests| tests[1].steps = vec![sample::step("1", "r", vec![sample::reading("TS-07", "share-fails")])]);
    let diff = diff(&sample::report(), &other);
    let [change] = diff.readings.as_slice() else { panic!("{:?}", diff.readings) };
    assert_eq!((change.before.as_str(), change.after.as_str()), ("left-out", "share-fails"));
    assert_eq!((change.direction, diff.exit_code()), (Direction::Other, 0));
}

#[test]
fn only_durations_of_note_are_told() {
    let slower = |ms| with(move |tests| tests[1].duration_ms = ms);
    assert!(diff(&sample::report(), &slower(600)).durations.is_empty(), "not twice as long");
    let diff = diff(&sample::report(), &slower(1200));
    assert_eq!((diff.durations[0].before.as_str(), diff.durations[0].after.as_str()), ("420 ms", "1.2 s"));
    assert_eq!(diff.exit_code(), 0, "time is no verdict");
}

#[test]
fn readers_see_all_kinds_of_changes() {
    let mut other = with(|tests| {
        tests[0].verdict = TestVerdict::Passed;
        tests[2].verdict = TestVerdict::Failed;
        tests[1].duration_ms = 2000;
        tests.remove(8);
    });
    other.implementation.project = "Othermesh|<b>".to_owned();
    other.suite.scenarios_sha256 = "another".to_owned();
    let diff = diff(&sample::report(), &other);
    insta::assert_snapshot!(diff.text(Style::Plain));
    insta::assert_snapshot!(diff.markdown());
}
