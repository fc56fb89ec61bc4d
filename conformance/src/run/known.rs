//! Failures that are known: they are run, they do not fail a run, and one that passes does.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

/// Tests that are known to fail, each with the reason. As a file: `id or pattern: reason` a line, in YAML.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Known(BTreeMap<String, String>);

/// Why a list of known failures cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KnownError {
    /// It cannot be read.
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
    /// It is no mapping of ids to reasons.
    #[error("{0}: {1}; write a line `test id: reason` for each")]
    Yaml(String, String),
    /// A failure without a reason.
    #[error("{0}: `{1}` has no reason: say why it fails, or where that is tracked")]
    NoReason(String, String),
    /// A pattern that stands for no test.
    #[error("{0}: there is no test `{1}`")]
    NoTest(String, String),
}

impl Known {
    /// Reads a list; `ids` are all tests that there are.
    ///
    /// # Errors
    /// [`KnownError`].
    pub fn read(path: &Path, ids: &[&str]) -> Result<Self, KnownError> {
        let name = || path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| KnownError::Io(name(), error))?;
        let known: Self = serde_saphyr::from_str(&text).map_err(|error| KnownError::Yaml(name(), error.to_string()))?;
        for (pattern, reason) in &known.0 {
            if reason.trim().is_empty() {
                return Err(KnownError::NoReason(name(), pattern.clone()));
            }
            if !ids.iter().any(|id| fits(pattern, id)) {
                return Err(KnownError::NoTest(name(), pattern.clone()));
            }
        }
        Ok(known)
    }

    /// Why the test is known to fail, if it is.
    #[must_use]
    pub fn reason(&self, id: &str) -> Option<&str> {
        self.0.iter().find(|(pattern, _)| fits(pattern, id)).map(|(_, reason)| reason.as_str())
    }
}

/// Whether an id is meant: `*` stands for anything, and an id without its matrix for all of its combinations.
#[must_use]
pub fn fits(pattern: &str, id: &str) -> bool {
    let base = id.split('[').next().unwrap_or(id);
    [id, base].into_iter().any(|id| {
        let mut parts = pattern.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = id.strip_prefix(first) else { return false };
        let mut parts: Vec<&str> = parts.collect();
        let Some(last) = parts.pop() else { return rest.is_empty() };
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_ids() {
        for (pattern, id, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.b[proto=http1]", true),
            ("a.b[proto=http1]", "a.b[proto=http1]", true),
            ("a.b[proto=http1]", "a.b[proto=http2]", false),
            ("a.b", "a.bc", false),
            ("a.*", "a.bc", true),
            ("*", "a.bc", true),
            ("*c", "a.bc", true),
            ("a*b*c", "a.b.c", true),
            ("a*b*c", "a.c", false),
            ("*.http", "a.b", false),
        ] {
            assert_eq!(fits(pattern, id), expected, "{pattern} and {id}");
        }
    }

    #[test]
    fn a_list_says_why_and_names_tests_that_there_are() {
        let directory = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            let path = directory.path().join("known.yaml");
            std::fs::write(&path, text).unwrap();
            Known::read(&path, &["a.b[x=1]", "a.c"])
        };
        let known = read("a.b: issue 7\n").unwrap();
        assert_eq!((known.reason("a.b[x=1]"), known.reason("a.c")), (Some("issue 7"), None));
        assert!(matches!(read("a.b: ''\n"), Err(KnownError::NoReason(_, id)) if id == "a.b"));
        assert!(matches!(read("a.d: gone\n"), Err(KnownError::NoTest(_, id)) if id == "a.d"));
        assert!(matches!(read("- a.b\n"), Err(KnownError::Yaml(..))));
    }
}
