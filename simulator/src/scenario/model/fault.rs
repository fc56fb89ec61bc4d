//! What breaks, or changes outside of any manifest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Respond;

/// Something breaks, or changes outside of any manifest. Exactly one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Fault {
    /// The control plane stops or comes back; the sidecars keep running.
    ControlPlane(ControlPlane),
    /// The sidecar of this workload is killed and started again.
    RestartProxy(String),
    /// All workload certificates are issued anew, now.
    RotateCertificates(Rotation),
    /// Time passes for the certificate authority, for example `20h`: what is due is renewed.
    AdvanceClock(String),
    /// The pods of this workload become ready or unready.
    Ready(Readiness),
    /// The pods of a workload go away for good.
    Remove(String),
    /// The application answers differently from now on.
    Respond(RespondChange),
    /// The sidecar of this workload is sent a configuration that it must refuse, together with every later change,
    /// until `unpoison`.
    Poison(String),
    /// The poisoned resource is taken back.
    Unpoison(String),
}

/// What happens to the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ControlPlane {
    /// It stops at once, without farewell.
    Kill,
    /// It comes back, with nothing but what the Kubernetes API and the CA's store know.
    Start,
}

/// Which certificates are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rotation {
    /// Every leaf, under the same root.
    Leaves,
    /// The root: trust old and new, sign with new, drop old; each phase waits until every sidecar has it.
    Root,
}

/// Which pods change their readiness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Readiness {
    /// The workload (`name`, or `name/INDEX`).
    pub workload: String,
    /// Ready or not.
    pub ready: bool,
}

/// A new behaviour of an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RespondChange {
    /// The workload.
    pub workload: String,
    /// How it answers from now on.
    pub with: Respond,
}
