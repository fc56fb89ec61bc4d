//! When leaves are renewed.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{
    api::mesh_config::CertificateSpec,
    ca::issuer::{BACKDATE, KeyType, LeafRequest, Validity, seconds},
    model::{Leaf, ServiceAccount, TrustDomain},
};

/// How leaves are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafPolicy {
    /// The domain of all identities.
    pub trust_domain: TrustDomain,
    /// The keys to make.
    pub key: KeyType,
    /// How long a leaf lasts from the moment it is ordered. Less than ten seconds is taken as ten.
    pub validity: Duration,
    /// How far the start is dated back, 60 seconds by default. A simulator whose clock runs ahead of the clock of the
    /// proxies needs more: a proxy refuses a leaf that starts in its future.
    pub backdate: Duration,
    /// Decides the jitter. Any number; the same one gives the same times.
    pub jitter_seed: u64,
}

/// Workload certificates last this long at least, whatever a MeshConfig says: 10 minutes, as with OSM.
pub const SHORTEST_VALIDITY: Duration = Duration::from_secs(600);

/// Below this, renewing would be all that happens.
const SHORTEST: Duration = Duration::from_secs(10);

/// Seconds until the first retry, and at most.
const FIRST_RETRY: i64 = 1;
const LAST_RETRY: i64 = 60;

impl Default for LeafPolicy {
    /// ECDSA P-256 for 24 hours.
    fn default() -> Self {
        Self {
            trust_domain: TrustDomain::default(),
            key: KeyType::default(),
            validity: Duration::from_secs(24 * 3600),
            backdate: BACKDATE,
            jitter_seed: 0,
        }
    }
}

impl LeafPolicy {
    /// As a MeshConfig wants it: 24 hours if it does not say, [`SHORTEST_VALIDITY`] at least. Keys are ECDSA P-256.
    pub fn of(spec: &CertificateSpec) -> Self {
        let default = Self::default();
        let validity =
            spec.service_cert_validity_duration.map_or(default.validity, |span| span.0.max(SHORTEST_VALIDITY));
        Self { validity, ..default }
    }

    /// What to order for `account` at `now`.
    pub(super) fn request(&self, account: ServiceAccount, now: i64) -> LeafRequest {
        LeafRequest {
            account,
            trust_domain: self.trust_domain.clone(),
            key: self.key,
            validity: Validity::backdated(now, self.validity.max(SHORTEST), self.backdate),
        }
    }

    /// When a third of the leaf's life is left, or up to a tenth of that third earlier, never later: leaves that were
    /// made together are not renewed together. Life counts from the order, not from the backdated start.
    pub(super) fn renew_at(&self, leaf: &Leaf, ordered: i64, generation: u64) -> i64 {
        let third = leaf.not_after.saturating_sub(ordered.max(leaf.not_before)) / 3;
        let spread = u64::try_from(third / 10).unwrap_or(0);
        let what = format!("{}#{generation}", leaf.account);
        let earlier = xxh3_64_with_seed(what.as_bytes(), self.jitter_seed) % (spread + 1);
        leaf.not_after - third - i64::try_from(earlier).unwrap_or(0)
    }

    /// Seconds to wait after so many failures in a row: doubling, but short against the life of a leaf.
    pub(super) fn backoff(&self, failures: u32) -> i64 {
        let limit = (seconds(self.validity) / 100).clamp(FIRST_RETRY, LAST_RETRY);
        let doubled = FIRST_RETRY << failures.saturating_sub(1).min(30);
        doubled.min(limit)
    }
}
