//! Questions that the specification leaves open.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Expect, Traffic};

/// Finds out how the mesh reads an ambiguous clause. Every reading is legal: the one that holds is recorded, and none fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reading {
    /// The clause, for example `HR-02`.
    pub clause: String,
    /// What is sent.
    pub traffic: Traffic,
    /// What comes of it under each reading, by the names that the clause gives them. At least two, no two of which can both hold.
    pub readings: BTreeMap<String, Expect>,
}
