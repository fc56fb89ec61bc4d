//! `simulator list`

use std::io::Write;

use serde::Serialize;
use tabled::{builder::Builder, settings::Style};

use super::{
    CliError, Exit,
    args::{Format, List},
    load::{Loaded, load},
    print,
};
use crate::scenario::expand::Expanded;

/// One scenario of the list.
#[derive(Debug, Serialize)]
struct Line<'a> {
    id: &'a str,
    title: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    clauses: &'a [String],
    file: String,
}

/// Lists scenarios; none selected is a usage error.
pub(super) fn list(args: &List, out: &mut dyn Write) -> Result<Exit, CliError> {
    let scenarios = load(&args.selection)?;
    let lines: Vec<Line<'_>> = scenarios
        .iter()
        .map(|Loaded { file, expanded: Expanded { scenario, .. } }| Line {
            id: &scenario.id,
            title: &scenario.title,
            tags: &scenario.tags,
            clauses: &scenario.clauses,
            file: file.display().to_string(),
        })
        .collect();
    match args.format {
        Format::Json => {
            let text = serde_json::to_string_pretty(&lines).map_err(|e| CliError::Io("json".to_owned(), e.into()))?;
            print(out, &format!("{text}\n"))?;
        }
        Format::Text => {
            let mut table = Builder::default();
            table.push_record(["ID", "TITLE", "TAGS"]);
            for line in &lines {
                table.push_record([line.id, line.title, &line.tags.join(",")]);
            }
            let mut table = table.build();
            let text = table.with(Style::blank()).to_string();
            let text: String = text.lines().map(|line| format!("{}\n", line.trim())).collect();
            print(out, &text)?;
        }
    }
    Ok(Exit::Pass)
}
