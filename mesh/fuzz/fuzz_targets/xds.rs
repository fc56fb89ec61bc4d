//! Requests and snapshots in any order.

#![no_main]

libfuzzer_sys::fuzz_target!(|stream: mesh_fuzz::xds::Stream| mesh_fuzz::xds::run(&stream));
