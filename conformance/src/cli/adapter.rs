//! `smi-conformance adapter`, `schema adapter` and the hidden `serve-adapter`.

use std::{io::Write, sync::Arc};

use clap::{Args, Subcommand, ValueEnum};
use simulator::envoy::{Preference, Wish, choose};

use super::CliError;
use crate::{
    report,
    target::{
        adapter::{check, protocol, serve},
        cluster,
    },
};

/// Adapters: executables through which the suite asks any mesh.
#[derive(Debug, Args)]
pub(super) struct Adapter {
    #[command(subcommand)]
    command: AdapterCommand,
}

#[derive(Debug, Subcommand)]
enum AdapterCommand {
    /// Looks whether an adapter keeps the protocol. Exit codes: 0 it does, 1 it does not.
    Check(Check),
}

#[derive(Debug, Args)]
struct Check {
    /// The adapter's command with its arguments, after `--`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Prints a JSON Schema.
#[derive(Debug, Args)]
pub(super) struct Schema {
    /// Of what.
    #[arg(value_enum)]
    of: Described,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Described {
    /// The lines of the adapter protocol.
    Adapter,
    /// Reports.
    Report,
    /// Profiles of meshes on clusters.
    Profile,
}

/// Speaks the adapter protocol on standard input and output, over this project's own mesh.
#[derive(Debug, Args)]
pub(super) struct ServeAdapter {
    /// What carries the traffic.
    #[arg(long, value_enum, default_value_t)]
    backend: Backend,
    /// Decides everything that is random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Backend {
    /// No Envoy: answers are drawn by the exact shares.
    #[default]
    Evaluator,
    /// Real Envoys as processes.
    Process,
}

/// Examines an adapter. Whether it keeps the protocol.
pub(super) fn adapter(args: &Adapter, out: &mut dyn Write) -> Result<bool, CliError> {
    let AdapterCommand::Check(Check { command }) = &args.command;
    let findings = runtime()?.block_on(check::check(command));
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    let failed = findings.iter().filter(|finding| matches!(finding.result, check::Found::Failed { .. })).count();
    writeln!(out, "\n{} rules, {failed} failed", findings.len())?;
    Ok(failed == 0)
}

/// Prints a schema.
pub(super) fn schema(args: &Schema, out: &mut dyn Write) -> Result<(), CliError> {
    let text = match args.of {
        Described::Adapter => protocol::schema(),
        Described::Report => report::json::schema(),
        Described::Profile => cluster::profile::schema(),
    };
    Ok(out.write_all(text.as_bytes())?)
}

/// Serves until standard input ends.
pub(super) fn serve(args: &ServeAdapter) -> Result<(), CliError> {
    runtime()?.block_on(async {
        let preference = match args.backend {
            Backend::Evaluator => Preference::Evaluator,
            Backend::Process => Preference::Process,
        };
        let choice = choose(&Wish { preference, ..Wish::default() }).await;
        let choice = choice.map_err(|error| CliError::Infrastructure(error.to_string()))?;
        let desk = Arc::new(serve::Desk::new(choice.backend, args.seed));
        let input = tokio::io::BufReader::new(tokio::io::stdin());
        Ok(serve::serve(desk, input, tokio::io::stdout()).await?)
    })
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}
