//! All mistakes in a world, for status, admission and the command line.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    access::{grant, unusable_patterns},
    egress, ingress, retry,
    service::can_be_carried,
    split::split,
    telemetry, upstream,
};
use crate::{
    model::{Code, Diagnostic, HttpRouteGroup, Kind, ObjectRef, Protocol, Service},
    world::World,
};

/// Every mistake in the world, in the order of the objects.
pub fn diagnose(world: &World) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    world.targets().for_each(|target| drop(grant(world, target, &mut |d| found.push(d))));
    world.splits().for_each(|s| drop(split(world, s, &mut |d| found.push(d))));
    world.egresses().for_each(|e| egress::diagnose(world, e, &mut |d| found.push(d)));
    world.ingress_backends().for_each(|i| ingress::diagnose(world, i, &mut |d| found.push(d)));
    world.http_route_groups().for_each(|group| check_group(group, &mut found));
    world.services().for_each(|service| check_service(service, &mut found));
    retry::diagnose(world, &mut found);
    upstream::diagnose(world, &mut found);
    telemetry::check(world, &mut |d| found.push(d));
    found.sort();
    found
}

/// The mistakes of one Egress, IngressBackend, Retry, UpstreamTrafficSetting or Telemetry, for whoever just wrote it. Of other
/// kinds nothing is told here.
pub fn diagnose_policy(world: &World, object: &ObjectRef) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    match object.kind {
        Kind::Egress => {
            let named = world.egresses().filter(|egress| egress.name == object.name);
            named.for_each(|e| egress::diagnose(world, e, &mut |d| found.push(d)));
        }
        Kind::IngressBackend => {
            let named = world.ingress_backends().filter(|ingress| ingress.name == object.name);
            named.for_each(|i| ingress::diagnose(world, i, &mut |d| found.push(d)));
        }
        // What is wrong with one of these depends on the others.
        Kind::Retry => retry::diagnose(world, &mut found),
        Kind::UpstreamTrafficSetting => upstream::diagnose(world, &mut found),
        Kind::Telemetry => telemetry::check(world, &mut |d| found.push(d)),
        _ => {}
    }
    found.retain(|diagnostic| diagnostic.object == *object);
    found
}

fn check_group(group: &HttpRouteGroup, found: &mut Vec<Diagnostic>) {
    let mut names = BTreeSet::new();
    let object = ObjectRef::new(Kind::HttpRouteGroup, group.name.clone());
    for (i, m) in group.matches.iter().enumerate() {
        for (field, why) in unusable_patterns(m) {
            let field = format!("spec.matches[{i}].{field}");
            let message = format!("{why}; match {} selects nothing until it is mended", m.name);
            found.push(Diagnostic { object: object.clone(), field, code: Code::InvalidRegex, message });
        }
        if !names.insert(&m.name) {
            let field = format!("spec.matches[{i}].name");
            let message = format!("{} names more than one match; a rule that names it means all of them", m.name);
            found.push(Diagnostic { object: object.clone(), field, code: Code::DuplicateMatch, message });
        }
    }
}

fn check_service(service: &Service, found: &mut Vec<Diagnostic>) {
    let object = ObjectRef::new(Kind::Service, service.name.clone());
    let mut first = BTreeMap::new();
    for (i, port) in service.ports.iter().enumerate() {
        let field = format!("spec.ports[{i}]");
        if port.protocol == Protocol::Unsupported {
            let message = format!("port {} speaks a protocol that sidecars do not carry", port.port);
            found.push(Diagnostic { object: object.clone(), field, code: Code::UnsupportedProtocol, message });
            continue;
        }
        if !can_be_carried(port) {
            continue;
        }
        let first = *first.entry(&port.target).or_insert(port);
        if first.protocol != port.protocol {
            let message = format!(
                "ports {} and {} lead to one target port but speak {} and {}; port {} is not carried",
                first.port,
                port.port,
                first.protocol.as_str(),
                port.protocol.as_str(),
                port.port
            );
            found.push(Diagnostic { object: object.clone(), field, code: Code::PortConflict, message });
        }
    }
}
