//! MeshConfig (`config.openservicemesh.io/v1alpha2`): the settings of the whole mesh.
//!
//! Whatever takes effect only in new pods (they are injected with it) says so: "new pods".

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    duration::{Range, Span},
    error::Fault,
    metadata::{Port, Resource},
    tls_names,
};
use crate::model::{self, ExternalAuthorization, Features, TrustDomain};

/// A MeshConfig.
pub type MeshConfig = Resource<MeshConfigSpec>;

/// `spec`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MeshConfigSpec {
    /// Sidecars.
    pub sidecar: SidecarSpec,
    /// How traffic is handled.
    pub traffic: TrafficSpec,
    /// Logs, metrics and traces.
    pub observability: ObservabilitySpec,
    /// Certificates.
    pub certificate: CertificateSpec,
    /// What can be switched off or on as a whole.
    pub feature_flags: FeatureFlags,
}

/// `spec.sidecar`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SidecarSpec {
    /// Runs the init container that sets up interception privileged. New pods.
    pub enable_privileged_init_container: bool,
    /// Log level of Envoy; `error` if omitted. New pods.
    pub log_level: Option<LogLevel>,
    /// Image of Envoy; that of the injector if omitted. New pods.
    pub envoy_image: Option<String>,
    /// Accepted for compatibility; Windows pods are not injected.
    pub envoy_windows_image: Option<String>,
    /// Image of the init container; that of the injector if omitted. New pods.
    pub init_container_image: Option<String>,
    /// Most proxies that may be connected to one replica; 0 is no limit.
    pub max_data_plane_connections: u32,
    /// Accepted for compatibility: every change is sent at once, so there is nothing to send again.
    pub config_resync_interval: Option<Span>,
    /// Resources of the Envoy container. New pods.
    pub resources: Resources,
    /// Oldest version of TLS; `TLSv1_2` if omitted.
    pub tls_min_protocol_version: Option<TlsVersion>,
    /// Newest version of TLS; `TLSv1_3` if omitted.
    pub tls_max_protocol_version: Option<TlsVersion>,
    /// Cipher suites of TLS 1.2, by their OpenSSL names.
    pub cipher_suites: Vec<String>,
    /// ECDH curves.
    pub ecdh_curves: Vec<String>,
    /// The address at which sidecars reach their application. New pods.
    pub local_proxy_mode: Option<LocalProxyMode>,
}

/// Kubernetes `ResourceRequirements`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Resources {
    /// Most of each resource.
    pub limits: BTreeMap<String, String>,
    /// What is set aside of each resource.
    pub requests: BTreeMap<String, String>,
}

/// Envoy's log levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "their names say it")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warning,
    Warn,
    Error,
    Critical,
    Off,
}

impl LogLevel {
    /// The name that Envoy's `--log-level` takes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning | Self::Warn => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Off => "off",
        }
    }
}

/// A version of TLS, in Envoy's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[expect(missing_docs, non_camel_case_types, reason = "the names on the wire")]
pub enum TlsVersion {
    TLS_AUTO,
    TLSv1_0,
    TLSv1_1,
    TLSv1_2,
    TLSv1_3,
}

/// `spec.sidecar.localProxyMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum LocalProxyMode {
    /// 127.0.0.1.
    #[default]
    Localhost,
    /// The pod's address.
    #[serde(rename = "PodIP")]
    PodIp,
}

/// `spec.traffic`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TrafficSpec {
    /// Lets applications call whatever is no service of the mesh.
    pub enable_egress: bool,
    /// Destinations that bypass the sidecar. New pods.
    #[serde(rename = "outboundIPRangeExclusionList")]
    pub outbound_ip_range_exclusion_list: Vec<Range>,
    /// The only destinations that do not bypass the sidecar; all if empty. New pods.
    #[serde(rename = "outboundIPRangeInclusionList")]
    pub outbound_ip_range_inclusion_list: Vec<Range>,
    /// Destination ports that bypass the sidecar. New pods.
    pub outbound_port_exclusion_list: Vec<Port>,
    /// Ports of the pod that bypass the sidecar. New pods.
    pub inbound_port_exclusion_list: Vec<Port>,
    /// Network interfaces whose traffic bypasses the sidecar. New pods.
    pub network_interface_exclusion_list: Vec<String>,
    /// Lets every workload of the mesh call every other.
    pub enable_permissive_traffic_policy_mode: bool,
    /// A service that is asked about every request that enters a pod.
    pub inbound_external_authorization: Option<ExternalAuthorizationSpec>,
}

