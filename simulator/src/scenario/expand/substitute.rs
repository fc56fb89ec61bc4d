//! Replaces `${name}` in a tree.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::tree::{Key, Place},
    Document, FieldPath, Finding, Kind, Node, Problem, unknown,
};

/// Whether a name may stand in `${…}`.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// A stretch of text.
enum Part<'a> {
    Text(&'a str),
    Name(&'a str),
}

/// Cuts a text at its `${name}`. What does not look like a name in closed braces stays text.
fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let name = rest[at + 2..].split_once('}').map(|(name, _)| name).filter(|name| is_name(name));
        if rest[..at].ends_with('$') {
            parts.extend([Part::Text(&rest[..at - 1]), Part::Text("${")]);
            rest = &rest[at + 2..];
        } else if let Some(name) = name {
            parts.extend([Part::Text(&rest[..at]), Part::Name(name)]);
            rest = &rest[at + name.len() + 3..];
        } else {
            parts.push(Part::Text(&rest[..at + 2]));
            rest = &rest[at + 2..];
        }
    }
    parts.push(Part::Text(rest));
    parts
}

/// The names that a text uses.
pub(super) fn names(text: &str) -> impl Iterator<Item = String> {
    parts(text).into_iter().filter_map(|part| match part {
        Part::Name(name) => Some(name.to_owned()),
        Part::Text(_) => None,
    })
}

/// Collects the names that a tree uses.
pub(super) fn names_in(node: &Node, used: &mut BTreeSet<String>) {
    match &node.kind {
        Kind::Scalar { text, .. } => used.extend(names(text)),
        Kind::Sequence(items) => items.iter().for_each(|item| names_in(item, used)),
        Kind::Mapping(entries) => {
            for (key, value) in entries {
                used.extend(names(&key.text));
                names_in(value, used);
            }
        }
    }
}

/// Replaces names by values, and collects the names that have none.
pub(super) struct Substitution<'a> {
    document: &'a Document,
    names: &'a BTreeMap<String, String>,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Substitution<'a> {
    pub(super) fn new(document: &'a Document, names: &'a BTreeMap<String, String>) -> Self {
        Self { document, names, problems: Vec::new() }
    }

    pub(super) fn use_names(&mut self, names: &'a BTreeMap<String, String>) {
        self.names = names;
    }

    /// The whole tree but `matrix` and `vars`.
    pub(super) fn document(&mut self) -> Node {
        let root = FieldPath::default();
        let tree = &self.document.tree;
        let Kind::Mapping(entries) = &tree.kind else { return tree.clone() };
        let replaced = entries.iter().map(|(key, value)| {
            let keep = matches!(key.text.as_str(), "matrix" | "vars");
            (key.clone(), if keep { value.clone() } else { self.node(value, &root.key(&key.text)) })
        });
        Node { kind: Kind::Mapping(replaced.collect()), place: tree.place.clone() }
    }

    /// The manifests that lie in files.
    pub(super) fn manifests(&mut self) -> Vec<(String, String)> {
        let document = self.document;
        let root = FieldPath::default().key("resources");
        let replaced = document.manifests.iter().map(|(name, (_, text))| {
            let path = root.key(name).key("file");
            let place = document.tree.place_of(&path);
            (name.clone(), self.text(text, &path, &place))
        });
        replaced.collect()
    }

    pub(super) fn node(&mut self, node: &Node, path: &FieldPath) -> Node {
        let kind = match &node.kind {
            Kind::Scalar { text, plain } => {
                let replaced = self.text(text, path, &node.place);
                // `n: '${count}'` asks for a number: inside braces YAML wants the quotes.
                let whole = matches!(parts(text).as_slice(), [Part::Text(""), Part::Name(_), Part::Text("")]);
                Kind::Scalar { plain: *plain || (whole && !replaced.is_empty()), text: replaced }
            }
            Kind::Sequence(items) => {
                Kind::Sequence(items.iter().enumerate().map(|(at, item)| self.node(item, &path.index(at))).collect())
            }
            Kind::Mapping(entries) => Kind::Mapping(self.entries(entries, path)),
        };
        Node { kind, place: node.place.clone() }
    }

    fn entries(&mut self, entries: &[(Key, Node)], path: &FieldPath) -> Vec<(Key, Node)> {
        let mut replaced: Vec<(Key, Node)> = Vec::new();
        for (key, value) in entries {
            let path = path.key(&key.text);
            let text = self.text(&key.text, &path, &key.place);
            if replaced.iter().any(|(other, _)| other.text == text) {
                let finding = Finding::error(path.clone(), "repeated-name", format!("`{text}` is given twice"));
                self.problems.push(self.document.problem_at(finding, key.place.clone()));
            }
            replaced.push((Key { text, place: key.place.clone() }, self.node(value, &path)));
        }
        replaced
    }

    fn text(&mut self, text: &str, path: &FieldPath, place: &Place) -> String {
        let mut replaced = String::with_capacity(text.len());
        for part in parts(text) {
            match part {
                Part::Text(text) => replaced.push_str(text),
                Part::Name(name) => match self.names.get(name) {
                    Some(value) => replaced.push_str(value),
                    None => self.unknown(name, path, place),
                },
            }
        }
        replaced
    }

    /// Points at the `${name}` itself, which may be deep inside a block of text.
    fn unknown(&mut self, name: &str, path: &FieldPath, place: &Place) {
        let written = format!("${{{name}}}");
        let within = self.document.source.inner().get(place.clone()).and_then(|text| text.find(&written));
        let place = within.map_or_else(|| place.clone(), |at| place.start + at..place.start + at + written.len());
        let problem = self.document.problem_at(unknown(name, self.names, path.clone()), place);
        if !self.problems.iter().any(|p| p.place == problem.place && p.finding == problem.finding) {
            self.problems.push(problem);
        }
    }
}
