//! What the control plane counts, under the names of Open Service Mesh (prefix `osm_`), for Prometheus.
//!
//! Two differences, both on purpose. Labels that tell one proxy (`proxy_uuid`, `identity`) are left out: with thousands of
//! pods that come and go their number has no bound; the debug endpoints tell single proxies. And counters whose name ends
//! in `_count` are exposed with the type `unknown`, because OpenMetrics would add `_total` to their names.

mod register;

use std::{borrow::Cow, fmt, time::Duration};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, text},
    metrics::{MetricType, TypedMetric, counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::snapshot::ResourceType;

/// The media type of [`Metrics::encode`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A counter that keeps its name.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally(Counter);

/// `N` labels with their values.
pub(super) type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];

/// Tallies by `N` labels.
type Tallies<const N: usize> = Family<Labels<N>, Tally>;

/// Histograms by `N` labels.
pub(super) type Histograms<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;

/// All counters of one control plane. Every method is cheap and can be called from anywhere.
pub struct Metrics {
    registry: Registry,
    api_events: Tallies<2>,
    namespaces: Gauge,
    proxies: Gauge,
    reconnects: Tally,
    accepted: Tallies<1>,
    refused: Tallies<1>,
    update_time: Histograms<2>,
    broadcasts: Tally,
    requests: Tallies<1>,
    rejected: Tally,
    admissions: Family<Labels<2>, Counter>,
    certificates: Tally,
    certificate_time: Histogram,
    errors: Tallies<1>,
    responses: Family<Labels<3>, Counter>,
    response_time: Histograms<3>,
    features: Family<Labels<1>, Gauge>,
    queued: Gauge,
    reconciliations: Family<Labels<1>, Counter>,
    scrapes: Family<Labels<1>, Counter>,
}

impl Metrics {
    /// The text that Prometheus reads (OpenMetrics 1.0).
    pub fn encode(&self) -> String {
        let mut out = String::new();
        // Only the formatter of a label could fail, and a string takes all.
        if let Err(error) = text::encode(&mut out, &self.registry) {
            tracing::error!(%error, "the metrics cannot be written");
        }
        out
    }

    /// The Kubernetes API told of an object. `what` is one of a closed set, such as `pod-put`.
    pub fn api_event(&self, what: impl Into<Cow<'static, str>>, namespace: &str) {
        let labels = [("type", what.into()), ("namespace", namespace.to_owned().into())];
        self.api_events.get_or_create(&labels).0.inc();
    }

    /// This many namespaces are in the mesh.
    pub fn monitored_namespaces(&self, number: usize) {
        self.namespaces.set(gauge(number));
    }

    /// A proxy's stream began or ended: this many are open.
    pub fn connected_proxies(&self, number: usize) {
        self.proxies.set(gauge(number));
    }

    /// A proxy began a stream that goes on where an earlier one ended.
    pub fn proxy_reconnected(&self) {
        self.reconnects.0.inc();
    }

    /// A proxy asked for something, or answered.
    pub fn xds_request(&self, kind: ResourceType) {
        self.requests.get_or_create(&kind_label(kind)).0.inc();
    }

    /// A response was handed to the connection of a proxy.
    pub fn response_sent(&self, kind: ResourceType) {
        self.accepted.get_or_create(&kind_label(kind)).0.inc();
    }

    /// A response could not be sent, because the connection broke.
    pub fn response_failed(&self, kind: ResourceType) {
        self.refused.get_or_create(&kind_label(kind)).0.inc();
    }

    /// A proxy accepted (or refused) a response, this long after it was sent.
    pub fn response_answered(&self, kind: ResourceType, accepted: bool, after: Duration) {
        let labels = [("resource_type", short(kind).into()), ("success", accepted.to_string().into())];
        self.update_time.get_or_create(&labels).observe(after.as_secs_f64());
    }

    /// A change concerned every proxy.
    pub fn broadcast(&self) {
        self.broadcasts.0.inc();
    }

    /// A proxy was refused because of `maxDataPlaneConnections`.
    pub fn max_connections_rejected(&self) {
        self.rejected.0.inc();
    }

