//! Rate limits of what a pod serves: of connections in its filter chains, of requests in its virtual hosts and routes.
//!
//! | limit | where it stands | who shares it |
//! |---|---|---|
//! | `local.tcp` | network filter of the service's chain | all connections to one pod, by that service |
//! | `global.tcp` | network filter of the service's chain | whom the counting service lets share it |
//! | `local.http` | the virtual host | all requests to one pod, by that host name |
//! | `httpRoutes[].local` | the route; takes the place of the host's | all requests to one pod, by that route |
//! | `global.http` | the virtual host; a stage of its own for each host | whom the counting service lets share it |
//! | `httpRoutes[].global` | the route, beside the host's | as above |
//!
//! They stand in the chains and hosts for callers inside of the mesh. What an IngressBackend lets in is not counted.

use std::{collections::HashMap, time::Duration};

use envoy_types::pb::{
    envoy::{
        config::{
            core::v3::{
                ApiVersion, HeaderValue, HeaderValueOption, RuntimeFractionalPercent,
                header_value_option::HeaderAppendAction,
            },
            listener::v3::Filter,
            ratelimit::v3::RateLimitServiceConfig,
            route::v3::{
                Route, VirtualHost, WeightedCluster, route::Action, route_action::ClusterSpecifier,
                weighted_cluster::ClusterWeight,
            },
        },
        extensions::{
            common::ratelimit::v3::{RateLimitDescriptor, rate_limit_descriptor},
            filters::{
                http::{
                    local_ratelimit::v3::LocalRateLimit as HttpLocal,
                    ratelimit::v3::{RateLimit as HttpGlobal, rate_limit::XRateLimitHeadersRfcVersion},
                },
                network::{
                    http_connection_manager::v3::HttpFilter, local_ratelimit::v3::LocalRateLimit as NetworkLocal,
                    ratelimit::v3::RateLimit as NetworkGlobal,
                },
            },
        },
        r#type::v3::{FractionalPercent, HttpStatus, TokenBucket as Bucket, fractional_percent::DenominatorType},
    },
    google::protobuf::Any,
};

use super::{
    Scope,
    connection::duration,
    descriptor::rate_limits,
    encode::{also_caused_by, number, pack},
    extension::grpc_service,
    filter::{filter, http_filter},
};
use crate::{
    model::{
        GlobalHttpLimit, GlobalTcpLimit, Kind, LocalHttpLimit, ObjectRef, RateLimitService, RouteLimit, TokenBucket,
        UpstreamTrafficSetting,
    },
    policy::{access::Conditions, inbound::Host, service::MeshService, upstream::is_path},
};

/// The filter whose configuration virtual hosts and routes override.
const LOCAL_FILTER: &str = "envoy.filters.http.local_ratelimit";
const GLOBAL_FILTER: &str = "envoy.filters.http.ratelimit";
/// Envoy has the stages 0 to 10.
const STAGES: usize = 11;

/// The filters that limit connections to a service, local before global.
pub(super) fn of_connections(scope: &Scope<'_>, service: &MeshService) -> Vec<Filter> {
    let Some(setting) = scope.settings.get(&service.name) else { return Vec::new() };
    let local = setting.rate_limit.local_tcp.as_ref().map(network_local);
    let global = setting.rate_limit.global_tcp.as_ref().map(network_global);
    local.into_iter().chain(global).collect()
}

fn network_local(limit: &TokenBucket) -> Filter {
    let config = NetworkLocal {
        stat_prefix: "tcp_local_rate_limiter".into(),
        token_bucket: Some(bucket(limit)),
        ..Default::default()
    };
    filter("envoy.filters.network.local_ratelimit", pack(&config))
}

