//! The names under which everything is counted.

use prometheus_client::{
    metrics::{family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry},
};

use super::{Histograms, Labels, Metrics, Tally};

/// Seconds; the buckets of Open Service Mesh, and three below them, where this control plane is.
const UPDATE: [f64; 13] = [0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 90.0];

/// Seconds that one HTTP answer or one certificate takes.
const SHORT: [f64; 9] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0];

fn update_histogram() -> Histogram {
    Histogram::new(UPDATE)
}

fn short_histogram() -> Histogram {
    Histogram::new(SHORT)
}

/// Registers a metric and keeps a handle on it.
fn add<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("osm");
        let r = &mut registry;
        version(r);
        let update_time: Histograms<2> = Family::new_with_constructor(update_histogram);
        let response_time: Histograms<3> = Family::new_with_constructor(short_histogram);
        Self {
            api_events: add(r, "k8s_api_event_count", "Objects that the Kubernetes API told of", Family::default()),
            namespaces: add(r, "resource_namespace_count", "Namespaces in the mesh", Gauge::default()),
            proxies: add(r, "proxy_connect_count", "Proxies that have a stream", Gauge::default()),
            reconnects: add(r, "proxy_reconnect_count", "Streams that went on from an earlier one", Tally::default()),
            accepted: add(r, "proxy_response_send_success_count", "Responses sent to proxies", Family::default()),
            refused: add(r, "proxy_response_send_error_count", "Responses that could not be sent", Family::default()),
            update_time: add(r, "proxy_config_update_time", "Seconds from a response to its answer", update_time),
            broadcasts: add(r, "proxy_broadcast_event_count", "Changes that concerned every proxy", Tally::default()),
            requests: add(r, "proxy_xds_request_count", "Requests and answers of proxies", Family::default()),
            rejected: add(r, "proxy_max_connections_rejected", "Proxies above the limit", Tally::default()),
            admissions: add(r, "admission_webhook_response", "Answers of the webhooks", Family::default()),
            certificates: add(r, "cert_issued_count", "Certificates issued", Tally::default()),
            certificate_time: add(r, "cert_issued_time", "Seconds that a certificate takes", short_histogram()),
            errors: add(r, "error_err_code_count", "Failures by code", Family::default()),
            responses: add(r, "http_response", "Answers to HTTP requests", Family::default()),
            response_time: add(r, "http_response_duration", "Seconds that an HTTP answer takes", response_time),
            features: add(r, "feature_flag_enabled", "1 if the feature flag is on", Family::default()),
            queued: add(r, "events_queued", "Batches of changes that wait for the writer", Gauge::default()),
            reconciliations: add(r, "reconciliation", "Own objects that were put back", Family::default()),
            scrapes: add(r, "sidecar_scrape", "Sidecars asked for the metrics API", Family::default()),
            registry,
        }
    }
}

fn version(registry: &mut Registry) {
    let info = Family::<Labels<3>, Gauge>::default();
    let crate::admin::Version { version, build_date, git_commit } = crate::admin::VERSION;
    let labels = [("version", version.into()), ("build_date", build_date.into()), ("git_commit", git_commit.into())];
    info.get_or_create(&labels).set(1);
    registry.register("version_info", "What runs here", info);
}
