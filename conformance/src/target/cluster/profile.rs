//! How a mesh on a cluster is joined, dialled and switched: a file for each mesh.
//!
//! A profile says how, never what must come of it: expected outcomes and tolerances are the suite's.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::feature;

/// The profiles that are built in, from the meshes' public documentation.
const FILES: [(&str, &str); 7] = [
    ("consul", include_str!("../../../profiles/consul.yaml")),
    ("fsm", include_str!("../../../profiles/fsm.yaml")),
    ("istio-adapter", include_str!("../../../profiles/istio-adapter.yaml")),
    ("linkerd-smi", include_str!("../../../profiles/linkerd-smi.yaml")),
    ("osm", include_str!("../../../profiles/osm.yaml")),
    ("smi-mesh", include_str!("../../../profiles/smi-mesh.yaml")),
    ("traefik-mesh", include_str!("../../../profiles/traefik-mesh.yaml")),
];

/// A mesh on a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profile {
    /// What the mesh is called, for example `linkerd-smi`.
    pub name: String,
    /// Who makes it.
    pub organization: String,
    /// The release that the profile was written for.
    pub version: String,
    /// Where its documentation says what stands here.
    pub source: String,
    /// When and on what the profile was tried; untried if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried: Option<String>,
    /// What one should know before using it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The features that the mesh claims.
    pub features: BTreeSet<String>,
    /// How a namespace and its pods become part of the mesh.
    pub join: Join,
    /// What the mesh takes for the identity of a caller.
    pub identity: Identity,
    /// What a client in the mesh dials. `{service}`, `{namespace}` and `{port}` stand for themselves.
    #[serde(default = "standard")]
    pub dial: String,
    /// How the port of a Service says what is spoken; `appProtocol` with the protocol's own name if omitted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub protocols: BTreeMap<String, PortHint>,
    /// The pods of the control plane: they must be ready, and are what a restart restarts.
    pub control_plane: Pods,
    /// What puts the mesh into a mode, by mode.
    pub modes: Modes,
    /// Clients must be restarted before a policy that is made after them takes effect. Reported as a finding.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restart_clients: bool,
    /// How long things may take.
    #[serde(default)]
    pub timeouts: Timeouts,
}

fn standard() -> String {
    "{service}.{namespace}.svc.cluster.local:{port}".into()
}

/// Labels and annotations that make something part of a mesh.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Join {
    /// Of namespaces.
    pub namespace: Marks,
    /// Of pods.
    pub pod: Marks,
    /// Of pods that shall stay outside of the mesh, in a namespace that is part of it.
    pub outside: Marks,
    /// Of Services.
    pub service: Marks,
}

/// Labels and annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Marks {
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What a mesh takes for the identity of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Identity {
    /// A certificate of the pod's service account.
    Certificate,
    /// The pod's address, looked up.
    Address,
    /// Nothing: it does not control access.
    None,
}

/// How the port of a Service says what is spoken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PortHint {
    /// The port's `appProtocol`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
    /// What the port's name begins with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_prefix: Option<String>,
    /// Annotations of the Service.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Pods, by namespace and labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pods {
    /// Their namespace.
    pub namespace: String,
    /// A label selector, as `kubectl -l` takes it.
    pub selector: String,
}

/// What puts a mesh into its modes. A mode that is omitted cannot be had.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Modes {
    /// What no TrafficTarget allows is denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforcing: Option<Switch>,
    /// Everyone in the mesh may call everyone in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_all: Option<Switch>,
}

/// What puts a mesh into a mode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Switch {
    /// It always is in it.
    Always,
    /// This change of an object.
    Patch(Patch),
    /// The operator must have installed it so, before the run; this says how.
    Installed(String),
}

/// A change of an object, merged into it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Patch {
    /// `group/version`.
    pub api_version: String,
    /// The resource in a path, for example `meshconfigs`.
    pub resource: String,
    /// The namespace; omitted for what has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
    /// What is merged (RFC 7386).
    pub merge: serde_json::Value,
}

