//! One requirement of the specification, as data.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// A clause: something that the specification demands, recommends, leaves open or makes optional.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clause {
    /// Group and number, for example `TS-04`. Never reused.
    pub id: String,
    /// The APIs that it is about, each with the versions in which it holds.
    pub apis: BTreeMap<Api, Versions>,
    /// How binding it is.
    pub level: Level,
    /// Where the specification says it, or where it keeps silent.
    pub spec: String,
    /// What can show that a mesh keeps it.
    pub proof: Proof,
    /// What a mesh must claim for the clause to say anything about it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub features: BTreeSet<String>,
    /// The requirement; of an ambiguous clause, the open question.
    pub text: String,
    /// What else one should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// How it can be read, by name. Every ambiguous clause has at least two readings; none of them is a failure.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub readings: BTreeMap<String, String>,
    /// The name of the reading that this project's own mesh follows (`mesh::policy`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ours: Option<String>,
}

/// An API group of the Service Mesh Interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// `access.smi-spec.io`: TrafficTarget.
    Access,
    /// `specs.smi-spec.io`: HTTPRouteGroup, TCPRoute, UDPRoute.
    Specs,
    /// `split.smi-spec.io`: TrafficSplit.
    Split,
    /// `metrics.smi-spec.io`: TrafficMetrics.
    Metrics,
}

/// How binding a clause is. The specification has no keywords section: an explicit "must" is rare, most sentences state
/// what will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The text says "must".
    Must,
    /// The text recommends it.
    Should,
    /// The text leaves it to the mesh.
    May,
    /// The text states it as a fact, or shows it in an example.
    Implied,
    /// The text can be read in several ways, or is silent where a mesh must choose.
    Ambiguous,
    /// A mesh may lack it, but should say whether it has it.
    Capability,
}

/// What can show that a mesh keeps a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// Requests between workloads, and what both ends saw of them.
    Traffic,
    /// What becomes of a manifest when it is applied.
    Admission,
    /// The metrics API, after known traffic.
    Metrics,
    /// A real cluster: API server, events, pods outside the mesh, the wire.
    Cluster,
    /// Nothing from outside.
    None,
}

impl Level {
    /// Whether a mesh that does not keep the clause fails.
    #[must_use]
    pub fn is_binding(self) -> bool {
        matches!(self, Self::Must | Self::Implied)
    }
}

/// Consecutive versions of an API: `v1alpha4`, or `v1alpha2-4`. Serialized as the list of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Versions {
    first: u8,
    last: u8,
}

/// Not a range of versions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no range of versions; write `v1alpha4` or `v1alpha2-4`")]
pub struct NotVersions(String);

impl Versions {
    /// Each version, for example `v1alpha2`, ascending.
    pub fn iter(self) -> impl Iterator<Item = String> {
        (self.first..=self.last).map(|number| format!("v1alpha{number}"))
    }
}

impl TryFrom<String> for Versions {
    type Error = NotVersions;

    fn try_from(text: String) -> Result<Self, NotVersions> {
        let numbers = || {
            let range = text.strip_prefix("v1alpha")?;
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            (1 <= first && first <= last).then_some(Self { first, last })
        };
        numbers().ok_or_else(|| NotVersions(text.clone()))
    }
}

impl Serialize for Versions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { first, last } if first == last => write!(f, "v1alpha{first}"),
            Self { first, last } => write!(f, "v1alpha{first}-{last}"),
        }
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Access => "access",
            Self::Specs => "specs",
            Self::Split => "split",
            Self::Metrics => "metrics",
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Must => "must",
            Self::Should => "should",
            Self::May => "may",
            Self::Implied => "implied",
            Self::Ambiguous => "ambiguous",
            Self::Capability => "capability",
        })
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Traffic => "traffic",
            Self::Admission => "admission",
            Self::Metrics => "metrics",
            Self::Cluster => "cluster",
            Self::None => "none",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_written_and_listed() {
        for (text, all) in [("v1alpha4", vec!["v1alpha4"]), ("v1alpha2-4", vec!["v1alpha2", "v1alpha3", "v1alpha4"])] {
            let versions = Versions::try_from(text.to_owned()).unwrap();
            assert_eq!(versions.to_string(), text);
            assert_eq!(versions.iter().collect::<Vec<_>>(), all);
        }
        for wrong in ["", "v1", "v1alpha", "v1alpha0", "v1alpha4-2", "v1alpha1-", "v1alpha1-2-3", "1-3"] {
            assert!(Versions::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_field_is_an_error() {
        let text = "{id: X-01, apis: {split: v1alpha1}, level: must, spec: here, proof: traffic, text: Yes., more: 1}";
        let error = serde_saphyr::from_str::<Clause>(text).unwrap_err();
        assert!(error.to_string().contains("more"), "{error}");
    }
}
