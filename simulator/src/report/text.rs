//! The report for people.

use std::fmt::Write as _;

use owo_colors::{OwoColorize as _, Style as Paint};

use super::{CheckReport, RunReport, ScenarioReport, StepReport};
use crate::judge::Verdict;

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// For files and pipes.
    Plain,
    /// For a terminal.
    Coloured,
}

/// One line for a scenario that has ended.
pub fn line(scenario: &ScenarioReport, style: Style) -> String {
    let seconds = scenario.duration_ms as f64 / 1000.0;
    let mark = if scenario.is_skipped() {
        paint("skip ", style, Paint::new().yellow())
    } else {
        mark(scenario.verdict, style)
    };
    format!("{mark} {:<48} {seconds:>6.2} s  {}", scenario.id, scenario.title)
}

/// Everything about a scenario that did not pass: what was expected, what each end saw, the decision trace, how to run it again.
pub fn failure(scenario: &ScenarioReport, style: Style) -> String {
    let mut out = String::new();
    let head = format!("{}  {}", scenario.id, scenario.title);
    let _ = writeln!(out, "\n{}", paint(&head, style, Paint::new().bold()));
    let _ = writeln!(out, "  file       {}", scenario.file);
    for report in scenario.steps.iter().filter(|s| s.verdict != Verdict::Pass) {
        let _ = writeln!(out, "  step {:<5} {}", report.number, report.summary);
        out.push_str(&indent(&step(report), 4));
    }
    let _ = writeln!(out, "  run again  {}", scenario.replay);
    if let Some(bundle) = &scenario.bundle {
        let _ = writeln!(
            out,
            "  bundle     {bundle}  (the world, what changed last, and what each sidecar had, counted and logged)"
        );
    }
    out
}

/// The checks of a step that did not pass.
pub(super) fn step(step: &StepReport) -> String {
    step.checks.iter().filter(|check| check.verdict != Verdict::Pass).map(check).collect()
}

fn check(check: &CheckReport) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}  ({})", check.what, name(check.verdict));
    if !check.expected.is_empty() {
        let _ = writeln!(out, "  expected     {}", check.expected);
    }
    let observed: Vec<_> = check.observed.split("; ").map(str::to_owned).collect();
    let parts = [
        ("observed", &observed),
        ("client saw", &check.client_saw),
        ("server saw", &check.server_saw),
        ("trace", &check.trace),
    ];
    for (title, lines) in parts {
        for (i, text) in lines.iter().enumerate() {
            let title = if i == 0 { title } else { "" };
            let _ = writeln!(out, "  {title:<12} {text}");
        }
    }
    if let Some(remedy) = &check.remedy {
        let _ = writeln!(out, "  to allow it  {}", remedy.trim_end().replace('\n', "\n               "));
    }
    out
}

/// The last lines of a run: counts, and what was not proven.
pub fn summary(run: &RunReport, style: Style) -> String {
    let mut out = String::new();
    for verdict in [Verdict::Pass, Verdict::Fail, Verdict::Inconclusive, Verdict::Unobservable, Verdict::Infrastructure]
    {
        let count = run.scenarios.iter().filter(|s| s.verdict == verdict && !s.is_skipped()).count();
        if count > 0 {
            let _ = write!(out, "{count} {}, ", name(verdict));
        }
    }
    let skipped = run.scenarios.iter().filter(|s| s.is_skipped()).count();
    if skipped > 0 {
        let _ = write!(out, "{skipped} skipped because they are about what this backend cannot show, ");
    }
    if run.scenarios.is_empty() {
        out.push_str("nothing executed, ");
    }
    let unobservable: usize = run.scenarios.iter().flat_map(|s| &s.steps).map(|s| unobserved(&s.checks)).sum();
    if unobservable > 0 {
        let _ = write!(out, "{unobservable} expectations that this backend cannot observe, ");
    }
    let alone =
        run.scenarios.iter().flat_map(|s| &s.steps).flat_map(|s| &s.checks).filter(|c| c.unmodelled.is_some()).count();
    if alone > 0 {
        let _ = write!(out, "{alone} checks that the evaluator does not model, ");
    }
    let _ = write!(out, "in {:.1} s (seed {}", run.duration_ms as f64 / 1000.0, run.seed);
    if run.false_failure_budget > 0.0 {
        let _ =
            write!(out, "; a correct mesh fails such a run with probability below {:.0e}", run.false_failure_budget);
    }
    out.push(')');
    format!("{} {out}", mark(run.verdict, style))
}

