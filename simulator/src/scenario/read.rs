//! Reads scenario files.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use miette::NamedSource;

use super::{
    problem::{Finding, Problem, Source},
    tree::{FieldPath, Kind, Node, Place, SyntaxError},
    typed::TypeError,
};

/// A scenario file, read but not yet expanded and typed (see [`super::expand`]).
#[derive(Clone, Debug)]
pub struct Document {
    /// Name and text.
    pub source: Source,
    /// The text as a tree.
    pub tree: Node,
    /// Manifests that lie in files of their own: text and path by resource name.
    pub manifests: BTreeMap<String, (PathBuf, String)>,
}

/// Reads a file, and the manifest files that it names.
///
/// # Errors
/// The file or one of its manifests cannot be read, or it is not YAML.
pub fn file(path: &Path) -> Result<Document, Box<Problem>> {
    let text = std::fs::read_to_string(path).map_err(|error| Box::new(Problem::unreadable(path, &error)))?;
    let mut document = text_named(&path.display().to_string(), &text)?;
    document.load_manifests(path.parent().unwrap_or(Path::new("")))?;
    Ok(document)
}

/// Reads a text under a name. Manifests in files of their own are not looked for.
///
/// # Errors
/// It is not YAML.
pub fn text_named(name: &str, text: &str) -> Result<Document, Box<Problem>> {
    let source: Source = Arc::new(NamedSource::new(name, text.to_owned()));
    match Node::parse(text) {
        Ok(tree) => Ok(Document { source, tree, manifests: BTreeMap::new() }),
        Err(SyntaxError { message, place }) => {
            let mut finding = Finding::error(FieldPath::default(), "syntax", message);
            let line = text[..place.start].rfind('\n').map_or(0, |at| at + 1);
            if text[line..].lines().next().is_some_and(|line| line.contains("${")) {
                finding = finding.hint("inside `{…}` and `[…]`, YAML wants quotes: `'${name}'`");
            }
            Err(Box::new(Problem { source, place: Some(place), finding }))
        }
    }
}

impl Document {
    /// The `id` as written, if it is text.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.tree.get("id")?.text()
    }

    /// A finding at its place in this file.
    #[must_use]
    pub fn problem(&self, finding: Finding) -> Problem {
        let place = self.tree.place_of(&finding.path);
        self.problem_at(finding, place)
    }

    pub(super) fn problem_at(&self, finding: Finding, place: Place) -> Problem {
        Problem { source: Arc::clone(&self.source), place: Some(place), finding }
    }

    pub(super) fn type_problem(&self, error: TypeError) -> Problem {
        let mut finding = Finding::error(error.path, "type", error.message);
        finding.hint = error.hint;
        match error.place {
            Some(place) => self.problem_at(finding, place),
            None => self.problem(finding),
        }
    }

    fn load_manifests(&mut self, beside: &Path) -> Result<(), Box<Problem>> {
        let Some(Kind::Mapping(resources)) = self.tree.get("resources").map(|node| &node.kind) else { return Ok(()) };
        let mut loaded = BTreeMap::new();
        for (name, node) in resources {
            let Some(file) = node.get("file").and_then(Node::text) else { continue };
            let path = beside.join(file);
            let text = std::fs::read_to_string(&path).map_err(|error| {
                let field = FieldPath::default().key("resources").key(&name.text).key("file");
                let message = format!("{} cannot be read: {error}", path.display());
                let hint = "the path is relative to the scenario file";
                Box::new(self.problem(Finding::error(field, "unreadable", message).hint(hint)))
            })?;
            loaded.insert(name.text.clone(), (path, text));
        }
        self.manifests = loaded;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
