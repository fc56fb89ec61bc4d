//! One side of one category: a one-sided sequential probability ratio test.

use super::Failure;

/// The declared share against one that is δ above or below.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) category: usize,
    /// Whether the alternative lies above.
    pub(super) upper: bool,
    declared: f64,
    alternative: f64,
    on_hit: f64,
    on_miss: f64,
    ratio: f64,
    /// The smallest ratio is kept: a refuted side stays refuted.
    least: f64,
    alarm_at: f64,
    refuted_at: f64,
}

impl Side {
    /// The sides of a category with a declared share: above, unless it is all; below, unless it is nothing.
    pub(super) fn of(category: usize, declared: f64, delta: f64) -> Vec<Self> {
        let mut sides = Vec::new();
        if declared < 1.0 {
            sides.push(Self::new(category, true, declared, (declared + delta).min(1.0)));
        }
        if declared > 0.0 {
            sides.push(Self::new(category, false, declared, (declared - delta).max(0.0)));
        }
        sides
    }

    fn new(category: usize, upper: bool, declared: f64, alternative: f64) -> Self {
        Self {
            category,
            upper,
            declared,
            alternative,
            on_hit: (alternative / declared).ln(),
            on_miss: ((1.0 - alternative) / (1.0 - declared)).ln(),
            ratio: 0.0,
            least: 0.0,
            alarm_at: f64::INFINITY,
            refuted_at: f64::NEG_INFINITY,
        }
    }

    /// Sets the error probabilities of this side: refuted wrongly with `alpha`, alarmed wrongly with `beta`.
    pub(super) fn with_thresholds(self, alpha: f64, beta: f64) -> Self {
        Self { alarm_at: (1.0 / beta).ln(), refuted_at: alpha.ln(), ..self }
    }

    /// An infinite ratio stays infinite: it stems from an outcome that one of the two shares makes impossible.
    pub(super) fn observe(&mut self, hit: bool) {
        if self.ratio.is_finite() {
            self.ratio += if hit { self.on_hit } else { self.on_miss };
            self.least = self.least.min(self.ratio);
        }
    }

    pub(super) fn alarms(&self) -> bool {
        self.ratio >= self.alarm_at && !self.refuted()
    }

    pub(super) fn refuted(&self) -> bool {
        self.least <= self.refuted_at
    }

    pub(super) fn ratio(&self) -> f64 {
        self.ratio
    }

    pub(super) fn failure(&self) -> Failure {
        if self.upper { Failure::TooMany(self.category) } else { Failure::TooFew(self.category) }
    }

    /// The number of requests after which a correct mesh has refuted this side but for the probability `beta` (Chernoff).
    pub(super) fn cap(&self, beta: f64) -> u64 {
        let (p, q) = (self.declared, self.alternative);
        let needed = |t: f64| {
            // A factor 0^0 stands for an outcome that neither share allows.
            let rho = p.powf(1.0 - t) * q.powf(t) + (1.0 - p).powf(1.0 - t) * (1.0 - q).powf(t);
            ((1.0 / beta).ln() - t * self.refuted_at) / -rho.ln()
        };
        let least = (1..100).map(|t| needed(f64::from(t) / 100.0)).fold(f64::INFINITY, f64::min);
        ceil(least)
    }

    /// Wald's approximation of the requests that a correct mesh needs to refute this side.
    pub(super) fn expected(&self) -> u64 {
        let (p, q) = (self.declared, self.alternative);
        if q <= 0.0 {
            return ceil(1.0 / p);
        }
        if q >= 1.0 {
            return ceil(1.0 / (1.0 - p));
        }
        let of = |share: f64, step: f64| if share > 0.0 { share * step } else { 0.0 };
        ceil(self.refuted_at / (of(p, self.on_hit) + of(1.0 - p, self.on_miss)))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is not negative")]
fn ceil(number: f64) -> u64 {
    (number.ceil() as u64).max(1)
}
