//! What the fuzzers run: each takes any input, and panics where the mesh breaks a promise. Whoever wants to see a finding without
//! a fuzzer calls these functions from a test.

pub mod admission;
pub mod conversion;
pub mod manifests;
pub mod xds;
