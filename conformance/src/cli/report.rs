//! `smi-conformance report`: renders reports anew, and compares them.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueEnum};
use simulator::report::Style;

use crate::report::{
    Report,
    diff::diff,
    html::html,
    json::{self, ReadError},
    junit::junit,
    markdown::markdown,
    text::text,
    yaml::{YamlError, yaml},
};

const EXAMPLES: &str = "\
Examples:
  smi-conformance report render report.json -o html --out report.html
  smi-conformance report diff last-week.json today.json
  smi-conformance report diff ours.json theirs.json -o markdown

Exit codes:
  0 done, or nothing is worse   1 something is worse   2 wrong usage, or a file that is no report";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ReportArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a page, or something for another program, from a JSON report.
    Render(Render),
    /// Tells what has changed between two JSON reports: two runs, or two meshes.
    Diff(Diff),
}

#[derive(Debug, Args)]
struct Render {
    /// A report as `smi-conformance run -o json` writes it.
    report: PathBuf,
    /// What to make of it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Rendering,
    /// Where to write it; standard output if omitted.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Diff {
    /// The first report.
    before: PathBuf,
    /// The second report.
    after: PathBuf,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: DiffOutput,
}

/// What a report can be made into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Rendering {
    /// For a terminal.
    #[default]
    Text,
    /// One page that needs nothing else.
    Html,
    /// For a pull request or a wiki.
    Markdown,
    /// In the manner of the Gateway API's ConformanceReport.
    Yaml,
    /// For build servers.
    Junit,
    /// The canonical form.
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum DiffOutput {
    /// For a terminal.
    #[default]
    Text,
    /// For a pull request.
    Markdown,
    /// For programs.
    Json,
}

/// Why a report could not be read, rendered or compared.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReportError {
    #[error("{0}: {1}")]
    File(String, io::Error),
    #[error("{0}: {1}")]
    Read(String, ReadError),
    #[error("json: {0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Yaml(#[from] YamlError),
    #[error("junit: {0}")]
    Junit(#[from] quick_junit::SerializeError),
    #[error("html: {0}")]
    Html(#[from] minijinja::Error),
}

/// Does what the command line says; the exit code.
pub(super) fn report(args: &ReportArgs, out: &mut dyn Write) -> Result<u8, ReportError> {
    match &args.command {
        Command::Render(args) => {
            let to_terminal = args.out.is_none() && simulator::cli::colour(&io::stdout());
            let text = render(&read(&args.report)?, args.output, style(to_terminal))?;
            write(&text, args.out.as_deref(), out)?;
            Ok(0)
        }
        Command::Diff(args) => {
            let diff = diff(&read(&args.before)?, &read(&args.after)?);
            let text = match args.output {
                DiffOutput::Text => diff.text(style(simulator::cli::colour(&io::stdout()))),
                DiffOutput::Markdown => diff.markdown(),
                DiffOutput::Json => serde_json::to_string_pretty(&diff)? + "\n",
            };
            write(&text, None, out)?;
            Ok(diff.exit_code())
        }
    }
}

/// Makes a report into text.
pub(super) fn render(report: &Report, rendering: Rendering, style: Style) -> Result<String, ReportError> {
    Ok(match rendering {
        Rendering::Text => text(report, style),
        Rendering::Html => html(report)?,
        Rendering::Markdown => markdown(report),
        Rendering::Yaml => yaml(report)?,
        Rendering::Junit => junit(report)?,
        Rendering::Json => json::write(report)?,
    })
}

/// Writes to the file, or to `out` if there is none.
pub(super) fn write(text: &str, file: Option<&Path>, out: &mut dyn Write) -> Result<(), ReportError> {
    let written = match file {
        Some(path) => fs::write(path, text),
        None => out.write_all(text.as_bytes()),
    };
    let name = || file.map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
    written.map_err(|error| ReportError::File(name(), error))
}

fn read(path: &Path) -> Result<Report, ReportError> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| ReportError::File(name.clone(), error))?;
    json::read(&text).map_err(|error| ReportError::Read(name, error))
}

fn style(coloured: bool) -> Style {
    if coloured { Style::Coloured } else { Style::Plain }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const REPORT: &str = include_str!("../../tests/html/report.json");

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ReportArgs,
    }

    fn run(line: &[&str]) -> (String, Result<u8, ReportError>) {
        let line = Line::try_parse_from(["report"].iter().chain(line)).unwrap();
        let mut out = Vec::new();
        let code = report(&line.args, &mut out);
        (String::from_utf8(out).unwrap(), code)
    }

    #[test]
    fn renders_in_every_way_to_a_file_or_to_standard_output() {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("report.json"), folder.path().join("out"));
        fs::write(&input, REPORT).unwrap();
        let (input, output) = (input.to_str().unwrap(), output.to_str().unwrap());
        for (rendering, beginning) in [
            ("html", "<!doctype html>"),
            ("markdown", "# SMI conformance"),
            ("yaml", "apiVersion: "),
            ("junit", "<?xml"),
            ("json", "{\n"),
            ("text", "FAIL"),
        ] {
            let (printed, code) = run(&["render", input, "-o", rendering]);
            assert!(code.unwrap() == 0 && printed.starts_with(beginning), "{rendering}: {printed}");
            let (silent, code) = run(&["render", input, "-o", rendering, "--out", output]);
            assert_eq!((silent.as_str(), code.unwrap()), ("", 0));
            assert_eq!(fs::read_to_string(output).unwrap(), printed);
        }
    }

    #[test]
    fn a_difference_for_the_worse_exits_with_1() {
        let folder = tempfile::tempdir().unwrap();
        let (bad, good) = (folder.path().join("bad.json"), folder.path().join("good.json"));
        fs::write(&bad, REPORT).unwrap();
        fs::write(&good, REPORT.replace("\"status\":\"broken\"", "\"status\":\"kept\"")).unwrap();
        let (bad, good) = (bad.to_str().unwrap(), good.to_str().unwrap());
        let code = |before, after| run(&["diff", before, after, "-o", "json"]).1.unwrap();
        assert_eq!([code(bad, bad), code(bad, good), code(good, bad)], [0, 0, 1]);
    }

    #[test]
    fn what_is_no_report_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.json");
        assert!(run(&["render", file.to_str().unwrap()]).1.unwrap_err().to_string().contains("x.json: "));
        fs::write(&file, "{}").unwrap();
        let error = run(&["render", file.to_str().unwrap()]).1.unwrap_err().to_string();
        assert!(error.contains("x.json: not a conformance report"), "{error}");
    }
}
