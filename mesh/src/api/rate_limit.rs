//! `rateLimit` of an UpstreamTrafficSetting.

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    duration::Span,
    error::{Fault, quoted},
    metadata::Port,
    name,
    upstream_traffic_setting::{positive, some_time},
};
use crate::model;

mod descriptor;

pub use descriptor::{
    DescriptorSpec, EntrySpec, GenericKeySpec, HeaderMatchSpec, HeaderValueMatchSpec, RemoteAddressSpec,
    RequestHeaderSpec,
};
pub(super) use descriptor::{descriptors, refuse_empty};

/// `rateLimit`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RateLimitSpec {
    /// Counted by each pod of the service.
    pub local: LocalSpec,
    /// Counted by a service for all.
    pub global: GlobalSpec,
}

/// `rateLimit.local`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LocalSpec {
    /// Of new connections.
    pub tcp: Option<TcpLocalSpec>,
    /// Of requests.
    pub http: Option<HttpLocalSpec>,
}

/// `rateLimit.local.tcp`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TcpLocalSpec {
    /// New connections a unit, at least 1.
    #[schemars(range(min = 1))]
    pub connections: u32,
    /// The unit.
    pub unit: Unit,
    /// Connections on top that a pause can save up.
    #[serde(default)]
    pub burst: u32,
}

/// `rateLimit.local.http`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpLocalSpec {
    /// Requests a unit, at least 1.
    #[schemars(range(min = 1))]
    pub requests: u32,
    /// The unit.
    pub unit: Unit,
    /// Requests on top that a pause can save up.
    #[serde(default)]
    pub burst: u32,
    /// Status of a refusal, 400–599; 429 if omitted.
    #[serde(default)]
    #[schemars(range(min = 400, max = 599))]
    pub response_status_code: Option<u16>,
    /// Headers added to a refusal, 10 at most.
    #[serde(default)]
    #[schemars(length(max = 10))]
    pub response_headers_to_add: Vec<HeaderValueSpec>,
}

/// A header with its value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderValueSpec {
    /// Name.
    pub name: String,
    /// Value, as it is sent.
    pub value: String,
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "their names say it")]
pub enum Unit {
    Second,
    Minute,
    Hour,
}

/// `rateLimit.global`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GlobalSpec {
    /// Of new connections.
    pub tcp: Option<TcpGlobalSpec>,
    /// Of requests.
    pub http: Option<HttpGlobalSpec>,
}

/// `rateLimit.global.tcp`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TcpGlobalSpec {
    /// Who counts.
    pub rate_limit_service: RateLimitServiceSpec,
    /// The domain of all descriptors.
    pub domain: String,
    /// What is counted, one at least.
    pub descriptors: Vec<TcpDescriptorSpec>,
    /// Time for an answer; `20ms` if omitted.
    #[serde(default)]
    pub timeout: Option<Span>,
    /// Lets through what is not answered for; true if omitted.
    #[serde(default)]
    pub fail_open: Option<bool>,
}

/// `rateLimit.global…rateLimitService`: a service that speaks Envoy's rate limit API v3 over plaintext HTTP/2.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimitServiceSpec {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: Port,
}

/// One of `rateLimit.global.tcp.descriptors`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TcpDescriptorSpec {
    /// Its entries, one at least.
    pub entries: Vec<TcpEntrySpec>,
}

/// One of `rateLimit.global.tcp.descriptors[].entries`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TcpEntrySpec {
    /// Key.
    pub key: String,
    /// Value.
    pub value: String,
}

/// `rateLimit.global.http`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpGlobalSpec {
    /// Who counts.
    pub rate_limit_service: RateLimitServiceSpec,
    /// The domain of all descriptors.
    pub domain: String,
    /// What is counted of every request to the host; routes can have more.
    #[serde(default)]
    pub descriptors: Vec<DescriptorSpec>,
    /// Time for an answer; `20ms` if omitted.
    #[serde(default)]
    pub timeout: Option<Span>,
    /// Lets through what is not answered for; true if omitted.
    #[serde(default)]
    pub fail_open: Option<bool>,
    /// Adds `x-ratelimit-…` headers to responses.
    #[serde(default, rename = "enableXRateLimitHeaders")]
    pub enable_x_rate_limit_headers: bool,
    /// Status of a refusal, 400–599; 429 if omitted.
    #[serde(default)]
    #[schemars(range(min = 400, max = 599))]
    pub response_status_code: Option<u16>,
}

impl RateLimitSpec {
    pub(super) fn model(self) -> Result<model::RateLimit, Fault> {
        let RateLimitSpec { local, global } = self;
        Ok(model::RateLimit {
            local_tcp: local.tcp.map(|l| l.model().map_err(|f| f.under("local.tcp"))).transpose()?,
            local_http: local.http.map(|l| l.model().map_err(|f| f.under("local.http"))).transpose()?,
            global_tcp: global.tcp.map(|l| l.model().map_err(|f| f.under("global.tcp"))).transpose()?,
            global_http: global.http.map(|l| l.model().map_err(|f| f.under("global.http"))).transpose()?,
        })
    }
}

