//! What Envoy starts with. All else comes over ADS.

use serde_json::{Value, json};

use super::{
    ADMIN_PORT, METRICS_PORT, PROBE_PORT,
    container::TOKEN_FILE,
    document,
    probes::{self, GrpcProbe, HttpProbe, Probes, TcpProbe},
    settings::ControlPlane,
};
use crate::snapshot::metrics::RENAME;

/// The path of [`PROBE_PORT`] at which Envoy says whether it has its configuration.
pub const READY_PATH: &str = "/ready";

/// Envoy's own administration interface, as a cluster.
const ADMIN_CLUSTER: &str = "osm-admin";
const ADMIN_READY: &str = "/ready";
const PROMETHEUS_PATH: &str = "/stats/prometheus";

/// What one sidecar starts with. `node.id` and `node.cluster` are arguments of Envoy, because Kubernetes replaces variables there.
#[derive(Clone, Copy, Debug)]
pub struct Bootstrap<'a> {
    /// Where the configuration comes from.
    pub control_plane: &'a ControlPlane,
    /// Probes to answer.
    pub probes: &'a Probes,
    /// Whether statistics are served at [`METRICS_PORT`].
    pub metrics: bool,
    /// Whether the sidecar's own ports listen on IPv6 too.
    pub ipv6: bool,
    /// Memory that the container may use in bytes, if limited. Envoy sheds load before it is killed.
    pub memory: Option<u64>,
}

