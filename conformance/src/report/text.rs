//! What a terminal shows at the end of a run: two screens at most, the most important first.

use std::fmt::Write as _;

use owo_colors::{OwoColorize as _, Style as Paint};
use simulator::{
    judge::Verdict,
    report::{CheckReport, Style},
};

use super::{ClauseStatus, FeatureStatus, Report, RunVerdict, TestResult, facts};

/// Tests of which everything is told; the others are listed.
const IN_FULL: usize = 2;
/// Tests that are listed.
const LISTED: usize = 8;
/// Lines of a failure that are shown.
const LINES: usize = 12;
/// The longest line, in characters.
const WIDTH: usize = 160;

/// The end of a run: result, what is broken, what is unproven, profiles, how to run again.
#[must_use]
pub fn text(report: &Report, style: Style) -> String {
    let mut out = String::new();
    let headline = facts::headline(report);
    let verdict = report.run.verdict.to_string().to_uppercase();
    let _ = writeln!(out, "{}  {}", paint(&verdict, style, colour(report.run.verdict)), line(&headline.sentence));
    broken(&mut out, report, style);
    claims(&mut out, report);
    profiles(&mut out, report, style);
    let _ = writeln!(out, "\n{}", counts(report));
    if report.run.false_failure_budget > 0.0 {
        let p = facts::probability(report.run.false_failure_budget);
        let _ = writeln!(out, "A correct mesh fails such a run with a probability of at most {p}.");
    }
    let _ = writeln!(out, "Run again: {}", line(&report.run.replay));
    out
}

fn broken(out: &mut String, report: &Report, style: Style) {
    let tests = facts::attention(report);
    for (i, test) in tests.iter().take(IN_FULL + LISTED).enumerate() {
        let head = format!("{:<13} {}", test.verdict.to_string(), test.title);
        let gap = if i <= IN_FULL { "\n" } else { "" };
        let _ = writeln!(out, "{gap}{}", paint(&line(&head), style, Paint::new().bold()));
        if i >= IN_FULL {
            let _ = writeln!(out, "  {}", line(&test.id));
            continue;
        }
        for clause in facts::clauses(report, test).take(3) {
            let _ = writeln!(out, "  {} {}", clause.id, line(&clause.text));
        }
        let told = failure(test);
        for text in told.lines().take(LINES) {
            let _ = writeln!(out, "  {}", line(text));
        }
        if told.lines().count() > LINES {
            let _ = writeln!(out, "  … all of it is in the report");
        }
        let _ = writeln!(out, "  run again    {}", line(&test.replay));
    }
    if tests.len() > IN_FULL + LISTED {
        let _ = writeln!(out, "and {} more, in the report", tests.len() - IN_FULL - LISTED);
    }
}

fn claims(out: &mut String, report: &Report) {
    for (status, label) in
        [(FeatureStatus::Unproven, "Claimed, but unproven"), (FeatureStatus::Unclaimed, "Not claimed")]
    {
        let names = facts::features(report, status);
        if !names.is_empty() {
            let _ = write!(out, "\n{label}: {}", line(&names.join(", ")));
        }
    }
    out.push('\n');
}

fn profiles(out: &mut String, report: &Report, style: Style) {
    let _ = writeln!(out, "\n{:<13} {:<14} extended", "Profile", "core");
    for profile in &report.profiles {
        let [core, extended] = [&profile.core, &profile.extended].map(|tally| {
            let paint_of = match tally.result {
                super::ProfileVerdict::Pass | super::ProfileVerdict::Partial => Paint::new().green(),
                super::ProfileVerdict::Fail => Paint::new().red(),
                super::ProfileVerdict::Inconclusive => Paint::new().yellow(),
                super::ProfileVerdict::None => Paint::new(),
            };
            paint(&format!("{:<14}", tally.result), style, paint_of)
        });
        let _ = writeln!(out, "{:<13} {core} {}", line(&profile.name), extended.trim_end());
    }
}

