//! The JSON of the API (traffic-metrics v1alpha1, "Specification").

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{GROUP, VERSION, flow::Counts};

/// The measured traffic of a resource, or of one of its edges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrafficMetrics {
    /// Always `TrafficMetrics`.
    pub kind: String,
    /// Always `metrics.smi-spec.io/v1alpha1`.
    pub api_version: String,
    /// Name and namespace of the resource, for clients that know no TrafficMetrics, such as kubectl.
    pub metadata: Metadata,
    /// Whose traffic it is.
    pub resource: Reference,
    /// Which part of that traffic.
    pub edge: Edge,
    /// Of a TrafficSplit: the backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<Backend>,
    /// When the newest of it was measured (RFC 3339).
    pub timestamp: String,
    /// How far back from there it reaches: `30s`.
    pub window: String,
    /// The five values.
    pub metrics: Vec<Metric>,
}

/// Several of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrafficMetricsList {
    /// Always `TrafficMetricsList`.
    pub kind: String,
    /// Always `metrics.smi-spec.io/v1alpha1`.
    pub api_version: String,
    /// Annotations, if there are any.
    pub metadata: Metadata,
    /// Of a list: its kind, namespace and API version. Of edges: the resource.
    pub resource: Reference,
    /// The label selector, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// The items, ordered by name.
    pub items: Vec<TrafficMetrics>,
}

/// What Kubernetes clients expect of any object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// [`GAPS`], if there are any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The annotation that names sidecars which did not tell their statistics: what they measured since is missing here.
pub const GAPS: &str = "metrics.openservicemesh.io/silent-sidecars";

/// `v1` ObjectReference, as far as it is used. Empty, it stands for everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Reference {
    /// Kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// API version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
}

/// Which part of a resource's traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// Towards the peer, or from it.
    pub direction: Direction,
    /// Where it was measured.
    pub side: Side,
    /// The peer; empty for all of them.
    #[serde(default)]
    pub resource: Reference,
}

/// Which way requests went, as the resource sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The resource called the peer.
    To,
    /// The peer called the resource.
    From,
}

/// Whose sidecar measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The client's.
    Client,
    /// The server's.
    Server,
}

/// A backend of a TrafficSplit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// The root service, as the split names it.
    pub apex: String,
    /// The backend service.
    pub name: String,
    /// Its weight.
    pub weight: u64,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// `p99_response_latency`, `p90_response_latency`, `p50_response_latency`, `success_count` or `failure_count`.
    pub name: String,
    /// `seconds`; counts have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// A Kubernetes Quantity: `10m` is a hundredth.
    pub value: String,
}

/// `meta/v1` LabelSelector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels that must be so.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Everything else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
}

/// One requirement of a label selector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// Of `In` and `NotIn`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// `metrics.smi-spec.io/v1alpha1`.
pub fn api_version() -> String {
    format!("{GROUP}/{VERSION}")
}

/// The five values.
pub fn metrics(counts: &Counts) -> Vec<Metric> {
    let latency = |name: &str, share| Metric {
        name: format!("{name}_response_latency"),
        unit: Some("seconds".into()),
        value: seconds(counts.latency.quantile(share)),
    };
    let count = |name: &str, count: u64| Metric { name: name.into(), unit: None, value: count.to_string() };
    vec![
        latency("p99", 0.99),
        latency("p90", 0.90),
        latency("p50", 0.50),
        count("success_count", counts.success),
        count("failure_count", counts.failure),
    ]
}

/// Microseconds as a Quantity in seconds, in the form that Kubernetes would give it.
pub fn seconds(micros: u64) -> String {
    match micros {
        0 => "0".into(),
        whole if whole % 1_000_000 == 0 => format!("{}", whole / 1_000_000),
        milli if milli % 1_000 == 0 => format!("{}m", milli / 1_000),
        micro => format!("{micro}u"),
    }
}

/// Reads a Quantity with a decimal suffix, as metrics have them; `None` if it is none.
pub fn quantity(text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match &text[digits.len()..] {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        _ => return None,
    };
    digits.parse::<f64>().ok().map(|number| number * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_quantities_in_seconds() {
        let written = [0, 500, 10_000, 1_500_000, 2_000_000, 12_345].map(seconds);
        assert_eq!(written, ["0", "500u", "10m", "1500m", "2", "12345u"]);
        for micros in [0, 500, 10_000, 1_500_000, 2_000_000, 12_345] {
            let read = quantity(&seconds(micros)).unwrap();
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let wanted = micros as f64 / 1e6;
            assert!((read - wanted).abs() < 1e-12, "{read} {wanted}");
        }
        assert_eq!(quantity("73492m"), Some(73.492));
        assert_eq!(quantity("10ms"), None);
        assert_eq!(quantity(""), None);
    }

    #[test]
    fn the_json_is_that_of_the_specification() {
        let item = TrafficMetrics {
            kind: "TrafficMetrics".into(),
            api_version: api_version(),
            metadata: Metadata { name: Some("foo".into()), ..Metadata::default() },
            resource: Reference { kind: Some("Pod".into()), name: Some("foo".into()), ..Reference::default() },
            edge: Edge { direction: Direction::From, side: Side::Client, resource: Reference::default() },
            backend: Some(Backend { apex: "web".into(), name: "web-v1".into(), weight: 90 }),
            timestamp: "2019-04-08T22:25:55Z".into(),
            window: "30s".into(),
            metrics: metrics(&Counts { success: 100, failure: 1, ..Counts::default() }),
        };
        let wanted = serde_json::json!({
            "kind": "TrafficMetrics",
            "apiVersion": "metrics.smi-spec.io/v1alpha1",
            "metadata": {"name": "foo"},
            "resource": {"kind": "Pod", "name": "foo"},
            "edge": {"direction": "from", "side": "client", "resource": {}},
            "backend": {"apex": "web", "name": "web-v1", "weight": 90},
            "timestamp": "2019-04-08T22:25:55Z",
            "window": "30s",
            "metrics": [
                {"name": "p99_response_latency", "unit": "seconds", "value": "0"},
                {"name": "p90_response_latency", "unit": "seconds", "value": "0"},
                {"name": "p50_response_latency", "unit": "seconds", "value": "0"},
                {"name": "success_count", "value": "100"},
                {"name": "failure_count", "value": "1"},
            ],
        });
        assert_eq!(serde_json::to_value(&item).unwrap(), wanted);
        assert_eq!(serde_json::from_value::<TrafficMetrics>(wanted).unwrap(), item);
    }
}
