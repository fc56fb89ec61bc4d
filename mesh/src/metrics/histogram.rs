//! Latencies in buckets.

use std::collections::BTreeMap;

/// How many values lie in each bucket. Bounds are in microseconds; the first bucket begins at 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// By upper bound: the values above the next lower bound, up to and with this one.
    buckets: BTreeMap<u64, u64>,
    /// The values above the highest bound.
    above: u64,
}

impl Histogram {
    /// From buckets as Prometheus has them: by upper bound, each with the values up to it; and the number of all values.
    pub fn from_cumulative(cumulative: &BTreeMap<u64, u64>, count: u64) -> Self {
        let mut below = 0;
        let mut buckets = BTreeMap::new();
        for (bound, upto) in cumulative {
            buckets.insert(*bound, upto.saturating_sub(below));
            below = below.max(*upto);
        }
        Self { buckets, above: count.saturating_sub(below) }
    }

    /// The number of values.
    pub fn count(&self) -> u64 {
        self.buckets.values().sum::<u64>() + self.above
    }

    /// Takes in the values of another.
    pub fn add(&mut self, other: &Self) {
        for (bound, count) in &other.buckets {
            *self.buckets.entry(*bound).or_default() += count;
        }
        self.above += other.above;
    }

    /// The values that were added since `earlier`; `None` if there were more then.
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        let mut buckets = self.buckets.clone();
        for (bound, before) in &earlier.buckets {
            let now = buckets.entry(*bound).or_default();
            *now = now.checked_sub(*before)?;
        }
        Some(Self { buckets, above: self.above.checked_sub(earlier.above)? })
    }

    /// The value, in microseconds, below which `share` (0–1) of all values lie, as Prometheus estimates it: values are
    /// spread evenly within a bucket, and what is above the highest bound counts as that bound. 0 without values.
    pub fn quantile(&self, share: f64) -> u64 {
        #[expect(clippy::cast_precision_loss, reason = "counts and bounds are far below 2^52")]
        let float = |number: u64| number as f64;
        let rank = share.clamp(0.0, 1.0) * float(self.count());
        let (mut below, mut floor) = (0, 0);
        for (bound, count) in &self.buckets {
            if *count > 0 && float(below + count) >= rank {
                let within = ((rank - float(below)) / float(*count)).clamp(0.0, 1.0);
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two bounds")]
                return (float(floor) + float(bound - floor) * within).round() as u64;
            }
            below += count;
            floor = *bound;
        }
        if self.above > 0 { floor } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn histogram(counts: &[(u64, u64)], above: u64) -> Histogram {
        Histogram { buckets: counts.iter().copied().collect(), above }
    }

    #[test]
    fn cumulative_buckets_are_taken_apart() {
        let cumulative = BTreeMap::from([(500, 1), (1000, 4), (5000, 4)]);
        assert_eq!(Histogram::from_cumulative(&cumulative, 6), histogram(&[(500, 1), (1000, 3), (5000, 0)], 2));
    }

    #[test]
    fn percentiles_are_interpolated_within_their_bucket() {
        let of = histogram(&[(1000, 50), (5000, 50)], 0);
        assert_eq!(of.quantile(0.5), 1000);
        assert_eq!(of.quantile(0.25), 500);
        assert_eq!(of.quantile(0.75), 3000);
        assert_eq!(of.quantile(1.0), 5000);
        assert_eq!(histogram(&[(1000, 0), (5000, 1)], 0).quantile(0.5), 3000);
        assert_eq!(histogram(&[(1000, 0)], 7).quantile(0.5), 1000);
        assert_eq!(Histogram::default().quantile(0.99), 0);
    }

    #[test]
    fn a_smaller_histogram_is_no_later_one() {
        let (few, many) = (histogram(&[(1, 1)], 0), histogram(&[(1, 3)], 1));
        assert_eq!(many.since(&few), Some(histogram(&[(1, 2)], 1)));
        assert_eq!(few.since(&many), None);
    }

    proptest! {
        #[test]
        fn percentiles_are_ordered_and_within_the_bounds(counts in proptest::collection::vec(0u64..50, 1..8), above in 0u64..5) {
            let counts: Vec<_> = counts.into_iter().enumerate().map(|(i, n)| (1 << (i + 3), n)).collect();
            let highest = counts.last().unwrap().0;
            let of = histogram(&counts, above);
            let at = [0.0, 0.5, 0.9, 0.99, 1.0].map(|share| of.quantile(share));
            prop_assert!(at.is_sorted(), "{at:?}");
            prop_assert!(at[4] <= highest);
        }
    }
}
