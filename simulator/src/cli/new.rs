//! `simulator new`

use std::{fs::OpenOptions, io::Write};

use super::{CliError, Exit, args::New, print};
use crate::scenario::check::is_id;

const TEMPLATE: &str = include_str!("new/template.yaml");

/// The id in the template.
const ID: &str = "my.scenario";

/// Writes the template, its id made from the file's name.
pub(super) fn new(args: &New, out: &mut dyn Write) -> Result<Exit, CliError> {
    let name = args.file.display().to_string();
    let failed = |error| CliError::Io(name.clone(), error);
    let mut file = match OpenOptions::new().write(true).create_new(true).open(&args.file) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(CliError::Usage(format!("{name} exists; choose another name, or delete it first")));
        }
        file => file.map_err(failed)?,
    };
    let stem = args.file.file_stem().map(|stem| stem.to_string_lossy().to_lowercase().replace(['_', ' '], "-"));
    let id = stem.filter(|stem| is_id(stem)).unwrap_or_else(|| ID.to_owned());
    file.write_all(TEMPLATE.replacen(&format!("id: {ID}"), &format!("id: {id}"), 1).as_bytes()).map_err(failed)?;
    print(out, &format!("wrote {name}\ncheck it: simulator lint {name}\nrun it:   simulator run {name}\n"))?;
    Ok(Exit::Pass)
}
