//! Roots and their keys in Secrets, so that a restart finds them again and replicas share them.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};

use super::{BuiltinCa, ControlCa, IssueError, StoreError};
use crate::model::{ObjectName, PrivateKey};

/// The Secret with the root of workload certificates, in the control plane's namespace.
pub const CA_BUNDLE: &str = "osm-ca-bundle";
/// The Secret with the root of the control channel, in the control plane's namespace.
pub const CONTROL_CA: &str = "osm-control-ca";

/// The key with the root certificate, in PEM. The name is OSM's.
pub const CERTIFICATE_KEY: &str = "ca.crt";
/// The key with the root's private key, in PEM. The name is OSM's.
pub const PRIVATE_KEY: &str = "private.key";

/// Why a root is not to be had from its Secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The API server refuses, or is not there.
    #[error("{verb} Secret {name}: {source}{}", hint(source))]
    Api {
        /// What was tried.
        verb: &'static str,
        /// Which Secret.
        name: ObjectName,
        /// What came of it.
        source: kube::Error,
    },
    /// A key is not there, or no text.
    #[error("Secret {name} has no text under `{key}`: restore it, or delete the Secret to have a new one made")]
    Missing {
        /// Which Secret.
        name: ObjectName,
        /// Which key.
        key: String,
    },
    /// What is there is no root.
    #[error("Secret {name}: {source}; restore it, or delete the Secret to have a new root made")]
    Content {
        /// Which Secret.
        name: ObjectName,
        /// What is wrong.
        source: StoreError,
    },
    /// No new root can be made.
    #[error("make a root for Secret {name}: {source}")]
    Generate {
        /// Which Secret.
        name: ObjectName,
        /// Why.
        source: IssueError,
    },
}

fn hint(error: &kube::Error) -> &'static str {
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            "; allow the control plane's account to get and create Secrets"
        }
        kube::Error::Api(status) if status.code == 404 => "; create the namespace first",
        _ => "",
    }
}

/// The root in this Secret; made, if there is none. Whoever creates the Secret first wins: the others take what it has.
///
/// # Errors
/// [`SecretError`]. A Secret that is there but broken is never overwritten: workloads may trust its root.
pub async fn root(client: &Client, name: &ObjectName, now: i64) -> Result<BuiltinCa, SecretError> {
    let make = || BuiltinCa::generate(now).map(|ca| (ca.root_pem().to_string(), ca.to_pem()));
    let pem = found_or_made(client, name, make).await?;
    BuiltinCa::from_pem(pem.expose()).map_err(|source| SecretError::Content { name: name.clone(), source })
}

/// The root of the control channel, in Secret [`CONTROL_CA`] of `namespace`; made, if there is none.
///
/// # Errors
/// [`SecretError`].
pub async fn control_ca(client: &Client, namespace: &str, now: i64) -> Result<ControlCa, SecretError> {
    let name = ObjectName::new(namespace, CONTROL_CA);
    let make = || ControlCa::generate(now).map(|ca| (ca.root_pem().to_string(), ca.to_pem()));
    let pem = found_or_made(client, &name, make).await?;
    ControlCa::from_pem(pem.expose()).map_err(|source| SecretError::Content { name, source })
}

/// The text under one key of a Secret, without white space around it.
///
/// # Errors
/// [`SecretError`] if it is not there.
pub async fn text(client: &Client, name: &ObjectName, key: &str) -> Result<PrivateKey, SecretError> {
    let refused = |source| SecretError::Api { verb: "get", name: name.clone(), source };
    let secret = api(client, name).get(&name.name).await.map_err(refused)?;
    field(&secret, name, key).map(|text| PrivateKey::new(text.trim()))
}

/// Certificate and key, one after the other.
async fn found_or_made(
    client: &Client,
    name: &ObjectName,
    make: impl FnOnce() -> Result<(String, PrivateKey), IssueError>,
) -> Result<PrivateKey, SecretError> {
    let secrets = api(client, name);
    let refused = |verb| move |source| SecretError::Api { verb, name: name.clone(), source };
    if let Some(secret) = secrets.get_opt(&name.name).await.map_err(refused("get"))? {
        return both(&secret, name);
    }
    let (certificate, pem) = make().map_err(|source| SecretError::Generate { name: name.clone(), source })?;
    let key = pem.expose().strip_prefix(certificate.as_str()).unwrap_or_default();
    let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
    let data = [(CERTIFICATE_KEY.to_owned(), bytes(&certificate)), (PRIVATE_KEY.to_owned(), bytes(key))];
    let secret = Secret {
        metadata: ObjectMeta { name: Some(name.name.to_string()), ..ObjectMeta::default() },
        data: Some(BTreeMap::from(data)),
        ..Secret::default()
    };
    match secrets.create(&PostParams::default(), &secret).await {
        Ok(_) => Ok(pem),
        // Another replica was faster.
        Err(kube::Error::Api(status)) if status.code == 409 => {
            both(&secrets.get(&name.name).await.map_err(refused("get"))?, name)
        }
        Err(error) => Err(refused("create")(error)),
    }
}

fn both(secret: &Secret, name: &ObjectName) -> Result<PrivateKey, SecretError> {
    let (certificate, key) = (field(secret, name, CERTIFICATE_KEY)?, field(secret, name, PRIVATE_KEY)?);
    Ok(PrivateKey::new(format!("{certificate}\n{key}")))
}

fn field<'s>(secret: &'s Secret, name: &ObjectName, key: &str) -> Result<&'s str, SecretError> {
    let missing = || SecretError::Missing { name: name.clone(), key: key.to_owned() };
    let bytes = secret.data.as_ref().and_then(|data| data.get(key)).ok_or_else(missing)?;
    std::str::from_utf8(&bytes.0).map_err(|_| missing())
}

fn api(client: &Client, name: &ObjectName) -> Api<Secret> {
    Api::namespaced(client.clone(), &name.namespace)
}