/// `spec.traffic.inboundExternalAuthorization`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExternalAuthorizationSpec {
    /// Whether it is asked.
    #[serde(default)]
    pub enable: bool,
    /// Host name or address.
    pub address: String,
    /// Port.
    pub port: Port,
    /// Prefix of its statistics; `inboundExtAuthz` if omitted.
    #[serde(default)]
    pub stat_prefix: Option<String>,
    /// Time for one answer; `1s` if omitted.
    #[serde(default)]
    pub timeout: Option<Span>,
    /// Lets requests through when the service fails to answer.
    #[serde(default)]
    pub failure_mode_allow: bool,
}

/// `spec.observability`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ObservabilitySpec {
    /// Log level of the control plane: `trace`, `debug`, `info`, `warn`, `error`, or directives such as `mesh::xds=debug`.
    pub osm_log_level: Option<String>,
    /// Opens the debug endpoints.
    pub enable_debug_server: bool,
    /// Traces.
    pub tracing: Option<TracingSpec>,
}

/// `spec.observability.tracing`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TracingSpec {
    /// Whether spans are sent.
    #[serde(default)]
    pub enable: bool,
    /// Port; 9411 for Zipkin and 4317 for OpenTelemetry if omitted.
    #[serde(default)]
    pub port: Option<Port>,
    /// Host name or address; `jaeger.osm-system.svc.cluster.local` if omitted.
    #[serde(default)]
    pub address: Option<String>,
    /// Path of Zipkin's API; `/api/v2/spans` if omitted.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// How spans are sent; Zipkin if omitted.
    #[serde(default)]
    pub protocol: TracingProtocolSpec,
    /// Share of requests that start a trace, in percent, with up to two decimals; 100 if omitted.
    #[serde(default)]
    pub sampling_percent: Option<f64>,
}

/// `spec.observability.tracing.protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "their names say it")]
pub enum TracingProtocolSpec {
    #[default]
    Zipkin,
    OpenTelemetry,
}

/// `spec.certificate`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CertificateSpec {
    /// Validity of workload certificates; `24h` if omitted, 10 minutes at least.
    pub service_cert_validity_duration: Option<Span>,
    /// Accepted for compatibility: keys are ECDSA P-256.
    pub cert_key_bit_size: Option<u32>,
    /// The client certificate of a gateway outside of the mesh.
    pub ingress_gateway: Option<IngressGatewaySpec>,
}

/// `spec.certificate.ingressGateway`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IngressGatewaySpec {
    /// Names in the certificate, one at least.
    pub subject_alt_names: Vec<String>,
    /// Its validity; `24h` if omitted.
    #[serde(default)]
    pub validity_duration: Option<Span>,
    /// Where it is stored, with the roots of the mesh: type `kubernetes.io/tls`.
    pub secret: SecretReference,
}

/// A Secret.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretReference {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
}

/// `spec.featureFlags`. What is omitted is as the field says.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FeatureFlags {
    /// Counts requests by source and destination. The name is OSM's; no WebAssembly is involved. On if omitted.
    #[serde(rename = "enableWASMStats")]
    pub enable_wasm_stats: Option<bool>,
    /// Honours Egress. On if omitted.
    pub enable_egress_policy: Option<bool>,
    /// Honours IngressBackend. On if omitted.
    pub enable_ingress_backend_policy: Option<bool>,
    /// Honours Retry. On if omitted.
    pub enable_retry_policy: Option<bool>,
    /// Sidecars probe each other. Off if omitted.
    pub enable_envoy_active_health_checks: Option<bool>,
    /// Accepted for compatibility; there is no multicluster mode.
    pub enable_multicluster_mode: Option<bool>,
    /// Accepted for compatibility: configurations are always shared and compared.
    pub enable_snapshot_cache_mode: Option<bool>,
    /// Accepted for compatibility: lookups are always indexed.
    pub enable_async_proxy_service_mapping: Option<bool>,
    /// Accepted for compatibility: MeshRootCertificates are always honoured.
    pub enable_mesh_root_certificate: Option<bool>,
}

