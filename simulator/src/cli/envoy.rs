//! `simulator envoy install`

use std::io::{self, Write};

use super::{
    CliError, Exit,
    args::{Envoy, EnvoyCommand},
};
use crate::envoy::install::{cache_home, install};

/// Does what is asked with Envoy.
pub(super) fn envoy(args: &Envoy, out: &mut dyn Write) -> Result<Exit, CliError> {
    let EnvoyCommand::Install = args.command;
    let failed = |error: &dyn std::fmt::Display| CliError::Infrastructure(error.to_string());
    let runtime = tokio::runtime::Runtime::new().map_err(|error| CliError::Io("start the runtime".into(), error))?;
    let cache = cache_home().map_err(|error| failed(&error))?;
    let path = runtime.block_on(install(&cache)).map_err(|error| failed(&error))?;
    writeln!(out, "{}", path.display()).map_err(|error: io::Error| CliError::Io("standard output".into(), error))?;
    Ok(Exit::Pass)
}
