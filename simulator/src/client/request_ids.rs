//! Deterministic request ids.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::exchange::RequestId;

/// Makes the request ids of a run. The same seed and salt give the same ids in the same order.
///
/// The upper half of an id is the run's salt, the lower half a mixed counter: ids of one generator never repeat, and ids of
/// generators with different seeds or salts do not meet in practice.
#[derive(Debug)]
pub struct RequestIds {
    salt: u64,
    start: u64,
    next: AtomicU64,
}

impl RequestIds {
    /// The ids of the run with this seed.
    pub fn new(seed: u64) -> Self {
        Self::with_salt(seed, 0)
    }

    /// One of several generators of the same run, for example one a scenario; `salt` tells them apart.
    pub fn with_salt(seed: u64, salt: u64) -> Self {
        let run = mix(seed ^ mix(salt ^ 0x5131_7000_0000_0001));
        Self { salt: mix(run), start: run, next: AtomicU64::new(0) }
    }

    /// The next id. Callers in parallel get different ids, in no promised order.
    pub fn next_id(&self) -> RequestId {
        let counter = self.start.wrapping_add(self.next.fetch_add(1, Ordering::Relaxed));
        RequestId(u128::from(self.salt) << 64 | u128::from(mix(counter)))
    }
}

/// The output function of SplitMix64 (Steele, Lea, Flood 2014): a bijection, so that different counters stay different.
fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn first(ids: &RequestIds, count: usize) -> Vec<RequestId> {
        (0..count).map(|_| ids.next_id()).collect()
    }

    #[test]
    fn a_seed_replays_its_ids_and_no_other_has_them() {
        let ids = first(&RequestIds::new(7), 5_000);
        assert_eq!(ids, first(&RequestIds::new(7), 5_000));
        let all: BTreeSet<_> = [ids, first(&RequestIds::new(8), 5_000), first(&RequestIds::with_salt(7, 1), 5_000)]
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(all.len(), 15_000);
    }
}
