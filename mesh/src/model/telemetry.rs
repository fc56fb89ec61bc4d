//! What sidecars tell of their traffic: Telemetry (`policy.openservicemesh.io`) and ExtensionService (`config.openservicemesh.io`).

use std::{collections::BTreeMap, sync::Arc};

use super::ObjectName;

/// How pods log their traffic. One that selects labels goes before one for the namespace, that before the mesh-wide one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// Namespace and name. In the namespace of the control plane it holds for the whole mesh.
    pub name: ObjectName,
    /// When it came to be, in seconds since the Unix epoch, if known.
    pub created: Option<i64>,
    /// Labels of the pods in its namespace; empty selects all.
    pub selector: BTreeMap<Arc<str>, Arc<str>>,
    /// The access log; `None` leaves it as it is.
    pub access_log: Option<AccessLog>,
}

/// How traffic is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// A text with Envoy's command operators, or a JSON object of such; `None` is the default.
    pub format: Option<Arc<str>>,
    /// Where entries go besides standard output.
    pub open_telemetry: Option<OpenTelemetryLog>,
}

/// An OTLP receiver of log entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenTelemetryLog {
    /// The ExtensionService.
    pub service: ObjectName,
    /// Attributes of every entry.
    pub attributes: BTreeMap<Arc<str>, Arc<str>>,
}

/// A service that sidecars use, inside or outside of the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionService {
    /// Namespace and name.
    pub name: ObjectName,
    /// Host name or address.
    pub host: Arc<str>,
    /// 1–65535.
    pub port: u16,
    /// HTTP/2 without TLS (`h2c`, `http2`, or unset); otherwise HTTP/1.1.
    pub http2: bool,
    /// Time to connect; `None` is Envoy's 5 s.
    pub connect_timeout: Option<std::time::Duration>,
}