fn network_global(limit: &GlobalTcpLimit) -> Filter {
    let entry = |(key, value): &(_, _)| -> rate_limit_descriptor::Entry {
        let (key, value): (&std::sync::Arc<str>, &std::sync::Arc<str>) = (key, value);
        rate_limit_descriptor::Entry { key: key.to_string(), value: value.to_string() }
    };
    let descriptor =
        |entries: &Vec<_>| RateLimitDescriptor { entries: entries.iter().map(entry).collect(), ..Default::default() };
    let config = NetworkGlobal {
        stat_prefix: "tcp_global_rate_limiter".into(),
        domain: limit.service.domain.to_string(),
        descriptors: limit.descriptors.iter().map(descriptor).collect(),
        timeout: Some(duration(limit.service.timeout)),
        failure_mode_deny: !limit.service.fail_open,
        rate_limit_service: Some(service_config(&limit.service)),
    };
    filter("envoy.filters.network.ratelimit", pack(&config))
}

/// The local filter of a target port, off unless a host or route says otherwise; none if none does.
pub(super) fn local_filter(scope: &Scope<'_>, target_port: u16) -> Option<HttpFilter> {
    let limited = |setting: &UpstreamTrafficSetting| {
        setting.rate_limit.local_http.is_some() || setting.routes.iter().any(|route| route.local.is_some())
    };
    settings(scope, target_port).any(|(_, setting)| limited(setting)).then(|| {
        let config = HttpLocal { stat_prefix: "http_local_rate_limiter".into(), ..Default::default() };
        http_filter(LOCAL_FILTER, pack(&config))
    })
}

/// The global filters of a target port. Hosts of one port can have different counting services, so each has a filter that only
/// looks at its own stage. Beyond the eleventh host there is no stage left, and it is not limited.
pub(super) fn global_filters(scope: &Scope<'_>, target_port: u16) -> Vec<HttpFilter> {
    let limits = global(scope, target_port).enumerate().take(STAGES);
    limits.map(|(stage, (_, limit))| http_filter(GLOBAL_FILTER, pack(&http_global(stage, limit)))).collect()
}

/// Whether some descriptor of a target port is the client's address.
pub(super) fn counts_addresses(scope: &Scope<'_>, target_port: u16) -> bool {
    use crate::model::DescriptorEntry::RemoteAddress;
    settings(scope, target_port).any(|(_, setting)| {
        let host = setting.rate_limit.global_http.iter().flat_map(|limit| &limit.descriptors);
        let routes = setting.routes.iter().flat_map(|route| &route.descriptors);
        host.chain(routes).flatten().any(|entry| matches!(entry, RemoteAddress))
    })
}

fn http_global(stage: usize, limit: &GlobalHttpLimit) -> HttpGlobal {
    let draft = if limit.x_rate_limit_headers {
        XRateLimitHeadersRfcVersion::DraftVersion03
    } else {
        XRateLimitHeadersRfcVersion::Off
    };
    HttpGlobal {
        domain: limit.service.domain.to_string(),
        stage: u32::try_from(stage).unwrap_or(0),
        timeout: Some(duration(limit.service.timeout)),
        failure_mode_deny: !limit.service.fail_open,
        rate_limit_service: Some(service_config(&limit.service)),
        enable_x_ratelimit_headers: draft.into(),
        rate_limited_status: Some(HttpStatus { code: limit.status.into() }),
        ..Default::default()
    }
}

fn service_config(service: &RateLimitService) -> RateLimitServiceConfig {
    RateLimitServiceConfig {
        grpc_service: Some(grpc_service(&service.host, service.port, service.timeout)),
        transport_api_version: ApiVersion::V3.into(),
    }
}

/// Limits the requests to a host.
pub(super) fn on_host(scope: &Scope<'_>, host: &Host, target_port: u16, to: &mut VirtualHost) {
    let Some(setting) = scope.settings.get(&host.service.name) else { return };
    if let Some(local) = &setting.rate_limit.local_http {
        to.typed_per_filter_config = HashMap::from([(LOCAL_FILTER.into(), http_local(local))]);
    }
    if let (Some(limit), Some(stage)) = (&setting.rate_limit.global_http, stage(scope, host, target_port)) {
        to.rate_limits = rate_limits(stage, &limit.descriptors);
    }
    if setting.rate_limit != Default::default() {
        also_caused_by(&mut to.metadata, &ObjectRef::new(Kind::UpstreamTrafficSetting, setting.name.clone()));
    }
}

