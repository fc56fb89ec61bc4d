//! Retries, connection settings, rate limits, authorization and health checks in snapshots.

use envoy_types::pb::envoy::{
    config::{listener::v3::filter::ConfigType, route::v3::VirtualHost},
    extensions::filters::network::http_connection_manager::v3::{HttpConnectionManager, http_filter},
};
use prost::Message;

use super::build;
use crate::{
    model::{Kind, ObjectRef},
    snapshot::Snapshot,
    testing::{
        add,
        decoded::{Decoded, decode, objects},
        name, pod, world,
    },
    world::{Change, World},
};

const SHOP: &str = "
{kind: Service, apiVersion: v1, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}
---
{kind: Service, apiVersion: v1, metadata: {name: shop}, spec: {selector: {app: web}, ports: [{port: 81, targetPort: 80}]}}
---
{kind: HTTPRouteGroup, apiVersion: specs.smi-spec.io/v1alpha4, metadata: {name: g}, spec: {matches: [{name: a, pathRegex: /a}, {name: all}]}}
---
kind: TrafficTarget
apiVersion: access.smi-spec.io/v1alpha3
metadata: {name: t}
spec:
  destination: {kind: ServiceAccount, name: web}
  sources: [{kind: ServiceAccount, name: client}]
  rules: [{kind: HTTPRouteGroup, name: g}]
";

const POLICIES: &str = "
kind: Retry
apiVersion: policy.openservicemesh.io/v1alpha1
metadata: {name: again}
spec:
  source: {kind: ServiceAccount, name: client}
  destinations: [{kind: Service, name: web}]
  retryPolicy: {retryOn: 'gateway-error,409', numRetries: 3}
---
kind: UpstreamTrafficSetting
apiVersion: policy.openservicemesh.io/v1alpha1
metadata: {name: web}
spec:
  host: web.shop
  connectionSettings: {tcp: {maxConnections: 7}, http: {maxRequestsPerConnection: 8}, outlierDetection: {consecutiveErrors: 9}}
  rateLimit:
    local: {tcp: {connections: 1, unit: hour}, http: {requests: 1, unit: hour, responseHeadersToAdd: [{name: x, value: 5%}]}}
    global:
      tcp: {rateLimitService: {host: rls, port: 1}, domain: d, descriptors: [{entries: [{key: a, value: b}]}]}
      http: {rateLimitService: {host: rls, port: 1}, domain: d, descriptors: [{entries: [{remoteAddress: {}}]}]}
  httpRoutes:
  - {path: /a, rateLimit: {local: {requests: 1, unit: hour}, global: {descriptors: [{entries: [{genericKey: {value: a}}]}]}}}
---
kind: UpstreamTrafficSetting
apiVersion: policy.openservicemesh.io/v1alpha1
metadata: {name: shop}
spec:
  host: shop
  rateLimit:
    global: {http: {rateLimitService: {host: other, port: 2}, domain: e, descriptors: [{entries: [{genericKey: {value: v}}]}]}}
---
kind: MeshConfig
apiVersion: config.openservicemesh.io/v1alpha2
metadata: {name: osm-mesh-config}
spec:
  traffic: {inboundExternalAuthorization: {enable: true, address: 10.0.0.9, port: 9001}}
  featureFlags: {enableEnvoyActiveHealthChecks: true}
";

fn plain() -> World {
    world(SHOP, [pod("client", "client", "app=client"), pod("web", "web", "app=web")])
}

fn full() -> World {
    let mut world = plain();
    add(&mut world, POLICIES);
    world
}

fn of(world: &World, pod: &str) -> Decoded {
    decode(&build(world, &name(pod)))
}

fn all(world: &World) -> Vec<Snapshot> {
    world.workloads().map(|pod| build(world, &pod.name)).collect()
}

fn host<'a>(server: &'a Decoded, host: &str) -> &'a VirtualHost {
    let hosts = server.routes.values().flat_map(|config| &config.virtual_hosts);
    let mut of = hosts.filter(|h| h.domains.iter().any(|domain| domain == host));
    of.next().expect("the host is served")
}

