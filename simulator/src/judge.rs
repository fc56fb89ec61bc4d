//! Turns what both ends saw into verdicts, with stated error probabilities.

pub mod exact;
pub mod interval;
pub mod sequential;
pub mod verdict;

pub use verdict::{Judgement, Verdict};
