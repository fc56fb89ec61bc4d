//! Tables for reading.

use std::collections::BTreeSet;

use tabled::{builder::Builder, settings::Style};

use crate::{
    clause::Clause,
    matrix::{Matrix, Row},
};

/// The widest column, in characters.
const WIDTH: usize = 76;

/// Every clause with its requirement; of those that can be read in several ways, the readings, ours marked with an asterisk.
pub(super) fn clauses(clauses: &[&Clause]) -> String {
    let mut table = Builder::default();
    table.push_record(["ID", "API", "LEVEL", "PROOF", "REQUIREMENT"]);
    for clause in clauses {
        let apis: Vec<String> = clause.apis.iter().map(|(api, versions)| format!("{api} {versions}")).collect();
        table.push_record([
            clause.id.clone(),
            apis.join("\n"),
            clause.level.to_string(),
            clause.proof.to_string(),
            requirement(clause),
        ]);
    }
    let text = laid_out(table);
    format!("{text}\n{}\n", count(clauses.len(), "clause"))
}

fn requirement(clause: &Clause) -> String {
    let mut text = wrapped(&clause.text, 0);
    for (name, reading) in &clause.readings {
        let mark = if clause.ours.as_ref() == Some(name) { '*' } else { '-' };
        text.push('\n');
        text.push_str(&wrapped(&format!("{mark} {name}: {reading}"), 2));
    }
    text
}

/// Every clause with the scenario files that name it, and a summary.
pub(super) fn matrix(matrix: &Matrix) -> String {
    let mut table = Builder::default();
    table.push_record(["ID", "LEVEL", "PROOF", "SCENARIOS", "BACKENDS"]);
    for row in &matrix.rows {
        let backends: Vec<String> = row.scenarios.values().map(letters).collect();
        table.push_record([
            row.clause.id.clone(),
            row.level.to_string(),
            row.proof.to_string(),
            shown_by(row),
            backends.join("\n"),
        ]);
    }
    let text = laid_out(table);
    format!(
        "{text}\n{}e: evaluator, p: Envoy processes, c: Envoy in containers, a: any mesh, by an adapter\n",
        summary(matrix)
    )
}

/// One letter a backend.
fn letters(backends: &BTreeSet<&'static str>) -> String {
    let shown = |name: &&str| if backends.contains(name) { name.chars().next().unwrap_or('?') } else { '-' };
    ["evaluator", "process", "container", "adapter"].iter().map(shown).collect()
}

fn shown_by(row: &Row) -> String {
    let mut lines: Vec<String> = row.scenarios.keys().map(|file| file.display().to_string()).collect();
    match row.missing.or(row.unshown) {
        Some(reason) => lines.push(wrapped(&format!("(missing: {reason})"), 1)),
        None if !lines.is_empty() => {}
        None if row.is_due() => lines.push("NONE YET".to_owned()),
        None => lines.push("-".to_owned()),
    }
    lines.join("\n")
}

fn summary(matrix: &Matrix) -> String {
    let due: Vec<&Row> = matrix.rows.iter().filter(|row| row.is_due()).collect();
    let shown = due.iter().filter(|row| !row.scenarios.is_empty()).count();
    let excused = due.iter().filter(|row| row.scenarios.is_empty() && row.unshown.is_some()).count();
    let mut text = format!(
        "{}, of which {} bind a mesh and need no cluster to be shown: {shown} shown, {excused} not, for a reason\n",
        count(matrix.rows.len(), "clause"),
        due.len(),
    );
    let gaps: Vec<&str> = matrix.gaps().map(|row| row.clause.id.as_str()).collect();
    if !gaps.is_empty() {
        text.push_str(&format!("no scenario yet: {}\n", gaps.join(" ")));
    }
    text
}

fn count(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

/// Without borders.
fn laid_out(table: Builder) -> String {
    let mut table = table.build();
    table.with(Style::blank());
    let lines = table.to_string();
    lines.lines().map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line).trim_end())).collect()
}

/// Breaks a text between words, all lines but the first indented.
fn wrapped(text: &str, indent: usize) -> String {
    let (mut done, mut line) = (String::new(), String::new());
    for word in text.split(' ') {
        if line.len() + 1 + word.len() > WIDTH {
            done.push_str(&format!("{line}\n"));
            line = " ".repeat(indent);
        } else if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    done + &line
}