/// Limits the requests of a route, if its path has limits of its own.
pub(super) fn on_route(scope: &Scope<'_>, host: &Host, target_port: u16, conditions: &Conditions, to: &mut Route) {
    let Some(setting) = scope.settings.get(&host.service.name) else { return };
    let Some(limit) = setting.routes.iter().find(|route| is_path(&route.path, conditions.path.as_deref())) else {
        return;
    };
    let RouteLimit { local, descriptors, .. } = limit;
    let Some(Action::Route(action)) = &mut to.action else { return };
    if let (Some(local), Some(ClusterSpecifier::Cluster(name))) = (local, &action.cluster_specifier) {
        action.cluster_specifier = Some(alone(name.clone(), http_local(local)));
    }
    if let (Some(whole), Some(stage), false) =
        (&setting.rate_limit.global_http, stage(scope, host, target_port), descriptors.is_empty())
    {
        // Those of a route take the place of the host's: it needs them all.
        action.rate_limits = rate_limits(stage, &whole.descriptors);
        action.rate_limits.extend(rate_limits(stage, descriptors));
    }
    also_caused_by(&mut to.metadata, &ObjectRef::new(Kind::UpstreamTrafficSetting, setting.name.clone()));
}

/// A cluster as the only one of a weighted list, which can have filter configuration of its own. The route's own map holds the
/// RBAC rules already, and a map with two entries has no stable encoding.
fn alone(name: String, local: Any) -> ClusterSpecifier {
    ClusterSpecifier::WeightedClusters(WeightedCluster {
        clusters: vec![ClusterWeight {
            name,
            weight: number(1),
            typed_per_filter_config: HashMap::from([(LOCAL_FILTER.into(), local)]),
            ..Default::default()
        }],
        ..Default::default()
    })
}

fn http_local(limit: &LocalHttpLimit) -> Any {
    let header = |(name, value): &(std::sync::Arc<str>, std::sync::Arc<str>)| HeaderValueOption {
        // A percent sign would begin a command of Envoy's.
        header: Some(HeaderValue { key: name.to_string(), value: value.replace('%', "%%"), ..Default::default() }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        keep_empty_value: true,
        ..Default::default()
    };
    pack(&HttpLocal {
        stat_prefix: "http_local_rate_limiter".into(),
        status: Some(HttpStatus { code: limit.status.into() }),
        token_bucket: Some(bucket(&limit.bucket)),
        filter_enabled: Some(always()),
        filter_enforced: Some(always()),
        response_headers_to_add: limit.response_headers.iter().map(header).collect(),
        ..Default::default()
    })
}

fn always() -> RuntimeFractionalPercent {
    let whole = FractionalPercent { numerator: 100, denominator: DenominatorType::Hundred.into() };
    RuntimeFractionalPercent { default_value: Some(whole), ..Default::default() }
}

fn bucket(bucket: &TokenBucket) -> Bucket {
    let unit: Duration = bucket.unit;
    Bucket {
        max_tokens: bucket.amount.saturating_add(bucket.burst),
        tokens_per_fill: number(bucket.amount),
        fill_interval: Some(duration(unit)),
    }
}

/// The hosts of a target port that have a setting, by name.
fn settings<'a>(
    scope: &'a Scope<'_>,
    target_port: u16,
) -> impl Iterator<Item = (&'a Host, &'a UpstreamTrafficSetting)> {
    let hosts = scope.inbound.hosts.get(&target_port).into_iter().flat_map(|hosts| hosts.values());
    hosts.filter_map(|host| Some((host, &**scope.settings.get(&host.service.name)?)))
}

fn global<'a>(scope: &'a Scope<'_>, target_port: u16) -> impl Iterator<Item = (&'a Host, &'a GlobalHttpLimit)> {
    settings(scope, target_port).filter_map(|(host, setting)| Some((host, setting.rate_limit.global_http.as_ref()?)))
}

/// The stage of a host's global limits.
fn stage(scope: &Scope<'_>, host: &Host, target_port: u16) -> Option<u32> {
    let place = global(scope, target_port).take(STAGES).position(|(other, _)| other.service == host.service)?;
    u32::try_from(place).ok()
}
