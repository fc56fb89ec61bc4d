//! What is tried again: Retry (`policy.openservicemesh.io`).

use std::{sync::Arc, time::Duration};

use super::{ObjectName, Subject};

/// How requests of one identity to services are retried. Of several that name one pair, the first by name holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Namespace and name.
    pub name: ObjectName,
    /// The identity that calls.
    pub source: Subject,
    /// The services that it calls.
    pub destinations: Vec<ObjectName>,
    /// How.
    pub policy: RetryPolicy,
}

/// Envoy's `RetryPolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Conditions, comma separated, as Envoy's `retry_on`.
    pub retry_on: Arc<str>,
    /// Time for one try; `None` is no limit.
    pub per_try_timeout: Option<Duration>,
    /// Most retries; `None` is Envoy's 1.
    pub retries: Option<u32>,
    /// Base of the exponential back-off; `None` is Envoy's 25 ms.
    pub backoff: Option<Duration>,
}
