//! What would have allowed a denied request.

use std::fmt::Write as _;

use mesh::{
    model::ServiceAccount,
    policy::{access::grants_from, service::carried_port},
};

use super::{aim::Aim, because::because};
use crate::{
    evaluator::Denial,
    lab::Lab,
    scenario::model::{Because, Proto},
};

/// The change that would let the request through, as advice with a manifest where one is missing. `None` where no change of
/// policy would.
pub fn remedy(lab: &Lab, aim: &Aim, denial: &Denial) -> Option<String> {
    let world = lab.world();
    let caller = &aim.sender.object.account;
    let service = aim.service.as_ref()?;
    let destination = world.accounts_of_service(service).next()?.clone();
    let port = aim.addresses.first()?.port();
    let known = world.service(service)?;
    match because(lab, aim, denial) {
        Because::WrongSource => Some(format!(
            "no TrafficTarget names {caller} as a source for {destination}; apply\n{}",
            target(caller, &destination, aim, port)
        )),
        Because::PortNotAllowed => Some(format!(
            "the targets from {caller} to {destination} do not open port {port}; add a rule\n{}",
            rule(aim, port)
        )),
        Because::RouteNotAllowed => {
            let grants = grants_from(world, caller);
            let mut near =
                grants.iter().filter(|grant| grant.destination == destination).map(|grant| grant.target.to_string());
            let near = near.next().map_or_else(|| "a TrafficTarget".to_owned(), |name| format!("TrafficTarget {name}"));
            Some(format!("{near} lets {caller} call {destination}, but not this way; add a match\n{}", route(aim)))
        }
        Because::NoRoute if carried_port(known, port).is_none() => {
            Some(format!("service {service} has no port {port} that sidecars carry; add it to its `spec.ports`"))
        }
        Because::NoEndpoint => {
            Some(format!("make a pod of service {service} ready, or let {caller} reach its account"))
        }
        Because::NoBackend => Some("give a backend of the TrafficSplit a weight above zero".into()),
        Because::NoRoute | Because::NoIdentity | Because::BadIdentity => None,
    }
}

fn target(caller: &ServiceAccount, destination: &ServiceAccount, aim: &Aim, port: u16) -> String {
    let mut text = String::new();
    let _ = write!(
        text,
        "apiVersion: access.smi-spec.io/v1alpha3\nkind: TrafficTarget\n\
         metadata: {{name: {}-to-{}, namespace: {}}}\nspec:\n  \
         destination: {{kind: ServiceAccount, name: {}, namespace: {}}}\n  \
         sources: [{{kind: ServiceAccount, name: {}, namespace: {}}}]\n  rules:\n",
        caller.name,
        destination.name,
        destination.namespace,
        destination.name,
        destination.namespace,
        caller.name,
        caller.namespace
    );
    for line in rule(aim, port).lines() {
        let _ = writeln!(text, "  {line}");
    }
    text
}

fn rule(aim: &Aim, port: u16) -> String {
    if matches!(aim.proto(), Proto::Tcp | Proto::TcpServerFirst) {
        format!("- {{kind: TCPRoute, name: NAME}}   # with spec.matches.ports: [{port}]\n")
    } else {
        format!(
            "- {{kind: HTTPRouteGroup, name: NAME}}   # with the match {}\n",
            route(aim).trim_start_matches("- ").trim_end()
        )
    }
}

fn route(aim: &Aim) -> String {
    let request = aim.request(crate::exchange::RequestId(0), 0);
    let path = request.path.split('?').next().unwrap_or_default();
    // A literal path has few characters with a meaning of their own.
    let escaped: String = path
        .chars()
        .flat_map(|c| ["\\".to_owned(), c.to_string()].into_iter().skip(usize::from(!is_special(c))))
        .collect();
    format!("- {{name: NAME, pathRegex: '{escaped}', methods: [{}]}}\n", request.method)
}

fn is_special(c: char) -> bool {
    ".+*?()|[]{}^$\\".contains(c)
}
