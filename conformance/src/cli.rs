//! The `smi-conformance` command: reads the command line, calls the library, prints.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;

use crate::{
    catalogue::Selection,
    clause::{Api, Clause, Level},
    matrix::{Matrix, ScenarioError},
};

mod table;

const EXAMPLES: &str = "\
Examples:
  smi-conformance clauses                              all clauses of the specification
  smi-conformance clauses --api split --level ambiguous
  smi-conformance clauses --matrix                     clauses and the files under ./scenarios that show them
  smi-conformance clauses --matrix my/scenarios -o json

Exit codes:
  0 done   2 wrong usage, or scenario files that cannot be used

In the list, an asterisk marks how this project's own mesh reads an ambiguous clause.";

/// Asks any service mesh the questions of the Service Mesh Interface.
#[derive(Debug, Parser)]
#[command(name = "smi-conformance", version, after_help = EXAMPLES, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints the clauses of the specification, or what shows them.
    Clauses(Clauses),
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct Clauses {
    /// Only clauses about this API; may be repeated.
    #[arg(long, value_enum)]
    api: Vec<Api>,
    /// Only clauses of this level; may be repeated.
    #[arg(long, value_enum)]
    level: Vec<Level>,
    /// Sets the clauses against the scenario files under this directory (`scenarios` if omitted).
    #[arg(long, value_name = "SCENARIO_DIR", num_args = 0..=1, default_missing_value = "scenarios")]
    matrix: Option<std::path::PathBuf>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For reading.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For both.
    Yaml,
}

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error(transparent)]
    Scenarios(#[from] ScenarioError),
    /// Printed after the matrix: the rest of it is right.
    #[error("unknown clauses in scenario files: {0}; `smi-conformance clauses` lists those that there are")]
    Unknown(String),
    #[error("write: {0}")]
    Write(#[from] io::Error),
    #[error("json: {0}")]
    Json(#[from] serde_json::Error),
    #[error("yaml: {0}")]
    Yaml(String),
}

/// Reads the command line, does what it says, prints errors. Wrong usage exits with 2 in clap.
#[must_use]
pub fn main() -> ExitCode {
    match dispatch(Cli::parse().command, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of a pipe went away: it has seen enough.
        Err(CliError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            if let CliError::Scenarios(ScenarioError::Problems(problems)) = &error {
                let colour = simulator::cli::colour(&io::stderr());
                problems.iter().for_each(|problem| eprint!("{}", problem.render(colour)));
            }
            eprintln!("smi-conformance: {error}");
            ExitCode::from(2)
        }
    }
}

fn dispatch(Command::Clauses(args): Command, out: &mut dyn Write) -> Result<(), CliError> {
    let selection = Selection { apis: args.api, levels: args.level };
    match args.matrix {
        Some(directory) => matrix(&directory, &selection, args.output, out),
        None => clauses(&selection, args.output, out),
    }
}

fn clauses(selection: &Selection, output: Output, out: &mut dyn Write) -> Result<(), CliError> {
    let clauses: Vec<&Clause> = selection.clauses().collect();
    let text = match output {
        Output::Table => table::clauses(&clauses),
        Output::Json | Output::Yaml => structured(&clauses, output)?,
    };
    Ok(out.write_all(text.as_bytes())?)
}

fn matrix(directory: &Path, selection: &Selection, output: Output, out: &mut dyn Write) -> Result<(), CliError> {
    let matrix = Matrix::read(directory, selection)?;
    let text = match output {
        Output::Table => table::matrix(&matrix),
        Output::Json | Output::Yaml => structured(&matrix.rows, output)?,
    };
    out.write_all(text.as_bytes())?;
    if matrix.unknown.is_empty() {
        return Ok(());
    }
    let named = |(id, files): (&String, &std::collections::BTreeSet<std::path::PathBuf>)| {
        let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        format!("{id} ({})", files.join(", "))
    };
    Err(CliError::Unknown(matrix.unknown.iter().map(named).collect::<Vec<_>>().join(", ")))
}

fn structured(value: &impl Serialize, output: Output) -> Result<String, CliError> {
    if output == Output::Yaml {
        return serde_saphyr::to_string(value).map_err(|error| CliError::Yaml(error.to_string()));
    }
    Ok(format!("{}\n", serde_json::to_string_pretty(value)?))
}

#[cfg(test)]
mod tests;
