//! Asks any service mesh the questions of the Service Mesh Interface.
//!
//! ```text
//! clause      one requirement of the specification: id, API, level, place in the text, how it can be shown
//! catalogue   all of them, embedded from clauses/*.yaml
//! matrix      clause × scenario files: what is shown, and what is not yet
//! cli         the `smi-conformance` command
//! ```
//!
//! Line numbers are those of the specification's main branch as archived (2023-10-20, commit `cc4babd`). It differs from
//! the released v0.6.0 in one point, the encoding of headers (API-03).

pub mod catalogue;
pub mod clause;
pub mod cli;
pub mod matrix;
