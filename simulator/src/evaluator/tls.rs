//! TLS contexts of filter chains and clusters, and the secrets that they name.

use std::sync::Arc;

use envoy_types::pb::envoy::{
    config::core::v3::{DataSource, TransportSocket, data_source::Specifier, transport_socket},
    extensions::transport_sockets::tls::v3::{
        CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, SdsSecretConfig, Secret,
        SubjectAltNameMatcher, TlsCertificate, TlsParameters, UpstreamTlsContext,
        common_tls_context::ValidationContextType, secret, subject_alt_name_matcher::SanType,
        tls_parameters::TlsProtocol,
    },
};

use super::{
    certificate::{PeerCertificate, Roots},
    text::TextMatch,
    unmodelled::{Modelled, Unmodelled, nothing_else, refused, unpack},
};

/// The TLS side of a filter chain.
#[derive(Debug)]
pub(super) struct ServerTls {
    pub(super) common: CommonTls,
    pub(super) client_certificate_required: bool,
}

/// The TLS side of a cluster.
#[derive(Debug)]
pub(super) struct ClientTls {
    pub(super) common: CommonTls,
    /// The server name sent; empty: none.
    pub(super) sni: String,
    pub(super) alpn: Vec<String>,
}

/// What both sides share.
#[derive(Debug)]
pub(super) struct CommonTls {
    /// The proxy's own certificate.
    pub(super) certificate: Option<Source<PeerCertificate>>,
    /// Checks of the peer's certificate, all of which count: those written in place, and those from a secret.
    pub(super) validation: Vec<Source<Validation>>,
    /// The oldest and the newest minor version of TLS 1.
    pub(super) versions: (u8, u8),
}

/// Something given in place, or by the name of a secret.
#[derive(Debug)]
pub(super) enum Source<T> {
    Inline(Arc<T>),
    Secret(String),
}

/// A CertificateValidationContext.
#[derive(Debug, Default)]
pub(super) struct Validation {
    /// Authorities; `None`: none are given here.
    pub(super) roots: Option<Roots>,
    /// One of these must match, if there are any.
    pub(super) names: Vec<NameMatch>,
}

/// A test on subject alternative names.
#[derive(Debug)]
pub(super) struct NameMatch {
    kind: SanType,
    text: TextMatch,
}

/// A secret.
#[derive(Debug)]
pub(super) enum KnownSecret {
    Certificate(Arc<PeerCertificate>),
    Validation(Arc<Validation>),
}

impl NameMatch {
    fn new(mut matcher: SubjectAltNameMatcher) -> Modelled<Self> {
        let kind = SanType::try_from(std::mem::take(&mut matcher.san_type));
        let text = std::mem::take(&mut matcher.matcher);
        nothing_else(&matcher)?;
        let Some(text) = text else { return refused("SubjectAltNameMatcher.matcher", "it is not set") };
        match kind {
            Ok(kind @ (SanType::Dns | SanType::Uri)) => Ok(Self { kind, text: TextMatch::new(text)? }),
            _ => Err(Unmodelled::new("SubjectAltNameMatcher.san_type", "only DNS and URI are modelled")),
        }
    }

    /// Whether one of the certificate's names of this kind passes.
    pub(super) fn matches(&self, certificate: &PeerCertificate) -> Modelled<bool> {
        if self.kind == SanType::Uri {
            return Ok(certificate.uris().iter().any(|uri| self.text.matches(uri)));
        }
        if certificate.dns().iter().any(|name| name.contains('*')) {
            return Err(Unmodelled::new("certificate", "a wildcard name is not modelled"));
        }
        // Host names are compared without regard to case (RFC 4343); other tests are plain.
        Ok(certificate.dns().iter().any(|name| match self.text.exact() {
            Some(wanted) => name.eq_ignore_ascii_case(wanted),
            None => self.text.matches(name),
        }))
    }
}

impl Validation {
    fn new(mut context: CertificateValidationContext) -> Modelled<Self> {
        let roots = std::mem::take(&mut context.trusted_ca);
        let names = std::mem::take(&mut context.match_typed_subject_alt_names);
        nothing_else(&context)?;
        let roots = roots.map(|source| Roots::from_pem(&bytes(source)?)).transpose()?;
        let names = names.into_iter().map(NameMatch::new).collect::<Modelled<_>>()?;
        Ok(Self { roots, names })
    }
}

impl KnownSecret {
    /// Reads a secret.
    pub(super) fn new(mut secret: Secret) -> Modelled<Self> {
        secret.name.clear();
        match secret.r#type {
            Some(secret::Type::TlsCertificate(certificate)) => {
                Ok(Self::Certificate(Arc::new(read_certificate(certificate)?)))
            }
            Some(secret::Type::ValidationContext(context)) => Ok(Self::Validation(Arc::new(Validation::new(context)?))),
            _ => Err(Unmodelled::new("Secret", "this kind of secret is not modelled")),
        }
    }
}

impl ServerTls {
    /// Reads the transport socket of a filter chain.
    pub(super) fn new(socket: TransportSocket) -> Modelled<Self> {
        let mut context: DownstreamTlsContext = typed(socket)?;
        let common = context.common_tls_context.take().unwrap_or_default();
        let required = context.require_client_certificate.take().is_some_and(|flag| flag.value);
        context.disable_stateful_session_resumption = false;
        nothing_else(&context)?;
        if !common.alpn_protocols.is_empty() {
            // Then the codec is chosen by what was negotiated, not by what the client sends.
            return Err(Unmodelled::new("DownstreamTlsContext.common_tls_context.alpn_protocols", "not modelled"));
        }
        let common = CommonTls::new(common)?;
        if common.certificate.is_none() {
            return refused("DownstreamTlsContext", "there is no certificate");
        }
        if required && common.validation.is_empty() {
            return Err(Unmodelled::new(
                "DownstreamTlsContext",
                "a required certificate without validation is not modelled",
            ));
        }
        Ok(Self { common, client_certificate_required: required })
    }
}

