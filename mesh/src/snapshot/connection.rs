//! How connections to a service are held: connection settings, outlier detection and active health checks of its cluster.

use std::{collections::HashMap, time::Duration};

use envoy_types::pb::{
    envoy::{
        config::{
            cluster::v3::{CircuitBreakers, Cluster, OutlierDetection as Outliers, circuit_breakers::Thresholds},
            core::v3::{
                HeaderValue, HeaderValueOption, HealthCheck, HttpProtocolOptions as CommonOptions, health_check,
            },
        },
        extensions::upstreams::http::v3::HttpProtocolOptions,
    },
    google::protobuf::{self, BoolValue},
};
use prost::Message;

use super::{
    Scope,
    encode::{also_caused_by, number, pack},
};
use crate::{
    model::{ConnectionSettings, Kind, ObjectRef, OutlierDetection, UpstreamTrafficSetting},
    policy::outbound::Upstream,
};

/// The path of health checks between sidecars.
pub(super) const HEALTH_PATH: &str = "/healthz/osm";
/// The header by which a sidecar knows a health check from a request of an application.
pub(super) const HEALTH_HEADER: &str = "x-osm-envoy-healthcheck";

/// The extension under which a cluster's HTTP options stand.
const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Puts what the mesh's policies say about connections to a service into its cluster.
pub(super) fn hold(scope: &Scope<'_>, upstream: &Upstream, cluster: &mut Cluster) {
    if let Some(setting) = scope.settings.get(&upstream.service.name) {
        apply(cluster, setting);
    }
    if scope.world.settings().features.active_health_checks {
        cluster.health_checks = vec![health_check(upstream)];
    }
}

/// Holds the connections of any cluster, of the mesh or of an Egress, as the setting says.
pub(super) fn apply(cluster: &mut Cluster, setting: &UpstreamTrafficSetting) {
    apply_connection_settings(cluster, &setting.connection);
    cluster.outlier_detection = setting.outlier.as_ref().map(outliers);
    also_caused_by(&mut cluster.metadata, &ObjectRef::new(Kind::UpstreamTrafficSetting, setting.name.clone()));
}

/// Puts connection settings into any cluster, of the mesh or of an Egress. What they leave out has no limit (Envoy's own of
/// 1024 would cut a busy service off silently).
///
/// `max_requests_per_connection` goes into the cluster's `HttpProtocolOptions`; a cluster without them carries no HTTP, and the
/// number means nothing there.
pub fn apply_connection_settings(cluster: &mut Cluster, settings: &ConnectionSettings) {
    let limit = |limit: Option<u32>| number(limit.unwrap_or(u32::MAX));
    cluster.circuit_breakers = Some(CircuitBreakers {
        thresholds: vec![Thresholds {
            max_connections: limit(settings.max_connections),
            max_pending_requests: limit(settings.max_pending_requests),
            max_requests: limit(settings.max_requests),
            max_retries: limit(settings.max_retries),
            track_remaining: true,
            ..Default::default()
        }],
        ..Default::default()
    });
    cluster.connect_timeout = settings.connect_timeout.map(duration);
    let (Some(most), Some(packed)) =
        (settings.max_requests_per_connection, cluster.typed_extension_protocol_options.get(HTTP_OPTIONS))
    else {
        return;
    };
    // Ours, so it can be read. If it could not, the cluster would keep what it has.
    let Ok(mut options) = HttpProtocolOptions::decode(packed.value.as_slice()) else { return };
    let common = options.common_http_protocol_options.get_or_insert_with(CommonOptions::default);
    common.max_requests_per_connection = number(most);
    cluster.typed_extension_protocol_options = HashMap::from([(HTTP_OPTIONS.into(), pack(&options))]);
}

/// Only errors in a row eject: a share of successes below that of others, which Envoy looks at too by default, does not.
fn outliers(outlier: &OutlierDetection) -> Outliers {
    Outliers {
        consecutive_5xx: outlier.consecutive_errors.and_then(number),
        interval: outlier.interval.map(duration),
        base_ejection_time: outlier.base_ejection_time.map(duration),
        max_ejection_percent: outlier.max_ejection_percent.and_then(number),
        enforcing_success_rate: number(0),
        // Ten percent of three pods would be none.
        always_eject_one_host: Some(BoolValue { value: outlier.max_ejection_percent != Some(0) }),
        ..Default::default()
    }
}

/// HTTP is asked over the mesh's own TLS and answered by the server's sidecar; of TCP it only counts that it connects.
fn health_check(upstream: &Upstream) -> HealthCheck {
    let seconds = |seconds| Some(protobuf::Duration { seconds, nanos: 0 });
    let checker = if upstream.protocol.is_http() {
        let header = HeaderValue { key: HEALTH_HEADER.into(), value: "1".into(), ..Default::default() };
        health_check::HealthChecker::HttpHealthCheck(health_check::HttpHealthCheck {
            host: upstream.service.fqdn(),
            path: HEALTH_PATH.into(),
            request_headers_to_add: vec![HeaderValueOption { header: Some(header), ..Default::default() }],
            ..Default::default()
        })
    } else {
        health_check::HealthChecker::TcpHealthCheck(health_check::TcpHealthCheck::default())
    };
    HealthCheck {
        timeout: seconds(1),
        interval: seconds(10),
        // Envoy's own is a minute: a service that is seldom called would fail its first callers.
        no_traffic_interval: seconds(10),
        healthy_threshold: number(1),
        unhealthy_threshold: number(3),
        health_checker: Some(checker),
        ..Default::default()
    }
}

/// A time as Envoy has it. Times of the model are shorter than 300 years.
pub(super) fn duration(time: Duration) -> protobuf::Duration {
    protobuf::Duration {
        seconds: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(time.subsec_nanos()).unwrap_or(0),
    }
}