fn unobserved(checks: &[CheckReport]) -> usize {
    checks.iter().filter(|check| check.verdict == Verdict::Unobservable).count()
}

/// The verdict as a word.
fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "passed",
        Verdict::Fail => "failed",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Unobservable => "unobservable",
        Verdict::Infrastructure => "could not run",
    }
}

fn mark(verdict: Verdict, style: Style) -> String {
    let (word, colour) = match verdict {
        Verdict::Pass => ("pass ", Paint::new().green()),
        Verdict::Fail => ("FAIL ", Paint::new().red().bold()),
        Verdict::Inconclusive => ("incon", Paint::new().yellow()),
        Verdict::Unobservable => ("n/obs", Paint::new().yellow()),
        Verdict::Infrastructure => ("INFRA", Paint::new().magenta().bold()),
    };
    paint(word, style, colour)
}

fn paint(text: &str, style: Style, colour: Paint) -> String {
    match style {
        Style::Plain => text.to_owned(),
        Style::Coloured => text.style(colour).to_string(),
    }
}

fn indent(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{:by$}{line}\n", "")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(verdict: Verdict) -> CheckReport {
        let lines = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        CheckReport {
            what: "thief → web GET /books".into(),
            expected: "allowed".into(),
            verdict,
            observed: "1 of 1 requests: was not answered; denied by thief-0 at network-rbac (closed)".into(),
            client_saw: lines(&["1 × closed: connection reset"]),
            server_saw: lines(&["1 × nothing"]),
            trace: lines(&[
                "listener       thief-0: outbound-listener takes 10.0.0.1:80",
                "network-rbac   thief-0: denied",
            ]),
            unmodelled: None,
            remedy: Some("no TrafficTarget names default/thief as a source; apply\nkind: TrafficTarget\n".into()),
            statistics: None,
            reading: None,
            beta: 0.0,
        }
    }

    fn numbered(number: &str, verdict: Verdict, checks: Vec<CheckReport>) -> StepReport {
        let (number, summary) = (number.to_owned(), "2 probes".to_owned());
        StepReport { number, id: None, summary, verdict, duration_ms: 3, convergence_ms: None, checks }
    }

    fn scenario() -> ScenarioReport {
        ScenarioReport {
            id: "access.books".into(),
            title: "Everybody may read".into(),
            file: "scenarios/access/books.yaml".into(),
            clauses: Vec::new(),
            verdict: Verdict::Fail,
            real_only: false,
            beyond_backend: false,
            duration_ms: 1234,
            steps: vec![
                numbered("1", Verdict::Pass, vec![check(Verdict::Pass)]),
                numbered("2", Verdict::Fail, vec![check(Verdict::Pass), check(Verdict::Fail)]),
            ],
            replay: "simulator run scenarios/access/books.yaml --only 'access.books' --backend process --seed 7".into(),
            bundle: Some("/tmp/bundles/access.books".into()),
        }
    }

    #[test]
    fn a_failure_tells_all_that_a_reader_needs_and_nothing_that_passed() {
        insta::assert_snapshot!(failure(&scenario(), Style::Plain));
    }

    #[test]
    fn a_line_tells_verdict_id_time_and_title() {
        let line = line(&scenario(), Style::Plain);
        insta::assert_snapshot!(line, @"FAIL  access.books                                       1.23 s  Everybody may read");
    }
}
