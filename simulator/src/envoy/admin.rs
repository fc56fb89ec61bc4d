//! What a running Envoy says of itself, over its administration interface.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use mesh::snapshot::{ResourceType, Snapshot};
use serde_json::Value;

/// How long one answer may take. A configuration dump of a loaded machine is slow; nothing here is this slow.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A client of one Envoy's administration interface. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Admin {
    address: SocketAddr,
    client: Client<HttpConnector, Empty<Bytes>>,
}

/// Envoy's server state, as `/ready` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Configured and serving.
    Live,
    /// Going away.
    Draining,
    /// Waiting for the static and CDS clusters: in a mesh, for the control plane.
    PreInitializing,
    /// Waiting for listeners, routes or secrets.
    Initializing,
}

/// What must be in force before traffic is judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Listeners that must be bound; no other dynamic one may be.
    pub listeners: BTreeSet<String>,
    /// Clusters that must be active; no other dynamic one may be.
    pub clusters: BTreeSet<String>,
}

/// Why a sidecar's configuration is not yet in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsettled {
    /// It has not finished its initialization.
    #[error("it is {0:?}")]
    State(State),
    /// Clusters or listeners still wait for endpoints, routes or secrets.
    #[error("{clusters} clusters and {listeners} listeners are warming")]
    Warming {
        /// Number of warming clusters.
        clusters: u64,
        /// Number of warming listeners.
        listeners: u64,
    },
    /// Not the expected resources are active.
    #[error("{kind}s differ: missing {missing:?}, too many {extra:?}")]
    Resources {
        /// `listener` or `cluster`.
        kind: &'static str,
        /// Expected and not active.
        missing: Vec<String>,
        /// Active and not expected.
        extra: Vec<String>,
    },
}

/// The administration interface did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Nothing answers: the process is starting, gone or stuck.
    #[error("no answer from {url}: {reason}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// The error in words.
        reason: String,
    },
    /// An answer with an error status.
    #[error("{url} answered {status}: {body}")]
    Status {
        /// What was asked.
        url: String,
        /// The status.
        status: StatusCode,
        /// What it said.
        body: String,
    },
    /// The answer is not of the expected form.
    #[error("cannot read the answer of {url}: {reason}")]
    Form {
        /// What was asked.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Expected {
    /// The listeners and clusters of a snapshot.
    pub fn of(snapshot: &Snapshot) -> Self {
        let names = |kind| snapshot.of(kind).map(|(name, _)| name.to_string()).collect();
        Self { listeners: names(ResourceType::Listener), clusters: names(ResourceType::Cluster) }
    }
}

impl Admin {
    /// A client for the interface at `address`. Does not connect yet.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// Where the interface is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server state (`/ready`).
    ///
    /// # Errors
    /// As all calls: nothing answers, or not Envoy.
    pub async fn ready(&self) -> Result<State, AdminError> {
        // 503 with the state's name while it is not live.
        let (_, body, url) = self.call(Method::GET, "/ready").await?;
        match body.trim() {
            "LIVE" => Ok(State::Live),
            "DRAINING" => Ok(State::Draining),
            "PRE_INITIALIZING" => Ok(State::PreInitializing),
            "INITIALIZING" => Ok(State::Initializing),
            other => Err(AdminError::Form { url, reason: format!("unknown state {other:?}") }),
        }
    }