impl Bootstrap<'_> {
    /// The value of `--config-yaml`: JSON without a dollar sign, which Kubernetes would take for a reference.
    pub fn to_json(&self) -> String {
        document::without_dollar(&self.value())
    }

    fn value(&self) -> Value {
        // Zero: never give up waiting. A sidecar that has no configuration must not call itself ready.
        let from_ads = json!({ "ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s" });
        let mut value = json!({
            "admin": { "address": address("127.0.0.1", ADMIN_PORT) },
            "dynamic_resources": { "ads_config": self.ads(), "cds_config": from_ads, "lds_config": from_ads },
            "static_resources": { "clusters": self.clusters(), "listeners": self.listeners() },
            // Envoy refuses regular expressions above an RE2 program size of 100 unless told otherwise: a path of 50 characters.
            "layered_runtime": { "layers": [{
                "name": "static",
                "static_layer": { "re2.max_program_size.error_level": u32::MAX },
            }] },
        });
        if !self.metrics {
            // Nobody looks regularly, so no timer need collect statistics. For Prometheus Envoy's does, every 5 s: what a scrape
            // flushes, histograms show only at the next one.
            value["stats_flush_on_admin"] = true.into();
        }
        if let Some(bytes) = self.memory {
            value["overload_manager"] = overload(bytes);
        }
        value
    }

    /// gRPC's own client, because Envoy's cannot send a token that changes. It takes TLS 1.2 and 1.3.
    fn ads(&self) -> Value {
        let ControlPlane { host, port, server_name, roots } = self.control_plane;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let mut arguments = json!({
            "grpc.initial_reconnect_backoff_ms": { "int_value": 100 },
            "grpc.min_reconnect_backoff_ms": { "int_value": 1000 },
            "grpc.max_reconnect_backoff_ms": { "int_value": 2000 },
            "grpc.keepalive_time_ms": { "int_value": 60_000 },
            "grpc.keepalive_timeout_ms": { "int_value": 10_000 },
            // Without bound, as Envoy's own client has it by custom: a configuration may exceed gRPC's 4 MiB.
            "grpc.max_receive_message_length": { "int_value": -1 },
        });
        if let Some(name) = server_name {
            arguments["grpc.ssl_target_name_override"] = json!({ "string_value": name });
        }
        json!({
            "api_type": "DELTA_GRPC",
            "transport_api_version": "V3",
            "set_node_on_first_message_only": true,
            "grpc_services": [{ "google_grpc": {
                "target_uri": format!("{host}:{port}"),
                "stat_prefix": "osm-controller",
                "channel_credentials": { "ssl_credentials": { "root_certs": { "inline_string": roots } } },
                "credentials_factory_name": "envoy.grpc_credentials.file_based_metadata",
                "call_credentials": [{ "from_plugin": {
                    "name": "envoy.grpc_credentials.file_based_metadata",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.config.grpc_credential.v3.FileBasedMetadataConfig",
                        "secret_data": { "filename": TOKEN_FILE },
                        "header_key": "authorization",
                        "header_prefix": "Bearer ",
                    },
                } }],
                "channel_args": { "args": arguments },
            } }],
        })
    }

    fn clusters(&self) -> Vec<Value> {
        let mut clusters = vec![cluster(ADMIN_CLUSTER, ADMIN_PORT, 1)];
        clusters.extend(self.probes.http.iter().map(http_cluster));
        clusters.extend(self.probes.tcp.iter().map(tcp_cluster));
        clusters.extend(self.probes.grpc.iter().map(grpc_cluster));
        clusters
    }

    fn listeners(&self) -> Vec<Value> {
        let mut routes = vec![route(READY_PATH, ADMIN_READY, ADMIN_CLUSTER, Some(1))];
        let to = |p: &HttpProbe| route(&probes::path(&p.name), &p.path, &probe_cluster(&p.name), p.timeout);
        routes.extend(self.probes.http.iter().map(to));
        let checks = self.probes.tcp.iter().map(health_check).collect();
        let mut listeners = vec![self.listener("osm-probes", PROBE_PORT, checks, &routes)];
        listeners.extend(self.probes.grpc.iter().map(|probe| {
            let check = grpc_route(probe);
            self.listener(&format!("osm-probes-grpc-{}", probe.port), probe.listen, Vec::new(), &[check])
        }));
        if self.metrics {
            let routes = [route(PROMETHEUS_PATH, PROMETHEUS_PATH, ADMIN_CLUSTER, None)];
            listeners.push(self.listener("osm-metrics", METRICS_PORT, vec![rename()], &routes));
        }
        listeners
    }

    fn listener(&self, name: &str, port: u16, mut filters: Vec<Value>, routes: &[Value]) -> Value {
        filters.push(json!({
            "name": "envoy.filters.http.router",
            "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
        }));
        let mut at = address(if self.ipv6 { "::" } else { "0.0.0.0" }, port);
        if self.ipv6 {
            at["socket_address"]["ipv4_compat"] = true.into();
        }
        json!({
            "name": name,
            "address": at,
            // A sidecar under load must not make its application look dead, or the kubelet would kill that.
            "ignore_global_conn_limit": true,
            "bypass_overload_manager": true,
            "filter_chains": [{ "filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                    "stat_prefix": name,
                    "generate_request_id": false,
                    "server_header_transformation": "PASS_THROUGH",
                    "http_filters": filters,
                    "route_config": { "virtual_hosts": [{ "name": name, "domains": ["*"], "routes": routes }] },
                },
            }] }],
        })
    }
}

fn address(ip: &str, port: u16) -> Value {
    json!({ "socket_address": { "address": ip, "port_value": port } })
}

/// Envoy's administration interface puts `envoy_` before the mesh's own statistics too; dashboards know them without.
fn rename() -> Value {
    json!({
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": { "inline_string": RENAME },
        },
    })
}

fn seconds(seconds: Option<u64>) -> String {
    format!("{}s", seconds.unwrap_or(0))
}

fn probe_cluster(name: &str) -> String {
    format!("osm-probe/{name}")
}

/// The port of this pod. In PodIP mode the rules turn 127.0.0.1 into the pod's address.
fn cluster(name: &str, port: u16, timeout: u64) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": seconds(Some(timeout)),
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address("127.0.0.1", port) } }] }],
        },
    })
}

