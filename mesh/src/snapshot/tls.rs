//! The TLS contexts of connections between sidecars: versions, cipher suites and curves of the settings (TLS 1.2–1.3 by
//! default; the suites are those of TLS 1.2, for those of TLS 1.3 cannot be chosen), certificates over SDS.

use envoy_types::pb::envoy::{
    config::core::v3::{
        AggregatedConfigSource, ApiVersion, ConfigSource, TransportSocket, config_source::ConfigSourceSpecifier,
        transport_socket::ConfigType,
    },
    extensions::transport_sockets::tls::v3::{
        CommonTlsContext, DownstreamTlsContext, SdsSecretConfig, TlsParameters, UpstreamTlsContext,
        common_tls_context::ValidationContextType, tls_parameters::TlsProtocol,
    },
};
use envoy_types::pb::google::protobuf::{Any, BoolValue};

use super::{Scope, encode::pack, name};
use crate::model::TlsVersion;

/// Resources come over the same aggregated stream.
pub(super) fn ads() -> Option<ConfigSource> {
    Some(ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..Default::default()
    })
}

/// The client's side: proves the caller's account, demands what the secret `validation` says.
pub(super) fn upstream(scope: &Scope<'_>, validation: String, sni: String) -> Option<TransportSocket> {
    socket(pack(&UpstreamTlsContext {
        common_tls_context: Some(common(scope, validation, vec![name::MESH_ALPN.into()])),
        sni,
        ..Default::default()
    }))
}

/// The server's side: the caller must present a certificate that the secret `validation` accepts.
pub(super) fn downstream(scope: &Scope<'_>, validation: String) -> Option<TransportSocket> {
    socket(pack(&DownstreamTlsContext {
        common_tls_context: Some(common(scope, validation, Vec::new())),
        require_client_certificate: Some(BoolValue { value: true }),
        ..Default::default()
    }))
}

/// The server's side towards callers from outside. `validation` is the secret that says what their certificates must be;
/// `None`: they are not asked for one.
pub(super) fn downstream_from_outside(
    scope: &Scope<'_>,
    validation: Option<String>,
    required: bool,
) -> Option<TransportSocket> {
    let checks = validation.is_some();
    let mut common = common(scope, validation.unwrap_or_default(), Vec::new());
    if !checks {
        common.validation_context_type = None;
    }
    socket(pack(&DownstreamTlsContext {
        common_tls_context: Some(common),
        require_client_certificate: Some(BoolValue { value: checks && required }),
        ..Default::default()
    }))
}

fn common(scope: &Scope<'_>, validation: String, alpn_protocols: Vec<String>) -> CommonTlsContext {
    let secret = |name| SdsSecretConfig { name, sds_config: ads() };
    CommonTlsContext {
        tls_params: Some(parameters(scope)),
        tls_certificate_sds_secret_configs: vec![secret(name::service_certificate(scope.account))],
        validation_context_type: Some(ValidationContextType::ValidationContextSdsSecretConfig(secret(validation))),
        alpn_protocols,
        ..Default::default()
    }
}

fn parameters(scope: &Scope<'_>) -> TlsParameters {
    let version = |version| match version {
        TlsVersion::V1_0 => TlsProtocol::TlSv10,
        TlsVersion::V1_1 => TlsProtocol::TlSv11,
        TlsVersion::V1_2 => TlsProtocol::TlSv12,
        TlsVersion::V1_3 => TlsProtocol::TlSv13,
    };
    let tls = &scope.world.settings().tls;
    TlsParameters {
        tls_minimum_protocol_version: version(tls.minimum).into(),
        tls_maximum_protocol_version: version(tls.maximum).into(),
        cipher_suites: tls.cipher_suites.iter().map(ToString::to_string).collect(),
        ecdh_curves: tls.ecdh_curves.iter().map(ToString::to_string).collect(),
        ..Default::default()
    }
}

fn socket(context: Any) -> Option<TransportSocket> {
    Some(TransportSocket {
        name: "envoy.transport_sockets.tls".into(),
        config_type: Some(ConfigType::TypedConfig(context)),
    })
}
