//! Which UpstreamTrafficSetting holds for a service, and what of it can be honoured.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{access::usable_matches, regex};
use crate::{
    model::{Code, DescriptorEntry, Diagnostic, HeaderCondition, Kind, ObjectName, ObjectRef, UpstreamTrafficSetting},
    world::World,
};

/// The path of a match without one.
const ANY_PATH: &str = ".*";

/// The setting in force for each service that has one. Of several for one service the oldest holds; objects without a creation
/// time count as the newest, then the name decides.
pub fn settings_by_service(world: &World) -> BTreeMap<ObjectName, Arc<UpstreamTrafficSetting>> {
    let mut holders: BTreeMap<ObjectName, Arc<UpstreamTrafficSetting>> = BTreeMap::new();
    for setting in world.upstream_settings() {
        let Some(service) = setting.name.service_named(&setting.host) else { continue };
        let age = |setting: &UpstreamTrafficSetting| (setting.created.unwrap_or(i64::MAX), setting.name.clone());
        match holders.get(&service) {
            Some(holder) if age(holder) <= age(setting) => {}
            _ => drop(holders.insert(service, setting.clone())),
        }
    }
    holders
}

/// The descriptors that Envoy can use: those whose regular expressions are sound.
pub fn usable_descriptors(descriptors: &[Vec<DescriptorEntry>]) -> impl Iterator<Item = &Vec<DescriptorEntry>> {
    descriptors.iter().filter(|entries| unsound(entries).next().is_none())
}

/// Whether a route of requests with this path is one that `written` (the `path` of an `httpRoutes` entry) means.
pub fn is_path(written: &str, path: Option<&str>) -> bool {
    path.unwrap_or(ANY_PATH) == written
}

/// The paths that have limits of their own, for routes in permissive mode, where no match makes any.
pub fn limited_paths(setting: &UpstreamTrafficSetting) -> Vec<&Arc<str>> {
    let mut seen = BTreeSet::new();
    let sound = |path: &&Arc<str>| ***path != *ANY_PATH && regex::check(path).is_ok();
    setting.routes.iter().map(|route| &route.path).filter(sound).filter(|path| seen.insert(*path)).collect()
}

/// Where in a descriptor an expression is unsound (`[entry].headerValueMatch.headers[n].regex`), and why.
fn unsound(entries: &[DescriptorEntry]) -> impl Iterator<Item = (String, String)> {
    entries.iter().enumerate().flat_map(|(i, entry)| {
        let headers = match entry {
            DescriptorEntry::HeaderValueMatch { headers, .. } => headers.as_slice(),
            _ => &[],
        };
        headers.iter().enumerate().filter_map(move |(j, (_, condition))| match condition {
            HeaderCondition::Regex(pattern) => {
                Some((format!("[{i}].headerValueMatch.headers[{j}].regex"), regex::check(pattern).err()?))
            }
            _ => None,
        })
    })
}

/// All mistakes in UpstreamTrafficSettings.
pub(super) fn diagnose(world: &World, found: &mut Vec<Diagnostic>) {
    let holders = settings_by_service(world);
    let egress: BTreeSet<ObjectName> =
        world.egresses().filter_map(|egress| Some(egress.name.sibling(egress.upstream_setting.clone()?))).collect();
    for setting in world.upstream_settings() {
        let object = ObjectRef::new(Kind::UpstreamTrafficSetting, setting.name.clone());
        let mut tell = |field: String, code, message| {
            found.push(Diagnostic { object: object.clone(), field, code, message });
        };
        if !egress.contains(&setting.name) {
            check_host(world, setting, &holders, &mut tell);
            check_paths(world, setting, &mut tell);
        }
        check_descriptors(setting, &mut tell);
    }
}

type Tell<'a> = dyn FnMut(String, Code, String) + 'a;

fn check_host(
    world: &World,
    setting: &UpstreamTrafficSetting,
    holders: &BTreeMap<ObjectName, Arc<UpstreamTrafficSetting>>,
    tell: &mut Tell<'_>,
) {
    let field = || "spec.host".to_owned();
    let Some(service) = setting.name.service_named(&setting.host) else {
        let message = format!(
            "{} is no service of namespace {}, and no Egress there names this object; it has no effect",
            setting.host, setting.name.namespace
        );
        return tell(field(), Code::ForeignService, message);
    };
    if world.service(&service).is_none() {
        tell(field(), Code::NotFound, format!("service {service} does not exist (yet)"));
    }
    if let Some(elder) = holders.get(&service).filter(|holder| holder.name != setting.name) {
        let message = format!(
            "UpstreamTrafficSetting {} is older and holds for {service}; merge the two, this one has no effect",
            elder.name
        );
        tell(field(), Code::ConflictingSetting, message);
    }
}

/// In permissive mode every sound path becomes a route; else only matches of HTTPRouteGroups do.
fn check_paths(world: &World, setting: &UpstreamTrafficSetting, tell: &mut Tell<'_>) {
    for (i, route) in setting.routes.iter().enumerate() {
        let field = format!("spec.httpRoutes[{i}].path");
        if let Err(why) = regex::check(&route.path) {
            tell(field, Code::InvalidRegex, format!("{why}; its limits have no effect until it is mended"));
            continue;
        }
        let groups = world.http_route_groups().filter(|group| group.name.namespace == setting.name.namespace);
        let known = || groups.flat_map(|g| usable_matches(g)).any(|m| is_path(&route.path, m.path.as_deref()));
        if !world.settings().permissive && &*route.path != ANY_PATH && !known() {
            let message = format!(
                "no match in namespace {} has the pathRegex {}, letter by letter; its limits have no effect",
                setting.name.namespace, route.path
            );
            tell(field, Code::MatchNotFound, message);
        }
    }
}

fn check_descriptors(setting: &UpstreamTrafficSetting, tell: &mut Tell<'_>) {
    let mut check = |prefix: &str, descriptors: &[Vec<DescriptorEntry>]| {
        for (i, entries) in descriptors.iter().enumerate() {
            for (place, why) in unsound(entries) {
                let field = format!("{prefix}.descriptors[{i}].entries{place}");
                tell(field, Code::InvalidRegex, format!("{why}; the descriptor counts nothing until it is mended"));
            }
        }
    };
    if let Some(global) = &setting.rate_limit.global_http {
        check("spec.rateLimit.global.http", &global.descriptors);
    }
    for (i, route) in setting.routes.iter().enumerate() {
        check(&format!("spec.httpRoutes[{i}].rateLimit.global"), &route.descriptors);
    }
    let orphan = setting.routes.iter().position(|route| !route.descriptors.is_empty());
    if let (Some(i), None) = (orphan, &setting.rate_limit.global_http) {
        let message = "descriptors need a service that counts: give spec.rateLimit.global.http".to_owned();
        tell(format!("spec.httpRoutes[{i}].rateLimit.global"), Code::NotFound, message);
    }
}
