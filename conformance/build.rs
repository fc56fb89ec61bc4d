//! The suite's scenario files are part of the binary: it is built anew when one comes or goes.

fn main() {
    println!("cargo::rerun-if-changed=../scenarios/conformance");
}
