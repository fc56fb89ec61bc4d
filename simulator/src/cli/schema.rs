//! `simulator schema`

use std::{fs, io::Write};

use super::{CliError, Exit, args::Schema, print};
use crate::scenario::schema;

/// Prints the schema, or compares it with a file.
pub(super) fn schema(args: &Schema, out: &mut dyn Write) -> Result<Exit, CliError> {
    let current = schema::schema();
    let Some(file) = &args.check else {
        print(out, &current)?;
        return Ok(Exit::Pass);
    };
    let name = file.display();
    let written = fs::read_to_string(file).map_err(|error| CliError::Io(name.to_string(), error))?;
    if written == current {
        print(out, &format!("{name} is current\n"))?;
        return Ok(Exit::Pass);
    }
    print(out, &format!("{name} is outdated: run `simulator schema > {name}`\n"))?;
    Ok(Exit::Fail)
}
