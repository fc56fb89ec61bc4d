//! Why traffic was denied, in terms of SMI: the evaluator says which layer refused, the policies say why.

use std::collections::BTreeSet;

use mesh::{
    model::{ObjectName, ServiceAccount},
    policy::{access::grants_from, service::carried_port, split::split_of},
    world::World,
};

use super::aim::Aim;
use crate::{
    evaluator::{Caller, Denial, Stage},
    lab::Lab,
    scenario::model::{Because, Credentials},
};

/// The reason for a denial.
pub fn because(lab: &Lab, aim: &Aim, denial: &Denial) -> Because {
    if let Some(credentials) = &aim.credentials {
        return past_sidecar(lab, credentials, denial);
    }
    let by_sender = *denial.pod == *aim.sender.object.name.name;
    let refused_to_send = by_sender && matches!(denial.layer, Stage::Chain | Stage::NetworkRbac | Stage::Cluster);
    if !refused_to_send || !matches!(aim.caller, Caller::Pod(_) | Caller::PodTls(..)) {
        return denial.because;
    }
    let port = aim.addresses.first().map_or(0, std::net::SocketAddr::port);
    match &aim.service {
        Some(service) => by_policy(lab.world(), &aim.sender.object.account, service, port),
        None => Because::NoRoute,
    }
}

/// Whoever proves an identity of the mesh, in vain, is the wrong source; all others have none, or a bad one.
fn past_sidecar(lab: &Lab, credentials: &Credentials, denial: &Denial) -> Because {
    let own_domain = &lab.world().settings().trust_domain;
    let foreign = credentials.trust_domain.as_deref().is_some_and(|domain| domain != own_domain.as_str());
    let Credentials { plaintext, anonymous, expired, foreign_ca, retired_root, .. } = credentials;
    let proven = !plaintext && !anonymous && !expired && !foreign_ca && !retired_root && !foreign;
    if proven && matches!(denial.layer, Stage::DownstreamTls | Stage::NetworkRbac) {
        Because::WrongSource
    } else {
        denial.because
    }
}

/// Why a sidecar does not let its own pod call a service port at all.
fn by_policy(world: &World, caller: &ServiceAccount, service: &ObjectName, port: u16) -> Because {
    let Some(port) = world.service(service).and_then(|known| carried_port(known, port)) else {
        return Because::NoRoute;
    };
    let accounts = leaves(world, service);
    let grants = grants_from(world, caller);
    let mut to_it = grants.iter().filter(|grant| accounts.contains(&grant.destination)).peekable();
    if world.settings().permissive || to_it.clone().any(|grant| grant.opens(port.port, port.protocol)) {
        return if split_of(world, service).is_some() { Because::NoBackend } else { Because::NoEndpoint };
    }
    if to_it.peek().is_some() { Because::PortNotAllowed } else { Because::WrongSource }
}

/// The accounts behind a service, and behind the backends of its splits.
fn leaves(world: &World, service: &ObjectName) -> BTreeSet<ServiceAccount> {
    let backends = world
        .splits_by_root(service)
        .flat_map(|split| split.backends.iter().filter_map(|b| split.service_named(&b.service)).collect::<Vec<_>>());
    let services: Vec<_> = backends.chain([service.clone()]).collect();
    services.iter().flat_map(|s| world.accounts_of_service(s)).cloned().collect()
}
