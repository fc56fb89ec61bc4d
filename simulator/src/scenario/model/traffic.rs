//! What is sent, by whom, to whom.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Expect;

/// What is sent, by whom, to whom.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Traffic {
    /// The sending workload (`name`, or `name/INDEX` for one of its pods).
    pub from: String,
    /// The receiver, as an application would dial it: `service`, `service.namespace`, an FQDN, each optionally with `:port`
    /// (otherwise the service's first port); or `pod:workload[/INDEX]:port` for a pod's own address.
    pub to: String,
    /// Host header, if it shall differ from the name dialled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// HTTP method; `GET` if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Path with query; `/` if omitted. For gRPC `/package.Service/Method`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Request headers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// What is spoken; HTTP/1.1 if omitted.
    pub proto: Proto,
    /// One connection a request, or as few as possible.
    pub conn: Connections,
    /// Number of requests, or `auto`: as many as the expectation needs to be decided. 1 if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<Count>,
    /// Requests a second; as fast as possible if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rps: Option<u32>,
    /// How long to send, for example `3s`; or `until-done`: until the other branches of `parallel` have ended.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// The application speaks TLS itself, through its sidecar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<OwnTls>,
    /// Dials the receiver's pod itself, past the sender's sidecar, with these credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub present: Option<Credentials>,
}

/// What is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Proto {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 by prior knowledge.
    Http2,
    /// A unary gRPC call.
    Grpc,
    /// A bidirectional gRPC stream of three messages.
    GrpcStream,
    /// TCP in which the client speaks first.
    Tcp,
    /// TCP in which the server speaks first.
    TcpServerFirst,
    /// An HTTP/1.1 upgrade to a websocket, and one message each way.
    Websocket,
}

/// How connections are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Connections {
    /// A new connection for every request.
    #[default]
    PerRequest,
    /// Requests share connections.
    KeepAlive,
}

/// A number of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Count {
    /// Exactly so many.
    Exactly(u32),
    /// As many as the expectation needs.
    Auto(Auto),
}

/// The word `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Auto {
    /// As many as the expectation needs.
    Auto,
}

/// What is presented on a connection that bypasses the sender's sidecar.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Credentials {
    /// No TLS at all.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub plaintext: bool,
    /// TLS without a client certificate.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub anonymous: bool,
    /// `account` or `namespace/account` in the certificate; the sender's own if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Trust domain in the certificate; the mesh's own if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_domain: Option<String>,
    /// The certificate's validity is over.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub expired: bool,
    /// Signed by an authority that the mesh does not know.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub foreign_ca: bool,
    /// Signed by the root that was replaced last. Nobody trusts it once its replacement is complete.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retired_root: bool,
    /// The server name (SNI); the FQDN of the service called if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// The application protocols that are offered (ALPN); `osm`, as sidecars do, if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpn: Option<Vec<String>>,
}

/// TLS of an application. It takes any certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OwnTls {
    /// The server name (SNI); the host dialled if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
}

/// A table of single requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Probes {
    /// The sender of every row that does not name its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The receiver of every row that does not name its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The protocol of every row that does not name its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proto: Option<Proto>,
    /// The requests.
    pub rows: Vec<Probe>,
}

impl Probes {
    /// A row as traffic of one request, with what the table says for all rows.
    #[must_use]
    pub fn traffic(&self, row: &Probe) -> Traffic {
        let (method, path) = match (&row.get, &row.post) {
            (Some(path), _) => (Some("GET".to_owned()), Some(path.clone())),
            (None, Some(path)) => (Some("POST".to_owned()), Some(path.clone())),
            (None, None) => (row.method.clone(), row.path.clone()),
        };
        Traffic {
            from: row.from.clone().or_else(|| self.from.clone()).unwrap_or_default(),
            to: row.to.clone().or_else(|| self.to.clone()).unwrap_or_default(),
            host: row.host.clone(),
            method,
            path,
            headers: row.headers.clone(),
            proto: row.proto.or(self.proto).unwrap_or_default(),
            tls: row.tls.clone(),
            present: row.present.clone(),
            ..Traffic::default()
        }
    }
}

/// One row of a probe table. `get: /path` is short for `method: GET` and `path: /path`; likewise `post`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Probe {
    /// GET this path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get: Option<String>,
    /// POST to this path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post: Option<String>,
    /// HTTP method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Path with query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Host header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proto: Option<Proto>,
    /// Request headers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The application speaks TLS itself, through its sidecar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<OwnTls>,
    /// Dials the receiver's pod itself with these credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub present: Option<Credentials>,
    /// What must come of it.
    pub expect: Expect,
}
