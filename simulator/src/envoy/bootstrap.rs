//! The configuration that a sidecar starts with. All else comes over ADS.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use serde_json::{Value, json};

/// The name of the control plane's cluster in every sidecar.
pub const CONTROL_PLANE_CLUSTER: &str = "osm-controller";

/// The name of the administration interface's cluster, for Prometheus.
const METRICS_CLUSTER: &str = "envoy-metrics-cluster";

/// What one sidecar starts with. [`Bootstrap::to_json`] gives the file.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// `node.id`. The control plane takes the identity from the certificate; this is for logs.
    pub node_id: String,
    /// `node.cluster`, by custom `<service account>.<namespace>`.
    pub node_cluster: String,
    /// Where the administration interface listens.
    pub admin: SocketAddr,
    /// Where the configuration comes from.
    pub control_plane: ControlPlane,
    /// The certificate that the sidecar shows to the control plane.
    pub credentials: Credentials,
    /// The address that upstream connections come from, so that source ranges mean something on loopback.
    pub bind: Option<IpAddr>,
    /// The name server for names that clusters look up; `None`: that of the system.
    pub names: Option<SocketAddr>,
}

/// The ADS server.
#[derive(Clone, Debug)]
pub struct ControlPlane {
    /// Where it listens.
    pub address: SocketAddr,
    /// The DNS name that its certificate must bear (exact match), sent as SNI.
    pub server_name: String,
    /// The variant of the protocol to speak.
    pub variant: Variant,
}

/// The two variants of the xDS protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variant {
    /// Incremental: only what changed is sent.
    #[default]
    Delta,
    /// State of the world: all resources of a kind are sent with every change.
    Sotw,
}

/// A certificate with its key, and the authority that the peer must be signed by.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The certificate chain, leaf first.
    pub certificate: Pem,
    /// The private key.
    pub key: Pem,
    /// The trusted roots.
    pub authority: Pem,
}

/// PEM text, or a file of it.
#[derive(Clone)]
pub enum Pem {
    /// The text itself, which becomes part of the bootstrap.
    Inline(String),
    /// A file that Envoy reads.
    File(PathBuf),
}

// A key must not get into a log.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(text) => write!(f, "Inline({} bytes)", text.len()),
            Self::File(path) => write!(f, "File({})", path.display()),
        }
    }
}

impl Pem {
    /// As an Envoy `DataSource`.
    fn data_source(&self) -> Value {
        match self {
            Self::Inline(text) => json!({ "inline_string": text }),
            Self::File(path) => json!({ "filename": path }),
        }
    }
}

impl Bootstrap {
    /// The bootstrap file's text, JSON. It contains the private key if that is inline: write it for the owner only.
    pub fn to_json(&self) -> String {
        format!("{:#}", self.value())
    }

