//! `smi-conformance clauses`: the catalogue, and what shows it.

use std::{io::Write, path::Path};

use clap::Args;

use super::{CliError, Output, structured, table};
use crate::{
    catalogue::Selection,
    clause::{Api, Clause, Level},
    matrix::Matrix,
};

const EXAMPLES: &str = "\
Examples:
  smi-conformance clauses                              all clauses of the specification
  smi-conformance clauses --api split --level ambiguous
  smi-conformance clauses --matrix                     clauses and the files under ./scenarios that show them
  smi-conformance clauses --matrix my/scenarios -o json

In the list, an asterisk marks how this project's own mesh reads an ambiguous clause.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Clauses {
    /// Only clauses about this API; may be repeated.
    #[arg(long, value_enum)]
    api: Vec<Api>,
    /// Only clauses of this level; may be repeated.
    #[arg(long, value_enum)]
    level: Vec<Level>,
    /// Sets the clauses against the scenario files under this directory (`scenarios` if omitted).
    #[arg(long, value_name = "SCENARIO_DIR", num_args = 0..=1, default_missing_value = "scenarios")]
    pub(super) matrix: Option<std::path::PathBuf>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub(super) output: Output,
}

/// Prints the clauses, or the matrix.
pub(super) fn run(args: Clauses, out: &mut dyn Write) -> Result<u8, CliError> {
    let selection = Selection { apis: args.api, levels: args.level };
    match args.matrix {
        Some(directory) => matrix(&directory, &selection, args.output, out),
        None => clauses(&selection, args.output, out),
    }?;
    Ok(0)
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
