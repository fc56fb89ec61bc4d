//! The kinds that have a CRD, and what is said about each.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

use super::{osm, rule::Rule, smi};

/// A kind of custom resource.
pub(super) struct Kind {
    pub(super) group: &'static str,
    pub(super) kind: &'static str,
    pub(super) plural: &'static str,
    pub(super) short: &'static [&'static str],
    /// Oldest first; the last one is stored.
    pub(super) versions: &'static [Version],
    pub(super) rules: &'static [Rule],
    /// Whether `status` may have more than `conditions`.
    pub(super) open_status: bool,
}

/// A version and the schema of its wire type.
pub(super) struct Version {
    pub(super) name: &'static str,
    pub(super) schema: fn() -> Value,
}

/// Every kind.
pub(super) fn all() -> impl Iterator<Item = &'static Kind> {
    smi::KINDS.iter().chain(osm::KINDS)
}

/// The versions of a kind that are served, oldest first, as `apiVersion`. Empty if there is no CRD for it.
pub fn served(kind: &str) -> Vec<String> {
    let of = |kind: &Kind| kind.versions.iter().map(|v| format!("{}/{}", kind.group, v.name)).collect();
    all().find(|known| known.kind == kind).map(of).unwrap_or_default()
}

fn schema<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// A version whose objects are read as `T`.
pub(super) const fn version<T: JsonSchema>(name: &'static str) -> Version {
    Version { name, schema: schema::<T> }
}
