//! MeshConfig (`config.openservicemesh.io/v1alpha2`): the settings of the whole mesh.
//!
//! So far one setting is honoured. Every other is refused: accepting a setting that does nothing would be a lie.

use schemars::JsonSchema;
use serde::Deserialize;

use super::metadata::Resource;

/// A MeshConfig.
pub type MeshConfig = Resource<MeshConfigSpec>;

/// `spec`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MeshConfigSpec {
    /// How traffic is handled.
    #[serde(default)]
    pub traffic: TrafficSpec,
}

/// `spec.traffic`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrafficSpec {
    /// Lets every workload of the mesh call every other. Off if omitted.
    #[serde(default)]
    pub enable_permissive_traffic_policy_mode: bool,
}