    /// The bootstrap file that it was started with (`/server_info`): tells one Envoy from another at the same address.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn config_path(&self) -> Result<PathBuf, AdminError> {
        let info = self.json("/server_info").await?;
        Ok(info["command_line_options"]["config_path"].as_str().unwrap_or_default().into())
    }

    /// Everything that Envoy is configured with, endpoints included (`/config_dump?include_eds`). Private keys are redacted.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn config_dump(&self) -> Result<Value, AdminError> {
        self.json("/config_dump?include_eds").await
    }

    /// Counters and gauges whose names match the regular expression, by name (`/stats`); all if `None`.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn stats(&self, filter: Option<&str>) -> Result<BTreeMap<String, u64>, AdminError> {
        let path = match filter {
            Some(filter) => format!("/stats?filter={}", percent_encoded(filter)),
            None => "/stats".into(),
        };
        let text = self.text(&path).await?;
        // Histograms and text readouts have no single number.
        let number = |line: &str| {
            let (name, value) = line.rsplit_once(": ")?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Ok(text.lines().filter_map(number).collect())
    }

    /// What Prometheus gets from the sidecar, at the pod's address and port [`METRICS_PORT`](super::METRICS_PORT). Histograms are as
    /// they were at the scrape before.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn scrape(&self) -> Result<String, AdminError> {
        let address = SocketAddr::new(self.address.ip(), super::METRICS_PORT);
        let at = Self { address, client: self.client.clone() };
        at.text("/stats/prometheus").await
    }

    /// Clusters with the state of their hosts (`/clusters?format=json`).
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn clusters(&self) -> Result<Value, AdminError> {
        self.json("/clusters?format=json").await
    }

    /// Bound listeners with their addresses (`/listeners?format=json`).
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn listeners(&self) -> Result<Value, AdminError> {
        self.json("/listeners?format=json").await
    }

    /// Loaded certificates with their serial numbers, SANs and days left (`/certs`).
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn certs(&self) -> Result<Value, AdminError> {
        self.json("/certs").await
    }

    /// Sets the level of all loggers, for example `debug` (`POST /logging`).
    ///
    /// # Errors
    /// See [`AdminError`]; also for an unknown level.
    pub async fn set_log_level(&self, level: &str) -> Result<(), AdminError> {
        let (status, body, url) = self.call(Method::POST, &format!("/logging?level={level}")).await?;
        if status == StatusCode::OK { Ok(()) } else { Err(AdminError::Status { url, status, body }) }
    }

    /// Tells Envoy to leave (`POST /quitquitquit`).
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn quit(&self) -> Result<(), AdminError> {
        self.call(Method::POST, "/quitquitquit").await.map(|_| ())
    }

    /// `None` if what Envoy acknowledged is also in force: it is live, nothing is warming and exactly the expected listeners and
    /// clusters are active. Acknowledgement alone does not mean that: Envoy acknowledges before it has warmed up. Cheap enough
    /// to be asked every few milliseconds: no full dump is made.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn unsettled(&self, expected: &Expected) -> Result<Option<Unsettled>, AdminError> {
        let state = self.ready().await?;
        if state != State::Live {
            return Ok(Some(Unsettled::State(state)));
        }
        let stats = self
            .stats(Some(r"^(cluster_manager\.warming_clusters|listener_manager\.total_listeners_warming)$"))
            .await?;
        let gauge = |name: &str| stats.get(name).copied().unwrap_or_default();
        let (clusters, listeners) =
            (gauge("cluster_manager.warming_clusters"), gauge("listener_manager.total_listeners_warming"));
        if clusters + listeners > 0 {
            return Ok(Some(Unsettled::Warming { clusters, listeners }));
        }
        let listeners = self.active("dynamic_listeners", "name,active_state.version_info", listener_name).await?;
        let clusters = self.active("dynamic_active_clusters", "cluster.name", cluster_name).await?;
        Ok(difference("listener", &expected.listeners, &listeners)
            .or_else(|| difference("cluster", &expected.clusters, &clusters)))
    }

    async fn active(
        &self,
        resource: &str,
        mask: &str,
        name: fn(&Value) -> Option<&str>,
    ) -> Result<BTreeSet<String>, AdminError> {
        let dump = self.json(&format!("/config_dump?resource={resource}&mask={mask}")).await?;
        let configs = dump["configs"].as_array().map_or(&[][..], Vec::as_slice);
        Ok(configs.iter().filter_map(name).map(str::to_owned).collect())
    }

    async fn json(&self, path: &str) -> Result<Value, AdminError> {
        let text = self.text(path).await?;
        serde_json::from_str(&text)
            .map_err(|e| AdminError::Form { url: format!("http://{}{path}", self.address), reason: e.to_string() })
    }

    async fn text(&self, path: &str) -> Result<String, AdminError> {
        let (status, body, url) = self.call(Method::GET, path).await?;
        if status == StatusCode::OK { Ok(body) } else { Err(AdminError::Status { url, status, body }) }
    }

    async fn call(&self, method: Method, path: &str) -> Result<(StatusCode, String, String), AdminError> {
        let url = format!("http://{}{path}", self.address);
        let unreachable = |reason: String| AdminError::Unreachable { url: url.clone(), reason };
        let request = Request::builder().method(method).uri(&url).body(Empty::new());
        let request = request.map_err(|e| AdminError::Form { url: url.clone(), reason: e.to_string() })?;
        let exchange = async {
            let answer = self.client.request(request).await.map_err(|e| unreachable(with_causes(&e)))?;
            let status = answer.status();
            let body = answer.into_body().collect().await.map_err(|e| unreachable(with_causes(&e)))?.to_bytes();
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        };
        let (status, body) = tokio::time::timeout(TIMEOUT, exchange)
            .await
            .map_err(|_| unreachable(format!("silent for {TIMEOUT:?}")))??;
        Ok((status, body, url))
    }
}

fn listener_name(entry: &Value) -> Option<&str> {
    // A listener that was never accepted has an error state and no active one.
    entry.get("active_state").and(entry["name"].as_str())
}

fn cluster_name(entry: &Value) -> Option<&str> {
    entry["cluster"]["name"].as_str()
}

fn difference(kind: &'static str, expected: &BTreeSet<String>, active: &BTreeSet<String>) -> Option<Unsettled> {
    let missing: Vec<_> = expected.difference(active).cloned().collect();
    let extra: Vec<_> = active.difference(expected).cloned().collect();
    (!missing.is_empty() || !extra.is_empty()).then_some(Unsettled::Resources { kind, missing, extra })
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |e| e.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The value of a query parameter (RFC 3986 §2.1).
fn percent_encoded(text: &str) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