/// How long things may take, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Timeouts {
    /// Until pods are ready, 1–600.
    pub ready: u16,
    /// Until a change of policy has taken effect, 1–60: the suite takes no mesh for conformant that needs longer.
    pub convergence: u16,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { ready: 120, convergence: 30 }
    }
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// It cannot be read.
    #[error("{name}: {source}; built in are {}", FILES.map(|(name, _)| name).join(", "))]
    Io {
        /// What was asked for.
        name: String,
        /// Why it cannot be read.
        source: std::io::Error,
    },
    /// It is no profile.
    #[error("{0}: {1}")]
    Yaml(String, String),
    /// Something in it cannot be.
    #[error("{0}: {1}")]
    Wrong(String, String),
}

/// The JSON Schema of profiles, for editors, with a final newline.
#[must_use]
pub fn schema() -> String {
    let generator = schemars::generate::SchemaSettings::draft2020_12().into_generator();
    let schema = generator.into_root_schema_for::<Profile>();
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

impl Profile {
    /// The profiles that are built in.
    ///
    /// # Errors
    /// [`ProfileError`]; not in a build whose tests passed.
    pub fn built_in() -> Result<Vec<Self>, ProfileError> {
        FILES.iter().map(|(name, text)| Self::parse(name, text)).collect()
    }

    /// A built-in profile by its name, or the profile in this file.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn find(name_or_file: &str) -> Result<Self, ProfileError> {
        if let Some((name, text)) = FILES.iter().find(|(name, _)| *name == name_or_file) {
            return Self::parse(name, text);
        }
        let text = std::fs::read_to_string(Path::new(name_or_file));
        let text = text.map_err(|source| ProfileError::Io { name: name_or_file.into(), source })?;
        Self::parse(name_or_file, &text)
    }

    fn parse(name: &str, text: &str) -> Result<Self, ProfileError> {
        let profile: Self =
            serde_saphyr::from_str(text).map_err(|error| ProfileError::Yaml(name.into(), error.to_string()))?;
        match profile.wrong() {
            Some(what) => Err(ProfileError::Wrong(name.into(), what)),
            None => Ok(profile),
        }
    }

    fn wrong(&self) -> Option<String> {
        let known = &feature::catalogue().features;
        if let Some(name) = self.features.iter().find(|name| !known.iter().any(|feature| feature.name == **name)) {
            return Some(format!(
                "there is no feature `{name}`; `smi-conformance features` lists those that there are"
            ));
        }
        if !self.dial.contains("{port}") {
            return Some("`dial` has no {port}: every service would be dialled alike".into());
        }
        let Timeouts { ready, convergence } = self.timeouts;
        if !(1..=600).contains(&ready) || !(1..=60).contains(&convergence) {
            return Some("`timeouts`: ready is 1 to 600 seconds, convergence 1 to 60".into());
        }
        for (feature, mode, switch) in
            [("TrafficTarget", "enforcing", &self.modes.enforcing), ("AllowAll", "allowAll", &self.modes.allow_all)]
        {
            if self.features.contains(feature) && switch.is_none() {
                return Some(format!("{feature} is claimed, and `modes` does not say how to get it: add `{mode}`"));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_profiles_can_be_used_and_say_whether_they_were_tried() {
        let profiles = Profile::built_in().unwrap();
        for ((file, _), profile) in FILES.iter().zip(&profiles) {
            assert_eq!(*file, profile.name, "a profile is found by its name");
            assert!(profile.source.starts_with("http") || profile.name == "smi-mesh", "{file}");
        }
    }

    #[test]
    fn a_profile_cannot_say_what_must_come_of_traffic() {
        let osm = FILES.iter().find(|(name, _)| *name == "osm").unwrap().1;
        for more in ["expect: {denied: http-403}", "tolerance: 0.2", "skip: [a.b]"] {
            let error = Profile::parse("x", &format!("{osm}\n{more}\n")).unwrap_err().to_string();
            assert!(error.contains("unknown field"), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_to_change() {
        let osm = FILES.iter().find(|(name, _)| *name == "osm").unwrap().1;
        for (from, to, said) in [
            ("TrafficTarget", "TrafficTargets", "there is no feature `TrafficTargets`"),
            ("convergence: 30", "convergence: 300", "convergence 1 to 60"),
            ("allowAll:", "enforcing2:", "unknown field"),
        ] {
            assert!(osm.contains(from), "{from}");
            let error = Profile::parse("x", &osm.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let error = Profile::find("no-such-mesh").unwrap_err().to_string();
        assert!(error.contains("built in are consul, fsm"), "{error}");
    }
}
