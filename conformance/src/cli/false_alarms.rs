//! `smi-conformance false-alarms`: what statistics alone cost a correct mesh.

use std::{io::Write, path::PathBuf};

use clap::Args;

use super::CliError;
use crate::{kill, sampler};

#[derive(Debug, Args)]
pub(super) struct FalseAlarms {
    /// Where the scenario files are.
    #[arg(default_value = "scenarios/conformance")]
    directory: PathBuf,
    /// How often all splits of all files are measured.
    #[arg(long, default_value_t = 1000)]
    runs: usize,
    /// Decides everything that is random.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Draws from the exact shares of a correct mesh, and judges what comes as if it were one.
pub(super) fn run(args: &FalseAlarms, out: &mut dyn Write) -> Result<(), CliError> {
    let files = kill::load(&args.directory)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let shares = runtime.block_on(sampler::shares(&files, &kill::on_evaluator(args.seed)));
    let alarms = sampler::sample(&shares, args.runs, args.seed);
    writeln!(
        out,
        "{} runs of {} measurements: {} runs with a false alarm; the stated errors allow {:.2} of {} on average",
        alarms.runs, alarms.measurements, alarms.false_alarms, alarms.expected, alarms.runs,
    )?;
    if alarms.within_budget() {
        return Ok(());
    }
    Err(CliError::Found("there are more false alarms than the stated errors allow".into()))
}
