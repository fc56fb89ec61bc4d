//! What is set up, and how it changes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use simulator::scenario::model::Respond;

/// `setup`: makes a world for one test. Nothing of another test may be seen in it, or touched by it. Returns when every pod is ready.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Setup {
    /// What further requests call this world: letters, digits and hyphens, at most 40, unique in the run.
    pub test: String,
    /// The id of the scenario, for logs.
    pub scenario: String,
    /// Who may call whom if no policy says anything.
    pub mode: Mode,
    /// The pods.
    pub workloads: Vec<Workload>,
    /// The services that select them. A Service may also be applied later, as any other object.
    pub services: Vec<Service>,
}

/// Who may call whom if no policy says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Nobody may call anybody but by a TrafficTarget.
    Enforcing,
    /// Everybody in the mesh may call everybody in it. Asked for only if the feature AllowAll is claimed.
    AllowAll,
}

/// Equal pods under one service account. They are called `<name>-0`, `<name>-1` and so on in everything that is said here; what
/// they are called in the cluster is the adapter's own affair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Workload {
    /// Its name, unique in the test.
    pub name: String,
    /// The namespace. Manifests name the same ones.
    pub namespace: String,
    /// The service account.
    pub account: String,
    /// The pods' labels, `app` among them.
    pub labels: BTreeMap<String, String>,
    /// How many pods.
    pub replicas: u16,
    /// Whether they are part of the mesh.
    pub mesh: bool,
    /// Where the application listens.
    pub ports: Vec<Port>,
    /// The headless service by which each pod has a name of its own (a StatefulSet): `<pod>.<service>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subdomain: Option<String>,
    /// How it answers.
    #[serde(default, skip_serializing_if = "is_default")]
    pub respond: Respond,
}

fn is_default(respond: &Respond) -> bool {
    *respond == Respond::default()
}

/// A port on which an application listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The container port.
    pub port: u16,
    /// What is spoken there.
    pub speaks: Speaks,
}

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Speaks {
    /// HTTP/1.1, and whatever of HTTP/2, gRPC and websockets is claimed.
    Http,
    /// gRPC, and HTTP as above.
    Grpc,
    /// A TCP echo; the client speaks first.
    Tcp,
    /// A TCP echo after a greeting; the server speaks first.
    TcpServerFirst,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Labels that its pods have, all of them.
    pub selector: BTreeMap<String, String>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// Has no address of its own (`clusterIP: None`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub headless: bool,
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServicePort {
    /// Its name.
    pub name: String,
    /// The port that clients dial.
    pub port: u16,
    /// The pods' port.
    pub target_port: Target,
    /// What is spoken there.
    pub speaks: Speaks,
}

/// A pod's port, by number or by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Target {
    /// The number.
    Number(u16),
    /// The name; each pod has its own number for it.
    Name(String),
}

/// `apply`: creates or updates objects, all of them or none.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Apply {
    /// The test.
    pub test: String,
    /// Kubernetes objects, in order.
    pub objects: Vec<Value>,
}

/// The result of `apply`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Applied {
    /// The objects are stored.
    Accepted {},
    /// The mesh does not take them: at admission, or by what it reports of them. Nothing of them holds.
    Refused {
        /// What it says.
        reason: String,
    },
}

/// `delete`: takes objects away. What is not there is no error.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delete {
    /// The test.
    pub test: String,
    /// The objects, in order.
    pub objects: Vec<Name>,
}

/// An object's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Name {
    /// Group and version, for example `access.smi-spec.io/v1alpha3`.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// `ready`: waits until the mesh follows all that was applied, deleted and changed, as far as the mesh can tell.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ready {
    /// The test.
    pub test: String,
    /// How long to wait at most, in milliseconds. The reply comes by then.
    pub within_ms: u64,
}

/// The result of `ready`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Readied {
    /// Whether the mesh follows, as far as it can tell.
    pub ready: bool,
    /// What is being waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
}

/// `change`: changes something outside of any manifest.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Change {
    /// The test.
    pub test: String,
    /// What changes.
    pub change: Changed,
}

/// What changes. Exactly one.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Changed {
    /// Pods become ready or unready, as Kubernetes sees them; their applications keep running.
    Ready(Readiness),
    /// Pods go away for good.
    Remove(Pods),
    /// The applications of pods answer differently from now on.
    Respond(Selected),
    /// The control plane stops or comes back; the data plane keeps running.
    ControlPlane(ControlPlane),
}

/// Pods, and whether they are ready.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Readiness {
    /// The pods.
    pub pods: Vec<String>,
    /// Ready or not.
    pub ready: bool,
}

/// Pods.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pods {
    /// Their names.
    pub pods: Vec<String>,
}

/// Pods, and how their applications answer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selected {
    /// The pods.
    pub pods: Vec<String>,
    /// How they answer.
    pub respond: Respond,
}

/// What happens to the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ControlPlane {
    /// It stops.
    Stop,
    /// It comes back.
    Start,
}