fn http_filters(server: &Decoded, chain: usize) -> Vec<String> {
    let chain = &server.listeners["inbound-listener"].filter_chains[chain];
    let Some(ConfigType::TypedConfig(any)) = chain.filters.last().and_then(|f| f.config_type.clone()) else {
        panic!("no terminal filter")
    };
    let manager = HttpConnectionManager::decode(any.value.as_slice()).unwrap();
    assert!(manager.use_remote_address.is_some_and(|flag| flag.value) && manager.skip_xff_append);
    let kind =
        |filter: envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter| {
            match filter.config_type {
                Some(http_filter::ConfigType::TypedConfig(any)) => any.type_url.rsplit('.').nth(2).unwrap().to_owned(),
                _ => panic!("no typed config"),
            }
        };
    manager.http_filters.into_iter().map(kind).collect()
}

#[test]
fn everything_together_has_stable_bytes() {
    let first = all(&full());
    for _ in 0..30 {
        assert_eq!(all(&full()), first);
    }
}

#[test]
fn what_is_withdrawn_leaves_nothing_behind() {
    let mut world = full();
    assert_ne!(all(&world), all(&plain()));
    for (kind, object) in
        [(Kind::Retry, "again"), (Kind::UpstreamTrafficSetting, "web"), (Kind::UpstreamTrafficSetting, "shop")]
    {
        world.apply(Change::Gone(ObjectRef::new(kind, name(object))));
    }
    world.apply(Change::Gone(ObjectRef::new(Kind::MeshConfig, name("osm-mesh-config"))));
    assert_eq!(all(&world), all(&plain()));
}

#[test]
fn filters_stand_in_their_order() {
    let server = of(&full(), "web");
    let expected = ["health_check", "rbac", "local_ratelimit", "ext_authz", "ratelimit", "ratelimit", "router"];
    assert_eq!(http_filters(&server, 0), expected);
    let names = |chain: usize| -> Vec<_> {
        let chain = &server.listeners["inbound-listener"].filter_chains[chain];
        chain.filters.iter().map(|f| f.name.rsplit('.').next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(names(0), ["rbac", "http_connection_manager"], "shop has no limit of connections");
    assert_eq!(names(1), ["rbac", "local_ratelimit", "ratelimit", "http_connection_manager"]);
}

/// Two services of one pod share its route configuration, not their counting services.
#[test]
fn each_host_has_its_own_stage() {
    let server = of(&full(), "web");
    let stages = |host: &VirtualHost| -> Vec<_> { host.rate_limits.iter().map(|l| l.stage.unwrap().value).collect() };
    assert_eq!(stages(host(&server, "shop")), [0]);
    assert_eq!(stages(host(&server, "web")), [1]);
    for cluster in ["rls|1", "other|2", "10.0.0.9|9001"] {
        assert!(server.clusters.contains_key(cluster), "{cluster}");
    }
}

#[test]
fn the_client_holds_connections_and_tries_again() {
    let client = of(&full(), "client");
    let cluster = &client.clusters["shop/web|80"];
    let breakers = &cluster.circuit_breakers.as_ref().unwrap().thresholds[0];
    assert_eq!(breakers.max_connections.unwrap().value, 7);
    assert_eq!(breakers.max_requests.unwrap().value, u32::MAX);
    assert_eq!(cluster.outlier_detection.as_ref().unwrap().consecutive_5xx.unwrap().value, 9);
    assert_eq!(cluster.health_checks.len(), 1);
    assert!(objects(cluster.metadata.as_ref()).contains(&"UpstreamTrafficSetting shop/web".to_owned()));
    assert!(client.clusters["shop/shop|80"].outlier_detection.is_none());
    let routes = client.routes.values().flat_map(|config| &config.virtual_hosts).flat_map(|host| &host.routes);
    let retried: Vec<_> =
        routes.filter(|r| format!("{:?}", r.action).contains("gateway-error,retriable-status-codes")).collect();
    assert_eq!(retried.len(), 1);
    assert!(objects(retried[0].metadata.as_ref()).contains(&"Retry shop/again".to_owned()));
}
