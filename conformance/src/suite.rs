//! The scenario files of the suite: those that are built in, or others.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use include_dir::{Dir, include_dir};
use sha2::{Digest as _, Sha256};
use simulator::{
    run::Task,
    scenario::{
        check,
        expand::expand,
        find::{self, FindError},
        problem::Problem,
        read::{self, Document},
    },
};

use crate::{feature, portable};

/// `build.rs` sees to it that new files get in.
static EMBEDDED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../scenarios/conformance");

/// Where the built-in files lie in this repository: reports and replay commands name them so.
const ROOT: &str = "scenarios/conformance";

/// The word among a scenario's `tags` that says that it passes without any mesh too.
pub const BASELINE: &str = "baseline";

/// Scenarios, ready to run.
#[derive(Clone, Debug)]
pub struct Suite {
    /// Every combination of every file's matrix, in the order of the files.
    pub tests: Vec<Test>,
    /// SHA-256 over the names and texts of the files, in hexadecimal.
    pub sha256: String,
    /// The directory that the files were read from; `None` if they are built in.
    pub directory: Option<PathBuf>,
}

/// One test.
#[derive(Clone, Debug)]
pub struct Test {
    /// What is run.
    pub task: Task,
    /// What a mesh must claim for it.
    pub features: BTreeSet<String>,
}

/// Why there is no suite.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// No files.
    #[error(transparent)]
    Find(#[from] FindError),
    /// Files that cannot be used; each problem renders with its place.
    #[error("{} in the scenario files", problems(.0.len()))]
    Problems(Vec<Problem>),
    /// Files that would not ask every mesh the same.
    #[error("scenarios that only this project's own mesh can be asked:\n  {}", .0.join("\n  "))]
    NotPortable(Vec<String>),
}

fn problems(count: usize) -> String {
    if count == 1 { "1 problem".into() } else { format!("{count} problems") }
}

impl Suite {
    /// The files that are built in.
    ///
    /// # Errors
    /// [`SuiteError`]; not in a build whose tests passed.
    pub fn embedded() -> Result<Self, SuiteError> {
        let mut files = Vec::new();
        texts(&EMBEDDED, &mut files);
        Self::of(files, None)
    }

    /// The files below a directory.
    ///
    /// # Errors
    /// [`SuiteError`].
    pub fn read(directory: &Path) -> Result<Self, SuiteError> {
        let found = find::files(&[directory.to_owned()])?;
        let mut files = Vec::new();
        for path in found {
            let text = std::fs::read_to_string(&path);
            let text = text.map_err(|source| FindError::Unreadable { path: path.clone(), source })?;
            files.push((path.display().to_string(), text));
        }
        Self::of(files, Some(directory.to_owned()))
    }

    fn of(mut files: Vec<(String, String)>, directory: Option<PathBuf>) -> Result<Self, SuiteError> {
        if files.is_empty() {
            return Err(FindError::Nothing(ROOT.into()).into());
        }
        files.sort();
        let mut hash = Sha256::new();
        let mut documents: Vec<Document> = Vec::new();
        let mut wrong = Vec::new();
        for (name, text) in &files {
            hash.update(name.rsplit('/').next().unwrap_or(name));
            hash.update([0]);
            hash.update(text);
            match read::text_named(name, text) {
                Ok(document) => documents.push(document),
                Err(problem) => wrong.push(*problem),
            }
        }
        wrong.extend(check::documents(&documents).into_iter().filter(Problem::is_error));
        let mut tests = Vec::new();
        for document in &documents {
            match expand(document) {
                Ok(expanded) => tests.extend(expanded.into_iter().map(|one| Test {
                    features: feature::needed(&one.scenario),
                    task: Task { file: document.source.name().into(), scenario: one.scenario },
                })),
                Err(problems) => wrong.extend(problems),
            }
        }
        if !wrong.is_empty() {
            return Err(SuiteError::Problems(wrong));
        }
        let foreign = tests.iter().flat_map(|test| {
            let file = test.task.file.display();
            portable::violations(&test.task.scenario).into_iter().map(move |what| format!("{file}: {what}"))
        });
        let foreign: Vec<_> = foreign.collect::<BTreeSet<_>>().into_iter().collect();
        if !foreign.is_empty() {
            return Err(SuiteError::NotPortable(foreign));
        }
        let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { tests, sha256, directory })
    }
}

impl Test {
    /// Its id, with the values of its matrix.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.task.scenario.id
    }

    /// Whether it passes without any mesh too, as it says.
    #[must_use]
    pub fn is_baseline(&self) -> bool {
        self.task.scenario.tags.iter().any(|tag| tag == BASELINE)
    }
}

fn texts(directory: &Dir<'_>, into: &mut Vec<(String, String)>) {
    for file in directory.files() {
        if let Some(text) = file.contents_utf8()
            && file.path().extension().is_some_and(|extension| extension == "yaml")
        {
            into.push((format!("{ROOT}/{}", file.path().display()), text.to_owned()));
        }
    }
    directory.dirs().for_each(|directory| texts(directory, into));
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: &str = "scenario: smi/v1\nid: a\ntitle: A.\nclauses: [TT-01]\nworkloads:\n  client: {}\n  \
        server: {ports: {http: 80}, services: [server]}\nmatrix: {proto: [http1, http2]}\nsteps:\n\
        - traffic: {from: client, to: server, proto: \"${proto}\"}\n  expect: {denied: true}\n";

    fn read(text: &str) -> Result<Suite, SuiteError> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a.yaml"), text).unwrap();
        Suite::read(directory.path())
    }

    #[test]
    fn every_combination_is_a_test_with_what_it_needs() {
        let suite = read(TEST).unwrap();
        let tests: Vec<_> = suite.tests.iter().map(|t| (t.id(), t.features.iter().cloned().collect())).collect();
        let features = |proto: &str| vec![proto.to_owned(), "TrafficTarget".to_owned()];
        assert_eq!(tests, [("a[proto=http1]", features("Http1")), ("a[proto=http2]", features("Http2"))]);
        assert_ne!(suite.sha256, read(&TEST.replace("A.", "B.")).unwrap().sha256);
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        assert!(matches!(read("scenario: smi/v1\nid: 7: 8\n"), Err(SuiteError::Problems(_))));
        assert!(matches!(read(&TEST.replace("traffic", "trafic")), Err(SuiteError::Problems(_))));
        let ours = TEST.replace("denied: true", "denied: {because: wrong-source}");
        assert!(matches!(read(&ours), Err(SuiteError::NotPortable(_))));
    }

    #[test]
    fn the_built_in_suite_is_sound() {
        let suite = Suite::embedded().unwrap();
        let known = &feature::catalogue().features;
        for test in &suite.tests {
            for feature in &test.features {
                assert!(known.iter().any(|f| f.name == *feature), "{}: there is no feature {feature}", test.id());
            }
            for clause in &test.task.scenario.clauses {
                assert!(crate::catalogue::clause(clause).is_some(), "{}: there is no clause {clause}", test.id());
            }
        }
    }
}
