//! Rules for UpstreamTrafficSetting.

use envoy_types::pb::envoy::r#type::v3::StatusCode;
use serde_json::Value;

use super::Finding;
use crate::{
    model::{ObjectName, UpstreamTrafficSetting},
    world::World,
};

/// What a host means: a service of the setting's own namespace, or a name outside of the mesh.
#[derive(PartialEq)]
enum Host<'h> {
    Service(ObjectName),
    /// A service by its whole name, in a namespace that the setting has no say in.
    Foreign(&'h str),
    Outside(&'h str),
}

fn meant(setting: &UpstreamTrafficSetting) -> Host<'_> {
    let (own, host) = (&setting.name.namespace, &*setting.host);
    let (service, rest) = host.split_once('.').unwrap_or((host, ""));
    let (namespace, domain) = rest.split_once('.').unwrap_or((rest, ""));
    let in_cluster = matches!(domain, "svc" | "svc.cluster" | "svc.cluster.local");
    match (namespace, in_cluster) {
        ("", _) => Host::Service(setting.name.sibling(service)),
        (namespace, _) if namespace == &**own && (in_cluster || domain.is_empty()) => {
            Host::Service(setting.name.sibling(service))
        }
        (namespace, true) => Host::Foreign(namespace),
        _ => Host::Outside(host),
    }
}

/// A service lies in the setting's namespace: others are limited by those who run them.
pub(super) fn host(setting: &UpstreamTrafficSetting, _: &World) -> Vec<Finding> {
    let own = &setting.name.namespace;
    match meant(setting) {
        Host::Foreign(namespace) => {
            let message = format!(
                "{} is a service of namespace {namespace}, the setting is in {own}; create it there",
                setting.host
            );
            vec![Finding::error("ForeignService", "spec.host", message)]
        }
        Host::Service(_) | Host::Outside(_) => Vec::new(),
    }
}

/// A host has one setting.
pub(super) fn one_for_a_host(setting: &UpstreamTrafficSetting, world: &World) -> Vec<Finding> {
    let meant_here = meant(setting);
    let same = |other: &UpstreamTrafficSetting| {
        other.name != setting.name && other.name.namespace == setting.name.namespace && meant(other) == meant_here
    };
    let finding = |other: &std::sync::Arc<UpstreamTrafficSetting>| {
        let message = format!("UpstreamTrafficSetting {} is for {} already; change that one", other.name, setting.host);
        Finding::error("ConflictingSetting", "spec.host", message)
    };
    world.upstream_settings().filter(|other| same(other)).map(finding).collect()
}

/// Statuses of refusals are ones that Envoy knows: for any other it refuses the whole configuration.
pub(super) fn statuses(object: &Value) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut check = |limit: &Value, field: String| {
        let Some(code) = limit["responseStatusCode"].as_i64() else { return };
        let known = i32::try_from(code).ok().is_some_and(|code| StatusCode::try_from(code).is_ok());
        if !known || !(400..600).contains(&code) {
            let message = format!("{code} is no status that Envoy can refuse with: write one such as 429 or 503");
            found.push(Finding::error("UnsupportedStatus", format!("{field}.responseStatusCode"), message));
        }
    };
    let limit = &object["spec"]["rateLimit"];
    check(&limit["local"]["http"], "spec.rateLimit.local.http".into());
    check(&limit["global"]["http"], "spec.rateLimit.global.http".into());
    for (i, route) in object["spec"]["httpRoutes"].as_array().into_iter().flatten().enumerate() {
        check(&route["rateLimit"]["local"], format!("spec.httpRoutes[{i}].rateLimit.local"));
    }
    found
}