impl ClientTls {
    /// Reads the transport socket of a cluster.
    pub(super) fn new(socket: TransportSocket) -> Modelled<Self> {
        let mut context: UpstreamTlsContext = typed(socket)?;
        let mut common = context.common_tls_context.take().unwrap_or_default();
        let sni = std::mem::take(&mut context.sni);
        nothing_else(&context)?;
        let alpn = std::mem::take(&mut common.alpn_protocols);
        Ok(Self { common: CommonTls::new(common)?, sni, alpn })
    }
}

impl CommonTls {
    fn new(mut context: CommonTlsContext) -> Modelled<Self> {
        let mut versions = (2, 3);
        if let Some(parameters) = context.tls_params.take() {
            versions = read_versions(parameters)?;
        }
        let mut certificates: Vec<_> = std::mem::take(&mut context.tls_certificates)
            .into_iter()
            .map(|certificate| Ok(Source::Inline(Arc::new(read_certificate(certificate)?))))
            .collect::<Modelled<_>>()?;
        let secrets = std::mem::take(&mut context.tls_certificate_sds_secret_configs);
        certificates.extend(secrets.into_iter().map(|secret| Source::Secret(secret_name(secret))));
        let validation = context.validation_context_type.take().map(validation).transpose()?.unwrap_or_default();
        context.alpn_protocols.clear();
        nothing_else(&context)?;
        if certificates.len() > 1 {
            return Err(Unmodelled::new("CommonTlsContext", "more than one certificate is not modelled"));
        }
        Ok(Self { certificate: certificates.pop(), validation, versions })
    }
}

fn validation(kind: ValidationContextType) -> Modelled<Vec<Source<Validation>>> {
    let inline = |context| Ok::<_, Unmodelled>(Source::Inline(Arc::new(Validation::new(context)?)));
    Ok(match kind {
        ValidationContextType::ValidationContext(context) => vec![inline(context)?],
        ValidationContextType::ValidationContextSdsSecretConfig(secret) => vec![Source::Secret(secret_name(secret))],
        ValidationContextType::CombinedValidationContext(mut combined) => {
            let default = combined.default_validation_context.take().map(inline).transpose()?;
            let secret = combined.validation_context_sds_secret_config.take();
            nothing_else(&combined)?;
            default.into_iter().chain(secret.map(|secret| Source::Secret(secret_name(secret)))).collect()
        }
        _ => return Err(Unmodelled::new("CommonTlsContext.validation_context_type", "this kind is not modelled")),
    })
}

/// Where the secret is fetched from does not matter: all of them are in the snapshot.
fn secret_name(secret: SdsSecretConfig) -> String {
    secret.name
}

/// Of the versions only 1.2 and 1.3 are modelled. Suites and curves are those of the whole mesh, so both sides agree on them.
fn read_versions(mut parameters: TlsParameters) -> Modelled<(u8, u8)> {
    let min = TlsProtocol::try_from(std::mem::take(&mut parameters.tls_minimum_protocol_version));
    let max = TlsProtocol::try_from(std::mem::take(&mut parameters.tls_maximum_protocol_version));
    parameters.cipher_suites.clear();
    parameters.ecdh_curves.clear();
    nothing_else(&parameters)?;
    let minor = |version, auto| match version {
        Ok(TlsProtocol::TlsAuto) => Some(auto),
        Ok(TlsProtocol::TlSv12) => Some(2),
        Ok(TlsProtocol::TlSv13) => Some(3),
        _ => None,
    };
    match (minor(min, 2), minor(max, 3)) {
        (Some(min), Some(max)) if min <= max => Ok((min, max)),
        _ => Err(Unmodelled::new("TlsParameters", "only TLS 1.2 up to 1.3 is modelled")),
    }
}

fn read_certificate(mut certificate: TlsCertificate) -> Modelled<PeerCertificate> {
    let chain = certificate.certificate_chain.take();
    // Whether the key belongs to the certificate is the certificate authority's business.
    if certificate.private_key.take().is_none() {
        return refused("TlsCertificate.private_key", "it is not set");
    }
    nothing_else(&certificate)?;
    let Some(chain) = chain else { return refused("TlsCertificate.certificate_chain", "it is not set") };
    let pem = String::from_utf8(bytes(chain)?).or_else(|error| refused("TlsCertificate.certificate_chain", error))?;
    PeerCertificate::from_pem(&pem)
}

fn bytes(mut source: DataSource) -> Modelled<Vec<u8>> {
    match source.specifier.take() {
        Some(Specifier::InlineBytes(bytes)) => Ok(bytes),
        Some(Specifier::InlineString(text)) => Ok(text.into_bytes()),
        _ => Err(Unmodelled::new("DataSource", "only inline data are modelled")),
    }
}

fn typed<M: prost::Message + Default + prost::Name>(socket: TransportSocket) -> Modelled<M> {
    match socket.config_type {
        Some(transport_socket::ConfigType::TypedConfig(any)) => unpack(&any),
        None => Err(Unmodelled::new("TransportSocket.typed_config", "it is not set")),
    }
}
