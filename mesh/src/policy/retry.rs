//! What is tried again (Retry).

use std::{collections::BTreeMap, time::Duration};

use crate::{
    model::{Code, Diagnostic, Kind, ObjectName, ObjectRef, Retry, ServiceAccount},
    world::World,
};

/// The conditions that Envoy knows (`x-envoy-retry-on`, `x-envoy-retry-grpc-on`) and that need nothing else beside them. It
/// takes no notice of any other.
const CONDITIONS: &[&str] = &[
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "envoy-ratelimited",
    "retriable-4xx",
    "refused-stream",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

/// How requests to a service are tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryRule {
    /// The Retry.
    pub retry: ObjectName,
    /// The conditions that Envoy knows, comma separated. Never empty.
    pub retry_on: String,
    /// Statuses that are conditions by themselves.
    pub statuses: Vec<u16>,
    /// Time for one try; `None` is no limit.
    pub per_try_timeout: Option<Duration>,
    /// Most retries.
    pub retries: u32,
    /// Base of the back-off; `None` is Envoy's.
    pub backoff: Option<Duration>,
}

/// The rules for what `source` calls, by service. Of several for one service the first by name holds. Empty if retries are
/// switched off (`enableRetryPolicy`).
pub fn retries_of(world: &World, source: &ServiceAccount) -> BTreeMap<ObjectName, RetryRule> {
    let mut rules = BTreeMap::new();
    if !world.settings().features.retry_policy {
        return rules;
    }
    let own = |retry: &&std::sync::Arc<Retry>| {
        retry.source.account(&retry.name.namespace).is_some_and(|account| account == *source)
    };
    for retry in world.retries().filter(own) {
        let Some(rule) = rule(retry, &mut |_| {}) else { continue };
        for destination in &retry.destinations {
            rules.entry(destination.clone()).or_insert_with(|| rule.clone());
        }
    }
    rules
}

/// All mistakes in Retry objects.
pub(super) fn diagnose(world: &World, found: &mut Vec<Diagnostic>) {
    let mut holders: BTreeMap<(ServiceAccount, ObjectName), ObjectName> = BTreeMap::new();
    for retry in world.retries() {
        let object = ObjectRef::new(Kind::Retry, retry.name.clone());
        let mut tell = |field: String, code, message| {
            found.push(Diagnostic { object: object.clone(), field, code, message });
        };
        let usable = rule(retry, &mut |(code, message)| tell("spec.retryPolicy.retryOn".into(), code, message));
        let Some(source) = retry.source.account(&retry.name.namespace) else {
            let message =
                format!("a {} cannot be a source, only a ServiceAccount; nothing is retried", retry.source.kind);
            tell("spec.source.kind".into(), Code::UnsupportedSubject, message);
            continue;
        };
        for (i, destination) in retry.destinations.iter().enumerate() {
            let field = format!("spec.destinations[{i}]");
            if world.service(destination).is_none() {
                tell(field.clone(), Code::NotFound, format!("service {destination} does not exist (yet)"));
            }
            let key = (source.clone(), destination.clone());
            match holders.get(&key) {
                Some(first) if *first != retry.name => {
                    let message = format!(
                        "Retry {first} holds for what {source} sends to {destination}; merge the two, this one is not used there"
                    );
                    tell(field, Code::ConflictingRetry, message);
                }
                _ if usable.is_some() => drop(holders.insert(key, retry.name.clone())),
                _ => {}
            }
        }
    }
}

/// What a Retry says. `None` if no condition is left.
fn rule(retry: &Retry, report: &mut dyn FnMut((Code, String))) -> Option<RetryRule> {
    let (mut conditions, mut statuses) = (Vec::new(), Vec::new());
    for written in retry.policy.retry_on.split(',').map(str::trim).filter(|c| !c.is_empty()) {
        match written.parse::<u16>() {
            Ok(status @ 100..=599) => statuses.push(status),
            _ if CONDITIONS.contains(&written) => conditions.push(written),
            _ => {
                let known = CONDITIONS.join(", ");
                let message = format!(
                    "`{written}` is no condition to retry on, so it is left out; there are {known}, and statuses"
                );
                report((Code::UnknownCondition, message));
            }
        }
    }
    if !statuses.is_empty() {
        conditions.push("retriable-status-codes");
    }
    if conditions.is_empty() {
        report((Code::UnknownCondition, "no condition is left, so nothing is retried".into()));
        return None;
    }
    Some(RetryRule {
        retry: retry.name.clone(),
        retry_on: conditions.join(","),
        statuses,
        per_try_timeout: retry.policy.per_try_timeout,
        retries: retry.policy.retries.unwrap_or(1),
        backoff: retry.policy.backoff,
    })
}