impl Unit {
    fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
        })
    }
}

fn bucket(amount: u32, unit: Unit, burst: u32, field: &str) -> Result<model::TokenBucket, Fault> {
    positive(Some(amount), field)?;
    Ok(model::TokenBucket { amount, unit: unit.duration(), burst })
}

impl TcpLocalSpec {
    fn model(self) -> Result<model::TokenBucket, Fault> {
        bucket(self.connections, self.unit, self.burst, "connections")
    }
}

impl HttpLocalSpec {
    pub(super) fn model(self) -> Result<model::LocalHttpLimit, Fault> {
        if self.response_headers_to_add.len() > 10 {
            return Err(Fault::new("responseHeadersToAdd", "has more than 10 headers, the most that Envoy takes"));
        }
        let header = |(i, header): (usize, HeaderValueSpec)| {
            header.model().map_err(|fault| fault.under(&format!("responseHeadersToAdd[{i}]")))
        };
        Ok(model::LocalHttpLimit {
            bucket: bucket(self.requests, self.unit, self.burst, "requests")?,
            status: status(self.response_status_code)?,
            response_headers: self
                .response_headers_to_add
                .into_iter()
                .enumerate()
                .map(header)
                .collect::<Result<_, Fault>>()?,
        })
    }
}

impl HeaderValueSpec {
    fn model(self) -> Result<(Arc<str>, Arc<str>), Fault> {
        name::header(&self.name, "name")?;
        if self.name.starts_with(':') || self.name.eq_ignore_ascii_case("host") {
            return Err(Fault::new("name", format!("{} is no header of a response", quoted(&self.name))));
        }
        if self.value.chars().any(char::is_control) || self.value.len() > 4096 {
            return Err(Fault::new("value", "has control characters, or more than 4096 bytes"));
        }
        Ok((self.name.to_ascii_lowercase().into(), self.value.into()))
    }
}

/// The statuses from 400 that Envoy can answer with by itself (`envoy.type.v3.StatusCode`): it refuses all others.
fn status(written: Option<u16>) -> Result<u16, Fault> {
    let status = written.unwrap_or(429);
    match status {
        400..=417 | 421..=424 | 426 | 428 | 429 | 431 | 500..=508 | 510 | 511 => Ok(status),
        _ => {
            let message = format!("`{status}` is no status of an error that Envoy knows, such as 429 or 503");
            Err(Fault::new("responseStatusCode", message))
        }
    }
}

impl RateLimitServiceSpec {
    fn model(
        &self,
        domain: &str,
        timeout: Option<Span>,
        fail_open: Option<bool>,
    ) -> Result<model::RateLimitService, Fault> {
        if self.host.parse::<std::net::IpAddr>().is_err() {
            name::subdomain(&self.host, "rateLimitService.host")?;
        }
        refuse_empty(domain, "domain")?;
        Ok(model::RateLimitService {
            host: self.host.as_str().into(),
            port: self.port.0,
            domain: domain.into(),
            timeout: some_time(timeout, "timeout")?.unwrap_or(Duration::from_millis(20)),
            fail_open: fail_open.unwrap_or(true),
        })
    }
}

impl TcpGlobalSpec {
    fn model(self) -> Result<model::GlobalTcpLimit, Fault> {
        let service = self.rate_limit_service.model(&self.domain, self.timeout, self.fail_open)?;
        if self.descriptors.is_empty() {
            return Err(Fault::new("descriptors", "is empty: nothing would be counted"));
        }
        let descriptor = |(i, descriptor): (usize, TcpDescriptorSpec)| {
            let field = format!("descriptors[{i}].entries");
            if descriptor.entries.is_empty() {
                return Err(Fault::new(field, "is empty: a descriptor has one entry at least"));
            }
            let entry = |(j, entry): (usize, TcpEntrySpec)| {
                refuse_empty(&entry.key, &format!("{field}[{j}].key"))?;
                refuse_empty(&entry.value, &format!("{field}[{j}].value"))?;
                Ok((entry.key.into(), entry.value.into()))
            };
            descriptor.entries.into_iter().enumerate().map(entry).collect::<Result<_, Fault>>()
        };
        let descriptors = self.descriptors.into_iter().enumerate().map(descriptor).collect::<Result<_, Fault>>()?;
        Ok(model::GlobalTcpLimit { service, descriptors })
    }
}

impl HttpGlobalSpec {
    fn model(self) -> Result<model::GlobalHttpLimit, Fault> {
        Ok(model::GlobalHttpLimit {
            service: self.rate_limit_service.model(&self.domain, self.timeout, self.fail_open)?,
            descriptors: descriptors(self.descriptors)?,
            x_rate_limit_headers: self.enable_x_rate_limit_headers,
            status: status(self.response_status_code)?,
        })
    }
}
