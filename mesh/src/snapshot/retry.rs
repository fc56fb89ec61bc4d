//! The retry policy of routes.

use envoy_types::pb::envoy::config::route::v3::{RetryPolicy, Route, retry_policy::RetryBackOff, route::Action};

use super::{
    connection::duration,
    encode::{also_caused_by, number},
};
use crate::{
    model::{Kind, ObjectRef},
    policy::retry::RetryRule,
};

/// Lets a route try again what fails. Routes that the proxy answers itself are left as they are.
pub(super) fn try_again(route: &mut Route, rule: &RetryRule) {
    let Some(Action::Route(action)) = &mut route.action else { return };
    action.retry_policy = Some(RetryPolicy {
        retry_on: rule.retry_on.clone(),
        num_retries: number(rule.retries),
        per_try_timeout: rule.per_try_timeout.map(duration),
        retriable_status_codes: rule.statuses.iter().map(|status| u32::from(*status)).collect(),
        // Envoy lets the interval grow to ten times its base.
        retry_back_off: rule
            .backoff
            .map(|base| RetryBackOff { base_interval: Some(duration(base)), max_interval: None }),
        ..Default::default()
    });
    also_caused_by(&mut route.metadata, &ObjectRef::new(Kind::Retry, rule.retry.clone()));
}
