//! What a CRD demands beyond types: limits of length, and rules in CEL (`x-kubernetes-validations`).

use serde_json::{Value, json};

/// A demand on one place of a schema.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// Where: field names joined by dots, `[]` for the items of a list, `{}` for the values of a map. `""` is the object.
    pub(super) path: &'static str,
    /// The versions that have it; empty is all of them.
    pub(super) versions: &'static [&'static str],
    /// What.
    pub(super) demand: Demand,
}

/// What is demanded.
#[derive(Clone, Copy, Debug)]
pub(super) enum Demand {
    /// A CEL expression that must hold, and what to tell the author otherwise.
    Holds(&'static str, &'static str),
    /// At most so many items. The API server estimates the cost of a rule with it.
    Items(u32),
    /// At most so many characters; of a list of texts, each.
    Length(u32),
}

/// A rule that holds in all versions.
pub(super) const fn rule(path: &'static str, demand: Demand) -> Rule {
    Rule { path, versions: &[], demand }
}

/// A rule that holds in some versions.
pub(super) const fn rule_in(versions: &'static [&'static str], path: &'static str, demand: Demand) -> Rule {
    Rule { path, versions, demand }
}

/// Writes the rules for a version into its schema.
///
/// # Errors
/// Names a rule whose place the schema does not have.
pub(super) fn apply(mut schema: Value, rules: &[Rule], version: &str) -> Result<Value, String> {
    for rule in rules.iter().filter(|rule| rule.versions.is_empty() || rule.versions.contains(&version)) {
        let place = find(&mut schema, rule.path)
            .ok_or_else(|| format!("a rule is about `{}`, which is not there", rule.path))?;
        match rule.demand {
            Demand::Items(most) => place["maxItems"] = most.into(),
            Demand::Length(most) => place["maxLength"] = most.into(),
            Demand::Holds(expression, message) => {
                let holds = json!({ "rule": expression, "message": message });
                match place.get_mut("x-kubernetes-validations").and_then(Value::as_array_mut) {
                    Some(list) => list.push(holds),
                    None => place["x-kubernetes-validations"] = json!([holds]),
                }
            }
        }
    }
    Ok(schema)
}

fn find<'s>(schema: &'s mut Value, path: &str) -> Option<&'s mut Value> {
    if path.is_empty() {
        return Some(schema);
    }
    if let Some(rest) = path.strip_prefix("[]") {
        return find(schema.get_mut("items")?, rest.trim_start_matches('.'));
    }
    if let Some(rest) = path.strip_prefix("{}") {
        return find(schema.get_mut("additionalProperties")?, rest.trim_start_matches('.'));
    }
    let end = path.find(['.', '[', '{']).unwrap_or(path.len());
    let (field, rest) = path.split_at(end);
    find(schema.get_mut("properties")?.get_mut(field)?, rest.trim_start_matches('.'))
}
