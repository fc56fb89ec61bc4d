//! Exact shares.

use std::{fmt, iter::Sum};

/// A share of all requests: a fraction from 0 to 1 in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    part: u128,
    whole: u128,
}

impl Share {
    /// Nothing.
    pub const NONE: Self = Self { part: 0, whole: 1 };
    /// Everything.
    pub const ALL: Self = Self { part: 1, whole: 1 };

    /// `part` of `whole`; nothing of nothing is nothing.
    #[must_use]
    pub fn new(part: u64, whole: u64) -> Self {
        Self::lowest(part.into(), u128::from(whole).max(1))
    }

    /// A share of this share. Weights are 64 bits wide and at most two of them are multiplied, so nothing is lost.
    #[must_use]
    pub fn of(self, part: u64, whole: u64) -> Self {
        let inner = Self::new(part, whole);
        Self::lowest(self.part.saturating_mul(inner.part), self.whole.saturating_mul(inner.whole))
    }

    /// Part and whole, in lowest terms; the largest numbers there are, where they do not fit.
    #[must_use]
    pub fn parts(self) -> (u64, u64) {
        (u64::try_from(self.part).unwrap_or(u64::MAX), u64::try_from(self.whole).unwrap_or(u64::MAX))
    }

    fn lowest(part: u128, whole: u128) -> Self {
        let divisor = gcd(part, whole).max(1);
        Self { part: part / divisor, whole: whole / divisor }
    }
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Sum for Share {
    fn sum<I: Iterator<Item = Self>>(shares: I) -> Self {
        shares.fold(Self::NONE, |sum, share| {
            // By the least common denominator: products of all of them would soon be too large.
            let common = sum.whole / gcd(sum.whole, share.whole).max(1);
            let whole = common.saturating_mul(share.whole);
            let part = sum.part.saturating_mul(whole / sum.whole);
            Self::lowest(part.saturating_add(share.part.saturating_mul(whole / share.whole)), whole)
        })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.whole {
            1 => write!(f, "{}", self.part),
            whole => write!(f, "{}/{whole}", self.part),
        }
    }
}
