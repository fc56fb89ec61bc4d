//! Scenario files: their types, reading, checking.
//!
//! [`find`] lists files, [`read`] parses one, [`expand`] makes typed scenarios of it, [`check`] finds what types cannot,
//! [`schema`] describes the format to editors, and [`builder`] writes scenarios in Rust.

pub mod address;
pub mod builder;
pub mod check;
pub mod duration;
pub mod expand;
pub mod find;
pub mod model;
pub mod nearest;
pub mod problem;
pub mod read;
pub mod schema;
pub mod tree;
pub mod typed;

pub use model::Scenario;
