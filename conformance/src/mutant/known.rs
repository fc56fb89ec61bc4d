//! What mutants look up and change in what a control plane knows.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use mesh::{
    model::{
        Backend, HttpMatch, HttpRouteGroup, Kind, Methods, ObjectName, ObjectRef, RoutePorts, Rule, RuleKind, Service,
        ServiceAccount, ServicePort, Subject, TcpRoute, TrafficSplit, TrafficTarget, Workload,
    },
    world::Object,
};
use simulator::lab::mutation::{Known, Past};

/// All TrafficSplits, by name.
pub(super) fn splits(known: &mut Known) -> impl Iterator<Item = &mut TrafficSplit> {
    known.objects.values_mut().filter_map(|object| match object {
        Object::TrafficSplit(split) => Some(split),
        _ => None,
    })
}

/// All TrafficTargets, by name.
pub(super) fn targets(known: &mut Known) -> impl Iterator<Item = &mut TrafficTarget> {
    known.objects.values_mut().filter_map(|object| match object {
        Object::TrafficTarget(target) => Some(target),
        _ => None,
    })
}

/// All HTTPRouteGroups, by name.
pub(super) fn groups(known: &mut Known) -> impl Iterator<Item = &mut HttpRouteGroup> {
    known.objects.values_mut().filter_map(|object| match object {
        Object::HttpRouteGroup(group) => Some(group),
        _ => None,
    })
}

/// All TCPRoutes, by name.
pub(super) fn tcp_routes(known: &mut Known) -> impl Iterator<Item = &mut TcpRoute> {
    known.objects.values_mut().filter_map(|object| match object {
        Object::TcpRoute(route) => Some(route),
        _ => None,
    })
}

/// All services, by name.
pub(super) fn services(known: &Known) -> Vec<Service> {
    let service = |object: &Object| if let Object::Service(service) = object { Some(service.clone()) } else { None };
    known.objects.values().filter_map(service).collect()
}

/// The service called `name`.
pub(super) fn service(known: &Known, name: &ObjectName) -> Option<Service> {
    match known.objects.get(&ObjectRef::new(Kind::Service, name.clone())) {
        Some(Object::Service(service)) => Some(service.clone()),
        _ => None,
    }
}

/// The HTTPRouteGroup called `name`.
pub(super) fn group(known: &Known, name: &ObjectName) -> Option<HttpRouteGroup> {
    match known.objects.get(&ObjectRef::new(Kind::HttpRouteGroup, name.clone())) {
        Some(Object::HttpRouteGroup(group)) => Some(group.clone()),
        _ => None,
    }
}

/// All pods.
pub(super) fn workloads(known: &Known) -> impl Iterator<Item = &Workload> {
    known.objects.values().filter_map(|object| match object {
        Object::Workload(workload) => Some(workload),
        _ => None,
    })
}

/// The accounts of all pods.
pub(super) fn accounts(known: &Known) -> BTreeSet<ServiceAccount> {
    workloads(known).map(|pod| pod.account.clone()).collect()
}

/// The accounts of the pods that a service selects.
pub(super) fn accounts_behind(known: &Known, service: &Service) -> BTreeSet<ServiceAccount> {
    let selected =
        workloads(known).filter(|pod| pod.name.namespace == service.name.namespace && service.selects(&pod.labels));
    selected.map(|pod| pod.account.clone()).collect()
}

/// Puts an object in.
pub(super) fn put(known: &mut Known, object: Object) {
    known.objects.insert(object.reference(), object);
}

/// Takes all objects of a kind out; returns them.
pub(super) fn take(known: &mut Known, kind: Kind) -> Vec<Object> {
    let names: Vec<ObjectRef> = known.objects.keys().filter(|name| name.kind == kind).cloned().collect();
    names.iter().filter_map(|name| known.objects.remove(name)).collect()
}

/// Takes all TrafficTargets out.
pub(super) fn take_targets(known: &mut Known) -> Vec<TrafficTarget> {
    let target = |object| if let Object::TrafficTarget(target) = object { Some(target) } else { None };
    take(known, Kind::TrafficTarget).into_iter().filter_map(target).collect()
}

/// Takes all TrafficSplits out.
pub(super) fn take_splits(known: &mut Known) -> Vec<TrafficSplit> {
    let split = |object| if let Object::TrafficSplit(split) = object { Some(split) } else { None };
    take(known, Kind::TrafficSplit).into_iter().filter_map(split).collect()
}

/// Of two splits on one root the older holds, as in `mesh::policy`; those that are refused are not there.
pub(super) fn split_in_force<'a>(splits: &'a [TrafficSplit], root: &ObjectName) -> Option<&'a TrafficSplit> {
    let on_root = splits.iter().filter(|split| split.service_named(&split.service).as_ref() == Some(root));
    on_root.min_by_key(|split| (split.created.unwrap_or(i64::MAX), &split.name))
}

/// Objects of this kind stay as they were believed to be.
pub(super) fn keep_old(known: &mut Known, past: &Past, kind: Kind) {
    for (name, object) in past.believed.iter().filter(|(name, _)| name.kind == kind) {
        if let Some(now) = known.objects.get_mut(name) {
            *now = object.clone();
        }
    }
}

/// Objects of this kind that went away are still there.
pub(super) fn keep_gone(known: &mut Known, past: &Past, kind: Kind) {
    for (name, object) in past.believed.iter().filter(|(name, _)| name.kind == kind) {
        known.objects.entry(name.clone()).or_insert_with(|| object.clone());
    }
}

