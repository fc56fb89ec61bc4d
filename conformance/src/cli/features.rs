//! `smi-conformance features`.

use std::io::Write;

use clap::Args;

use super::{CliError, Output, structured};
use crate::feature;

/// `smi-conformance features`
#[derive(Debug, Args)]
pub(super) struct Features {
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Prints features and profiles.
pub(super) fn run(args: &Features, out: &mut dyn Write) -> Result<u8, CliError> {
    let catalogue = feature::catalogue();
    if args.output != Output::Table {
        out.write_all(structured(catalogue, args.output)?.as_bytes())?;
        return Ok(0);
    }
    for feature in &catalogue.features {
        writeln!(out, "{:<20} {}", feature.name, feature.text)?;
    }
    writeln!(out)?;
    for profile in &catalogue.profiles {
        let list = |names: &std::collections::BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
        writeln!(out, "{:<20} core: {}", profile.name, list(&profile.core))?;
        writeln!(out, "{:<20} extended: {}", "", list(&profile.extended))?;
    }
    Ok(0)
}
