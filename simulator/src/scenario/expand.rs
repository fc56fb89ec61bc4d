//! From a file to the scenarios that it stands for: one for every combination of `matrix`, with every `${name}` replaced.
//!
//! Replacing happens in the tree, after YAML is parsed and before it is typed. So a value such as `70` or `grpc` may take the
//! place of a number or a word with a fixed set of values, quotes in a value do no harm, and errors point into the file.
//! `$${` stands for the two characters `${`.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    model::{Manifest, Scenario},
    nearest::suggestion,
    problem::{Finding, Problem},
    read::Document,
    tree::{FieldPath, Kind, Node},
    typed,
};

mod substitute;

use substitute::Substitution;

/// One scenario of a file.
#[derive(Clone, Debug)]
pub struct Expanded {
    /// The scenario. With a matrix, its id ends in the combination: `split.weights[proto=http1,conn=keep-alive]`. Its `matrix`
    /// and `vars` are empty, and manifests from files are inline.
    pub scenario: Scenario,
    /// The combination, in the order of the file.
    pub axes: Vec<(String, String)>,
    /// The tree that was typed: places are those of the file.
    pub tree: Node,
}

/// All scenarios of a file, the first axis changing slowest.
///
/// # Errors
/// A wrong `matrix` or `vars`, an unknown `${name}`, a field that is unknown, missing or of a wrong type. At most one wrong type
/// a file is reported, everything else together.
pub fn expand(document: &Document) -> Result<Vec<Expanded>, Vec<Problem>> {
    let mut problems = Vec::new();
    let axes = axes(document, &mut problems);
    let vars = vars(document, &axes, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut scenarios = Vec::new();
    for combination in combinations(&axes) {
        match expand_one(document, &combination, &vars) {
            Ok(expanded) => scenarios.push(expanded),
            Err(found) => problems.extend(found),
        }
        if !problems.is_empty() {
            return Err(problems);
        }
    }
    Ok(scenarios)
}

/// The `vars` and axes that no `${name}` uses.
#[must_use]
pub fn unused(document: &Document) -> Vec<Problem> {
    let mut used = BTreeSet::new();
    substitute::names_in(&document.tree, &mut used);
    for (_, text) in document.manifests.values() {
        used.extend(substitute::names(text));
    }
    let mut problems = Vec::new();
    for (section, what) in [("matrix", "axis"), ("vars", "variable")] {
        let Some(Kind::Mapping(entries)) = document.tree.get(section).map(|node| &node.kind) else { continue };
        for (key, _) in entries.iter().filter(|(key, _)| !used.contains(&key.text)) {
            let path = FieldPath::default().key(section).key(&key.text);
            let message = format!("nothing uses the {what}: `${{{}}}` does not occur", key.text);
            problems.push(document.problem_at(Finding::warning(path, "unused-variable", message), key.place.clone()));
        }
    }
    problems
}

type Axis = (String, Vec<String>);

fn axes(document: &Document, problems: &mut Vec<Problem>) -> Vec<Axis> {
    let path = FieldPath::default().key("matrix");
    let Some(node) = document.tree.get("matrix") else { return Vec::new() };
    let Kind::Mapping(entries) = &node.kind else {
        problems.push(document.problem(Finding::error(
            path,
            "type",
            "the matrix is a mapping of names to lists of values",
        )));
        return Vec::new();
    };
    let mut axes = Vec::new();
    for (key, node) in entries {
        let path = path.key(&key.text);
        check_name(document, &key.text, &path, problems);
        match values(node) {
            Some(values) if values.is_empty() => {
                let finding = Finding::error(path, "empty-axis", "an axis without values leaves nothing to run");
                problems.push(document.problem(finding));
            }
            Some(values) => {
                let mut seen = BTreeSet::new();
                for (index, _) in values.iter().enumerate().filter(|(_, value)| !seen.insert(*value)) {
                    let finding =
                        Finding::error(path.index(index), "repeated-value", "the axis has this value already");
                    problems.push(document.problem(finding));
                }
                axes.push((key.text.clone(), values));
            }
            None => {
                let finding = Finding::error(path, "type", "an axis is a list of values (`[a, b]`)");
                problems.push(document.problem(finding));
            }
        }
    }
    axes
}

fn values(node: &Node) -> Option<Vec<String>> {
    let Kind::Sequence(items) = &node.kind else { return None };
    items.iter().map(|item| item.text().map(str::to_owned)).collect()
}

fn vars(document: &Document, axes: &[Axis], problems: &mut Vec<Problem>) -> Vec<(String, Node)> {
    let path = FieldPath::default().key("vars");
    let Some(node) = document.tree.get("vars") else { return Vec::new() };
    let Kind::Mapping(entries) = &node.kind else {
        problems.push(document.problem(Finding::error(path, "type", "`vars` is a mapping of names to values")));
        return Vec::new();
    };
    let mut vars = Vec::new();
    for (key, node) in entries {
        let path = path.key(&key.text);
        check_name(document, &key.text, &path, problems);
        if axes.iter().any(|(axis, _)| *axis == key.text) {
            problems.push(document.problem(Finding::error(
                path,
                "repeated-name",
                "an axis of the matrix has this name",
            )));
        } else if node.text().is_none() {
            problems.push(document.problem(Finding::error(
                path,
                "type",
                "a variable has one value, not a list or mapping",
            )));
        } else {
            vars.push((key.text.clone(), node.clone()));
        }
    }
    vars
}

fn check_name(document: &Document, name: &str, path: &FieldPath, problems: &mut Vec<Problem>) {
    if !substitute::is_name(name) {
        let message =
            format!("`{name}` cannot be used as `${{{name}}}`: letters, digits, `-` and `_`, the first a letter");
        problems.push(document.problem(Finding::error(path.clone(), "name", message)));
    }
}

fn combinations(axes: &[Axis]) -> Vec<Vec<(String, String)>> {
    axes.iter().fold(vec![Vec::new()], |combinations, (name, values)| {
        let with = |combination: &Vec<(String, String)>, value: &String| {
            let mut longer = combination.clone();
            longer.push((name.clone(), value.clone()));
            longer
        };
        combinations.iter().flat_map(|c| values.iter().map(move |value| with(c, value))).collect()
    })
}

fn expand_one(
    document: &Document,
    combination: &[(String, String)],
    vars: &[(String, Node)],
) -> Result<Expanded, Vec<Problem>> {
    let axes: BTreeMap<String, String> = combination.iter().cloned().collect();
    let mut substitution = Substitution::new(document, &axes);
    let path = FieldPath::default().key("vars");
    let vars: BTreeMap<String, String> = vars
        .iter()
        .filter_map(|(name, node)| Some((name.clone(), substitution.node(node, &path.key(name)).text()?.to_owned())))
        .collect();
    let mut names = axes.clone();
    names.extend(vars);
    substitution.use_names(&names);
    let tree = substitution.document();
    let files = substitution.manifests();
    if !substitution.problems.is_empty() {
        return Err(substitution.problems);
    }
    let mut scenario: Scenario = typed::from_node(&tree).map_err(|error| vec![document.type_problem(error)])?;
    for (name, text) in files {
        scenario.resources.insert(name, Manifest::Inline(text));
    }
    scenario.matrix.clear();
    scenario.vars.clear();
    if !combination.is_empty() {
        let axes: Vec<String> = combination.iter().map(|(name, value)| format!("{name}={value}")).collect();
        scenario.id = format!("{}[{}]", scenario.id, axes.join(","));
    }
    Ok(Expanded { scenario, axes: combination.to_vec(), tree })
}

fn unknown(name: &str, names: &BTreeMap<String, String>, path: FieldPath) -> Finding {
    let finding = Finding::error(path, "unknown-variable", format!("neither `matrix` nor `vars` has a `{name}`"));
    match suggestion(name, names.keys().map(String::as_str)) {
        Some(hint) => finding.hint(hint),
        None => finding.hint("write `$${` for the characters `${`"),
    }
}

#[cfg(test)]
mod tests;