    /// A webhook answered about an object of this kind.
    pub fn admission(&self, kind: &str, allowed: bool) {
        let labels = [("kind", kind.to_owned().into()), ("success", allowed.to_string().into())];
        self.admissions.get_or_create(&labels).inc();
    }

    /// A certificate was issued, in this time.
    pub fn certificate_issued(&self, took: Duration) {
        self.certificates.0.inc();
        self.certificate_time.observe(took.as_secs_f64());
    }

    /// Something failed. `code` is one of a closed set.
    pub fn error(&self, code: &'static str) {
        self.errors.get_or_create(&[("err_code", code.into())]).0.inc();
    }

    /// An HTTP request was answered. `path` is that of a route, never what a client made up.
    pub fn http_response(&self, status: u16, method: &str, path: &str, took: Duration) {
        let labels = [
            ("code", status.to_string().into()),
            ("method", method.to_owned().into()),
            ("path", path.to_owned().into()),
        ];
        self.responses.get_or_create(&labels).inc();
        self.response_time.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// A feature flag is on or off.
    pub fn feature_flag(&self, name: &'static str, on: bool) {
        self.features.get_or_create(&[("feature_flag", name.into())]).set(on.into());
    }

    /// Batches of changes that wait for the writer: one more.
    pub fn event_queued(&self) {
        self.queued.inc();
    }

    /// One less.
    pub fn event_taken(&self) {
        self.queued.dec();
    }

    /// An object of our own, such as a webhook configuration, was put back as it should be.
    pub fn reconciled(&self, kind: &'static str) {
        self.reconciliations.get_or_create(&[("kind", kind.into())]).inc();
    }

    /// Sidecars were asked for their statistics: so many told, so many did not.
    pub fn sidecars_asked(&self, told: usize, silent: usize) {
        for (success, number) in [("true", told), ("false", silent)] {
            let number = u64::try_from(number).unwrap_or(u64::MAX);
            self.scrapes.get_or_create(&[("success", success.into())]).inc_by(number);
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl EncodeMetric for Tally {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        // A sample without the suffix of a counter.
        encoder.encode_gauge(&self.0.get())
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Tally {
    const TYPE: MetricType = MetricType::Unknown;
}

fn gauge(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn kind_label(kind: ResourceType) -> Labels<1> {
    [("type", short(kind).into())]
}

/// The usual name of the discovery service.
fn short(kind: ResourceType) -> &'static str {
    match kind {
        ResourceType::Secret => "SDS",
        ResourceType::Cluster => "CDS",
        ResourceType::Endpoint => "EDS",
        ResourceType::Listener => "LDS",
        ResourceType::Route => "RDS",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_osm() {
        let metrics = Metrics::default();
        metrics.api_event("pod-put", "shop");
        metrics.connected_proxies(3);
        metrics.proxy_reconnected();
        metrics.xds_request(ResourceType::Cluster);
        metrics.response_answered(ResourceType::Listener, false, Duration::from_millis(200));
        metrics.max_connections_rejected();
        metrics.admission("Pod", true);
        metrics.certificate_issued(Duration::from_millis(3));
        metrics.error("E1");
        metrics.http_response(200, "GET", "/version", Duration::ZERO);
        metrics.feature_flag("enableRetryPolicy", true);
        metrics.event_queued();
        let text = metrics.encode();
        for line in [
            "osm_k8s_api_event_count{type=\"pod-put\",namespace=\"shop\"} 1",
            "osm_proxy_connect_count 3",
            "osm_proxy_reconnect_count 1",
            "osm_proxy_xds_request_count{type=\"CDS\"} 1",
            "osm_proxy_config_update_time_bucket{le=\"0.25\",resource_type=\"LDS\",success=\"false\"} 1",
            "osm_proxy_max_connections_rejected 1",
            "osm_admission_webhook_response_total{kind=\"Pod\",success=\"true\"} 1",
            "osm_cert_issued_count 1",
            "osm_cert_issued_time_count 1",
            "osm_error_err_code_count{err_code=\"E1\"} 1",
            "osm_http_response_total{code=\"200\",method=\"GET\",path=\"/version\"} 1",
            "osm_feature_flag_enabled{feature_flag=\"enableRetryPolicy\"} 1",
            "osm_events_queued 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        assert!(text.contains("osm_version_info{version="), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
