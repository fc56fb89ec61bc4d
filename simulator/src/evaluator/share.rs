//! Exact shares of requests: fractions, never floats.

/// A share of the requests, in lowest terms. Between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    part: u128,
    whole: u128,
}

impl Share {
    /// All requests.
    pub(super) const ALL: Self = Self { part: 1, whole: 1 };

    /// `part` of `whole` of this share; `None` if the numbers grow too large, or `whole` is zero.
    pub(super) fn of(self, part: u64, whole: u64) -> Option<Self> {
        if whole == 0 {
            return None;
        }
        let part = self.part.checked_mul(u128::from(part))?;
        Some(Self::reduced(part, self.whole.checked_mul(u128::from(whole))?))
    }

    /// The sum of both.
    pub(super) fn plus(self, other: Self) -> Option<Self> {
        let whole = lcm(self.whole, other.whole)?;
        let part = self.over(whole)?.checked_add(other.over(whole)?)?;
        Some(Self::reduced(part, whole))
    }

    fn reduced(part: u128, whole: u128) -> Self {
        let divisor = gcd(part, whole);
        Self { part: part / divisor, whole: whole / divisor }
    }

    fn over(self, whole: u128) -> Option<u128> {
        self.part.checked_mul(whole / self.whole)
    }
}

/// The shares as weights over one common total.
pub(super) fn common(shares: &[Share]) -> Option<(Vec<u64>, u64)> {
    let total = shares.iter().try_fold(1, |total, share| lcm(total, share.whole))?;
    let weights = shares.iter().map(|share| u64::try_from(share.over(total)?).ok()).collect::<Option<_>>()?;
    Some((weights, u64::try_from(total).ok()?))
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

fn lcm(a: u128, b: u128) -> Option<u128> {
    (a / gcd(a, b)).checked_mul(b)
}

#[cfg(test)]
mod tests {
    use super::{Share, common};

    #[test]
    fn shares_of_shares_are_exact() {
        let third = Share::ALL.of(1, 3).expect("small");
        let ninth = third.of(1, 3).expect("small");
        let rest = third.of(2, 3).expect("small");
        assert_eq!(ninth.plus(rest), Some(third));
        assert_eq!(common(&[ninth, rest, Share::ALL.of(2, 3).expect("small")]), Some((vec![1, 2, 6], 9)));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        assert_eq!(Share::ALL.of(1, 0), None);
        let primes = [u64::MAX - 58, u64::MAX - 82];
        let shares = primes.map(|p| Share::ALL.of(1, p).expect("fits 128 bits"));
        assert_eq!(common(&shares), None);
    }
}
