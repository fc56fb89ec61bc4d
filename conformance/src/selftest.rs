//! What is known of the suite itself: how many broken meshes it tells from a correct one, and how often it is wrong.
//!
//! `smi-conformance mutants --record` works it out, and a test says when it is out of date.

use serde::{Deserialize, Serialize};

use crate::{catalogue::embedded, report::SelfTest};

/// The figures, with the files for which they hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recorded {
    /// As [`crate::suite::Suite::sha256`].
    pub scenarios_sha256: String,
    /// The figures.
    pub self_test: SelfTest,
}

/// The figures that were recorded last.
#[must_use]
pub fn recorded() -> Recorded {
    embedded("self-test.yaml", include_str!("../self-test.yaml"))
}

/// The figures for these scenario files. Of other files nothing is known.
#[must_use]
pub fn of(scenarios_sha256: &str) -> Option<SelfTest> {
    let recorded = recorded();
    (recorded.scenarios_sha256 == scenarios_sha256).then_some(recorded.self_test)
}