    fn value(&self) -> Value {
        // Zero: never give up waiting. A sidecar that has no configuration must not call itself ready.
        let from_ads = json!({ "ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s" });
        let mut value = json!({
            "node": { "id": self.node_id, "cluster": self.node_cluster },
            "admin": { "address": address(self.admin) },
            // Statistics are read on demand only, so no timer need collect them.
            "stats_flush_on_admin": true,
            "dynamic_resources": {
                "ads_config": self.ads(),
                "cds_config": from_ads,
                "lds_config": from_ads,
            },
            "static_resources": {
                "listeners": [self.metrics_listener()],
                "clusters": [self.control_plane_cluster(), self.metrics_cluster()],
            },
            // Envoy refuses regular expressions above an RE2 program size of 100 unless told otherwise: a path of 50 characters.
            "layered_runtime": { "layers": [{
                "name": "static",
                "static_layer": {
                    "re2.max_program_size.error_level": u32::MAX,
                    // Spans are looked at soon after the traffic; by default they are kept for up to 5 s.
                    "tracing.zipkin.flush_interval_ms": 100,
                    "tracing.opentelemetry.flush_interval_ms": 100,
                },
            }] },
        });
        if let Some(names) = self.names {
            value["typed_dns_resolver_config"] = json!({
                "name": "envoy.network.dns_resolver.cares",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
                    "resolvers": [address(names)],
                    "dns_resolver_options": { "no_default_search_domain": true },
                },
            });
        }
        if let Some(ip) = self.bind {
            value["cluster_manager"] = json!({
                "upstream_bind_config": { "source_address": { "address": ip, "port_value": 0 } }
            });
        }
        value
    }

    /// The pod's name, as a container has it in its environment.
    pub fn pod_name(&self) -> &str {
        self.node_id.rsplit_once('/').map_or(&self.node_id, |(_, pod)| pod)
    }

    /// Where Prometheus finds the statistics, under the names that dashboards know.
    fn metrics_listener(&self) -> Value {
        const FILTERS: &str = "type.googleapis.com/envoy.extensions.filters";
        let address = address(SocketAddr::new(self.admin.ip(), super::METRICS_PORT));
        let route = json!({ "match": { "path": "/stats/prometheus" }, "route": { "cluster": METRICS_CLUSTER } });
        let manager = json!({
            "@type": format!("{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": "prometheus",
            "route_config": { "virtual_hosts": [{ "name": "prometheus", "domains": ["*"], "routes": [route] }] },
            "http_filters": [
                { "name": "envoy.filters.http.lua", "typed_config": {
                    "@type": format!("{FILTERS}.http.lua.v3.Lua"),
                    "default_source_code": { "inline_string": mesh::snapshot::metrics::RENAME },
                } },
                { "name": "envoy.filters.http.router", "typed_config": {
                    "@type": format!("{FILTERS}.http.router.v3.Router"),
                } },
            ],
        });
        let manager = json!({ "name": "envoy.filters.network.http_connection_manager", "typed_config": manager });
        json!({ "name": "prometheus", "address": address, "filter_chains": [{ "filters": [manager] }] })
    }

    fn metrics_cluster(&self) -> Value {
        // Where all addresses are listened on, any of this host does.
        let ip = if self.admin.ip().is_unspecified() { [127, 0, 0, 1].into() } else { self.admin.ip() };
        let endpoint = json!({ "endpoint": { "address": address(SocketAddr::new(ip, self.admin.port())) } });
        json!({
            "name": METRICS_CLUSTER,
            "type": "STATIC",
            "load_assignment": { "cluster_name": METRICS_CLUSTER, "endpoints": [{ "lb_endpoints": [endpoint] }] },
        })
    }

    fn ads(&self) -> Value {
        json!({
            "api_type": match self.control_plane.variant {
                Variant::Delta => "DELTA_GRPC",
                Variant::Sotw => "GRPC",
            },
            "transport_api_version": "V3",
            "set_node_on_first_message_only": true,
            "grpc_services": [{
                "envoy_grpc": {
                    "cluster_name": CONTROL_PLANE_CLUSTER,
                    // A control plane that comes back is found within half a second; Envoy's default is up to 30 s.
                    "retry_policy": { "retry_back_off": { "base_interval": "0.05s", "max_interval": "0.5s" } },
                }
            }],
        })
    }

    fn control_plane_cluster(&self) -> Value {
        json!({
            "name": CONTROL_PLANE_CLUSTER,
            "type": "STATIC",
            "connect_timeout": "5s",
            "load_assignment": {
                "cluster_name": CONTROL_PLANE_CLUSTER,
                "endpoints": [{ "lb_endpoints": [{
                    "endpoint": { "address": address(self.control_plane.address) }
                }] }],
            },
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": { "http2_protocol_options": {
                        "connection_keepalive": { "interval": "10s", "timeout": "10s" },
                    } },
                }
            },
            "upstream_connection_options": {
                "tcp_keepalive": { "keepalive_probes": 5, "keepalive_time": 60, "keepalive_interval": 5 }
            },
            "transport_socket": self.transport_socket(),
        })
    }

    fn transport_socket(&self) -> Value {
        let name = &self.control_plane.server_name;
        json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": name,
                "common_tls_context": {
                    "alpn_protocols": ["h2"],
                    "tls_params": {
                        "tls_minimum_protocol_version": "TLSv1_2",
                        "tls_maximum_protocol_version": "TLSv1_3",
                    },
                    "tls_certificates": [{
                        "certificate_chain": self.credentials.certificate.data_source(),
                        "private_key": self.credentials.key.data_source(),
                    }],
                    "validation_context": {
                        "trusted_ca": self.credentials.authority.data_source(),
                        "match_typed_subject_alt_names": [{ "san_type": "DNS", "matcher": { "exact": name } }],
                    },
                },
            },
        })
    }
}

fn address(socket: SocketAddr) -> Value {
    json!({ "socket_address": { "address": socket.ip(), "port_value": socket.port() } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_a_file_is_named_and_never_shown() {
        let secret = Pem::Inline("-----BEGIN PRIVATE KEY-----".into());
        assert_eq!(format!("{secret:?}"), "Inline(27 bytes)");
        assert_eq!(Pem::File("/run/key".into()).data_source(), json!({ "filename": "/run/key" }));
    }

    #[test]
    fn both_variants_and_the_bind_address_are_told_to_envoy() {
        let mut bootstrap = Bootstrap {
            node_id: "pod".into(),
            node_cluster: "sa.ns".into(),
            admin: "127.0.0.2:15000".parse().unwrap(),
            control_plane: ControlPlane {
                address: "127.0.0.1:15128".parse().unwrap(),
                server_name: "osm-controller.osm-system.svc".into(),
                variant: Variant::Sotw,
            },
            credentials: Credentials {
                certificate: Pem::Inline("c".into()),
                key: Pem::Inline("k".into()),
                authority: Pem::Inline("a".into()),
            },
            bind: None,
            names: None,
        };
        assert_eq!(bootstrap.value()["dynamic_resources"]["ads_config"]["api_type"], "GRPC");
        assert_eq!(bootstrap.value()["cluster_manager"], Value::Null);

        bootstrap.control_plane.variant = Variant::Delta;
        bootstrap.bind = Some("127.0.0.2".parse().unwrap());
        let value = bootstrap.value();
        assert_eq!(value["dynamic_resources"]["ads_config"]["api_type"], "DELTA_GRPC");
        assert_eq!(value["cluster_manager"]["upstream_bind_config"]["source_address"]["address"], "127.0.0.2");
    }
}
