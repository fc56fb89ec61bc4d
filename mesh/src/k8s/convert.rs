//! Objects of the API server into objects of the model. Pure.
//!
//! The API server has checked what it defines itself; what cannot be is an [`Unreadable`] all the same, never a panic.

pub mod custom;
pub mod pod;
pub mod service;
pub mod slice;

use kube::core::ObjectMeta;

use super::Unreadable;
use crate::model::ObjectName;

pub use custom::Custom;

/// `metadata.namespace` and `metadata.name`.
fn name(metadata: &ObjectMeta) -> Result<ObjectName, Unreadable> {
    let part = |value: &Option<String>, field: &str| {
        value.clone().ok_or_else(|| Unreadable::new(format!("metadata.{field}"), "is missing"))
    };
    Ok(ObjectName::new(part(&metadata.namespace, "namespace")?, part(&metadata.name, "name")?))
}
