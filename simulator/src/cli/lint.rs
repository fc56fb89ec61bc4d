//! `simulator lint`

use std::io::Write;

use serde_json::json;

use super::{
    CliError, Exit,
    args::{Format, Lint},
    print,
};
use crate::scenario::{
    check,
    find::files,
    problem::{Problem, Severity},
    read,
};

/// Checks files; exits with 1 if there is an error.
pub(super) fn lint(args: &Lint, out: &mut dyn Write, colour: bool) -> Result<Exit, CliError> {
    let paths = files(&args.paths)?;
    let mut documents = Vec::new();
    let mut problems = Vec::new();
    for path in &paths {
        match read::file(path) {
            Ok(document) => documents.push(document),
            Err(problem) => problems.push(*problem),
        }
    }
    problems.extend(check::documents(&documents));
    match args.format {
        Format::Json => print(out, &json_text(&problems)?)?,
        Format::Text => print(out, &text(&problems, paths.len(), colour))?,
    }
    Ok(if problems.iter().any(Problem::is_error) { Exit::Fail } else { Exit::Pass })
}

fn text(problems: &[Problem], files: usize, colour: bool) -> String {
    let mut text: String = problems.iter().map(|problem| problem.render(colour) + "\n").collect();
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    let count = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let warnings = problems.len() - errors;
    text.push_str(&format!("{}: {}, {}\n", count(files, "file"), count(errors, "error"), count(warnings, "warning")));
    text
}

fn json_text(problems: &[Problem]) -> Result<String, CliError> {
    let findings: Vec<serde_json::Value> = problems
        .iter()
        .map(|problem| {
            let (line, column) = problem.position().unzip();
            let finding = &problem.finding;
            let severity: Severity = finding.severity;
            json!({
                "file": problem.file(), "line": line, "column": column, "severity": severity, "code": finding.code,
                "field": finding.path.to_string(), "message": finding.message, "hint": finding.hint,
            })
        })
        .collect();
    let text =
        serde_json::to_string_pretty(&findings).map_err(|error| CliError::Io("json".to_owned(), error.into()))?;
    Ok(format!("{text}\n"))
}
