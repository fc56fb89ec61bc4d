//! How connections to a service are held: UpstreamTrafficSetting (`policy.openservicemesh.io`).

use std::{sync::Arc, time::Duration};

use super::ObjectName;

/// Limits for the traffic to one host: connection settings and outlier detection at its clients, rate limits at its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTrafficSetting {
    /// Namespace and name.
    pub name: ObjectName,
    /// `metadata.creationTimestamp`: of two for one host the older one holds.
    pub created: Option<i64>,
    /// The host: `svc`, `svc.ns`, `svc.ns.svc` or the FQDN of a service in the same namespace; or a host of an Egress.
    pub host: Arc<str>,
    /// Limits of connections and requests.
    pub connection: ConnectionSettings,
    /// Ejection of pods that fail.
    pub outlier: Option<OutlierDetection>,
    /// Limits of rates for the whole host.
    pub rate_limit: RateLimit,
    /// Limits of rates for single routes, by the path of their SMI match.
    pub routes: Vec<RouteLimit>,
}

/// `spec.connectionSettings`. `None` is no limit, or Envoy's default for the timeout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// `tcp.maxConnections`.
    pub max_connections: Option<u32>,
    /// `tcp.connectTimeout`.
    pub connect_timeout: Option<Duration>,
    /// `http.maxRequests`: at a time.
    pub max_requests: Option<u32>,
    /// `http.maxRequestsPerConnection`.
    pub max_requests_per_connection: Option<u32>,
    /// `http.maxPendingRequests`.
    pub max_pending_requests: Option<u32>,
    /// `http.maxRetries`: at a time.
    pub max_retries: Option<u32>,
}

/// Passive health checks (Envoy `OutlierDetection`). `None` is Envoy's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutlierDetection {
    /// Server errors (or failures to connect) in a row that eject a pod.
    pub consecutive_errors: Option<u32>,
    /// Time between sweeps.
    pub interval: Option<Duration>,
    /// Time out of use, times the number of ejections.
    pub base_ejection_time: Option<Duration>,
    /// Largest share of pods that may be out of use, 0–100.
    pub max_ejection_percent: Option<u32>,
}

/// `rateLimit`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// `local.tcp`: new connections, counted by each pod.
    pub local_tcp: Option<TokenBucket>,
    /// `local.http`: requests, counted by each pod.
    pub local_http: Option<LocalHttpLimit>,
    /// `global.tcp`: new connections, counted by a service.
    pub global_tcp: Option<GlobalTcpLimit>,
    /// `global.http`: requests, counted by a service.
    pub global_http: Option<GlobalHttpLimit>,
}

/// So many in a unit of time, and a burst on top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    /// Tokens a unit, at least 1.
    pub amount: u32,
    /// A second, a minute or an hour.
    pub unit: Duration,
    /// Tokens on top that a pause can save up.
    pub burst: u32,
}

/// A local limit of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalHttpLimit {
    /// How many.
    pub bucket: TokenBucket,
    /// Status of a refusal, 400–599.
    pub status: u16,
    /// Headers added to a refusal.
    pub response_headers: Vec<(Arc<str>, Arc<str>)>,
}

/// A service that counts (Envoy's rate limit service, gRPC).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitService {
    /// Host name or address.
    pub host: Arc<str>,
    /// 1–65535.
    pub port: u16,
    /// The domain of all descriptors.
    pub domain: Arc<str>,
    /// Time for an answer.
    pub timeout: Duration,
    /// Lets through what the service does not answer for.
    pub fail_open: bool,
}

/// A global limit of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalTcpLimit {
    /// Who counts.
    pub service: RateLimitService,
    /// What is counted: lists of key and value.
    pub descriptors: Vec<Vec<(Arc<str>, Arc<str>)>>,
}

/// A global limit of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalHttpLimit {
    /// Who counts.
    pub service: RateLimitService,
    /// What is counted.
    pub descriptors: Vec<Vec<DescriptorEntry>>,
    /// Adds `X-RateLimit-…` headers to responses.
    pub x_rate_limit_headers: bool,
    /// Status of a refusal, 400–599.
    pub status: u16,
}

/// One entry of a descriptor (Envoy `RateLimit.Action`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DescriptorEntry {
    /// A fixed key and value.
    GenericKey {
        /// The key; Envoy's is `generic_key`.
        key: Arc<str>,
        /// The value.
        value: Arc<str>,
    },
    /// The client's address.
    RemoteAddress,
    /// The value of a request header.
    RequestHeader {
        /// The header.
        name: Arc<str>,
        /// The key.
        key: Arc<str>,
    },
    /// A fixed value for requests whose headers match.
    HeaderValueMatch {
        /// The key; Envoy's is `header_match`.
        key: Arc<str>,
        /// The value.
        value: Arc<str>,
        /// Whether the headers must match, or must not.
        expect_match: bool,
        /// All must match.
        headers: Vec<(Arc<str>, HeaderCondition)>,
    },
}

/// What a header must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum HeaderCondition {
    Exact(Arc<str>),
    Prefix(Arc<str>),
    Suffix(Arc<str>),
    Regex(Arc<str>),
    Contains(Arc<str>),
    Present(bool),
}

/// `spec.httpRoutes[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteLimit {
    /// The `pathRegex` of the SMI match, as written there.
    pub path: Arc<str>,
    /// `rateLimit.local`.
    pub local: Option<LocalHttpLimit>,
    /// `rateLimit.global.descriptors`.
    pub descriptors: Vec<Vec<DescriptorEntry>>,
}
