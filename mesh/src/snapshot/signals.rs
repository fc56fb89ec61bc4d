//! What a sidecar tells of its traffic: log entries, spans, statistics; and the clusters that take them.

use std::{net::IpAddr, time::Duration};

use envoy_types::pb::envoy::{
    config::{
        accesslog::v3::AccessLog,
        cluster::v3::{
            Cluster,
            cluster::{ClusterDiscoveryType, DiscoveryType, LbPolicy},
        },
        core::v3::{Http1ProtocolOptions, Http2ProtocolOptions},
        trace::v3::{
            OpenTelemetryConfig, ZipkinConfig,
            tracing::{Http, http::ConfigType},
            zipkin_config::CollectorEndpointVersion,
        },
    },
    extensions::{
        filters::network::http_connection_manager::v3::http_connection_manager::Tracing as HttpTracing,
        upstreams::http::v3::{
            HttpProtocolOptions,
            http_protocol_options::{
                ExplicitHttpConfig, UpstreamProtocolOptions, explicit_http_config::ProtocolConfig,
            },
        },
    },
    r#type::v3::Percent,
};
use envoy_types::pb::google::protobuf::{self, BoolValue};

use super::{
    access_log::{entries, grpc, lines},
    encode::{caused_by, pack, resource},
    endpoint::assignment,
    metrics::{self, Itself},
    name,
    resource::{ResourceType, Snapshot},
};
use crate::{
    model::{Kind, ObjectName, ObjectRef, ServiceAccount, Tracing, TracingProtocol, Workload},
    policy::telemetry::{Receiver, logging},
    world::World,
};

/// The name that a MeshConfig has in every installation.
const MESH_CONFIG: &str = "osm-mesh-config";

/// What the filters of one proxy share. Made once, for its parts are the same in each of them.
pub(super) struct Signals {
    log: Vec<AccessLog>,
    sent: Option<AccessLog>,
    from_outside: Option<AccessLog>,
    tracing: Option<HttpTracing>,
    receiver: Option<Receiver>,
}

impl Signals {
    pub(super) fn of(world: &World, pod: &Workload) -> Self {
        let settings = world.settings();
        let logging = logging(world, pod);
        let itself = settings.features.request_metrics.then(|| Itself::of(pod));
        let receiver = logging.receiver.as_ref().map(|receiver| entries(receiver, &logging.format));
        Self {
            log: [lines(&logging.format)].into_iter().chain(receiver).collect(),
            sent: itself.as_ref().map(metrics::sent),
            from_outside: itself.as_ref().map(metrics::from_outside),
            tracing: settings.tracing.as_ref().map(|t| tracing(t, &pod.account)),
            receiver: logging.receiver,
        }
    }

    /// The log of connections, and of requests that another sidecar counts.
    pub(super) fn log(&self) -> Vec<AccessLog> {
        self.log.clone()
    }

    /// The log of requests that the pod sends.
    pub(super) fn log_sent(&self) -> Vec<AccessLog> {
        self.log.iter().chain(&self.sent).cloned().collect()
    }

    /// The log of requests that reach the pod from outside of the mesh: what a listener for ingress takes.
    pub(super) fn log_from_outside(&self) -> Vec<AccessLog> {
        self.log.iter().chain(&self.from_outside).cloned().collect()
    }

    /// How requests are traced.
    pub(super) fn tracing(&self) -> Option<HttpTracing> {
        self.tracing.clone()
    }
}

/// The clusters that take log entries and spans.
pub(super) fn add(world: &World, signals: &Signals, snapshot: &mut Snapshot) {
    if let Some(Receiver { service, .. }) = &signals.receiver {
        let name = name::extension(&service.name);
        let cluster = outside(name, &service.host, service.port, service.http2, service.connect_timeout);
        let cause = ObjectRef::new(Kind::ExtensionService, service.name.clone());
        insert(snapshot, Cluster { metadata: caused_by([cause]), ..cluster });
    }
    if let Some(tracing) = &world.settings().tracing {
        let http2 = tracing.protocol == TracingProtocol::OpenTelemetry;
        let cluster = outside(name::TRACING.into(), &tracing.address, tracing.port, http2, None);
        let mesh_config = ObjectName::new(world.settings().namespace.0.clone(), MESH_CONFIG);
        let cause = ObjectRef::new(Kind::MeshConfig, mesh_config);
        insert(snapshot, Cluster { metadata: caused_by([cause]), ..cluster });
    }
}

fn insert(snapshot: &mut Snapshot, cluster: Cluster) {
    let encoded = resource(ResourceType::Cluster, &cluster);
    snapshot.insert(ResourceType::Cluster, cluster.name, encoded);
}

/// A service by its name or address, without TLS. A name is asked of the cluster's DNS.
fn outside(name: String, host: &str, port: u16, http2: bool, connect_timeout: Option<Duration>) -> Cluster {
    let is_address = host.parse::<IpAddr>().is_ok();
    let discovery = if is_address { DiscoveryType::Static } else { DiscoveryType::StrictDns };
    let codec = if http2 {
        ProtocolConfig::Http2ProtocolOptions(Http2ProtocolOptions::default())
    } else {
        ProtocolConfig::HttpProtocolOptions(Http1ProtocolOptions::default())
    };
    let options = HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
            protocol_config: Some(codec),
        })),
        ..Default::default()
    };
    let options = ("envoy.extensions.upstreams.http.v3.HttpProtocolOptions".to_owned(), pack(&options));
    Cluster {
        load_assignment: Some(assignment(&name, [(host.to_owned(), port)].into_iter())),
        name,
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(discovery.into())),
        lb_policy: LbPolicy::RoundRobin.into(),
        connect_timeout: connect_timeout.map(duration),
        typed_extension_protocol_options: [options].into(),
        ..Default::default()
    }
}

fn duration(of: Duration) -> protobuf::Duration {
    let seconds = i64::try_from(of.as_secs()).unwrap_or(i64::MAX);
    protobuf::Duration { seconds, nanos: i32::try_from(of.subsec_nanos()).unwrap_or_default() }
}

fn tracing(tracing: &Tracing, account: &ServiceAccount) -> HttpTracing {
    let (name, config) = match &tracing.protocol {
        TracingProtocol::Zipkin(path) => ("envoy.tracers.zipkin", pack(&zipkin(path, &tracing.address))),
        TracingProtocol::OpenTelemetry => ("envoy.tracers.opentelemetry", pack(&open_telemetry(tracing, account))),
    };
    HttpTracing {
        random_sampling: Some(Percent { value: f64::from(tracing.sampling) / 100.0 }),
        provider: Some(Http { name: name.into(), config_type: Some(ConfigType::TypedConfig(config)) }),
        ..Default::default()
    }
}

/// Zipkin calls a service what `--service-cluster` says.
fn zipkin(path: &str, host: &str) -> ZipkinConfig {
    ZipkinConfig {
        collector_cluster: name::TRACING.into(),
        collector_endpoint: path.into(),
        collector_hostname: host.into(),
        collector_endpoint_version: CollectorEndpointVersion::HttpJson.into(),
        trace_id_128bit: true,
        // Each sidecar's span has an id of its own, as in OTLP, so that both protocols give the same tree.
        shared_span_context: Some(BoolValue { value: false }),
        ..Default::default()
    }
}

fn open_telemetry(tracing: &Tracing, account: &ServiceAccount) -> OpenTelemetryConfig {
    OpenTelemetryConfig {
        grpc_service: Some(grpc(name::TRACING.into(), &tracing.address, tracing.port)),
        service_name: format!("{}.{}", account.name, account.namespace),
        ..Default::default()
    }
}
