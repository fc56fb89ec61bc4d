//! Objects of any shape, in every version.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mesh_fuzz::conversion::run(data));
