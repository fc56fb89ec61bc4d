//! Clause × scenario files: what the scenarios show, and what they do not show yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::Serialize;
use simulator::{
    run,
    scenario::{
        expand::expand,
        find::{FindError, files},
        problem::Problem,
        read,
    },
};

use crate::{
    catalogue::{self, Selection},
    clause::{Clause, Level, Proof},
    portable,
};

/// Every selected clause with the scenario files that name it.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// The clauses, in the order of the catalogue.
    pub rows: Vec<Row>,
    /// The ids that scenario files name and the catalogue lacks, with the files.
    pub unknown: BTreeMap<String, BTreeSet<PathBuf>>,
}

/// One clause, and what shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The clause.
    #[serde(rename = "id", serialize_with = "id")]
    pub clause: &'static Clause,
    /// How binding it is.
    pub level: Level,
    /// What can show it.
    pub proof: Proof,
    /// Scenario files that name it, relative to the directory that was read, each with the backends that can show it: `evaluator`,
    /// `process`, `container`, and `adapter` where the scenario is for every mesh.
    pub scenarios: BTreeMap<PathBuf, BTreeSet<&'static str>>,
    /// Why no scenario shows it, if there is a reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unshown: Option<&'static str>,
    /// What they leave out, if they show only a part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<&'static str>,
}

/// Files by the clauses that they name, each with its backends.
type Named = BTreeMap<String, BTreeMap<PathBuf, BTreeSet<&'static str>>>;

/// Why scenario files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// There are none, or they cannot be read.
    #[error(transparent)]
    Find(#[from] FindError),
    /// They are wrong.
    #[error("{} problems in scenario files; `simulator lint` shows all", .0.len())]
    Problems(Vec<Problem>),
}

impl Matrix {
    /// Reads every scenario file under `directory`, and sets the selected clauses against them.
    ///
    /// # Errors
    /// There is no scenario file, or one of them cannot be used.
    pub fn read(directory: &Path, selection: &Selection) -> Result<Self, ScenarioError> {
        let mut named = Named::new();
        let mut problems = Vec::new();
        for path in files(&[directory.to_owned()])? {
            let (ids, backends) = clauses_of(&path).unwrap_or_else(|found| {
                problems.extend(found);
                Default::default()
            });
            let relative = path.strip_prefix(directory).ok().filter(|rest| rest.file_name().is_some());
            for id in ids {
                named.entry(id).or_default().insert(relative.unwrap_or(&path).to_owned(), backends.clone());
            }
        }
        if problems.is_empty() { Ok(Self::new(named, selection)) } else { Err(ScenarioError::Problems(problems)) }
    }

    fn new(mut named: Named, selection: &Selection) -> Self {
        let row = |clause: &'static Clause| Row {
            clause,
            level: clause.level,
            proof: clause.proof,
            scenarios: named.get(&clause.id).cloned().unwrap_or_default(),
            unshown: catalogue::unshown(&clause.id),
            missing: catalogue::shown_in_part(&clause.id),
        };
        let rows = selection.clauses().map(row).collect();
        named.retain(|id, _| catalogue::clause(id).is_none());
        let unknown = named.into_iter().map(|(id, files)| (id, files.into_keys().collect())).collect();
        Self { rows, unknown }
    }

    /// The clauses that a mesh must keep or is meant to keep, that traffic can show, that no scenario names, and for which
    /// there is no reason why.
    pub fn gaps(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_due() && row.scenarios.is_empty() && row.unshown.is_none())
    }

    /// The clauses of which it is said that no scenario shows them although one does, or the other way round.
    pub fn outdated(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| match row.scenarios.is_empty() {
            true => row.missing.is_some(),
            false => row.unshown.is_some(),
        })
    }
}

impl Row {
    /// Whether there should be a scenario for it.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.level.is_binding() && matches!(self.proof, Proof::Traffic | Proof::Admission | Proof::Metrics)
    }
}

/// The ids that a file names, in any of the scenarios that it stands for, and the backends that can show all of those.
fn clauses_of(path: &Path) -> Result<(BTreeSet<String>, BTreeSet<&'static str>), Vec<Problem>> {
    let document = read::file(path).map_err(|problem| vec![*problem])?;
    let (mut ids, mut backends) = (BTreeSet::new(), None::<BTreeSet<&'static str>>);
    for expanded in expand(&document)? {
        let adapter = portable::violations(&expanded.scenario).is_empty().then_some("adapter");
        let shown: BTreeSet<_> = run::backends(&expanded.scenario).into_iter().chain(adapter).collect();
        backends = Some(backends.map_or(shown.clone(), |known| &known & &shown));
        ids.extend(expanded.scenario.clauses);
    }
    Ok((ids, backends.unwrap_or_default()))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn id<S: serde::Serializer>(clause: &&'static Clause, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&clause.id)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn scenario(clauses: &str) -> String {
        format!(
            "scenario: smi/v1\nid: a\ntitle: A.\nclauses: [{clauses}]\nworkloads: {{a: {{}}, b: {{}}}}\n\
             steps:\n- traffic: {{from: a, to: b}}\n  expect: {{allowed: true}}\n"
        )
    }

    fn matrix(files: &[(&str, &str)]) -> Result<Matrix, ScenarioError> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Matrix::read(directory.path(), &Selection::default())
    }

    #[test]
    fn sets_clauses_against_files() {
        let (one, two) = (scenario("TS-01, TS-04"), scenario("TS-01, L4-05, TS-99"));
        let matrix = matrix(&[("split/one.yaml", &one), ("two.yaml", &two)]).unwrap();
        let row = |id: &str| matrix.rows.iter().find(|row| row.clause.id == id).unwrap();
        let files = |names: &[&str]| names.iter().map(PathBuf::from).collect::<BTreeSet<_>>();
        let shown = |id: &str| row(id).scenarios.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(shown("TS-01"), files(&["split/one.yaml", "two.yaml"]));
        assert_eq!(shown("TS-02"), files(&[]));
        let everywhere = BTreeSet::from(["adapter", "container", "evaluator", "process"]);
        assert_eq!(row("TS-01").scenarios[Path::new("two.yaml")], everywhere);
        assert_eq!(matrix.unknown, BTreeMap::from([("TS-99".to_owned(), files(&["two.yaml"]))]));
        let outdated: Vec<_> = matrix.outdated().map(|row| row.clause.id.as_str()).collect();
        assert_eq!(outdated, ["TT-20", "TT-31", "L4-05", "L4-06"], "one is shown after all, three not even in part");
        let gaps: Vec<_> = matrix.gaps().map(|row| row.clause.id.as_str()).collect();
        assert!(gaps.contains(&"TS-02") && !gaps.contains(&"TS-01"), "{gaps:?}");
        assert!(gaps.contains(&"TT-20") && !gaps.contains(&"L4-05"), "{gaps:?}");
        assert!(!gaps.contains(&"TS-07") && !gaps.contains(&"TM-01"), "ambiguous, or only a cluster can show it");
    }

    #[test]
    fn a_wrong_file_or_none_is_an_error() {
        assert!(matches!(matrix(&[("a.yaml", "scenario: smi/v1\nid: 7: 8\n")]), Err(ScenarioError::Problems(_))));
        assert!(matches!(matrix(&[]), Err(ScenarioError::Find(_))));
    }
}