impl MeshConfigSpec {
    /// What sidecars' configuration depends on.
    pub fn settings(&self, trust_domain: TrustDomain) -> model::Settings {
        let version = |written: Option<TlsVersion>, default| match written {
            None | Some(TlsVersion::TLS_AUTO) => default,
            Some(TlsVersion::TLSv1_0) => model::TlsVersion::V1_0,
            Some(TlsVersion::TLSv1_1) => model::TlsVersion::V1_1,
            Some(TlsVersion::TLSv1_2) => model::TlsVersion::V1_2,
            Some(TlsVersion::TLSv1_3) => model::TlsVersion::V1_3,
        };
        let names = |names: &[String]| names.iter().map(|name| name.as_str().into()).collect();
        let authorization = self.traffic.inbound_external_authorization.as_ref().filter(|a| a.enable);
        let tracing = self.observability.tracing.as_ref().filter(|t| t.enable);
        model::Settings {
            permissive: self.traffic.enable_permissive_traffic_policy_mode,
            trust_domain,
            namespace: model::ControlPlaneNamespace::default(),
            egress: self.traffic.enable_egress,
            external_authorization: authorization.map(ExternalAuthorizationSpec::model),
            tracing: tracing.map(TracingSpec::model),
            tls: model::TlsSettings {
                minimum: version(self.sidecar.tls_min_protocol_version, model::TlsVersion::V1_2),
                maximum: version(self.sidecar.tls_max_protocol_version, model::TlsVersion::V1_3),
                cipher_suites: names(&self.sidecar.cipher_suites),
                ecdh_curves: names(&self.sidecar.ecdh_curves),
            },
            features: self.feature_flags.model(),
        }
    }

    /// What the schema cannot tell.
    ///
    /// # Errors
    /// If fields contradict each other.
    pub fn check(&self) -> Result<(), Fault> {
        let tls = self.settings(TrustDomain::default()).tls;
        if tls.minimum > tls.maximum {
            let field = "spec.sidecar.tlsMinProtocolVersion";
            return Err(Fault::new(field, "is newer than `tlsMaxProtocolVersion`: no connection could be made"));
        }
        tls_names::check(&tls)?;
        if let Some(gateway) = &self.certificate.ingress_gateway
            && gateway.subject_alt_names.is_empty()
        {
            return Err(Fault::new("spec.certificate.ingressGateway.subjectAltNames", "names nobody; give one name"));
        }
        let percent = self.observability.tracing.as_ref().and_then(|t| t.sampling_percent);
        if percent.is_some_and(|p| !(0.0..=100.0).contains(&p)) {
            return Err(Fault::new("spec.observability.tracing.samplingPercent", "is not between 0 and 100"));
        }
        Ok(())
    }
}

impl ExternalAuthorizationSpec {
    fn model(&self) -> ExternalAuthorization {
        ExternalAuthorization {
            address: self.address.as_str().into(),
            port: self.port.0,
            stat_prefix: self.stat_prefix.as_deref().unwrap_or("inboundExtAuthz").into(),
            timeout: self.timeout.map_or(Duration::from_secs(1), |t| t.0),
            failure_mode_allow: self.failure_mode_allow,
        }
    }
}

impl TracingSpec {
    fn model(&self) -> model::Tracing {
        let (protocol, port) = match self.protocol {
            TracingProtocolSpec::Zipkin => {
                let path = self.endpoint.as_deref().unwrap_or("/api/v2/spans");
                (model::TracingProtocol::Zipkin(path.into()), 9411)
            }
            TracingProtocolSpec::OpenTelemetry => (model::TracingProtocol::OpenTelemetry, 4317),
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0–10000 before")]
        let sampling = (self.sampling_percent.unwrap_or(100.0).clamp(0.0, 100.0) * 100.0).round() as u32;
        model::Tracing {
            address: self.address.as_deref().unwrap_or("jaeger.osm-system.svc.cluster.local").into(),
            port: self.port.map_or(port, |p| p.0),
            protocol,
            sampling,
        }
    }
}

impl FeatureFlags {
    fn model(&self) -> Features {
        let default = Features::default();
        Features {
            egress_policy: self.enable_egress_policy.unwrap_or(default.egress_policy),
            ingress_backend_policy: self.enable_ingress_backend_policy.unwrap_or(default.ingress_backend_policy),
            retry_policy: self.enable_retry_policy.unwrap_or(default.retry_policy),
            active_health_checks: self.enable_envoy_active_health_checks.unwrap_or(default.active_health_checks),
            request_metrics: self.enable_wasm_stats.unwrap_or(default.request_metrics),
        }
    }
}