/// Targets and splits of this kind that went away still hold, with the routes that they had. Nobody else gets these back.
pub(super) fn keep_holding(known: &mut Known, past: &Past, kind: Kind) {
    let gone = past.believed.iter().filter(|(name, _)| name.kind == kind && !known.objects.contains_key(name));
    for object in gone.map(|(_, object)| object.clone()).collect::<Vec<_>>() {
        let mut object = object;
        let owner = object.name().clone();
        let mut keep = |kind: Kind, written: &mut Arc<str>| {
            let before = past.believed.get(&ObjectRef::new(kind, owner.sibling(written.clone())));
            if let Some(before) = before {
                *written = private(written, &owner.name);
                put(known, renamed(before.clone(), owner.sibling(written.clone())));
            }
        };
        match &mut object {
            Object::TrafficTarget(target) => {
                for rule in &mut target.rules {
                    if let Some(kind) = kind_of(rule) {
                        keep(kind, &mut rule.name);
                    }
                }
            }
            Object::TrafficSplit(split) => {
                split.matches.iter_mut().for_each(|written| keep(Kind::HttpRouteGroup, written));
            }
            _ => {}
        }
        put(known, object);
    }
}

/// The name of a route that only `owner` refers to.
fn private(written: &str, owner: &str) -> Arc<str> {
    let suffix = format!("-of-{owner}");
    if written.ends_with(&suffix) { written.into() } else { format!("{written}{suffix}").into() }
}

/// The kind of route that a rule refers to, if it is one that opens something.
pub(super) fn kind_of(rule: &Rule) -> Option<Kind> {
    match rule.kind {
        RuleKind::HttpRouteGroup => Some(Kind::HttpRouteGroup),
        RuleKind::TcpRoute => Some(Kind::TcpRoute),
        _ => None,
    }
}

/// The same route under another name.
pub(super) fn renamed(object: Object, name: ObjectName) -> Object {
    match object {
        Object::HttpRouteGroup(group) => Object::HttpRouteGroup(HttpRouteGroup { name, ..group }),
        Object::TcpRoute(route) => Object::TcpRoute(TcpRoute { name, ..route }),
        other => other,
    }
}

/// Another service over the same pods, which nobody but a split leads to: nobody can dial the address that it has.
pub(super) fn shadow(known: &mut Known, of: &Service, purpose: &str, ports: Vec<ServicePort>) -> Arc<str> {
    let name = of.name.sibling(format!("{}-{purpose}", of.name.name));
    let number = name.to_string().bytes().fold(0u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    // 240.0.0.0/4 is reserved (RFC 1112).
    let address = IpAddr::V4(Ipv4Addr::from(0xf000_0000 | (number & 0x0fff_ffff)));
    let service = Service { name: name.clone(), cluster_ip: Some(address), selector: of.selector.clone(), ports };
    put(known, Object::Service(service));
    name.name
}

/// A backend.
pub(super) fn backend(service: &Arc<str>, weight: u64) -> Backend {
    Backend { service: service.clone(), weight }
}

/// An account as a source or destination.
pub(super) fn subject(account: &ServiceAccount) -> Subject {
    Subject { kind: "ServiceAccount".into(), name: account.name.clone(), namespace: Some(account.namespace.clone()) }
}

/// The same target for each of these destinations.
pub(super) fn for_each_destination(
    known: &mut Known,
    target: &TrafficTarget,
    destinations: impl IntoIterator<Item = ServiceAccount>,
) {
    for account in destinations {
        let name = target.name.sibling(format!("{}-{}", target.name.name, account.name));
        put(known, Object::TrafficTarget(TrafficTarget { name, destination: subject(&account), ..target.clone() }));
    }
}

/// A rule that lets everything through, and the route that it needs in this namespace.
pub(super) fn everything(known: &mut Known, namespace: &Arc<str>) -> Rule {
    let name = ObjectName::new(namespace.clone(), "everything-everywhere");
    put(known, Object::TcpRoute(TcpRoute { name: name.clone(), ports: RoutePorts::All }));
    Rule { kind: RuleKind::TcpRoute, name: name.name, matches: Vec::new() }
}

/// The match of the requests that all of these match; `None` if there is none, or none is given.
///
/// A second expression for a path becomes one for the whole request target, a second one for a header one for the same header
/// written otherwise: an HttpMatch has room for one of each.
pub(super) fn all_of<'a>(matches: impl IntoIterator<Item = &'a HttpMatch>) -> Option<HttpMatch> {
    let mut matches = matches.into_iter();
    let mut all = matches.next()?.clone();
    for more in matches {
        match (&all.path, &more.path) {
            (None, path) => all.path.clone_from(path),
            (Some(one), Some(other)) if one != other => {
                all.headers.insert(free(&all, ":path"), format!("(?:{other})(?:\\?.*)?").into());
            }
            _ => {}
        }
        all.methods = match (&all.methods, &more.methods) {
            (Methods::Any, other) | (other, Methods::Any) => other.clone(),
            (Methods::Only(one), Methods::Only(other)) => Methods::Only(one & other),
        };
        for (name, pattern) in &more.headers {
            if all.headers.get(name) != Some(pattern) {
                all.headers.insert(free(&all, name), pattern.clone());
            }
        }
    }
    (all.methods != Methods::Only(BTreeSet::new())).then_some(all)
}

/// The name of a header, in capitals as far as it takes to be another one.
fn free(m: &HttpMatch, name: &str) -> Arc<str> {
    let letters = name.len();
    let written = (0..=letters).map(|n| format!("{}{}", name[..n].to_ascii_uppercase(), &name[n..]));
    written.map(Arc::from).find(|written| !m.headers.contains_key(written)).unwrap_or_else(|| name.into())
}
