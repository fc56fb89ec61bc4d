//! From paths and patterns to scenarios.

use std::path::PathBuf;

use super::{CliError, args::Selection};
use crate::scenario::{
    check,
    expand::{Expanded, expand},
    find::{files, selects},
    problem::Problem,
    read::{self, Document},
};

/// A scenario and the file that it comes from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The file.
    pub file: PathBuf,
    /// The scenario.
    pub expanded: Expanded,
}

/// Reads, expands and selects scenarios, in the order of files and combinations.
///
/// # Errors
/// A file cannot be used, or nothing is selected.
pub fn load(selection: &Selection) -> Result<Vec<Loaded>, CliError> {
    expanded(&documents(selection)?, selection)
}

/// The same, for running: every error that `lint` finds in any of the files is an error here. Warnings are returned.
///
/// # Errors
/// As [`load`], and what `lint` calls an error.
pub fn load_checked(selection: &Selection) -> Result<(Vec<Loaded>, Vec<Problem>), CliError> {
    let documents = documents(selection)?;
    let parsed: Vec<Document> = documents.iter().map(|(_, document)| document.clone()).collect();
    let (errors, warnings): (Vec<Problem>, Vec<Problem>) =
        check::documents(&parsed).into_iter().partition(Problem::is_error);
    if errors.is_empty() { Ok((expanded(&documents, selection)?, warnings)) } else { Err(CliError::Problems(errors)) }
}

fn documents(selection: &Selection) -> Result<Vec<(PathBuf, Document)>, CliError> {
    let mut documents = Vec::new();
    let mut problems = Vec::new();
    for path in files(&selection.paths)? {
        match read::file(&path) {
            Ok(document) => documents.push((path, document)),
            Err(problem) => problems.push(*problem),
        }
    }
    if problems.is_empty() { Ok(documents) } else { Err(CliError::Problems(problems)) }
}

fn expanded(documents: &[(PathBuf, Document)], selection: &Selection) -> Result<Vec<Loaded>, CliError> {
    let mut scenarios = Vec::new();
    let mut problems = Vec::new();
    for (file, document) in documents {
        match expand(document) {
            Ok(all) => scenarios.extend(all.into_iter().map(|expanded| Loaded { file: file.clone(), expanded })),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(CliError::Problems(problems));
    }
    scenarios.retain(|one| selects(&selection.only, &one.expanded.scenario));
    if scenarios.is_empty() {
        return Err(CliError::Usage(format!("no scenario has the id or tag {}", selection.only.join(", "))));
    }
    Ok(scenarios)
}
