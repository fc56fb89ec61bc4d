//! Who may call a pod from outside of the mesh (IngressBackend).
//!
//! Grants of all objects add up. Envoy chooses a chain by server name, then by the narrowest range of source addresses, and never
//! looks back; so the chain of each name and range carries what wider ones grant too.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ipnet::IpNet;

use super::{
    access::{Conditions, GrantedMatch},
    reference::route_groups,
    service::{MeshService, carried_ports, target_port},
};
use crate::{
    model::{
        Code, Diagnostic, IngressBackend, IngressPort, IngressSource, Kind, ObjectName, ObjectRef, Service,
        ServicePort, TargetPort, Workload,
    },
    world::World,
};

/// One filter chain for callers from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressChain {
    /// The pod's port.
    pub port: u16,
    /// `None` is plaintext.
    pub tls: Option<IngressNames>,
    /// The range of source addresses; `None` is any.
    pub range: Option<IpNet>,
    /// What is let through. Never empty.
    pub grants: Vec<IngressGrant>,
}

/// The server names of a chain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IngressNames {
    /// Exactly this.
    Host(Arc<str>),
    /// Any that no other chain has.
    Any,
}

/// What one IngressBackend lets through on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressGrant {
    /// The IngressBackend.
    pub object: ObjectName,
    /// The service whose port it opens.
    pub service: MeshService,
    /// The requests, each with its HTTPRouteGroup; `None` is every request.
    pub matches: Option<Vec<GrantedMatch>>,
    /// The names of which the client's certificate must bear one; `None`: any certificate of the mesh.
    pub principals: Option<BTreeSet<Arc<str>>>,
    /// No certificate is asked for.
    pub anonymous: bool,
    ranges: Option<Vec<IpNet>>,
    names: Option<BTreeSet<Arc<str>>>,
}

impl IngressGrant {
    /// The conditions of all requests that are let through.
    pub fn conditions(&self) -> Vec<(Conditions, Option<&ObjectName>)> {
        match &self.matches {
            None => vec![(Conditions::everything(), None)],
            Some(matches) => matches.iter().map(|m| (Conditions::of(&m.matched), Some(&m.group))).collect(),
        }
    }

    fn covers(&self, range: Option<IpNet>) -> bool {
        self.ranges
            .as_ref()
            .is_none_or(|own| own.iter().any(|own| range.map_or(own.prefix_len() == 0, |range| own.contains(&range))))
    }

    fn answers_to(&self, names: &Option<IngressNames>) -> bool {
        match (names, &self.names) {
            (None, _) | (_, None) => true,
            (Some(IngressNames::Host(host)), Some(own)) => own.contains(host),
            (Some(IngressNames::Any), Some(_)) => false,
        }
    }
}

/// The chains of `pod` for callers from outside; no two have the same match.
pub fn ingress(world: &World, pod: &Workload) -> Vec<IngressChain> {
    if !world.settings().features.ingress_backend_policy {
        return Vec::new();
    }
    let mut grants: BTreeMap<(u16, bool), Vec<IngressGrant>> = BTreeMap::new();
    for object in world.ingress_backends().filter(|o| o.name.namespace == pod.name.namespace) {
        for (port, tls, service, grant) in granted(world, object, &mut |_| {}) {
            let serves = carried_ports(&service).any(|p| p.protocol.is_http() && target_port(p, pod) == Some(port));
            if serves && service.selects(&pod.labels) {
                grants.entry((port, tls)).or_default().push(grant);
            }
        }
    }
    let mut chains = Vec::new();
    for ((port, tls), grants) in grants {
        for names in server_names(world, pod, tls, &grants) {
            let named: Vec<_> = grants.iter().filter(|g| g.answers_to(&names)).cloned().collect();
            for range in ranges(&named) {
                let within = named.iter().filter(|g| g.covers(range)).cloned().collect();
                chains.push(IngressChain { port, tls: names.clone(), range, grants: within });
            }
        }
    }
    chains
}

/// The names that need chains of their own. Where any name is taken, those of the pod's services are spelled out: Envoy finds them
/// at the chains for callers inside of the mesh, and would not look back.
fn server_names(world: &World, pod: &Workload, tls: bool, grants: &[IngressGrant]) -> BTreeSet<Option<IngressNames>> {
    if !tls {
        return BTreeSet::from([None]);
    }
    let mut names: BTreeSet<_> =
        grants.iter().filter_map(|g| g.names.clone()).flatten().map(|name| Some(IngressNames::Host(name))).collect();
    if grants.iter().any(|g| g.names.is_none()) {
        names.insert(Some(IngressNames::Any));
        for service in world.services_of(&pod.name) {
            let own = [Some(MeshService::whole(service)), MeshService::single(service, pod)];
            names.extend(own.into_iter().flatten().map(|s| Some(IngressNames::Host(s.fqdn().into()))));
        }
    }
    names
}

fn ranges(grants: &[IngressGrant]) -> BTreeSet<Option<IpNet>> {
    let any = grants.iter().any(|g| g.ranges.is_none()).then_some(None);
    let some = grants.iter().flat_map(|g| g.ranges.iter().flatten()).map(|r| (r.prefix_len() > 0).then_some(*r));
    any.into_iter().chain(some).collect()
}

