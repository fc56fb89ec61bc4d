//! UpstreamTrafficSetting (`policy.openservicemesh.io/v1alpha1`): limits for the traffic to one host.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    duration::Span,
    error::Fault,
    metadata::Resource,
    name,
    rate_limit::{DescriptorSpec, HttpLocalSpec, RateLimitSpec, descriptors},
};
use crate::model;

/// An UpstreamTrafficSetting.
pub type UpstreamTrafficSetting = Resource<UpstreamTrafficSettingSpec>;

/// `spec`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpstreamTrafficSettingSpec {
    /// The host: a service of the same namespace in any of its names, or a host of an Egress that names this object.
    pub host: String,
    /// Limits of connections and requests, kept by clients.
    #[serde(default)]
    pub connection_settings: ConnectionSettingsSpec,
    /// Limits of rates, kept by servers.
    #[serde(default)]
    pub rate_limit: RateLimitSpec,
    /// Limits of rates for single routes.
    #[serde(default)]
    pub http_routes: Vec<HttpRouteSpec>,
}

/// `spec.connectionSettings`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ConnectionSettingsSpec {
    /// Of any connection.
    pub tcp: TcpConnectionSpec,
    /// Of HTTP.
    pub http: HttpConnectionSpec,
    /// Ejection of pods that fail. OSM has nothing of the kind.
    pub outlier_detection: Option<OutlierDetectionSpec>,
}

/// `spec.connectionSettings.tcp`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TcpConnectionSpec {
    /// Most connections of one client pod; no limit if omitted.
    pub max_connections: Option<u32>,
    /// Time to connect; 5 s if omitted.
    pub connect_timeout: Option<Span>,
}

/// `spec.connectionSettings.http`. Without a number there is no limit. All are kept by each client pod on its own.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HttpConnectionSpec {
    /// Most requests under way.
    pub max_requests: Option<u32>,
    /// Most requests on one connection, at least 1.
    #[schemars(range(min = 1))]
    pub max_requests_per_connection: Option<u32>,
    /// Most requests that wait for a connection.
    pub max_pending_requests: Option<u32>,
    /// Most retries under way.
    pub max_retries: Option<u32>,
}

/// `spec.connectionSettings.outlierDetection`. What is omitted is Envoy's default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OutlierDetectionSpec {
    /// Server errors (or failures to connect) in a row that eject a pod; 5 if omitted, at least 1.
    #[schemars(range(min = 1))]
    pub consecutive_errors: Option<u32>,
    /// Time between sweeps, in which pods come back; `10s` if omitted.
    pub interval: Option<Span>,
    /// Time out of use, times the number of ejections; `30s` if omitted.
    pub base_ejection_time: Option<Span>,
    /// Largest share of pods that may be out of use, in percent; 10 if omitted. One pod always may.
    #[schemars(range(max = 100))]
    pub max_ejection_percent: Option<u32>,
}

/// One of `spec.httpRoutes`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRouteSpec {
    /// The `pathRegex` of an SMI match, letter by letter; `.*` also stands for a match without one.
    pub path: String,
    /// Its limits.
    #[serde(default)]
    pub rate_limit: HttpRouteRateLimitSpec,
}

/// One of `spec.httpRoutes`, `.rateLimit`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HttpRouteRateLimitSpec {
    /// Counted by each pod of the service.
    pub local: Option<HttpLocalSpec>,
    /// Counted by the service of the host's own `rateLimit.global.http`.
    pub global: Option<HttpRouteGlobalSpec>,
}

/// One of `spec.httpRoutes`, `.rateLimit.global`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HttpRouteGlobalSpec {
    /// What is counted.
    pub descriptors: Vec<DescriptorSpec>,
}

impl TryFrom<UpstreamTrafficSetting> for model::UpstreamTrafficSetting {
    type Error = Fault;

