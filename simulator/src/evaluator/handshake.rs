//! The TLS handshake: the client checks the server's certificate, then the server the client's.

use std::{borrow::Cow, fmt, sync::Arc};

use super::{
    Evaluator,
    certificate::{PeerCertificate, Role},
    proxy::ProxyConfig,
    tls::{ClientTls, CommonTls, KnownSecret, ServerTls, Source, Validation},
    unmodelled::{Modelled, Unmodelled, refused},
};

/// Key of the memory of verified chains: certificate and roots by address, and the side.
pub(super) type Verified = (usize, usize, Role);

/// What a client says first.
#[derive(Clone, Debug)]
pub(super) struct Hello<'a> {
    /// In lower case; empty: none.
    pub(super) server_name: Cow<'a, str>,
    pub(super) alpn: &'a [String],
    pub(super) certificate: Option<Presented<'a>>,
    /// How the client checks the server; `None`: it takes any.
    pub(super) checks: Option<(&'a ProxyConfig, &'a ClientTls)>,
}

/// A certificate as presented.
#[derive(Clone, Copy, Debug)]
pub(super) enum Presented<'a> {
    /// One that stays where it is as long as the evaluator is not changed.
    Kept(&'a Arc<PeerCertificate>),
    /// A caller's own.
    Own(&'a PeerCertificate),
}

/// Why a handshake fails.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// The client does not accept the server.
    ByClient(String),
    /// The server wants a certificate, and the client has none.
    Anonymous,
    /// The server does not accept the client's certificate.
    ByServer(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByClient(reason) => write!(f, "the client refuses the server's certificate: {reason}"),
            Self::Anonymous => f.write_str("the client presents no certificate"),
            Self::ByServer(reason) => write!(f, "the server refuses the client's certificate: {reason}"),
        }
    }
}

/// What validation a side applies.
struct Checks<'a> {
    /// Authorities; `None`: none are given.
    roots: Option<&'a Arc<Validation>>,
    all: Vec<&'a Arc<Validation>>,
}

impl<'a> Presented<'a> {
    /// The certificate itself.
    pub(super) fn certificate(self) -> &'a PeerCertificate {
        match self {
            Self::Kept(kept) => kept,
            Self::Own(own) => own,
        }
    }
}

impl Evaluator {
    /// The handshake of `hello` with a filter chain. `Ok(Ok(peer))`: it succeeds, and the server knows `peer`.
    pub(super) fn handshake<'a>(
        &self,
        hello: &Hello<'a>,
        config: &ProxyConfig,
        tls: &ServerTls,
    ) -> Modelled<Result<Option<&'a PeerCertificate>, Refusal>> {
        let Some(server) = own_certificate(config, &tls.common)? else {
            return refused("DownstreamTlsContext", "there is no certificate");
        };
        if let Some((_, client)) = hello.checks {
            let ((least, most), (min, max)) = (client.common.versions, tls.common.versions);
            if least.max(min) > most.min(max) {
                return Ok(Err(Refusal::ByServer("they have no version of TLS in common".into())));
            }
        }
        if let Some(refusal) = self.client_refuses(hello, Presented::Kept(server))? {
            return Ok(Err(refusal));
        }
        if tls.common.validation.is_empty() {
            return Ok(Ok(None));
        }
        let Some(client) = hello.certificate else {
            let anonymous = if tls.client_certificate_required { Err(Refusal::Anonymous) } else { Ok(None) };
            return Ok(anonymous);
        };
        let checks = Checks::new(config, &tls.common)?;
        Ok(match self.check(&checks, client, Role::Client)? {
            Ok(()) => Ok(Some(client.certificate())),
            Err(reason) => Err(Refusal::ByServer(reason)),
        })
    }

    /// Whether the client turns away from a server with this certificate.
    pub(super) fn client_refuses(&self, hello: &Hello<'_>, server: Presented<'_>) -> Modelled<Option<Refusal>> {
        let Some((config, tls)) = hello.checks else { return Ok(None) };
        if tls.common.validation.is_empty() {
            return Ok(None);
        }
        let checks = Checks::new(config, &tls.common)?;
        Ok(self.check(&checks, server, Role::Server)?.err().map(Refusal::ByClient))
    }

    fn check(&self, checks: &Checks<'_>, peer: Presented<'_>, role: Role) -> Modelled<Result<(), String>> {
        let Some(validation) = checks.roots else {
            return Err(Unmodelled::new(
                "CertificateValidationContext.trusted_ca",
                "validation without it is not modelled",
            ));
        };
        if let Err(reason) = self.chain(validation, peer, role)? {
            return Ok(Err(reason));
        }
        let mut names = checks.all.iter().flat_map(|validation| &validation.names).peekable();
        if names.peek().is_none() {
            return Ok(Ok(()));
        }
        for name in names {
            if name.matches(peer.certificate())? {
                return Ok(Ok(()));
            }
        }
        let (dns, uris) = (peer.certificate().dns(), peer.certificate().uris());
        Ok(Err(format!("none of its names is expected: {}", [dns, uris].concat().join(", "))))
    }

    /// Verifies a chain, and remembers the result.
    fn chain(&self, validation: &Arc<Validation>, peer: Presented<'_>, role: Role) -> Modelled<Result<(), String>> {
        let Some(roots) = &validation.roots else { return Ok(Ok(())) };
        let certificate = match peer {
            Presented::Own(own) => return own.verify(roots, role, self.now),
            Presented::Kept(kept) => kept,
        };
        let key = (Arc::as_ptr(certificate) as usize, Arc::as_ptr(validation) as usize, role);
        if let Some(known) = self.verified.read().ok().and_then(|memory| memory.get(&key).cloned()) {
            return Ok(known);
        }
        let verdict = certificate.verify(roots, role, self.now)?;
        if let Ok(mut memory) = self.verified.write() {
            memory.insert(key, verdict.clone());
        }
        Ok(verdict)
    }
}

impl<'a> Checks<'a> {
    fn new(config: &'a ProxyConfig, tls: &'a CommonTls) -> Modelled<Self> {
        let mut all = Vec::with_capacity(tls.validation.len());
        for source in &tls.validation {
            all.push(match source {
                Source::Inline(validation) => validation,
                Source::Secret(name) => match config.secret(name)? {
                    KnownSecret::Validation(validation) => validation,
                    KnownSecret::Certificate(_) => {
                        return refused(format!("secret {name}"), "it is no validation context");
                    }
                },
            });
        }
        // A secret's authorities replace those written in place.
        let roots = all.iter().rev().find(|validation| validation.roots.is_some()).copied();
        Ok(Self { roots, all })
    }
}

/// The certificate that a proxy presents.
pub(super) fn own_certificate<'a>(
    config: &'a ProxyConfig,
    tls: &'a CommonTls,
) -> Modelled<Option<&'a Arc<PeerCertificate>>> {
    match &tls.certificate {
        None => Ok(None),
        Some(Source::Inline(certificate)) => Ok(Some(certificate)),
        Some(Source::Secret(name)) => match config.secret(name)? {
            KnownSecret::Certificate(certificate) => Ok(Some(certificate)),
            KnownSecret::Validation(_) => refused(format!("secret {name}"), "it is no certificate"),
        },
    }
}
