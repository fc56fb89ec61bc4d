//! Mesh-wide settings (MeshConfig), as far as sidecars' configuration depends on them. What only new pods take (images,
//! resources, interception) is in [`crate::inject`].

use std::{sync::Arc, time::Duration};

use super::TrustDomain;

/// What holds for the whole mesh. The default enforces SMI policy and lets nothing leave the mesh.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Lets every workload of the mesh call every other; TrafficTargets are then not consulted. mTLS and splits still hold.
    pub permissive: bool,
    /// The domain of all identities.
    pub trust_domain: TrustDomain,
    /// The namespace of the control plane.
    pub namespace: ControlPlaneNamespace,
    /// `spec.traffic.enableEgress`: whatever is no service of the mesh can be called, unchanged.
    pub egress: bool,
    /// `spec.traffic.inboundExternalAuthorization`, if enabled.
    pub external_authorization: Option<ExternalAuthorization>,
    /// `spec.observability.tracing`, if enabled.
    pub tracing: Option<Tracing>,
    /// `spec.sidecar.tls…`, `cipherSuites` and `ecdhCurves`.
    pub tls: TlsSettings,
    /// `spec.featureFlags`.
    pub features: Features,
}

/// The namespace in which the control plane runs. A Telemetry there that selects no labels holds for the whole mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlPlaneNamespace(pub Arc<str>);

impl Default for ControlPlaneNamespace {
    fn default() -> Self {
        Self("osm-system".into())
    }
}

/// An authorization service that is asked about every request that enters a pod (Envoy `ext_authz`, gRPC).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalAuthorization {
    /// Host name or address.
    pub address: Arc<str>,
    /// Port.
    pub port: u16,
    /// Prefix of its statistics.
    pub stat_prefix: Arc<str>,
    /// Time for one answer.
    pub timeout: Duration,
    /// Lets requests through when the service fails to answer.
    pub failure_mode_allow: bool,
}

/// Where spans go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracing {
    /// Host name or address.
    pub address: Arc<str>,
    /// Port.
    pub port: u16,
    /// How spans are sent.
    pub protocol: TracingProtocol,
    /// Share of requests that start a trace, in hundredths of a percent (0–10000).
    pub sampling: u32,
}

/// How spans are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TracingProtocol {
    /// Zipkin's HTTP API with JSON, at this path.
    Zipkin(Arc<str>),
    /// OTLP over gRPC (OpenTelemetry).
    OpenTelemetry,
}

/// TLS between sidecars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// Oldest version.
    pub minimum: TlsVersion,
    /// Newest version; not older than `minimum`.
    pub maximum: TlsVersion,
    /// Cipher suites of TLS 1.2 by their OpenSSL names; empty is Envoy's choice.
    pub cipher_suites: Vec<Arc<str>>,
    /// ECDH curves; empty is Envoy's choice.
    pub ecdh_curves: Vec<Arc<str>>,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            minimum: TlsVersion::V1_2,
            maximum: TlsVersion::V1_3,
            cipher_suites: Vec::new(),
            ecdh_curves: Vec::new(),
        }
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "their names say it")]
pub enum TlsVersion {
    V1_0,
    V1_1,
    V1_2,
    V1_3,
}

/// What can be switched off or on as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Egress policies are honoured.
    pub egress_policy: bool,
    /// IngressBackends are honoured.
    pub ingress_backend_policy: bool,
    /// Retry policies are honoured.
    pub retry_policy: bool,
    /// Sidecars probe each other.
    pub active_health_checks: bool,
    /// Sidecars count requests by source and destination (`osm_request_total`, `osm_request_duration_ms`).
    pub request_metrics: bool,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            egress_policy: true,
            ingress_backend_policy: true,
            retry_policy: true,
            active_health_checks: false,
            request_metrics: true,
        }
    }
}
