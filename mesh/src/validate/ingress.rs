//! Rules for IngressBackend.

use std::collections::BTreeSet;

use super::Finding;
use crate::{
    model::{IngressBackend, IngressSource},
    world::World,
};

/// A port of a service is named once.
pub(super) fn once(ingress: &IngressBackend, _: &World) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    let twice = ingress.backends.iter().enumerate().filter(|(_, b)| !seen.insert((&b.service, b.port)));
    let finding = |(i, b): (usize, &crate::model::IngressPort)| {
        let message = format!("{} port {} is named above already; keep one of the two", b.service, b.port);
        Finding::error("DuplicateBackend", format!("spec.backends[{i}]"), message)
    };
    twice.map(finding).collect()
}

/// No other IngressBackend of the namespace opens the same port: its protocol and TLS would be a matter of luck.
pub(super) fn no_overlap(ingress: &IngressBackend, world: &World) -> Vec<Finding> {
    let mut found = Vec::new();
    let same_namespace =
        |other: &IngressBackend| other.name.namespace == ingress.name.namespace && other.name.name != ingress.name.name;
    for other in world.ingress_backends().filter(|other| same_namespace(other)) {
        for (i, backend) in ingress.backends.iter().enumerate() {
            if other.backends.iter().any(|b| (&b.service, b.port) == (&backend.service, backend.port)) {
                let (service, port) = (&backend.service, backend.port);
                let message =
                    format!("IngressBackend {} opens {service} port {port} already; add the sources there", other.name);
                found.push(Finding::error("ConflictingIngressBackend", format!("spec.backends[{i}]"), message));
            }
        }
    }
    found
}

/// Principals can be proved, and a certificate is asked for only where somebody looks at it.
pub(super) fn principals(ingress: &IngressBackend, _: &World) -> Vec<Finding> {
    const RULE: &str = "UnprovablePrincipal";
    let named = ingress.sources.iter().any(|source| matches!(source, IngressSource::Principal(_)));
    let finding = |(i, backend): (usize, &crate::model::IngressPort)| match &backend.tls {
        Some(tls) if tls.skip_client_certificate && named => Some(Finding::error(
            RULE,
            format!("spec.backends[{i}].tls.skipClientCertValidation"),
            "without a client certificate no AuthenticatedPrincipal can be proved, so nobody could call: \
             set it to false, or take the principals out of the sources",
        )),
        None if named => Some(Finding::error(
            RULE,
            format!("spec.backends[{i}].port.protocol"),
            "over plain HTTP no AuthenticatedPrincipal can be proved, so nobody could call: \
             use `https`, or put the port into an IngressBackend without principals",
        )),
        Some(tls) if !tls.skip_client_certificate && !named => Some(Finding::warning(
            "AnyPrincipal",
            "spec.sources",
            format!("no AuthenticatedPrincipal is named: any client certificate of the mesh opens {}", backend.service),
        )),
        _ => None,
    };
    ingress.backends.iter().enumerate().filter_map(finding).collect()
}