/// Tells every mistake of an IngressBackend.
pub fn diagnose(world: &World, object: &IngressBackend, report: &mut dyn FnMut(Diagnostic)) {
    granted(world, object, report);
}

type Granted = (u16, bool, Arc<Service>, IngressGrant);

/// What one object grants: port, whether TLS is spoken there, service, and the grant.
fn granted(world: &World, object: &IngressBackend, report: &mut dyn FnMut(Diagnostic)) -> Vec<Granted> {
    let reference = ObjectRef::new(Kind::IngressBackend, object.name.clone());
    let mut tell = |field: String, code, message| {
        report(Diagnostic { object: reference.clone(), field, code, message });
    };
    let matches = route_groups(world, &object.name, &object.route_groups, &mut tell);
    let ranges = addresses(world, object, &mut tell);
    let principals = principals(object);
    if object.sources.is_empty() {
        tell("spec.sources".into(), Code::NoSource, "no source is named, so nobody may call".into());
        return Vec::new();
    }
    let mut granted = Vec::new();
    for (i, backend) in object.backends.iter().enumerate() {
        let field = format!("spec.backends[{i}]");
        let Some(service) = served(world, object, backend, &field, &mut tell) else { continue };
        let anonymous = backend.tls.as_ref().is_none_or(|tls| tls.skip_client_certificate);
        if anonymous && object.sources.iter().any(|s| matches!(s, IngressSource::Principal(_))) {
            let message = "sources name a principal, which only a client certificate proves, and none is asked for; nobody \
                           may call: use `https` without `skipClientCertValidation`, or remove the principals";
            tell(field, Code::UnprovablePrincipal, message.into());
            continue;
        }
        let names = backend.tls.as_ref().map(|tls| &tls.sni_hosts).filter(|names| !names.is_empty());
        let grant = IngressGrant {
            object: object.name.clone(),
            service: MeshService::whole(&service),
            matches: matches.clone(),
            principals: principals.clone(),
            anonymous,
            ranges: ranges.clone(),
            names: names.map(|names| names.iter().cloned().collect()),
        };
        granted.push((backend.port, backend.tls.is_some(), service, grant));
    }
    granted
}

/// The service, if the port is one that the outside can be let to.
fn served(
    world: &World,
    object: &IngressBackend,
    backend: &IngressPort,
    field: &str,
    tell: &mut dyn FnMut(String, Code, String),
) -> Option<Arc<Service>> {
    let name = object.name.sibling(backend.service.clone());
    let Some(service) = world.service(&name) else {
        tell(format!("{field}.name"), Code::NotFound, format!("service {name} does not exist; nothing is opened"));
        return None;
    };
    let leads = |pod: &Arc<Workload>| {
        carried_ports(service).any(|p| p.protocol.is_http() && target_port(p, pod) == Some(backend.port))
    };
    // Without pods there is nobody to ask what a named port means.
    let may_lead = || {
        let target = |p: &ServicePort| match &p.target {
            TargetPort::Number(number) => *number == backend.port,
            TargetPort::Name(_) => true,
        };
        carried_ports(service).any(|p| p.protocol.is_http() && target(p))
    };
    let mut pods = world.members(&name).peekable();
    if !(if pods.peek().is_some() { pods.any(leads) } else { may_lead() }) {
        let message = format!(
            "no HTTP port of service {name} has the target port {}; nothing is opened: name a `targetPort`",
            backend.port
        );
        tell(format!("{field}.port.number"), Code::PortMismatch, message);
    }
    Some(service.clone())
}

/// The source addresses; `None` if no source names any: any address will do.
fn addresses(world: &World, object: &IngressBackend, tell: &mut dyn FnMut(String, Code, String)) -> Option<Vec<IpNet>> {
    let mut ranges = None;
    for (i, source) in object.sources.iter().enumerate() {
        match source {
            IngressSource::Principal(_) => {}
            IngressSource::Range(range) => ranges.get_or_insert_with(Vec::new).push(*range),
            IngressSource::Service(name) => {
                let pods: Vec<IpNet> = world.members(name).map(|pod| IpNet::from(pod.address)).collect();
                if pods.is_empty() {
                    let message = format!(
                        "endpoints not found for service {name}; it lets nobody in: its namespace must be monitored by the mesh"
                    );
                    tell(format!("spec.sources[{i}]"), Code::NoEndpoint, message);
                }
                ranges.get_or_insert_with(Vec::new).extend(pods);
            }
        }
    }
    ranges
}

/// The names of which one must be proved; `None` if none need be, or any will do.
fn principals(object: &IngressBackend) -> Option<BTreeSet<Arc<str>>> {
    let names = object.sources.iter().filter_map(|source| match source {
        IngressSource::Principal(name) => Some(name.clone()),
        _ => None,
    });
    let names: BTreeSet<_> = names.collect();
    (!names.is_empty() && !names.contains("*")).then_some(names)
}
