//! SDS: the proxy's own certificate, and what it demands of its peers' certificates.

use std::{collections::BTreeSet, sync::Arc};

use envoy_types::pb::envoy::{
    config::core::v3::{DataSource, data_source::Specifier},
    extensions::transport_sockets::tls::v3::{
        CertificateValidationContext, Secret, SubjectAltNameMatcher, TlsCertificate, secret::Type,
        subject_alt_name_matcher::SanType,
    },
    r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
};

use super::{
    Scope,
    encode::resource,
    ingress, name,
    resource::{ResourceType, Snapshot},
};
use crate::{
    model::{Leaf, ServiceAccount},
    policy::inbound::{Access, Caller},
};

/// An empty list of names would accept every certificate of the mesh. RFC 6761 keeps `.invalid` free for ever.
const NOBODY: &str = "nobody.invalid";

pub(super) fn add(scope: &Scope<'_>, snapshot: &mut Snapshot) {
    // Nothing is offered that nothing refers to: the proxy would never ask for it.
    let used = !scope.outbound.upstreams.is_empty() || !scope.inbound.ports.is_empty();
    if let Some(leaf) = scope.world.certificate(scope.account).filter(|_| used) {
        let name = name::service_certificate(scope.account);
        insert(snapshot, name, Type::TlsCertificate(certificate(leaf)));
    }
    let mut servers = std::collections::BTreeMap::<String, BTreeSet<&ServiceAccount>>::new();
    for upstream in scope.outbound.upstreams.values() {
        servers.entry(name::outbound_validation(&upstream.service)).or_default().extend(&upstream.accounts);
    }
    for (name, accounts) in servers {
        let names = accounts.into_iter().map(|a| exactly(scope, a)).collect();
        insert(snapshot, name, Type::ValidationContext(validation(scope, names)));
    }
    for port in &scope.inbound.ports {
        let name = name::inbound_validation(&port.service, port.target_port);
        insert(snapshot, name, Type::ValidationContext(validation(scope, callers(scope, &port.callers))));
    }
    for chain in scope.ingress.iter().filter(|chain| ingress::asks(chain)) {
        let mut context = validation(scope, Vec::new());
        let names = ingress::principals(chain).unwrap_or_default();
        let names = names.into_iter().map(|name| name_matching(SanType::Dns, MatchPattern::Exact(name.into())));
        context.match_typed_subject_alt_names = names.collect();
        insert(snapshot, name::ingress_validation(chain), Type::ValidationContext(context));
    }
}

fn insert(snapshot: &mut Snapshot, name: String, content: Type) {
    let secret = Secret { name: name.clone(), r#type: Some(content) };
    snapshot.insert(ResourceType::Secret, name, resource(ResourceType::Secret, &secret));
}

fn certificate(leaf: &Arc<Leaf>) -> TlsCertificate {
    TlsCertificate {
        certificate_chain: inline(&leaf.chain_pem),
        private_key: inline(leaf.key.expose()),
        ..Default::default()
    }
}

fn validation(scope: &Scope<'_>, mut names: Vec<SubjectAltNameMatcher>) -> CertificateValidationContext {
    if names.is_empty() {
        names.push(name_matching(SanType::Dns, MatchPattern::Exact(NOBODY.into())));
    }
    CertificateValidationContext {
        trusted_ca: inline(&scope.world.trust().roots_pem),
        match_typed_subject_alt_names: names,
        ..Default::default()
    }
}

fn callers(scope: &Scope<'_>, callers: &Access<Vec<Caller>>) -> Vec<SubjectAltNameMatcher> {
    match callers {
        // By the SPIFFE ID: a DNS name that ends in the domain could belong to a domain below it.
        Access::Everyone => {
            let everyone = format!("spiffe://{}/", scope.world.settings().trust_domain);
            vec![name_matching(SanType::Uri, MatchPattern::Prefix(everyone))]
        }
        Access::Only(callers) => {
            let sources: BTreeSet<_> = callers.iter().flat_map(|c| &c.sources).collect();
            sources.into_iter().map(|source| exactly(scope, source)).collect()
        }
    }
}

fn exactly(scope: &Scope<'_>, account: &ServiceAccount) -> SubjectAltNameMatcher {
    name_matching(SanType::Dns, MatchPattern::Exact(account.principal(&scope.world.settings().trust_domain)))
}

fn name_matching(san_type: SanType, pattern: MatchPattern) -> SubjectAltNameMatcher {
    SubjectAltNameMatcher {
        san_type: san_type.into(),
        matcher: Some(StringMatcher { match_pattern: Some(pattern), ..Default::default() }),
        ..Default::default()
    }
}

fn inline(text: &str) -> Option<DataSource> {
    Some(DataSource { specifier: Some(Specifier::InlineString(text.into())), ..Default::default() })
}
