//! What is sent, and what both ends saw.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use simulator::scenario::model::{Connections, Proto, Shape};

/// `send`: sends requests, and tells what both ends saw.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Send {
    /// The test.
    pub test: String,
    /// The requests.
    pub requests: Vec<Request>,
    /// How many may be under way at a time. 1: one after another, in this order.
    pub concurrency: usize,
    /// A request that has not ended by then is given up, in milliseconds: a failure.
    pub timeout_ms: u64,
}

/// A request.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// 32 hexadecimal digits, unique in the run. Goes along as header `x-sim-request`, or as the first line over TCP, so that the
    /// application can tell what it saw.
    pub id: String,
    /// The pod that sends.
    pub from: String,
    /// Whom it calls.
    pub to: To,
    /// What is spoken.
    pub proto: Proto,
    /// The method; empty over TCP.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// The path with query; empty over TCP.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The Host header; what is dialled if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Further headers, names in lower case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// A connection of its own, or one that requests of the same sender to the same receiver share.
    #[serde(default)]
    pub conn: Connections,
    /// In plaintext past the sender's own proxy, to the receiving pod. Asked for only if BypassSidecar is claimed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bypass: bool,
    /// Asks the application itself, past the mesh altogether (from its own pod, say): a sign that it lives. `to` is a pod then,
    /// and `from` the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub direct: bool,
}

/// Whom a request calls. Exactly one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum To {
    /// A service.
    Service(ToService),
    /// A pod, by its own address.
    Pod(PodPort),
    /// A name that nobody in the test has.
    Host(ToHost),
}

/// A service as a receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToService {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The service port.
    pub port: u16,
    /// The name as the application dials it, seen from the sender's namespace: `web`, `web.shop`, `web.shop.svc.cluster.local`; of a
    /// StatefulSet also the name of a pod, `web-0.web`.
    pub host: String,
}

/// A pod's port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodPort {
    /// The pod.
    pub name: String,
    /// The container port.
    pub port: u16,
}

/// A host name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToHost {
    /// The name.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// The result of `send`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answers {
    /// One for each request, in the same order.
    pub answers: Vec<Answer>,
}

/// What both ends saw of a request.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answer {
    /// The request's id.
    pub id: String,
    /// What the client saw.
    pub client: Client,
    /// What applications saw, one entry for each arrival. Nothing if none saw it.
    pub seen: Vec<Seen>,
}

/// What the client saw. Exactly one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Client {
    /// The application's own answer, in full. An HTTP answer is the application's if it has the header `x-sim-pod`.
    Answered {
        /// The HTTP status; none over TCP.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// The pod that says that it answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pod: Option<String>,
        /// Response headers, names in lower case.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, String>,
    },
    /// No answer, or that of a proxy.
    Failed {
        /// What it looked like, if it is one of these.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shape: Option<Shape>,
        /// The HTTP status, if a proxy answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// Response headers, if a proxy answered.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, String>,
        /// The error or the proxy's words, for people.
        detail: String,
    },
}

/// What an application saw of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Seen {
    /// The pod.
    pub pod: String,
    /// The container port that it came in on.
    pub port: u16,
    /// The method; empty over TCP.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// The path with query; empty over TCP.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The Host header; empty over TCP.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// All request headers, names in lower case, repeated ones joined by a comma.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The caller's account as `namespace/account`, if the mesh tells applications (feature PeerIdentity).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
}
