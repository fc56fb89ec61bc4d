//! What the workspace is built from. `cargo deny` knows more (`.deny.toml`); this runs wherever the other tests run.

use std::{collections::BTreeSet, path::Path, process::Command};

/// The crates that are built for this machine, with every edge: normal, build and dev.
fn built() -> BTreeSet<String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let arguments =
        ["tree", "--workspace", "--locked", "--offline", "--edges", "all", "--prefix", "none", "--format", "{p}"];
    let tree = Command::new(env!("CARGO")).args(arguments).current_dir(workspace).output().expect("cargo runs");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8_lossy(&tree.stdout);
    text.lines().filter_map(|line| line.split(' ').next()).map(ToOwned::to_owned).collect()
}

/// Cargo.lock is no proof: it lists crates that some feature could ask for, and none does.
#[test]
fn there_is_one_crypto_provider_and_one_yaml_reader() {
    let built = built();
    for needed in ["mesh", "simulator", "aws-lc-rs", "serde-saphyr"] {
        assert!(built.contains(needed), "{needed} is not there: is this the right tree?");
    }
    let banned = ["ring", "openssl", "openssl-sys", "native-tls", "serde_yaml"];
    let found: Vec<_> = banned.into_iter().filter(|name| built.contains(*name)).collect();
    assert!(found.is_empty(), "{found:?}; `cargo tree --edges features --invert NAME` tells who asks for it");
}
