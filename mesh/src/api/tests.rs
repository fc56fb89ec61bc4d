//! Every kind in every version, every mistake, and any text at all.

mod errors;
mod examples;
mod kinds;
mod limits;
mod random;
mod schema;
mod telemetry;
mod text;

use super::{Manifest, parse};

/// The manifests in `text`, which must be good.
fn good(text: &str) -> Vec<Manifest> {
    parse(text, "t.yaml", "default").unwrap_or_else(|errors| panic!("{}\n---\n{text}", shown(&errors)))
}

/// The errors in `text`, one per line.
fn refused(text: &str) -> String {
    shown(&parse(text, "t.yaml", "default").expect_err("the text must be refused"))
}

fn shown(errors: &[super::ManifestError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// An object `shop/n`; `rest` begins in line 4.
fn object(api_version: &str, kind: &str, rest: &str) -> String {
    format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: n, namespace: shop}}\n{rest}\n")
}
