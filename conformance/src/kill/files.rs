//! Scenario files, each with what it says of itself.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde::Serialize;
use simulator::{
    run::Task,
    scenario::{
        expand::expand,
        find::{FindError, files},
        problem::Problem,
        read,
    },
};

/// A scenario file.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// Its path.
    pub path: PathBuf,
    /// The broken meshes that it says it kills.
    pub kills: BTreeSet<String>,
    /// Its tags.
    pub tags: BTreeSet<String>,
    /// One for each combination of its matrix.
    #[serde(skip)]
    pub tasks: Vec<Task>,
}

/// Why scenario files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There are none, or they cannot be read.
    #[error(transparent)]
    Find(#[from] FindError),
    /// They are wrong.
    #[error("{} problems in scenario files; `simulator lint` shows all", .0.len())]
    Problems(Vec<Problem>),
}

/// Reads every scenario file under `directory`.
///
/// # Errors
/// There is none, or one of them cannot be used.
pub fn load(directory: &Path) -> Result<Vec<File>, LoadError> {
    let (mut loaded, mut problems) = (Vec::new(), Vec::new());
    for path in files(&[directory.to_owned()])? {
        match file(path) {
            Ok(file) => loaded.push(file),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(loaded) } else { Err(LoadError::Problems(problems)) }
}

fn file(path: PathBuf) -> Result<File, Vec<Problem>> {
    let document = read::file(&path).map_err(|problem| vec![*problem])?;
    let task = |scenario| Task { file: path.clone(), scenario };
    let tasks: Vec<Task> = expand(&document)?.into_iter().map(|expanded| task(expanded.scenario)).collect();
    let all = |of: fn(&Task) -> &Vec<String>| tasks.iter().flat_map(of).cloned().collect();
    let (kills, tags) = (all(|task| &task.scenario.kills), all(|task| &task.scenario.tags));
    Ok(File { path, kills, tags, tasks })
}
