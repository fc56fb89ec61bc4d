//! The sequential two-sided test of split weights.
//!
//! # Question
//! Requests end in one of *k* categories (workloads, and perhaps "failed"), declared with weights `w_i`, so with shares
//! `p_i = w_i / Σw`. Three numbers are declared: δ, a deviation that must not pass; α, the probability of passing a mesh that is
//! off by δ or more in some share; β, the probability of not passing (failing, or staying undecided) a correct mesh.
//!
//! # Test
//! Every category has up to two *sides*: a one-sided sequential probability ratio test (Wald 1945) of `p` against the alternative
//! `q = min(p + δ, 1)` above and of `p` against `q = max(p − δ, 0)` below. A side keeps the log-likelihood ratio
//! `L = Σ ln(q/p)` over hits plus `Σ ln((1−q)/(1−p))` over misses. It is *refuted* (the alternative is out) once `L ≤ −ln(1/α)`,
//! and it *alarms* once `L ≥ ln(2s/β)`, where `s` is the number of sides. The test passes when every side is refuted, and fails at
//! the first alarm. At an edge the formula does the right thing by itself: for `q = 0` ("the backend never gets anything") one
//! hit refutes, for `p = 0` and `p = 1` the impossible outcome fails at once.
//!
//! # Why the bounds hold
//! * **α, undivided.** If the mesh is off by ≥ δ in some share, then that share lies at or beyond the `q` of one side, and a pass
//!   needs this side's refutation. Under `q`, `exp(−L)` is a nonnegative martingale with mean 1 (beyond `q` a supermartingale), so by
//!   Ville's inequality it ever reaches `1/α` with probability ≤ α. All sides must agree to pass, so α is not split among them.
//!   (A deviation that the unit interval cuts off, p = 0.97 to 1 with δ = 0.05, is nearer than δ; it is tested all the same.)
//! * **β, divided.** Under the declared shares `exp(L)` is a martingale with mean 1, and each of the `s` sides alarms with probability
//!   ≤ β/2s; by the union bound any alarms with probability ≤ β/2. The other half pays for the cap on `n`: by Chernoff's bound the
//!   probability that a side is not refuted after `n` requests is ≤ `ρ(t)ⁿ · α^(−t)` with `ρ(t) = p^(1−t) q^t + (1−p)^(1−t) (1−q)^t` for any
//!   `t` in (0, 1); the cap is the least `n` that makes this ≤ β/2s for all sides.
//! * **Order within the stream.** The bounds need requests whose ends are drawn independently. Weighted round robin varies
//!   less than that: its `L` drifts to refutation with less noise, so under-dispersion never fails. A choice that several
//!   requests share varies more; TCP is split by connection, so there every connection must carry one request.
//!
//! A zero weight and a category that is not declared are not statistical: the first hit fails, even after a pass.

use serde::Serialize;

use super::interval::{excluded_leak, wilson};

mod side;

use side::Side;

/// δ, α and β, each between 0 and 0.5.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tolerance {
    /// A share that is off by this much or more must not pass.
    pub delta: f64,
    /// The probability of passing a mesh that is off by δ.
    pub alpha: f64,
    /// The probability of not passing a correct mesh.
    pub beta: f64,
}

impl Default for Tolerance {
    /// δ = 0.05, α = 10⁻³, β = 10⁻⁵: a hundred splits in a run fail a correct mesh once in a thousand runs.
    fn default() -> Self {
        Self { delta: 0.05, alpha: 1e-3, beta: 1e-5 }
    }
}

/// Where one request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// In a declared category, counted from 0.
    Category(usize),
    /// Somewhere that was not declared.
    Elsewhere,
}

/// What the test knows so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// More requests are needed.
    Undecided,
    /// The shares are nearer than δ to the declared ones, with error α.
    Pass,
    /// They are not the declared ones.
    Fail(Failure),
    /// The cap is reached without a decision: a share lies between the declared one and δ beside it.
    Inconclusive,
}

/// Why the shares are not the declared ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// This category gets too much.
    TooMany(usize),
    /// This category gets too little.
    TooFew(usize),
    /// This category has weight zero and was hit.
    ZeroWeight(usize),
    /// A category that was not declared was hit.
    Elsewhere,
}

/// Why there is no test.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum DesignError {
    /// No category has a weight.
    #[error("at least one weight must be greater than zero")]
    NoWeight,
    /// δ, α or β is out of range.
    #[error("δ, α and β lie between 0 and 0.5, both excluded")]
    Tolerance,
}

/// The running test.
#[derive(Clone, Debug)]
pub struct SplitTest {
    weights: Vec<u64>,
    tolerance: Tolerance,
    sides: Vec<Side>,
    counts: Vec<u64>,
    elsewhere: u64,
    n: u64,
    max_samples: u64,
    decision: Decision,
}

/// The figures of a test, for reports.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SplitReport {
    /// Requests seen.
    pub n: u64,
    /// The most that the test would have asked for.
    pub max_samples: u64,
    /// δ, α, β.
    #[serde(flatten)]
    pub tolerance: Tolerance,
    /// Requests that ended in no declared category.
    pub elsewhere: u64,
    /// The categories in their order.
    pub categories: Vec<CategoryReport>,
    /// The decision.
    pub decision: Decision,
}

