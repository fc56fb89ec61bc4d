//! A page for a pull request or a wiki.

use std::fmt::Write as _;

use super::{ClauseStatus, FeatureStatus, Report, TestResult, facts, text};

/// Tests of which everything is told; the others are listed.
const IN_FULL: usize = 10;

/// The page, in GitHub's dialect.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut out = String::new();
    let headline = facts::headline(report);
    let _ = writeln!(out, "# SMI conformance: {}\n", escape(&facts::name(report)));
    let _ = writeln!(out, "**{}.** {}\n", report.run.verdict.to_string().to_uppercase(), escape(&headline.sentence));
    for point in &headline.points {
        let _ = writeln!(out, "- {}: {}", point.label, escape(&items(point)));
    }
    profiles(&mut out, report);
    attention(&mut out, report);
    unproven(&mut out, report);
    readings(&mut out, report);
    run(&mut out, report);
    out
}

/// What is broken in full; of everything else the names, and how many.
fn items(point: &facts::Point) -> String {
    let item = |item: &facts::Item| match point.label {
        "Breaks" => format!("{} ({})", item.name, item.text.trim_end_matches('.')),
        "Keeps" | "Left open" | "Not tested" => format!("{} ({})", item.name, item.text),
        _ => item.name.clone(),
    };
    point.items.iter().map(item).collect::<Vec<_>>().join(", ")
}

fn profiles(out: &mut String, report: &Report) {
    out.push_str("\n## Profiles\n\n| profile | core | extended | not claimed |\n|---|---|---|---|\n");
    for profile in &report.profiles {
        let half = |tally: &super::Tally| {
            let counts: Vec<String> = tally.counts.iter().map(|(verdict, n)| format!("{n} {verdict}")).collect();
            match counts.is_empty() {
                true => tally.result.to_string(),
                false => format!("{} ({})", tally.result, counts.join(", ")),
            }
        };
        let unclaimed = [profile.core.unclaimed.as_slice(), &profile.extended.unclaimed].concat().join(", ");
        let (core, extended) = (half(&profile.core), half(&profile.extended));
        let _ = writeln!(out, "| {} | {core} | {extended} | {} |", escape(&profile.name), escape(&unclaimed));
    }
}

fn attention(out: &mut String, report: &Report) {
    let tests = facts::attention(report);
    if tests.is_empty() {
        return;
    }
    out.push_str("\n## What needs attention\n");
    for test in tests.iter().take(IN_FULL) {
        in_full(out, report, test);
    }
    if tests.len() > IN_FULL {
        let _ = writeln!(out, "\n### And {} more\n", tests.len() - IN_FULL);
    }
    for test in tests.iter().skip(IN_FULL) {
        let _ = writeln!(out, "- {}: {} ({})", test.verdict, escape(&test.title), code(&test.id));
    }
}

fn in_full(out: &mut String, report: &Report, test: &TestResult) {
    let _ = writeln!(out, "\n### {}: {}\n", test.verdict, escape(&test.title));
    let _ = writeln!(out, "{} in {}\n", code(&test.id), code(&test.file));
    for clause in facts::clauses(report, test) {
        let _ = writeln!(
            out,
            "- {} ({}): {} *{}*",
            escape(&clause.id),
            clause.level,
            escape(&clause.text),
            escape(&clause.spec)
        );
    }
    let _ = writeln!(out, "\n{}", block(&text::failure(test)));
    let _ = writeln!(out, "\nRun again: {}", code(&test.replay));
}

fn unproven(out: &mut String, report: &Report) {
    let unproven: Vec<_> = report.features.iter().filter(|f| f.status == FeatureStatus::Unproven).collect();
    let open: Vec<_> = report.clauses.iter().filter(|clause| clause.status == ClauseStatus::Open).collect();
    if unproven.is_empty() && open.is_empty() {
        return;
    }
    out.push_str("\n## What is unproven\n\n");
    for feature in unproven {
        let _ = writeln!(
            out,
            "- {} is claimed, and no test that can tell passed. {}",
            escape(&feature.name),
            escape(&feature.text)
        );
    }
    for clause in open {
        let reason = clause.reason.as_deref().unwrap_or("tests left it open");
        let _ = writeln!(out, "- {} {} ({})", escape(&clause.id), escape(&clause.text), escape(reason));
    }
}

fn readings(out: &mut String, report: &Report) {
    let read: Vec<_> = report.clauses.iter().filter(|clause| clause.status == ClauseStatus::Read).collect();
    if read.is_empty() {
        return;
    }
    out.push_str("\n## How this mesh reads what is ambiguous\n\n| clause | question | this mesh | other readings |\n|---|---|---|---|\n");
    for clause in read {
        let text = |name: &String| match clause.alternatives.get(name) {
            Some(text) => format!("{name}: {text}"),
            None => name.clone(),
        };
        let chosen: Vec<String> = clause.readings.iter().map(text).collect();
        let others: Vec<String> =
            clause.alternatives.keys().filter(|name| !clause.readings.contains(*name)).map(text).collect();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            escape(&clause.id),
            escape(&clause.text),
            escape(&chosen.join("; ")),
            escape(&others.join("; "))
        );
    }
}

fn run(out: &mut String, report: &Report) {
    let (run, suite) = (&report.run, &report.suite);
    out.push_str("\n## How to reproduce\n\n");
    let _ = writeln!(out, "{}\n", block(&run.replay));
    let envoy = run.environment.envoy.as_ref().map(|version| format!(", Envoy {version}")).unwrap_or_default();
    let _ = writeln!(
        out,
        "{}, {} ({}){}, {}, seed {}, {}. Suite {} on {}.",
        escape(&run.date),
        escape(&run.environment.target),
        escape(&run.environment.backend),
        escape(&envoy),
        escape(&run.environment.platform),
        run.seed,
        facts::duration(run.duration_ms),
        escape(&suite.version),
        escape(&suite.specification),
    );
    let p = facts::probability(run.false_failure_budget);
    let _ = writeln!(out, "A correct mesh fails such a run with a probability of at most {p}.");
    if let Some(test) = &suite.self_test {
        let _ = writeln!(
            out,
            "The suite itself caught {} of {} broken meshes, and gave {} false alarms in {} runs on correct shares.",
            test.mutants - test.survivors.len().min(test.mutants),
            test.mutants,
            test.false_alarms,
            test.fair_runs
        );
    }
}

/// Text that means nothing to Markdown or HTML, on one line.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("@\u{200b}"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// As code, on one line.
fn code(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let fence = fence(&text, 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// As a block of code.
fn block(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
    let fence = fence(&text, 3);
    format!("{fence}text\n{}\n{fence}", text.trim_end())
}

/// Backticks, one more than the text has in a row.
fn fence(text: &str, least: usize) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(least.max(longest + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn tells_a_reader_what_is_broken_and_why() {
        insta::assert_snapshot!(markdown(&sample::report()));
    }

    #[test]
    fn hostile_texts_stay_texts() {
        assert_eq!(escape("<script>|a\n# b @me [x](y)"), "&lt;script&gt;\\|a \\# b @\u{200b}me \\[x\\](y)");
        assert_eq!(code("a``b`"), "``` a``b` ```");
        assert_eq!(block("```\nx\u{1b}"), "````text\n```\nx \n````".replace("x \n", "x\n"));
        let mut report = sample::report();
        report.tests.iter_mut().for_each(|test| test.title = "</table><script>alert(1)</script>\n\n# I".to_owned());
        assert!(!markdown(&report).contains("<script>"));
    }
}
