//! One request, and what each end saw of it. Shared by fake workloads, clients, evaluator and judge.

use std::{collections::BTreeMap, fmt, net::SocketAddr, sync::Arc, time::Duration};

use serde::Serialize;

use crate::scenario::model::{Proto, Shape};

/// The header that carries the request id over HTTP; in TCP it is the payload's first line.
pub const REQUEST_ID_HEADER: &str = "x-sim-request";

/// The response header in which an application names its pod.
pub const POD_HEADER: &str = "x-sim-pod";

/// A request as the client sends it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Unique in the run; the application records it.
    pub id: RequestId,
    /// What is spoken.
    pub proto: Proto,
    /// The address that the application dials: a service's or a pod's, with port.
    pub destination: SocketAddr,
    /// Host header: what the application believes to call.
    pub authority: String,
    /// HTTP method.
    pub method: String,
    /// Path with query.
    pub path: String,
    /// Headers beyond the usual, names in lower case.
    pub headers: BTreeMap<String, String>,
}

/// Identifies one request at both ends. Displays as hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u128);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for RequestId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

/// What the client saw.
#[derive(Clone, Debug, Serialize)]
pub struct ClientView {
    /// The answer or the failure.
    pub result: ClientResult,
    /// From the first byte sent (connection included) to the end of the answer.
    #[serde(skip)]
    pub elapsed: Duration,
}

/// How a request ended for the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ClientResult {
    /// The application's full answer (for TCP: the echo; for websockets: the echoed message; for gRPC: status OK).
    Answered {
        /// HTTP status; `None` for TCP.
        status: Option<u16>,
        /// The pod that says that it answered.
        pod: Option<String>,
        /// Response headers (HTTP) or trailers merged in (gRPC).
        headers: BTreeMap<String, String>,
    },
    /// No answer of the application.
    Failed {
        /// What it looked like, if it is a shape of denial.
        shape: Option<Shape>,
        /// HTTP status, if a proxy answered.
        status: Option<u16>,
        /// Headers of the response, if a proxy answered.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, String>,
        /// The error, or the proxy's response body, in words.
        detail: String,
    },
}

/// What an application saw of one request. One record for every arrival: a retry shows as two.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sighting {
    /// The pod that saw it.
    pub pod: Arc<str>,
    /// The container port that it came in on.
    pub port: u16,
    /// What was spoken.
    pub proto: Proto,
    /// HTTP method; empty for TCP.
    pub method: String,
    /// Path with query; empty for TCP.
    pub path: String,
    /// Host header; empty for TCP.
    pub authority: String,
    /// All request headers, names in lower case, repeated ones joined by a comma.
    pub headers: BTreeMap<String, String>,
    /// The caller's identity as the sidecar states it (`x-forwarded-client-cert`): its URI SAN.
    pub peer: Option<String>,
}
