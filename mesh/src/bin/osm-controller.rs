//! The control plane of the mesh, as a process. All of it is in [`mesh::controller`].

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use mesh::{
    admin::Level,
    controller::{assemble, flags::Flags},
};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let flags = Flags::parse();
    match run(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Logging may be what failed.
            eprintln!("osm-controller: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(flags: &Flags) -> Result<()> {
    let level = Level::init(flags.log_format, &flags.verbosity)?;
    let mut terminate = signal(SignalKind::terminate()).context("wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("wait for SIGINT")?;
    let controller = tokio::select! {
        started = assemble::start(flags, level) => started?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM"),
        _ = interrupt.recv() => tracing::info!("SIGINT"),
    }
    controller.shutdown().await;
    Ok(())
}