/// The figures of one category.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CategoryReport {
    /// Its name, if the caller has given it one with [`SplitReport::named`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The declared weight.
    pub weight: u64,
    /// The declared share.
    pub declared: f64,
    /// Hits.
    pub count: u64,
    /// Wilson's interval of the share at 99.9 %.
    pub interval: (f64, f64),
    /// Log-likelihood ratio of "δ more" to the declared share; `None` for a zero weight, or if there is no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more: Option<f64>,
    /// Log-likelihood ratio of "δ less" to the declared share; `None` for a zero weight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub less: Option<f64>,
    /// For a zero weight without a hit: the leak rate that is excluded at 99.9 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excluded_leak: Option<f64>,
}

impl SplitTest {
    /// A test of these weights.
    ///
    /// # Errors
    /// All weights are zero, or δ, α or β is out of range.
    pub fn new(weights: &[u64], tolerance: Tolerance) -> Result<Self, DesignError> {
        let Tolerance { delta, alpha, beta } = tolerance;
        if [delta, alpha, beta].iter().any(|value| !(*value > 0.0 && *value < 0.5)) {
            return Err(DesignError::Tolerance);
        }
        if weights.iter().all(|weight| *weight == 0) {
            return Err(DesignError::NoWeight);
        }
        let sides: Vec<Side> =
            shares(weights).into_iter().enumerate().flat_map(|(category, p)| Side::of(category, p, delta)).collect();
        #[expect(clippy::cast_precision_loss, reason = "a handful of sides")]
        let each = beta / (2.0 * sides.len() as f64);
        let sides: Vec<Side> = sides.into_iter().map(|side| side.with_thresholds(alpha, each)).collect();
        let max_samples = sides.iter().map(|side| side.cap(each)).max().unwrap_or(1);
        Ok(Self {
            weights: weights.to_vec(),
            tolerance,
            sides,
            counts: vec![0; weights.len()],
            elsewhere: 0,
            n: 0,
            max_samples,
            decision: Decision::Undecided,
        })
    }

    /// Takes one outcome, in the order of sending. After a decision outcomes are still counted, and one that must never happen
    /// still fails.
    pub fn observe(&mut self, outcome: Outcome) -> Decision {
        self.n += 1;
        let hit = match outcome {
            Outcome::Category(category) if category < self.counts.len() => Some(category),
            Outcome::Category(_) | Outcome::Elsewhere => None,
        };
        match hit {
            Some(category) => self.counts[category] += 1,
            None => self.elsewhere += 1,
        }
        let impossible = match hit {
            Some(category) => (self.weights[category] == 0).then_some(Failure::ZeroWeight(category)),
            None => Some(Failure::Elsewhere),
        };
        if let Some(failure) = impossible {
            if !matches!(self.decision, Decision::Fail(_)) {
                self.decision = Decision::Fail(failure);
            }
        } else if self.decision == Decision::Undecided {
            self.decision = self.weigh(hit);
        }
        self.decision
    }

    fn weigh(&mut self, hit: Option<usize>) -> Decision {
        let mut refuted = true;
        for side in &mut self.sides {
            side.observe(hit == Some(side.category));
            if side.alarms() {
                return Decision::Fail(side.failure());
            }
            refuted &= side.refuted();
        }
        match refuted {
            true => Decision::Pass,
            false if self.n >= self.max_samples => Decision::Inconclusive,
            false => Decision::Undecided,
        }
    }

    /// The decision so far.
    #[must_use]
    pub fn decision(&self) -> Decision {
        self.decision
    }

    /// The most outcomes that the test asks for before it gives up.
    #[must_use]
    pub fn max_samples(&self) -> u64 {
        self.max_samples
    }

    /// About how many outcomes a correct mesh needs to pass: Wald's approximation for the slowest side. With several slow sides
    /// it takes somewhat more.
    #[must_use]
    pub fn expected_samples(&self) -> u64 {
        self.sides.iter().map(Side::expected).max().unwrap_or(1)
    }

    /// The figures.
    #[must_use]
    pub fn report(&self) -> SplitReport {
        let ratio = |category: usize, upper: bool| {
            let side = self.sides.iter().find(|side| side.category == category && side.upper == upper);
            side.filter(|_| self.weights[category] > 0).map(Side::ratio)
        };
        let category = |(category, declared): (usize, f64)| CategoryReport {
            name: None,
            weight: self.weights[category],
            declared,
            count: self.counts[category],
            interval: wilson(self.counts[category], self.n),
            more: ratio(category, true),
            less: ratio(category, false),
            excluded_leak: (self.weights[category] == 0 && self.counts[category] == 0).then(|| excluded_leak(self.n)),
        };
        SplitReport {
            n: self.n,
            max_samples: self.max_samples,
            tolerance: self.tolerance,
            elsewhere: self.elsewhere,
            categories: shares(&self.weights).into_iter().enumerate().map(category).collect(),
            decision: self.decision,
        }
    }
}

impl SplitReport {
    /// With the names of the categories, in their order.
    #[must_use]
    pub fn named(mut self, names: &[String]) -> Self {
        for (category, name) in self.categories.iter_mut().zip(names) {
            category.name = Some(name.clone());
        }
        self
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
fn shares(weights: &[u64]) -> Vec<f64> {
    let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    weights.iter().map(|weight| *weight as f64 / sum as f64).collect()
}

#[cfg(test)]
mod tests;