    fn try_from(wire: UpstreamTrafficSetting) -> Result<Self, Fault> {
        let spec = wire.spec;
        let host = spec.host.strip_suffix('.').unwrap_or(&spec.host);
        name::subdomain(host, "spec.host")?;
        let route = |(i, route): (usize, HttpRouteSpec)| {
            route.model().map_err(|fault| fault.under(&format!("spec.httpRoutes[{i}]")))
        };
        Ok(Self {
            name: wire.metadata.object_name()?,
            created: wire.metadata.created()?,
            host: host.into(),
            connection: spec.connection_settings.model().map_err(|f| f.under("spec.connectionSettings"))?,
            outlier: match spec.connection_settings.outlier_detection {
                None => None,
                Some(o) => Some(o.model().map_err(|f| f.under("spec.connectionSettings.outlierDetection"))?),
            },
            rate_limit: spec.rate_limit.model().map_err(|f| f.under("spec.rateLimit"))?,
            routes: spec.http_routes.into_iter().enumerate().map(route).collect::<Result<_, Fault>>()?,
        })
    }
}

impl ConnectionSettingsSpec {
    /// The settings without outlier detection.
    ///
    /// # Errors
    /// If a number or a time is out of range; the field is relative to `connectionSettings`.
    pub fn model(&self) -> Result<model::ConnectionSettings, Fault> {
        Ok(model::ConnectionSettings {
            max_connections: self.tcp.max_connections,
            connect_timeout: some_time(self.tcp.connect_timeout, "tcp.connectTimeout")?,
            max_requests: self.http.max_requests,
            max_requests_per_connection: positive(
                self.http.max_requests_per_connection,
                "http.maxRequestsPerConnection",
            )?,
            max_pending_requests: self.http.max_pending_requests,
            max_retries: self.http.max_retries,
        })
    }
}

impl OutlierDetectionSpec {
    fn model(&self) -> Result<model::OutlierDetection, Fault> {
        if self.max_ejection_percent.is_some_and(|percent| percent > 100) {
            return Err(Fault::new("maxEjectionPercent", "is more than 100 percent"));
        }
        Ok(model::OutlierDetection {
            consecutive_errors: positive(self.consecutive_errors, "consecutiveErrors")?,
            interval: some_time(self.interval, "interval")?,
            base_ejection_time: some_time(self.base_ejection_time, "baseEjectionTime")?,
            max_ejection_percent: self.max_ejection_percent,
        })
    }
}

impl HttpRouteSpec {
    fn model(self) -> Result<model::RouteLimit, Fault> {
        let HttpRouteRateLimitSpec { local, global } = self.rate_limit;
        let local = local.map(|l| l.model().map_err(|f| f.under("rateLimit.local"))).transpose()?;
        let global = global.unwrap_or_default();
        if local.is_none() && global.descriptors.is_empty() {
            return Err(Fault::new("rateLimit", "limits nothing: give `local`, or `global` with `descriptors`"));
        }
        let descriptors = descriptors(global.descriptors).map_err(|f| f.under("rateLimit.global"))?;
        Ok(model::RouteLimit { path: self.path.into(), local, descriptors })
    }
}

/// A number that Envoy wants above zero.
pub(super) fn positive(number: Option<u32>, field: &str) -> Result<Option<u32>, Fault> {
    if number == Some(0) {
        return Err(Fault::new(field, "is 0: write 1 or more, or leave it out"));
    }
    Ok(number)
}

/// A time that Envoy wants above zero, in whole milliseconds for most of its clocks.
pub(super) fn some_time(written: Option<Span>, field: &str) -> Result<Option<Duration>, Fault> {
    /// Longer ones mean never, and Envoy refuses those that do not fit 64 bits of nanoseconds.
    const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 3600);
    match written {
        Some(Span(time)) if time < Duration::from_millis(1) || time > LONGEST => {
            Err(Fault::new(field, format!("{time:?} is not between 1ms and ten years")))
        }
        written => Ok(written.map(|span| span.0)),
    }
}
