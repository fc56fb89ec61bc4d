//! Retry (`policy.openservicemesh.io/v1alpha1`): which requests are tried again.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    duration::Span,
    error::{Fault, quoted},
    metadata::Resource,
    name,
    upstream_traffic_setting::some_time,
};
use crate::model;

/// A Retry.
pub type Retry = Resource<RetrySpec>;

/// `spec`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetrySpec {
    /// Who calls.
    pub source: Endpoint,
    /// The services called.
    pub destinations: Vec<Endpoint>,
    /// How they are called again.
    pub retry_policy: RetryPolicySpec,
}

/// `spec.source` (kind `ServiceAccount`) or one of `spec.destinations` (kind `Service`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Endpoint {
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace; the object's own if omitted.
    #[serde(default)]
    pub namespace: Option<String>,
}

/// `spec.retryPolicy`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetryPolicySpec {
    /// Conditions, comma separated: those of Envoy's `x-envoy-retry-on` and `x-envoy-retry-grpc-on`, or single statuses.
    pub retry_on: String,
    /// Time for one try; none if omitted or `0s`.
    #[serde(default)]
    pub per_try_timeout: Option<Span>,
    /// Most retries; 1 if omitted, 0 is none.
    #[serde(default)]
    pub num_retries: Option<u32>,
    /// Base of the exponential back-off; `25ms` if omitted.
    #[serde(default)]
    pub retry_backoff_base_interval: Option<Span>,
}

impl TryFrom<Retry> for model::Retry {
    type Error = Fault;

    fn try_from(wire: Retry) -> Result<Self, Fault> {
        let name = wire.metadata.object_name()?;
        let RetrySpec { source, destinations, retry_policy: policy } = wire.spec;
        source.check("spec.source")?;
        let destination = |(i, written): (usize, &Endpoint)| {
            let field = format!("spec.destinations[{i}]");
            written.check(&field)?;
            if written.kind != "Service" {
                let message = format!("{} cannot be a destination: write `Service`", quoted(&written.kind));
                return Err(Fault::new(format!("{field}.kind"), message));
            }
            let namespace = written.namespace.as_deref().unwrap_or(&name.namespace);
            Ok(model::ObjectName::new(namespace, written.name.as_str()))
        };
        let destinations = destinations.iter().enumerate().map(destination).collect::<Result<_, Fault>>()?;
        let backoff = some_time(policy.retry_backoff_base_interval, "spec.retryPolicy.retryBackoffBaseInterval")?;
        Ok(Self {
            name,
            source: model::Subject {
                kind: source.kind.into(),
                name: source.name.into(),
                namespace: source.namespace.map(Into::into),
            },
            destinations,
            policy: model::RetryPolicy {
                retry_on: policy.retry_on.into(),
                per_try_timeout: policy.per_try_timeout.map(|t| t.0).filter(|t| !t.is_zero()),
                retries: policy.num_retries,
                backoff,
            },
        })
    }
}

impl Endpoint {
    fn check(&self, field: &str) -> Result<(), Fault> {
        name::subdomain(&self.name, &format!("{field}.name"))?;
        self.namespace.as_deref().map_or(Ok(()), |n| name::label(n, &format!("{field}.namespace")))
    }
}
