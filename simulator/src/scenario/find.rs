//! Finds scenario files, and selects scenarios.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::model::Scenario;

/// Why no files were found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// A path does not exist or cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is nothing to run: that is never a success.
    #[error("no scenario file (*.yaml, *.yml) under {0}")]
    Nothing(String),
}

/// All scenario files under the paths, sorted, each once. A path that is a file is taken whatever its name; of a directory
/// and everything below it, `*.yaml` and `*.yml`. Names that begin with a dot are left out.
///
/// # Errors
/// A path does not exist, or there is no file at all.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, FindError> {
    let mut found = Vec::new();
    for path in paths {
        let unreadable = |source| FindError::Unreadable { path: path.clone(), source };
        if fs::metadata(path).map_err(unreadable)?.is_dir() {
            walk(path, &mut found)?;
        } else {
            found.push(path.clone());
        }
    }
    found.sort();
    found.dedup();
    if found.is_empty() {
        let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(FindError::Nothing(paths.join(", ")));
    }
    Ok(found)
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) -> Result<(), FindError> {
    let unreadable = |source| FindError::Unreadable { path: directory.to_owned(), source };
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if hidden {
        } else if path.is_dir() {
            walk(&path, found)?;
        } else if yaml && is_scenario(&path).map_err(unreadable)? {
            found.push(path);
        }
    }
    Ok(())
}

/// Manifests may lie beside scenarios: what has `apiVersion` and no `scenario` on the top level is one.
fn is_scenario(path: &Path) -> io::Result<bool> {
    let text = fs::read_to_string(path)?;
    let has = |field: &str| text.lines().any(|line| line.starts_with(field));
    Ok(has("scenario:") || !has("apiVersion:"))
}

/// Whether `--only PATTERN…` selects a scenario: by its id (`*` stands for any characters, and the `[…]` of a matrix may be
/// left out) or by one of its tags. Without patterns every scenario is selected.
#[must_use]
pub fn selects(patterns: &[String], scenario: &Scenario) -> bool {
    let base = scenario.id.split('[').next().unwrap_or_default();
    patterns.is_empty()
        || patterns.iter().any(|pattern| {
            matches(pattern, &scenario.id)
                || matches(pattern, base)
                || scenario.tags.iter().any(|tag| matches(pattern, tag))
        })
}

/// Matches a text against a pattern in which `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let pieces: Vec<&str> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else { return rest.is_empty() };
    for piece in middle {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_files_sorted_and_once() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir_all(at("b/.git")).unwrap();
        for name in ["b/z.yaml", "b/a.yml", "c.yaml", "b/.git/x.yaml", "notes.md"] {
            fs::write(at(name), "scenario: smi/v1\n").unwrap();
        }
        fs::write(at("b/manifest.yaml"), "apiVersion: v1\nkind: Service\n").unwrap();
        let found = files(&[directory.path().to_owned(), at("c.yaml")]).unwrap();
        assert_eq!(found, [at("b/a.yml"), at("b/z.yaml"), at("c.yaml")]);
    }

    #[test]
    fn nothing_found_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(files(&[directory.path().to_owned()]), Err(FindError::Nothing(_))));
        assert!(matches!(files(&[directory.path().join("no")]), Err(FindError::Unreadable { .. })));
        assert!(matches!(files(&[]), Err(FindError::Nothing(_))));
    }

    #[test]
    fn selects_by_id_and_tag() {
        let mut scenario = Scenario::new("split.weights");
        scenario.id.push_str("[proto=http1]");
        scenario.tags.push("smoke".to_owned());
        let selected = |pattern: &str| selects(&[pattern.to_owned()], &scenario);
        for pattern in ["split.*", "split.weights", "split.weights[proto=http1]", "*http1]", "smoke", "*", "s*w*s"] {
            assert!(selected(pattern), "{pattern}");
        }
        for pattern in ["split", "weights", "split.weights[proto=http2]", "smok", "", "*x*"] {
            assert!(!selected(pattern), "{pattern}");
        }
        assert!(selects(&[], &scenario));
    }
}
