//! CustomResourceDefinitions, made from the wire types: they cannot say anything else than what is read.
//!
//! ```text
//! wire type ── JSON Schema (schemars) ── structural ──► openAPIV3Schema ◄── limits and CEL rules (smi, osm)
//! ```
//!
//! Every version is served, the newest is stored, and [`convert`](super::convert) leads from one to another (path
//! `/convert`). Every kind has a `status` with `conditions`, which controllers write as a subresource.
//!
//! Rules here are what one object can tell by itself; what takes other objects is left to the validating webhook.
//! A schema has no defaults: what is omitted stays omitted, and reads as the field's description says.

mod kinds;
mod osm;
mod rule;
mod smi;
mod structural;

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub use self::kinds::served;
use self::kinds::{Kind, Version};

/// How the API server reaches a webhook (Kubernetes `WebhookClientConfig`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookClient {
    /// Where it is.
    pub target: WebhookTarget,
    /// The roots that its certificate is checked against, PEM in base64; those of the API server's host if omitted.
    pub ca_bundle: Option<String>,
}

/// Where a webhook is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookTarget {
    /// A Service of the cluster.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its port.
        port: u16,
    },
    /// `https://host:port`, without a path; for an API server outside of the cluster.
    Url(String),
}

impl WebhookClient {
    /// The `clientConfig` for a path that begins with `/`.
    pub fn config(&self, path: &str) -> Value {
        let mut config = match &self.target {
            WebhookTarget::Service { namespace, name, port } => {
                json!({ "service": { "namespace": namespace, "name": name, "port": port, "path": path } })
            }
            WebhookTarget::Url(base) => json!({ "url": format!("{}{path}", base.trim_end_matches('/')) }),
        };
        if let Some(bundle) = &self.ca_bundle {
            config["caBundle"] = bundle.as_str().into();
        }
        config
    }
}

impl Default for WebhookClient {
    /// The Service of every replica, ready or not, as it is deployed, before it has a certificate: a replica becomes ready when
    /// its watches have come, and those need conversion.
    fn default() -> Self {
        let target =
            WebhookTarget::Service { namespace: "osm-system".into(), name: "osm-conversion".into(), port: 9095 };
        Self { target, ca_bundle: None }
    }
}

/// Every CustomResourceDefinition, by name. `client` is where versions are converted.
///
/// # Errors
/// Names the type and the place where a wire type or a rule fits no structural schema. That is a mistake in this crate.
pub fn definitions(client: &WebhookClient) -> Result<Vec<Value>, String> {
    let mut all = kinds::all().map(|kind| definition(kind, client)).collect::<Result<Vec<_>, _>>()?;
    all.sort_by_cached_key(name);
    Ok(all)
}

/// Every definition as YAML, by file name.
///
/// # Errors
/// As [`definitions`].
pub fn files(client: &WebhookClient) -> Result<BTreeMap<String, String>, String> {
    let file = |definition: &Value| {
        let text = serde_saphyr::to_string(definition).map_err(|error| format!("{}: {error}", name(definition)))?;
        let head = "# Made from the wire types by `cargo run -p mesh --example crds`.\n";
        Ok((format!("{}.yaml", name(definition)), format!("{head}{text}")))
    };
    definitions(client)?.iter().map(file).collect()
}

/// The name of a definition: `<plural>.<group>`.
pub fn name(definition: &Value) -> String {
    definition["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

fn definition(kind: &Kind, client: &WebhookClient) -> Result<Value, String> {
    let newest = kind.versions.len().saturating_sub(1);
    let version = |(i, version): (usize, &Version)| {
        let schema = structural::schema((version.schema)(), kind.open_status)
            .and_then(|schema| rule::apply(schema, kind.rules, version.name))
            .map_err(|why| format!("{} {}: {why}", kind.kind, version.name))?;
        Ok(json!({
            "name": version.name,
            "served": true,
            "storage": i == newest,
            "schema": { "openAPIV3Schema": schema },
            "subresources": { "status": {} },
            "additionalPrinterColumns": columns(),
        }))
    };
    let versions = kind.versions.iter().enumerate().map(version).collect::<Result<Vec<_>, String>>()?;
    let conversion = if versions.len() > 1 {
        let webhook = json!({ "clientConfig": client.config("/convert"), "conversionReviewVersions": ["v1"] });
        json!({ "strategy": "Webhook", "webhook": webhook })
    } else {
        json!({ "strategy": "None" })
    };
    Ok(json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{}.{}", kind.plural, kind.group),
            "labels": { "app.kubernetes.io/name": "openservicemesh.io" },
        },
        "spec": {
            "group": kind.group,
            "names": {
                "kind": kind.kind,
                "listKind": format!("{}List", kind.kind),
                "plural": kind.plural,
                "singular": kind.kind.to_ascii_lowercase(),
                "shortNames": kind.short,
            },
            "scope": "Namespaced",
            "conversion": conversion,
            "versions": versions,
        },
    }))
}

fn columns() -> Value {
    json!([
        { "name": "Accepted", "type": "string", "jsonPath": r#".status.conditions[?(@.type=="Accepted")].status"# },
        { "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" },
    ])
}

#[cfg(test)]
mod tests;
