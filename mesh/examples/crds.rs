//! Writes the CustomResourceDefinitions: `cargo run -p mesh --example crds`. `tests/crds.rs` fails when they are out of date.

use std::{error::Error, fs, path::Path};

use mesh::api::crd;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/crds");
    fs::create_dir_all(&folder)?;
    for (file, text) in crd::files(&crd::WebhookClient::default())? {
        let path = folder.join(file);
        fs::write(&path, text)?;
        println!("{}", path.display());
    }
    Ok(())
}
