//! Label selectors as they stand in a URL: `app=web,tier in (a, b),!canary`.

use std::collections::BTreeMap;

use super::wire::{LabelSelector, Requirement};

/// A label selector that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the label selector has `{0}`: write key, !key, key=value, key!=value, key in (a,b) or key notin (a,b)")]
pub struct InvalidSelector(pub String);

/// Reads a selector; an empty one selects everything.
///
/// # Errors
/// [`InvalidSelector`] with the part that is wrong.
pub fn parse(text: &str) -> Result<LabelSelector, InvalidSelector> {
    let mut selector = LabelSelector::default();
    for part in parts(text) {
        let wrong = || InvalidSelector(part.to_owned());
        match requirement(part).ok_or_else(wrong)? {
            Requirement { key, operator, values } if operator == "=" => {
                // A label cannot have two values at once: the second demand stands beside the first.
                let value = values.into_iter().next().unwrap_or_default();
                match selector.match_labels.get(&key) {
                    Some(known) if *known != value => {
                        let values = vec![value];
                        selector.match_expressions.push(Requirement { key, operator: "In".into(), values });
                    }
                    _ => drop(selector.match_labels.insert(key, value)),
                }
            }
            other => selector.match_expressions.push(other),
        }
    }
    Ok(selector)
}

impl LabelSelector {
    /// Whether an object with these labels is selected.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        let holds = |requirement: &Requirement| {
            let value = labels.get(&requirement.key);
            match &*requirement.operator {
                "In" => value.is_some_and(|value| requirement.values.contains(value)),
                "NotIn" => value.is_none_or(|value| !requirement.values.contains(value)),
                "Exists" => value.is_some(),
                _ => value.is_none(),
            }
        };
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(holds)
    }
}

/// Parts at commas outside of parentheses.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    let split = text.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    let empty = text.trim().is_empty();
    split.map(str::trim).filter(move |_| !empty)
}

/// One part; an equality has the operator `=`.
fn requirement(part: &str) -> Option<Requirement> {
    let made = |key: &str, operator: &str, values: Vec<String>| {
        let (key, fine) =
            (key.trim(), |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c)));
        let sound = !key.is_empty() && fine(key) && values.iter().all(|value| fine(value));
        sound.then(|| Requirement { key: key.to_owned(), operator: operator.to_owned(), values })
    };
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some((key, value)) = part.split_once("!=") {
        return made(key, "NotIn", one(value));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return made(key, "=", one(value));
    }
    for (word, operator) in [(" notin", "NotIn"), (" in", "In")] {
        if let Some((key, list)) = part.split_once(word).filter(|(_, rest)| rest.trim_start().starts_with('(')) {
            let list = list.trim().strip_prefix('(')?.strip_suffix(')')?;
            return made(key, operator, list.split(',').map(|value| value.trim().to_owned()).collect());
        }
    }
    match part.strip_prefix('!') {
        Some(key) => made(key, "DoesNotExist", Vec::new()),
        None => made(part, "Exists", Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        parse(selector).unwrap().selects(&labels)
    }

    #[test]
    fn selectors_mean_what_kubernetes_means() {
        let web = [("app", "web"), ("tier", "a")];
        for selector in ["", "app=web", "app==web, tier=a", "app!=db", "app in (web, db)", "tier notin (b),app", "!x"] {
            assert!(selects(selector, &web), "{selector}");
        }
        for selector in
            ["app=db", "app=web,tier=b", "app!=web", "app in (db)", "tier notin (a,b)", "!app", "x", "app=web,app=db"]
        {
            assert!(!selects(selector, &web), "{selector}");
        }
        assert!(selects("gone!=x", &web), "a label that is not there is not equal either");
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        for wrong in ["a b", "app in web", "app in (web", "=x", ",", "a>1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
