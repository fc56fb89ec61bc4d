//! Finds what types cannot: names that nothing has, expectations that contradict each other, steps that do nothing.
//!
//! Pure; all findings of a scenario at once.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    duration,
    expand::{expand, unused},
    model::Scenario,
    nearest::suggestion,
    problem::{Finding, Problem},
    read::Document,
    tree::FieldPath,
};

mod expect;
mod extensions;
mod names;
mod observe;
mod steps;
mod traffic;
mod usage;
mod workloads;

use names::Names;

/// Everything wrong with files as a set: everything wrong with each, and ids that two of them share.
#[must_use]
pub fn documents(documents: &[Document]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = documents.iter().flat_map(document).collect();
    let mut first: BTreeMap<&str, &Document> = BTreeMap::new();
    for document in documents {
        let Some(id) = document.id() else { continue };
        if let Some(other) = first.get(id) {
            let message = format!("the id `{id}` is taken by {}", other.source.name());
            problems.push(document.problem(Finding::error(FieldPath::default().key("id"), "repeated-id", message)));
        } else {
            first.insert(id, document);
        }
    }
    problems
}

/// Everything wrong with one file. A finding that several combinations of the matrix share is reported once.
#[must_use]
pub fn document(document: &Document) -> Vec<Problem> {
    let expanded = match expand(document) {
        Ok(expanded) => expanded,
        Err(problems) => return problems,
    };
    let mut problems = unused(document);
    let mut seen = BTreeSet::new();
    for one in &expanded {
        for finding in scenario(&one.scenario) {
            if seen.insert(finding.clone()) {
                problems.push(document.problem_at(finding.clone(), one.tree.place_of(&finding.path)));
            }
        }
    }
    problems.sort_by_key(|problem| problem.place.as_ref().map(|place| place.start));
    problems
}

/// Everything wrong with one expanded scenario.
#[must_use]
pub fn scenario(scenario: &Scenario) -> Vec<Finding> {
    let names = Names::of(scenario);
    let mut found = Findings::default();
    let root = FieldPath::default();
    check_id(&scenario.id, &root.key("id"), &mut found);
    if scenario.title.trim().is_empty() {
        found.error(root.key("title"), "empty", "the title says nothing: say what holds if the scenario passes");
    }
    workloads::check(scenario, &names, &mut found);
    extensions::check(scenario, &mut found);
    steps::check(scenario, &names, &mut found);
    usage::check(scenario, &names, &mut found);
    found.list.sort();
    found.list.dedup();
    found.list
}

/// What has been found so far.
#[derive(Default)]
struct Findings {
    list: Vec<Finding>,
}

impl Findings {
    fn error(&mut self, path: FieldPath, code: &'static str, message: impl Into<String>) {
        self.list.push(Finding::error(path, code, message));
    }

    fn warning(&mut self, path: FieldPath, code: &'static str, message: impl Into<String>) {
        self.list.push(Finding::warning(path, code, message));
    }

    fn hinted(&mut self, path: FieldPath, code: &'static str, message: impl Into<String>, hint: impl Into<String>) {
        self.list.push(Finding::error(path, code, message).hint(hint));
    }

    /// A name that nothing has, with the nearest that something has.
    fn unknown<'a>(
        &mut self,
        path: FieldPath,
        (code, what): (&'static str, &str),
        name: &str,
        known: impl IntoIterator<Item = &'a str> + Clone,
    ) {
        let mut finding = Finding::error(path, code, format!("there is no {what} `{name}`"));
        finding.hint = suggestion(name, known);
        self.list.push(finding);
    }

    fn duration(&mut self, text: Option<&String>, path: FieldPath) {
        if let Some(Err(error)) = text.map(|text| duration::parse(text)) {
            self.error(path, "duration", error.to_string());
        }
    }
}

fn check_id(id: &str, path: &FieldPath, found: &mut Findings) {
    let base = id.split('[').next().unwrap_or_default();
    if !is_id(base) {
        let message = format!("`{base}` is no id: lower-case letters and digits, parted by single `.` or `-`");
        found.hinted(path.clone(), "id", message, "for example `split.weights.70-30`");
    }
}

/// `[a-z0-9]+([.-][a-z0-9]+)*`
pub(crate) fn is_id(id: &str) -> bool {
    id.split(['.', '-'])
        .all(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()))
}

#[cfg(test)]
mod tests;
