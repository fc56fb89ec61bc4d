//! Shares where they are known exactly: the evaluator computes them from the configuration, so there is no tolerance.

use std::{collections::BTreeMap, fmt};

use serde::{Serialize, Serializer};

use super::verdict::Judgement;

/// A fraction between 0 and 1 in lowest terms.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fraction {
    numerator: u64,
    denominator: u64,
}

impl Fraction {
    /// Nothing.
    pub const ZERO: Self = Self { numerator: 0, denominator: 1 };
    /// All.
    pub const ONE: Self = Self { numerator: 1, denominator: 1 };

    /// `part` of `whole`; `None` if the whole is zero.
    #[must_use]
    pub fn new(part: u64, whole: u64) -> Option<Self> {
        (whole > 0).then(|| {
            let divisor = gcd(part.into(), whole.into()) as u64;
            Self { numerator: part / divisor, denominator: whole / divisor }
        })
    }

    /// A share of a share; `None` if it cannot be written in 64 bits.
    #[must_use]
    pub fn times(self, other: Self) -> Option<Self> {
        let wide = |a: u64, b: u64| u128::from(a) * u128::from(b);
        Self::lowest(wide(self.numerator, other.numerator), wide(self.denominator, other.denominator))
    }

    /// The sum; `None` if it cannot be written in 64 bits.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        let wide = |a: u64, b: u64| u128::from(a) * u128::from(b);
        let numerator = wide(self.numerator, other.denominator).checked_add(wide(other.numerator, self.denominator))?;
        Self::lowest(numerator, wide(self.denominator, other.denominator))
    }

    fn lowest(numerator: u128, denominator: u128) -> Option<Self> {
        let divisor = gcd(numerator, denominator);
        Some(Self {
            numerator: u64::try_from(numerator / divisor).ok()?,
            denominator: u64::try_from(denominator / divisor).ok()?,
        })
    }
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.denominator == 1 {
            write!(f, "{}", self.numerator)
        } else {
            write!(f, "{}/{}", self.numerator, self.denominator)
        }
    }
}

impl fmt::Debug for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Fraction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Compares exact shares with declared weights. Names without a declared weight must have no share, and the other way round;
/// shares of zero may be left out. Fails as well if all declared weights are zero, or their sum exceeds 64 bits.
#[must_use]
pub fn judge(observed: &BTreeMap<String, Fraction>, declared: &BTreeMap<String, u64>) -> Judgement {
    let Some(sum) = declared.values().try_fold(0_u64, |sum, weight| sum.checked_add(*weight)).filter(|sum| *sum > 0)
    else {
        return Judgement::fail("the declared weights have no sum between 1 and 2^64");
    };
    let names: std::collections::BTreeSet<&String> = observed.keys().chain(declared.keys()).collect();
    Judgement::all(names.into_iter().map(|name| {
        let seen = observed.get(name).copied().unwrap_or(Fraction::ZERO);
        let wanted = declared.get(name).map_or(Some(Fraction::ZERO), |weight| Fraction::new(*weight, sum));
        match wanted {
            Some(wanted) if wanted == seen => Judgement::pass(),
            Some(wanted) => Judgement::fail(format!("{name} gets {seen} of the requests instead of {wanted}")),
            None => Judgement::fail("the declared weights have no sum"),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::Verdict;

    fn shares<const N: usize>(shares: [(&str, u64, u64); N]) -> BTreeMap<String, Fraction> {
        shares.into_iter().map(|(name, part, whole)| (name.to_owned(), Fraction::new(part, whole).unwrap())).collect()
    }

    fn weights<const N: usize>(weights: [(&str, u64); N]) -> BTreeMap<String, u64> {
        weights.into_iter().map(|(name, weight)| (name.to_owned(), weight)).collect()
    }

    #[test]
    fn equal_shares_of_any_sum_pass() {
        let declared = weights([("a", 70), ("b", 30), ("c", 0)]);
        assert_eq!(judge(&shares([("a", 7, 10), ("b", 300, 1000)]), &declared).verdict, Verdict::Pass);
    }

    #[test]
    fn the_smallest_deviation_fails() {
        let declared = weights([("a", 500_000), ("b", 500_000), ("c", 0)]);
        let judged = judge(&shares([("a", 500_001, 1_000_000), ("b", 499_999, 1_000_000)]), &declared);
        assert_eq!(judged.verdict, Verdict::Fail);
        assert_eq!(judged.reasons[0], "a gets 500001/1000000 of the requests instead of 1/2");
        assert_eq!(judge(&shares([("a", 1, 2), ("b", 1, 2), ("d", 1, 10)]), &declared).reasons.len(), 1);
        assert_eq!(judge(&shares([("a", 1, 1)]), &declared).verdict, Verdict::Fail);
        assert_eq!(judge(&BTreeMap::new(), &declared).verdict, Verdict::Fail);
    }

    #[test]
    fn nothing_declared_is_not_a_pass() {
        assert_eq!(judge(&BTreeMap::new(), &BTreeMap::new()).verdict, Verdict::Fail);
        assert_eq!(judge(&BTreeMap::new(), &weights([("a", 0)])).verdict, Verdict::Fail);
    }

    #[test]
    fn fractions_stay_exact() {
        let third = Fraction::new(1, 3).unwrap();
        assert_eq!(third.plus(third).and_then(|sum| sum.plus(third)), Some(Fraction::ONE));
        assert_eq!(third.times(Fraction::new(3, 4).unwrap()), Fraction::new(1, 4));
        let huge = Fraction::new(1, u64::MAX).unwrap();
        assert_eq!(huge.times(huge), None);
        assert_eq!(Fraction::new(1, 0), None);
    }
}
