//! Manifests of any shape.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mesh_fuzz::manifests::run(data));
