//! The CRDs in `deploy/crds` are those of the wire types.

use std::{collections::BTreeMap, fs, path::Path};

use mesh::api::crd;

#[test]
fn the_deployed_crds_are_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/crds");
    let made = crd::files(&crd::WebhookClient::default()).expect("every kind has a CRD");
    let there: BTreeMap<_, _> = fs::read_dir(&folder)
        .expect("deploy/crds is there")
        .map(|entry| entry.expect("an entry"))
        .map(|e| (e.file_name().into_string().expect("a plain name"), fs::read_to_string(e.path()).expect("a text")))
        .collect();
    let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&there), names(&made), "run `cargo run -p mesh --example crds`");
    for (name, text) in made {
        assert!(there[&name] == text, "{name} is out of date: run `cargo run -p mesh --example crds`");
    }
}
