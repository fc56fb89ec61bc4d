//! All clauses. They are written in `conformance/clauses/*.yaml` and embedded.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::{Deserialize, de::DeserializeOwned};

use crate::clause::{Api, Clause, Level};

const FILES: [(&str, &str); 6] = [
    ("api.yaml", include_str!("../clauses/api.yaml")),
    ("split.yaml", include_str!("../clauses/split.yaml")),
    ("access.yaml", include_str!("../clauses/access.yaml")),
    ("specs.yaml", include_str!("../clauses/specs.yaml")),
    ("metrics.yaml", include_str!("../clauses/metrics.yaml")),
    ("security.yaml", include_str!("../clauses/security.yaml")),
];

static CLAUSES: LazyLock<Vec<Clause>> =
    LazyLock::new(|| FILES.iter().flat_map(|(file, text)| embedded::<Vec<Clause>>(file, text)).collect());

static UNSHOWN: LazyLock<Unshown> = LazyLock::new(|| embedded("unshown.yaml", include_str!("../clauses/unshown.yaml")));

/// What this repository's scenarios cannot show, and why, by clause.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unshown {
    /// No scenario at all.
    none: BTreeMap<String, String>,
    /// A part is missing.
    partly: BTreeMap<String, String>,
}

/// Which clauses. An empty list of APIs or levels stands for all of them.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only clauses about one of these APIs.
    pub apis: Vec<Api>,
    /// Only clauses of one of these levels.
    pub levels: Vec<Level>,
}

/// Every clause, in the order of the specification's parts, then by number.
#[must_use]
pub fn clauses() -> &'static [Clause] {
    &CLAUSES
}

/// The clause with this id.
#[must_use]
pub fn clause(id: &str) -> Option<&'static Clause> {
    clauses().iter().find(|clause| clause.id == id)
}

/// Why no scenario of this repository shows the clause, if there is a reason.
#[must_use]
pub fn unshown(id: &str) -> Option<&'static str> {
    UNSHOWN.none.get(id).map(String::as_str)
}

/// What the scenarios of this repository leave out of the clause, if they show only a part of it.
#[must_use]
pub fn shown_in_part(id: &str) -> Option<&'static str> {
    UNSHOWN.partly.get(id).map(String::as_str)
}

impl Selection {
    /// The clauses that are selected.
    pub fn clauses(&self) -> impl Iterator<Item = &'static Clause> {
        clauses().iter().filter(|clause| {
            (self.apis.is_empty() || self.apis.iter().any(|api| clause.apis.contains_key(api)))
                && (self.levels.is_empty() || self.levels.contains(&clause.level))
        })
    }
}

#[expect(clippy::panic, reason = "the files are part of the binary, and a test reads them all")]
pub(crate) fn embedded<T: DeserializeOwned>(file: &str, text: &str) -> T {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::clause::Proof;

    #[test]
    fn ids_are_unique_and_in_order() {
        let ids: Vec<&str> = clauses().iter().map(|clause| clause.id.as_str()).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        let mut last: Option<(&str, u32)> = None;
        for id in ids {
            let (group, number) = id.split_once('-').unwrap();
            assert!(number.len() == 2, "{id}");
            let number: u32 = number.parse().unwrap();
            let expected = last.filter(|(g, _)| *g == group).map_or(1, |(_, n)| n + 1);
            assert_eq!(number, expected, "{id}: numbers go up by one");
            last = Some((group, number));
        }
    }

    #[test]
    fn every_group_is_whole() {
        let count = |group: &str| clauses().iter().filter(|clause| clause.id.starts_with(group)).count();
        let groups = ["API-", "TS-", "TT-", "HR-", "L4-", "TM-", "SEC-"].map(count);
        assert_eq!(groups, [7, 30, 32, 23, 8, 13, 5], "TT-33 lists what is out of scope, and is no clause");
    }

    #[test]
    fn texts_are_one_sentence_and_name_their_source() {
        for Clause { id, text, spec, apis, .. } in clauses() {
            assert!(text.ends_with('.') && !text.trim_end_matches('.').contains(". "), "{id}: {text}");
            assert!(text.len() <= 140, "{id}: {} characters", text.len());
            assert!(!spec.is_empty() && !apis.is_empty(), "{id}");
        }
    }

    #[test]
    fn ambiguous_clauses_say_how_they_can_be_read_and_how_we_read_them() {
        for Clause { id, level, readings, ours, .. } in clauses() {
            match ours {
                Some(ours) => assert!(readings.contains_key(ours) && readings.len() > 1, "{id}: {ours}"),
                None => assert!(readings.is_empty() && *level != Level::Ambiguous, "{id}"),
            }
        }
    }

    #[test]
    fn clauses_need_features_that_there_are() {
        let known = &crate::feature::catalogue().features;
        for Clause { id, features, .. } in clauses() {
            for feature in features {
                assert!(known.iter().any(|one| one.name == *feature), "{id}: there is no feature {feature}");
            }
        }
    }

    #[test]
    fn only_what_should_be_shown_is_excused() {
        for id in UNSHOWN.none.keys().chain(UNSHOWN.partly.keys()) {
            let clause = clause(id).expect(id);
            assert!(clause.level.is_binding() && clause.proof == Proof::Traffic, "{id} needs no scenario anyway");
        }
    }

    #[test]
    fn selects_by_api_and_level() {
        let selected = |apis: &[Api], levels: &[Level]| {
            let selection = Selection { apis: apis.to_vec(), levels: levels.to_vec() };
            selection.clauses().map(|clause| clause.id.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(selected(&[], &[]).len(), clauses().len());
        assert_eq!(selected(&[], &[Level::Must]), ["API-04", "API-05", "TS-12"]);
        assert_eq!(selected(&[Api::Split], &[Level::Must]), ["API-05", "TS-12"]);
        assert!(selected(&[Api::Specs], &[]).contains(&"TT-02"));
    }
}
