//! The TLS contexts of connections between sidecars: TLS 1.2–1.3, certificates over SDS.

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

use super::{encode::pack, name};
use crate::model::ServiceAccount;

/// Resources come over the same aggregated stream.
pub(super) fn ads() -> Option<ConfigSource> {
    Some(ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..Default::default()
    })
}

/// The client's side: proves the caller's account, demands what the secret `validation` says.
pub(super) fn upstream(account: &ServiceAccount, validation: String, sni: String) -> Option<TransportSocket> {
    socket(pack(&UpstreamTlsContext {
        common_tls_context: Some(common(account, validation, vec![name::MESH_ALPN.into()])),
        sni,
        ..Default::default()
    }))
}

/// The server's side: the caller must present a certificate that the secret `validation` accepts.
pub(super) fn downstream(account: &ServiceAccount, validation: String) -> Option<TransportSocket> {
    socket(pack(&DownstreamTlsContext {
        common_tls_context: Some(common(account, validation, Vec::new())),
        require_client_certificate: Some(BoolValue { value: true }),
        ..Default::default()
    }))
}

fn common(account: &ServiceAccount, validation: String, alpn_protocols: Vec<String>) -> CommonTlsContext {
    let secret = |name| SdsSecretConfig { name, sds_config: ads() };
    CommonTlsContext {
        tls_params: Some(TlsParameters {
            tls_minimum_protocol_version: TlsProtocol::TlSv12.into(),
            tls_maximum_protocol_version: TlsProtocol::TlSv13.into(),
            ..Default::default()
        }),
        tls_certificate_sds_secret_configs: vec![secret(name::service_certificate(account))],
        validation_context_type: Some(ValidationContextType::ValidationContextSdsSecretConfig(secret(validation))),
        alpn_protocols,
        ..Default::default()
    }
}

fn socket(context: Any) -> Option<TransportSocket> {
    Some(TransportSocket {
        name: "envoy.transport_sockets.tls".into(),
        config_type: Some(ConfigType::TypedConfig(context)),
    })
}
