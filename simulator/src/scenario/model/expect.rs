//! What must come of traffic.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::judge::sequential::Tolerance;

/// What must come of traffic. Everything named must hold; what is not named is not judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Expect {
    /// Every request reached an application, and the client got its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<bool>,
    /// No request reached any application, while a control request from an allowed sender did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied: Option<Denied>,
    /// Every answer has this HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Every response has these headers, with these values; from an application or a proxy.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// No response has these headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
    /// Applications saw every request exactly so often: 0 is never, 2 is once more after one retry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tries: Option<u32>,
    /// Every delivered request was seen by one of these workloads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backend: Vec<String>,
    /// The delivered requests were seen by exactly these workloads, each at least once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reaches: Vec<String>,
    /// Shares of the requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// What the server saw of every delivered request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo: Option<Echo>,
    /// The identity that the server saw, as `account` or `namespace/account`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// What the evaluator predicts is what happens, whatever that is. Real traffic that ends otherwise fails in any case; this
    /// also demands that the evaluator knows the answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub predicted: bool,
    /// Tries until it holds, at most for so long, for example `5s`. Without it the first measurement decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
}

/// A denial.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Denied {
    /// `denied: true`: by whatever means.
    Plain(bool),
    /// With details.
    Detailed(DeniedDetail),
}

/// How and why traffic was denied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DeniedDetail {
    /// The shapes that the client may see; any if empty.
    #[serde(rename = "as", skip_serializing_if = "Vec::is_empty")]
    pub shapes: Vec<Shape>,
    /// The reason that `explain` must give.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<Because>,
}

/// What a denial looks like to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// The connection was refused.
    Refused,
    /// The connection was closed or reset without an answer.
    Closed,
    /// The TLS handshake failed.
    Tls,
    /// HTTP 403, or gRPC PERMISSION_DENIED.
    #[serde(rename = "http-403")]
    Http403,
    /// HTTP 404, or gRPC UNIMPLEMENTED.
    #[serde(rename = "http-404")]
    Http404,
    /// HTTP 503, or gRPC UNAVAILABLE.
    #[serde(rename = "http-503")]
    Http503,
}

/// Why traffic was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Because {
    /// No TrafficTarget lets the sender reach the destination at all.
    WrongSource,
    /// The sender may reach the destination, but not with this path, method or header.
    RouteNotAllowed,
    /// The sender may reach the destination, but not on this port.
    PortNotAllowed,
    /// The peer presented no certificate of the mesh.
    NoIdentity,
    /// The peer's certificate is expired, of another trust domain or of an unknown authority; or the server is an impostor.
    BadIdentity,
    /// No service of the mesh has this address or host name.
    NoRoute,
    /// The service has no ready endpoint that the sender may use.
    NoEndpoint,
    /// A split leaves no backend with weight.
    NoBackend,
}

/// Shares of the requests, judged by a two-sided sequential test (exactly on the evaluator).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Split {
    /// Weight of each workload. Zero: not one request. A workload that is not named must get none.
    pub shares: BTreeMap<String, u64>,
    /// Weight of the requests that must fail visibly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<u64>,
    /// δ: a share that is off by this much or more must not pass. 0.05 if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<f64>,
    /// α: the probability of passing a mesh that is off by δ. 0.001 if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// β: the probability of not passing a correct mesh. 0.00001 if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta: Option<f64>,
}

impl Split {
    /// δ, α and β, with their defaults where they are omitted.
    #[must_use]
    pub fn tolerance(&self) -> Tolerance {
        let Tolerance { delta, alpha, beta } = Tolerance::default();
        Tolerance {
            delta: self.delta.unwrap_or(delta),
            alpha: self.alpha.unwrap_or(alpha),
            beta: self.beta.unwrap_or(beta),
        }
    }
}

/// What the server saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Echo {
    /// Path with query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Host header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The container port that it came in on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Headers with their values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Headers that must not be there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
}