fn counts(report: &Report) -> String {
    let tests: Vec<String> = facts::verdicts(report).iter().map(|(verdict, n)| format!("{n} {verdict}")).collect();
    let statuses = [ClauseStatus::Kept, ClauseStatus::Broken, ClauseStatus::Open, ClauseStatus::Read];
    let clauses: Vec<String> =
        statuses.into_iter().map(|status| format!("{} {status}", facts::count(report, status))).collect();
    format!(
        "{} in {}: {}.\nClauses: {}.\nSeed {}, {} ({}).",
        facts::number(report.tests.len(), "test"),
        facts::duration(report.run.duration_ms),
        if tests.is_empty() { "nothing was run".to_owned() } else { tests.join(", ") },
        clauses.join(", "),
        report.run.seed,
        report.run.environment.target,
        report.run.environment.backend,
    )
}

/// Everything about a test that did not pass: the reason, then each check that did not pass with what was expected, observed, seen at
/// both ends, and how it was decided.
#[must_use]
pub fn failure(test: &TestResult) -> String {
    let mut out = String::new();
    if let Some(reason) = facts::reason(test) {
        let _ = writeln!(out, "{reason}");
    }
    for (step, check) in facts::findings(test) {
        let _ = writeln!(out, "step {}: {} ({})", step.number, check.what, name(check.verdict));
        out.push_str(&self::check(check));
    }
    out
}

fn check(check: &CheckReport) -> String {
    let mut out = String::new();
    let expected: Vec<String> = Some(check.expected.clone()).filter(|text| !text.is_empty()).into_iter().collect();
    let observed: Vec<String> = check.observed.split("; ").filter(|text| !text.is_empty()).map(str::to_owned).collect();
    let remedy: Vec<String> = check.remedy.iter().flat_map(|text| text.lines()).map(str::to_owned).collect();
    let parts = [
        ("expected", &expected),
        ("observed", &observed),
        ("clients saw", &check.client_saw),
        ("servers saw", &check.server_saw),
        ("decided", &check.trace),
        ("to allow it", &remedy),
    ];
    for (title, lines) in parts {
        for (i, text) in lines.iter().enumerate() {
            let title = if i == 0 { title } else { "" };
            let _ = writeln!(out, "  {title:<12} {text}");
        }
    }
    out
}

fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "passed",
        Verdict::Fail => "failed",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Unobservable => "cannot be observed",
        Verdict::Infrastructure => "could not run",
    }
}

fn colour(verdict: RunVerdict) -> Paint {
    match verdict {
        RunVerdict::Pass => Paint::new().green().bold(),
        RunVerdict::Fail => Paint::new().red().bold(),
        RunVerdict::Infrastructure | RunVerdict::Inconclusive => Paint::new().yellow().bold(),
    }
}

fn paint(text: &str, style: Style, colour: Paint) -> String {
    match style {
        Style::Plain => text.to_owned(),
        Style::Coloured => text.style(colour).to_string(),
    }
}

/// One line that can do a terminal no harm: no control characters, and not too long.
pub(super) fn line(text: &str) -> String {
    let harmless: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    match harmless.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &harmless[..end]),
        None => harmless,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{TestVerdict, sample};

    #[test]
    fn the_most_important_comes_first() {
        insta::assert_snapshot!(text(&sample::report(), Style::Plain));
    }

    #[test]
    fn two_screens_hold_it_however_much_is_broken() {
        let mut report = sample::report();
        let failed = report.tests.iter().find(|test| test.verdict == TestVerdict::Failed).unwrap().clone();
        report.tests.extend((0..200).map(|i| TestResult { id: format!("t{i}"), ..failed.clone() }));
        let text = text(&report, Style::Plain);
        assert!(text.lines().count() <= 2 * 40, "{}", text.lines().count());
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH + 30));
    }

    #[test]
    fn a_hostile_mesh_cannot_write_to_the_terminal() {
        let mut report = sample::report();
        report.implementation.project = "\u{1b}]0;owned\u{7}\r".to_owned();
        for test in &mut report.tests {
            test.title = "\u{1b}[2J".to_owned();
            test.reason = Some("a\u{9b}31m\u{8}".to_owned());
        }
        let text = text(&report, Style::Plain);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }

    #[test]
    fn colours_are_for_terminals() {
        assert!(text(&sample::report(), Style::Coloured).starts_with("\u{1b}["));
    }
}