fn http_options(options: &Value) -> Value {
    let name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let mut typed = json!({ "@type": format!("type.googleapis.com/{name}") });
    typed
        .as_object_mut()
        .into_iter()
        .zip(options.as_object())
        .for_each(|(typed, options)| typed.extend(options.clone()));
    json!({ name: typed })
}

fn http_cluster(probe: &HttpProbe) -> Value {
    let mut cluster = cluster(&probe_cluster(&probe.name), probe.port, probe.timeout.unwrap_or(5));
    if probe.tls {
        // No validation context: like the kubelet, and unlike any other client.
        cluster["transport_socket"] = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": { "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext" },
        });
        let auto = json!({ "auto_config": { "http_protocol_options": {}, "http2_protocol_options": {} } });
        cluster["typed_extension_protocol_options"] = http_options(&auto);
    }
    cluster
}

fn grpc_cluster(probe: &GrpcProbe) -> Value {
    let mut cluster = cluster(&grpc_name(probe), probe.port, probe.timeout);
    let http2 = json!({ "explicit_http_config": { "http2_protocol_options": {} } });
    cluster["typed_extension_protocol_options"] = http_options(&http2);
    cluster
}

fn grpc_name(probe: &GrpcProbe) -> String {
    probe_cluster(&format!("grpc/{}", probe.port))
}

/// Envoy connects by itself: at once, then every second until the port is open, then as often as the kubelet would.
fn tcp_cluster(probe: &TcpProbe) -> Value {
    let mut cluster = cluster(&probe_cluster(&probe.name), probe.port, probe.timeout);
    let period = seconds(Some(probe.period));
    cluster["health_checks"] = json!([{
        "timeout": seconds(Some(probe.timeout)),
        "interval": period,
        "no_traffic_interval": "1s",
        "no_traffic_healthy_interval": period,
        "unhealthy_interval": "1s",
        "healthy_threshold": 1,
        "unhealthy_threshold": 1,
        "reuse_connection": false,
        "tcp_health_check": {},
    }]);
    cluster
}

/// Answers 200 if the port is open, 503 if not.
fn health_check(probe: &TcpProbe) -> Value {
    json!({
        "name": format!("osm-probe-{}", probe.name.replace('/', "-")),
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck",
            "pass_through_mode": false,
            "headers": [{ "name": ":path", "string_match": { "exact": probes::path(&probe.name) } }],
            "cluster_min_healthy_percentages": { probe_cluster(&probe.name): { "value": 100 } },
        },
    })
}

/// `GET` of exactly `path`, as `GET` of `to`.
fn route(path: &str, to: &str, cluster: &str, timeout: Option<u64>) -> Value {
    json!({
        "match": { "path": path, "headers": [{ "name": ":method", "string_match": { "exact": "GET" } }] },
        "route": { "cluster": cluster, "prefix_rewrite": to, "timeout": seconds(timeout) },
        // A redirection would lead the kubelet to a path that is no probe's. Without its target it counts as success.
        "response_headers_to_remove": ["location"],
    })
}

fn grpc_route(probe: &GrpcProbe) -> Value {
    json!({
        "match": { "path": "/grpc.health.v1.Health/Check", "grpc": {} },
        "route": { "cluster": grpc_name(probe), "timeout": seconds(Some(probe.timeout)) },
    })
}

/// Gives memory back near the limit, and refuses new requests just below it.
fn overload(bytes: u64) -> Value {
    let heap = "envoy.resource_monitors.fixed_heap";
    let above = |share: f64| json!([{ "name": heap, "threshold": { "value": share } }]);
    json!({
        "refresh_interval": "0.25s",
        "resource_monitors": [{
            "name": heap,
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                "max_heap_size_bytes": bytes,
            },
        }],
        "actions": [
            { "name": "envoy.overload_actions.shrink_heap", "triggers": above(0.90) },
            { "name": "envoy.overload_actions.stop_accepting_requests", "triggers": above(0.95) },
        ],
    })
}
