//! What a kill matrix says is wrong with the suite.

use std::{fmt, path::PathBuf};

use serde::Serialize;

use super::{KillMatrix, Outcome, SMOKE};
use crate::{
    mutant::{ELSEWHERE, mutant},
    null::BASELINE,
};

/// Something that is wrong with the suite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Finding {
    /// No scenario tells this broken mesh from a correct one.
    Unkilled {
        /// The broken mesh.
        mutant: &'static str,
    },
    /// A scenario does not do what it says.
    Undone {
        /// The file.
        file: PathBuf,
        /// The broken mesh that it says it kills.
        mutant: &'static str,
        /// Why it is none: empty if everything passed.
        why: String,
    },
    /// A scenario says that it kills what there is not.
    Unknown {
        /// The file.
        file: PathBuf,
        /// The name.
        mutant: String,
    },
    /// A scenario kills nothing.
    Idle {
        /// The file.
        file: PathBuf,
    },
    /// A scenario passes without any mesh.
    Vacuous {
        /// The file.
        file: PathBuf,
    },
    /// A scenario that is to pass without any mesh does not.
    NoBaseline {
        /// The file.
        file: PathBuf,
        /// Why not.
        why: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unkilled { mutant } => write!(f, "{mutant} is killed by no scenario"),
            Self::Undone { file, mutant, why } if why.is_empty() => {
                write!(f, "{} says that it kills {mutant}, and passes", file.display())
            }
            Self::Undone { file, mutant, why } => {
                write!(f, "{} says that it kills {mutant}, and does not fail: {why}", file.display())
            }
            Self::Unknown { file, mutant } => {
                write!(f, "{} says that it kills {mutant}, which is not there; `--list` shows all", file.display())
            }
            Self::Idle { file } => {
                write!(f, "{} kills nothing; name what it kills, or tag it {SMOKE}", file.display())
            }
            Self::Vacuous { file } => {
                write!(f, "{} passes without any mesh; add a control, or tag it {BASELINE}", file.display())
            }
            Self::NoBaseline { file, why } => {
                write!(f, "{} is tagged {BASELINE}, and fails without a mesh: {why}", file.display())
            }
        }
    }
}

/// What is wrong, in the order of broken meshes and files.
#[must_use]
pub fn findings(matrix: &KillMatrix) -> Vec<Finding> {
    let mut found = Vec::new();
    if !matrix.partial {
        let alive = matrix.mutants.iter().filter(|mutant| matrix.killers(mutant).next().is_none());
        found.extend(alive.map(|mutant| Finding::Unkilled { mutant }));
    }
    found.extend(matrix.pairs.iter().filter(|pair| pair.declared).filter_map(|pair| {
        let why = match &pair.outcome {
            Outcome::Killed { .. } => return None,
            Outcome::Survived => String::new(),
            Outcome::Open { why } => why.clone(),
        };
        Some(Finding::Undone { file: pair.file.clone(), mutant: pair.mutant, why })
    }));
    for file in &matrix.files {
        let path = || file.path.clone();
        let unknown = file.kills.iter().filter(|name| mutant(name).is_none() && !name.starts_with(ELSEWHERE));
        found.extend(unknown.map(|name| Finding::Unknown { file: path(), mutant: name.clone() }));
        let excused = file.tags.contains(SMOKE) || file.tags.contains(BASELINE);
        if file.kills.is_empty() && matrix.killed_by(&file.path).next().is_none() && !excused {
            found.push(Finding::Idle { file: path() });
        }
        match matrix.null.get(&file.path) {
            Some(Outcome::Killed { saw: why, .. }) | Some(Outcome::Open { why }) if file.tags.contains(BASELINE) => {
                found.push(Finding::NoBaseline { file: path(), why: why.clone() });
            }
            _ => {}
        }
    }
    found.extend(matrix.vacuous().map(|file| Finding::Vacuous { file: file.path.clone() }));
    found
}
