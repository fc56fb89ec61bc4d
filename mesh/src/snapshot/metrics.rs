//! Statistics of requests by source and destination: `osm_request_total` and `osm_request_duration_ms`, counted by Envoy's own
//! stats access logger; no WebAssembly and no header is involved.
//!
//! The client's sidecar counts, for it alone sees every request of its application, with any end: answered, refused by the
//! server's sidecar (403), refused by itself (404), or without an endpoint (503). The server's sidecar counts only what comes
//! from outside of the mesh, so that no request is counted twice.
//!
//! | label | client's sidecar | ingress, at the server's |
//! |---|---|---|
//! | `response_code` | the client's; 0 if it left before | the same |
//! | `source_namespace`, `source_kind`, `source_name` | of the pod itself | `unknown` |
//! | `source_pod` | `POD_NAME` of the container's environment | `unknown` |
//! | `destination_…` | of the endpoint that answered; without one, of the service (kind `Service`, pod `unknown`); without a service, `unknown` | of the pod itself |
//! | `destination_service` | the service that was to answer; of a split, the chosen backend; outside of the mesh `unknown` | `unknown` |
//! | `traffic_split` | the split that chose it, `namespace/name`; else `unknown` | `unknown` |
//!
//! All values come from the control plane and from the pod's own environment, none from a peer, so no peer can invent label
//! values. Their number is bounded by what the mesh has, and by a limit for each proxy.
//!
//! Envoy's administration interface puts `envoy_` before every name. [`RENAME`] takes it away again; a Prometheus that
//! scrapes the administration interface itself can do so with
//! `metric_relabel_configs: [{source_labels: [__name__], regex: envoy_(osm_request_.*), target_label: __name__}]`.

use std::sync::LazyLock;

use envoy_types::pb::{
    envoy::{
        config::accesslog::v3::{AccessLog, access_log},
        extensions::access_loggers::stats::v3::{
            Config,
            config::{Counter, Histogram, Stat, Tag, histogram::Unit},
        },
        r#type::v3::Scope,
    },
    google::protobuf::UInt64Value,
};

use super::encode::{number, pack};
use crate::{
    model::Workload,
    policy::telemetry::{Owner, owner},
};

/// Source of Envoy's Lua filter for the listener that Prometheus scrapes: gives the request statistics the names that
/// dashboards know. It streams: a line at a time is held back at most.
pub const RENAME: &str = r#"function envoy_on_response(response)
  local rest = ""
  for chunk in response:bodyChunks() do
    local text = rest .. chunk:getBytes(0, chunk:length())
    local whole = #text - #text:match("[^\n]*$")
    rest = text:sub(whole + 1)
    local renamed = text:sub(1, whole):gsub("envoy_osm_request_", "osm_request_")
    chunk:setBytes(renamed)
  end
end
"#;

/// The variable of the sidecar's environment that names its pod.
pub const POD_NAME: &str = "POD_NAME";

/// Different label sets of one proxy. What goes beyond is counted in Envoy's `stats_overflow`.
const MOST_SERIES: u32 = 10_000;

/// Who a sidecar counts for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Itself {
    namespace: String,
    kind: &'static str,
    /// `None` for a pod that stands alone: its name is in its environment.
    name: Option<String>,
}

impl Itself {
    pub(super) fn of(pod: &Workload) -> Self {
        let Owner { kind, name } = owner(pod);
        let name = (kind != "Pod").then(|| name.to_string());
        Self { namespace: pod.name.namespace.to_string(), kind, name }
    }

    fn values(&self) -> [String; 4] {
        let pod = format!("%ENVIRONMENT({POD_NAME})%");
        let name = self.name.clone().unwrap_or_else(|| pod.clone());
        [self.namespace.clone(), self.kind.to_owned(), name, pod]
    }
}

/// Counts the requests that the pod sends.
pub(super) fn sent(itself: &Itself) -> AccessLog {
    counting(itself.values(), FAR_END.clone(), WAY.clone())
}

/// Counts the requests that reach the pod from outside of the mesh.
pub(super) fn from_outside(itself: &Itself) -> AccessLog {
    let unknown = || "unknown".to_owned();
    counting(std::array::from_fn(|_| unknown()), itself.values(), [unknown(), unknown()])
}

/// The endpoint's labels, else the cluster's, else `unknown`.
static FAR_END: LazyLock<[String; 4]> = LazyLock::new(|| {
    LABELS.map(|key| {
        let label = format!("{}:{key}", super::name::LABELS_KEY);
        let operators = serde_json::json!({ "operators": [
            { "command": "UPSTREAM_METADATA", "param": label },
            { "command": "CLUSTER_METADATA", "param": label },
            { "command": "CEL", "param": "'unknown'" },
        ] });
        format!("%COALESCE({operators})%")
    })
});

/// The cluster's service, and the name of the route: routes of splits are named after them.
static WAY: LazyLock<[String; 2]> = LazyLock::new(|| {
    let service =
        serde_json::json!({ "command": "CLUSTER_METADATA", "param": format!("{}:name", super::name::LABELS_KEY) });
    let split = serde_json::json!({ "command": "ROUTE_NAME" });
    [service, split].map(|operator| {
        let operators = serde_json::json!({ "operators": [operator, { "command": "CEL", "param": "'unknown'" }] });
        format!("%COALESCE({operators})%")
    })
});

const LABELS: [&str; 4] = ["namespace", "kind", "name", "pod"];

fn counting(source: [String; 4], destination: [String; 4], way: [String; 2]) -> AccessLog {
    let code = Tag { name: "response_code".into(), value_format: "%RESPONSE_CODE%".into(), rules: None };
    let side = |side: &'static str, values: [String; 4]| {
        LABELS.into_iter().zip(values).map(move |(key, value_format)| Tag {
            name: format!("{side}_{key}"),
            value_format,
            rules: None,
        })
    };
    let way = ["destination_service", "traffic_split"].into_iter().zip(way);
    let way = way.map(|(name, value_format)| Tag { name: name.into(), value_format, rules: None });
    let labels: Vec<_> = side("source", source).chain(side("destination", destination)).chain(way).collect();
    let total = std::iter::once(code).chain(labels.clone()).collect();
    let config = Config {
        // One scope for all filters of the proxy: counts outlive the listener that they were made for.
        stats_scope: Some(Scope {
            prefix: "osm".into(),
            sharing_name: "osm".into(),
            max_counters: number(MOST_SERIES),
            max_histograms: number(MOST_SERIES),
            ..Default::default()
        }),
        counters: vec![Counter {
            stat: Some(Stat { name: "request_total".into(), tags: total }),
            value_fixed: Some(UInt64Value { value: 1 }),
            ..Default::default()
        }],
        histograms: vec![Histogram {
            stat: Some(Stat { name: "request_duration_ms".into(), tags: labels }),
            unit: Unit::Milliseconds.into(),
            value_format: "%DURATION%".into(),
        }],
        ..Default::default()
    };
    AccessLog {
        name: "envoy.access_loggers.stats".into(),
        config_type: Some(access_log::ConfigType::TypedConfig(pack(&config))),
        ..Default::default()
    }
}
