//! What all objects have in common.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{error::Fault, error::quoted, name};
use crate::model::ObjectName;

/// An object whose content lies under `spec`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resource<S> {
    /// Group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Name, namespace and so on.
    pub metadata: ObjectMeta,
    /// The content.
    pub spec: S,
    /// Written by controllers; says nothing about what is wanted, so it is ignored.
    #[serde(default)]
    pub status: Option<Ignored>,
}

/// `metadata` (Kubernetes `ObjectMeta`).
///
/// What an API server or a controller adds is accepted, so that `kubectl get -o yaml` can be read, and ignored.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectMeta {
    /// The name: an RFC 1123 subdomain of 253 characters at most; for a Service an RFC 1035 label of 63 at most.
    pub name: String,
    /// The namespace: an RFC 1123 label of 63 characters at most. `default` if omitted and the reader names no other.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// When the object came to be (RFC 3339).
    #[serde(default)]
    pub creation_timestamp: Option<String>,
    /// Ignored.
    #[serde(default)]
    pub uid: Option<Ignored>,
    /// Ignored.
    #[serde(default)]
    pub resource_version: Option<Ignored>,
    /// Ignored.
    #[serde(default)]
    pub generation: Option<Ignored>,
    /// Ignored.
    #[serde(default)]
    pub generate_name: Option<Ignored>,
    /// Ignored.
    #[serde(default)]
    pub self_link: Option<Ignored>,
    /// Ignored.
    #[serde(default)]
    pub managed_fields: Option<Ignored>,
    /// Ignored.
    #[serde(default)]
    pub owner_references: Option<Ignored>,
    /// Ignored.
    #[serde(default)]
    pub finalizers: Option<Ignored>,
    /// Ignored: the object counts until it is gone.
    #[serde(default)]
    pub deletion_timestamp: Option<Ignored>,
    /// Ignored.
    #[serde(default)]
    pub deletion_grace_period_seconds: Option<Ignored>,
}

impl ObjectMeta {
    /// The object's name, both parts checked.
    ///
    /// # Errors
    /// If the name or the namespace is not one that Kubernetes would accept.
    pub fn object_name(&self) -> Result<ObjectName, Fault> {
        let namespace = self.namespace.as_deref().unwrap_or("default");
        name::subdomain(&self.name, "metadata.name")?;
        name::label(namespace, "metadata.namespace")?;
        Ok(ObjectName::new(namespace, self.name.as_str()))
    }

    /// `creationTimestamp` in seconds since the Unix epoch.
    ///
    /// # Errors
    /// If it is not a time after RFC 3339.
    pub fn created(&self) -> Result<Option<i64>, Fault> {
        let Some(written) = &self.creation_timestamp else { return Ok(None) };
        match OffsetDateTime::parse(written, &Rfc3339) {
            Ok(time) => Ok(Some(time.unix_timestamp())),
            Err(_) => Err(Fault::new(
                "metadata.creationTimestamp",
                format!("{} is not a time such as `2024-05-01T12:00:00Z`", quoted(written)),
            )),
        }
    }
}

/// A wire type whose metadata can be reached.
pub(super) trait Metadata {
    /// The object's metadata.
    fn metadata_mut(&mut self) -> &mut ObjectMeta;
}

impl<S> Metadata for Resource<S> {
    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// Any value, accepted and forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ignored;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl JsonSchema for Ignored {
    fn schema_name() -> Cow<'static, str> {
        "Ignored".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// A port, 1–65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(transparent)]
pub struct Port(#[schemars(range(min = 1))] pub u16);

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PortVisitor).map(Self)
    }
}

struct PortVisitor;

impl de::Visitor<'_> for PortVisitor {
    type Value = u16;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a port number from 1 to 65535")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<u16, E> {
        match u16::try_from(number) {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<u16, E> {
        // Some readers (serde_json among them) tell positive numbers as signed ones too.
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
        }
    }
}
