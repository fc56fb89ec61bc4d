//! The `smi-conformance` command: reads the command line, calls the library, prints.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use serde::Serialize;
use simulator::scenario::problem::Problem;

use crate::{kill::LoadError, matrix::ScenarioError, suite::SuiteError};

mod adapter;
mod clauses;
mod false_alarms;
mod features;
mod mutants;
mod preflight;
mod report;
mod run;
mod table;

const EXAMPLES: &str = "\
Examples:
  smi-conformance run                                  the whole suite, on this project's own mesh
  smi-conformance run --report report.html -- python3 my_adapter.py
  smi-conformance clauses --matrix                     clauses and the files under ./scenarios that show them

Exit codes:
  0 pass   1 fail   2 wrong usage   3 infrastructure broke   4 inconclusive, or a claim that nothing proved";

/// Asks any service mesh the questions of the Service Mesh Interface.
#[derive(Debug, Parser)]
#[command(name = "smi-conformance", version, after_help = EXAMPLES, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the suite, and reports what the mesh keeps and lacks.
    Run(run::Run),
    /// Renders reports anew, and compares them.
    Report(report::ReportArgs),
    /// Adapters: executables through which the suite asks any mesh.
    Adapter(adapter::Adapter),
    /// Speaks the adapter protocol on standard input and output, over this project's own mesh.
    #[command(hide = true)]
    ServeAdapter(adapter::ServeAdapter),
    /// Says what a cluster has and lacks, before anything runs on it. Changes nothing.
    Preflight(preflight::Preflight),
    /// Prints the features that a mesh can claim, and the profiles that they make up.
    Features(features::Features),
    /// Prints the clauses of the specification, or what shows them.
    Clauses(clauses::Clauses),
    /// Tries the suite on meshes that are broken on purpose: what it can tell, and what it cannot.
    Mutants(mutants::Mutants),
    /// Tries the suite's statistics on a mesh that is exactly right: how often it fails all the same.
    FalseAlarms(false_alarms::FalseAlarms),
    /// Prints a JSON Schema.
    Schema(adapter::Schema),
    /// Prints completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
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
    #[error(transparent)]
    Suite(#[from] SuiteError),
    /// Printed after the matrix: the rest of it is right.
    #[error("unknown clauses in scenario files: {0}; `smi-conformance clauses` lists those that there are")]
    Unknown(String),
    /// The command line asks for something that does not exist.
    #[error("{0}")]
    Usage(String),
    /// Something around the tests is missing or broken.
    #[error("{0}")]
    Infrastructure(String),
    #[error("write: {0}")]
    Write(#[from] io::Error),
    #[error("json: {0}")]
    Json(#[from] serde_json::Error),
    #[error("yaml: {0}")]
    Yaml(String),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("no broken mesh is called {0}; `smi-conformance mutants --list` shows all")]
    NoMutant(String),
    #[error(transparent)]
    Report(#[from] report::ReportError),
    /// Printed after what was found.
    #[error("{0}")]
    Found(String),
}

impl CliError {
    fn problems(&self) -> &[Problem] {
        match self {
            Self::Scenarios(ScenarioError::Problems(problems))
            | Self::Suite(SuiteError::Problems(problems))
            | Self::Load(LoadError::Problems(problems)) => problems,
            _ => &[],
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Found(_) => 1,
            Self::Infrastructure(_) | Self::Write(_) => 3,
            _ => 2,
        }
    }
}

/// Reads the command line, does what it says, prints errors. Wrong usage exits with 2 in clap.
#[must_use]
pub fn main() -> ExitCode {
    // Not locked: `serve-adapter` writes from threads of its own.
    match dispatch(Cli::parse().command, &mut io::stdout()) {
        Ok(code) => code.into(),
        // The reader of a pipe went away: it has seen enough.
        Err(CliError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let colour = simulator::cli::colour(&io::stderr());
            error.problems().iter().for_each(|problem| eprint!("{}", problem.render(colour)));
            eprintln!("smi-conformance: {error}");
            error.exit_code().into()
        }
    }
}

/// Does what is asked; returns the exit code.
fn dispatch(command: Command, out: &mut dyn Write) -> Result<u8, CliError> {
    match command {
        Command::Run(args) => run::run(&args, out),
        Command::Report(args) => Ok(report::report(&args, out)?),
        Command::Adapter(args) => adapter::adapter(&args, out).map(|kept| u8::from(!kept)),
        Command::ServeAdapter(args) => adapter::serve(&args).map(|()| 0),
        Command::Preflight(args) => preflight::run(&args, out),
        Command::Features(args) => features::run(&args, out),
        Command::Clauses(args) => clauses::run(args, out),
        Command::Mutants(args) => mutants::run(&args, out).map(|()| 0),
        Command::FalseAlarms(args) => false_alarms::run(&args, out).map(|()| 0),
        Command::Schema(args) => adapter::schema(&args, out).map(|()| 0),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "smi-conformance", out);
            Ok(0)
        }
    }
}

fn structured(value: &impl Serialize, output: Output) -> Result<String, CliError> {
    if output == Output::Yaml {
        return serde_saphyr::to_string(value).map_err(|error| CliError::Yaml(error.to_string()));
    }
    Ok(format!("{}\n", serde_json::to_string_pretty(value)?))
}

#[cfg(test)]
mod tests;
