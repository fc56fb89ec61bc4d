//! A mesh on a cluster: how to join it ([`Profile`]), and what is missing before anything runs ([`preflight()`]).
//!
//! What starts pods and sends requests from them is not here yet: it comes with the first cluster that it can be tried on.

pub mod preflight;
pub mod profile;

pub use preflight::{Finding, Preflight, PreflightError, preflight};
pub use profile::{Profile, ProfileError};
