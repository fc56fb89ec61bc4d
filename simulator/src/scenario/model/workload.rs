//! The pods of a scenario.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Credentials;

/// A workload: one or more equal pods under one service account, and the services that select them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Workload {
    /// Namespace of everything that belongs to the workload; `default` if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its service account; the workload's name if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Whether its pods have a sidecar; `false` gives a pod outside the mesh.
    #[serde(skip_serializing_if = "is_true")]
    pub mesh: bool,
    /// Ports by name. The port's protocol follows the field's usual rules: `appProtocol`, then the name's prefix, then HTTP.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<String, Port>,
    /// Services that select this workload (and every other that lists the same name), with all of its ports.
    /// For anything finer, apply a `v1` Service manifest as a resource; pods carry the label `app: <workload name>`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Number of pods, 1–50; pods are called `<workload>-0`, `<workload>-1`, …
    #[serde(skip_serializing_if = "is_one")]
    pub replicas: u16,
    /// Labels beyond `app: <workload name>`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Makes the pods members of this headless service, with their own names as host names (a StatefulSet).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subdomain: Option<String>,
    /// How its application answers.
    #[serde(skip_serializing_if = "Respond::is_default")]
    pub respond: Respond,
    /// Lies outside of the cluster: it has no sidecar, and neither the mesh nor Kubernetes knows of it, only DNS does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outside: Option<Outside>,
    /// Serves TLS itself, without a sidecar, under a certificate that is not its own: an impostor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presents: Option<Credentials>,
}

impl Default for Workload {
    /// One pod with a sidecar, in `default`, under the workload's own name. Omitted fields take these values.
    fn default() -> Self {
        Self {
            namespace: None,
            account: None,
            mesh: true,
            ports: BTreeMap::new(),
            services: Vec::new(),
            replicas: 1,
            labels: BTreeMap::new(),
            subdomain: None,
            respond: Respond::default(),
            outside: None,
            presents: None,
        }
    }
}

/// Somebody outside of the cluster: a server with names of its own, or a client.
///
/// Its port may speak `https` too (`appProtocol: https`), under a certificate of its own. Manifests write its address, and that of
/// any pod, as `<address of NAME>` or `<address of NAME/INDEX>`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Outside {
    /// Its host names. Sidecars can look them up, and applications can dial them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
}

fn is_true(value: &bool) -> bool {
    *value
}

fn is_one(value: &u16) -> bool {
    *value == 1
}

/// A port of a workload: a number, or a mapping.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Port {
    /// Service port and container port alike.
    Number(u16),
    /// Service port, container port and protocol apart.
    Full(FullPort),
}

/// A port whose parts differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FullPort {
    /// The service port.
    pub port: u16,
    /// The container port; the service port if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_port: Option<u16>,
    /// `http`, `http2`, `grpc`, `tcp` or `tcp-server-first`; outside of the cluster also `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}

/// How a fake application answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Respond {
    /// HTTP status; 200 if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Delay before the answer, for example `50ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<String>,
    /// Share of requests answered with 503 instead, 0–100 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_percent: Option<u8>,
    /// Answers the first so many arrivals of each request with 503 instead: only a retry gets another answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_first: Option<u32>,
}

impl Respond {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
