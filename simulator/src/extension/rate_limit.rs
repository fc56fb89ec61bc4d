//! The fake rate limit service.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use envoy_types::pb::{
    envoy::{
        extensions::common::ratelimit::v3::RateLimitDescriptor,
        service::ratelimit::v3::{
            RateLimitRequest, RateLimitResponse,
            rate_limit_response::{Code, DescriptorStatus, RateLimit, rate_limit::Unit},
            rate_limit_service_server::RateLimitService,
        },
    },
    google::protobuf,
};
use tonic::{Request, Response, Status};

use crate::scenario::model::{DescriptorLimit, RateLimits};

/// Counts descriptors; nothing is ever given back.
#[derive(Debug)]
pub(super) struct Counter {
    limits: RateLimits,
    delay: Duration,
    /// By number of the limit and values.
    counts: Mutex<BTreeMap<(usize, Vec<String>), u32>>,
}

impl Counter {
    pub(super) fn new(limits: RateLimits, delay: Duration) -> Self {
        Self { limits, delay, counts: Mutex::default() }
    }

    fn count(&self, domain: &str, descriptor: &RateLimitDescriptor) -> DescriptorStatus {
        let found = self.limits.limits.iter().enumerate().find(|(_, limit)| fits(limit, domain, descriptor));
        let Some((number, limit)) = found else {
            return DescriptorStatus { code: Code::Ok.into(), ..Default::default() };
        };
        let values = descriptor.entries.iter().map(|entry| entry.value.clone()).collect();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry((number, values)).or_default();
        *count += 1;
        let code = if *count > limit.requests { Code::OverLimit } else { Code::Ok };
        DescriptorStatus {
            code: code.into(),
            current_limit: Some(RateLimit {
                requests_per_unit: limit.requests,
                unit: Unit::Hour.into(),
                ..Default::default()
            }),
            limit_remaining: limit.requests.saturating_sub(*count),
            duration_until_reset: Some(protobuf::Duration { seconds: 3600, nanos: 0 }),
            ..Default::default()
        }
    }
}

fn fits(limit: &DescriptorLimit, domain: &str, descriptor: &RateLimitDescriptor) -> bool {
    let entry = |key: &str, value: &str| limit.entries.get(key).is_some_and(|wanted| wanted == "*" || wanted == value);
    limit.domain.as_deref().is_none_or(|wanted| wanted == domain)
        && limit.entries.len() == descriptor.entries.len()
        && descriptor.entries.iter().all(|e| entry(&e.key, &e.value))
}

#[tonic::async_trait]
impl RateLimitService for Counter {
    async fn should_rate_limit(
        &self,
        request: Request<RateLimitRequest>,
    ) -> Result<Response<RateLimitResponse>, Status> {
        tokio::time::sleep(self.delay).await;
        let request = request.into_inner();
        let statuses: Vec<_> = request.descriptors.iter().map(|d| self.count(&request.domain, d)).collect();
        let over = statuses.iter().any(|status| status.code == i32::from(Code::OverLimit));
        let overall = if over { Code::OverLimit } else { Code::Ok };
        Ok(Response::new(RateLimitResponse { overall_code: overall.into(), statuses, ..Default::default() }))
    }
}
