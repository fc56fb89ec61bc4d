//! Custom resources: SMI's and OSM's.

use serde_json::Value;

use super::super::Unreadable;
use crate::{
    api::{self, Manifest, mesh_config::MeshConfigSpec},
    world::Object,
};

/// What a custom resource is.
#[derive(Clone, Debug, PartialEq)]
pub enum Custom {
    /// An object of the world.
    Object(Box<Object>),
    /// The settings of the mesh.
    MeshConfig(Box<MeshConfigSpec>),
}

/// Reads a custom resource as the API server has it.
///
/// # Errors
/// If it is not what its kind and version say.
pub fn custom(value: &Value) -> Result<Custom, Unreadable> {
    let manifest = read(value)?;
    let kind = manifest.reference().kind;
    if let Manifest::Object(object) = manifest {
        Ok(Custom::Object(Box::new(object)))
    } else if let Manifest::MeshConfig { spec, .. } = manifest {
        Ok(Custom::MeshConfig(spec))
    } else {
        Err(Unreadable::new("kind", format!("{kind} is not read from watches of custom resources")))
    }
}

fn read(value: &Value) -> Result<Manifest, Unreadable> {
    api::read(value).map_err(|fault| {
        let hint = fault.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        Unreadable::new(fault.field, format!("{}{hint}", fault.message))
    })
}
