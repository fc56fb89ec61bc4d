//! Asks any service mesh the questions of the Service Mesh Interface.
//!
//! ```text
//! clause      one requirement of the specification: id, API, level, place in the text, how it can be shown
//! catalogue   all of them, embedded from clauses/*.yaml
//! feature     what a mesh can claim, and what a scenario needs
//! target      a mesh that can be asked, wherever it runs
//! suite       the scenario files, and what makes them portable
//! run         runs the suite on a target
//! report      what a run found
//! selftest    whether the suite can tell a broken mesh from a correct one
//! mutant      meshes that are broken in one way each, for testing the suite itself
//! null        the mesh that is none
//! kill        which scenarios tell which broken meshes from a correct one
//! sampler     a mesh with exactly the stated shares: how often statistics fail it
//! oracle      what the specification itself says of a scenario
//! matrix      clause × scenario files: what is shown, and what is not yet
//! cli         the `smi-conformance` command
//! ```
//!
//! Line numbers are those of the specification's main branch as archived (2023-10-20, commit `cc4babd`). It differs from
//! the released v0.6.0 in one point, the encoding of headers (API-03).

pub mod catalogue;
pub mod clause;
pub mod cli;
pub mod feature;
pub mod kill;
pub mod matrix;
pub mod mutant;
pub mod null;
pub mod oracle;
pub mod portable;
pub mod report;
pub mod run;
pub mod sampler;
pub mod selftest;
pub mod suite;
pub mod target;
