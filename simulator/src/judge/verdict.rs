//! Verdicts, and how several become one.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is known about an expectation, a step, a scenario or a run. Ordered by what matters more when several are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It holds, by evidence.
    Pass,
    /// This backend cannot see it. Not a pass.
    Unobservable,
    /// The evidence does not suffice either way.
    Inconclusive,
    /// Something around the test broke, so that nothing is known.
    Infrastructure,
    /// It does not hold, by evidence.
    Fail,
}

/// A verdict with its reasons. A pass needs none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, most important first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

impl Verdict {
    /// The exit code of a run with this verdict: 0 pass, 1 fail, 3 infrastructure, 4 inconclusive or unobservable. 2 is for
    /// wrong usage.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Infrastructure => 3,
            Self::Unobservable | Self::Inconclusive => 4,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::Unobservable => "unobservable",
            Self::Infrastructure => "infrastructure",
        })
    }
}

impl Judgement {
    /// A pass.
    #[must_use]
    pub fn pass() -> Self {
        Self { verdict: Verdict::Pass, reasons: Vec::new() }
    }

    /// A failure with its reason.
    #[must_use]
    pub fn fail(reason: impl Into<String>) -> Self {
        Self::of(Verdict::Fail, reason)
    }

    /// Any verdict with a reason.
    #[must_use]
    pub fn of(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self { verdict, reasons: vec![reason.into()] }
    }

    /// All of them together: the weightiest verdict (fail, then infrastructure, inconclusive, unobservable, pass), with the
    /// reasons of every part that did not pass, the weightiest first. A failure outweighs broken infrastructure because it rests
    /// on evidence. Nothing at all is inconclusive: what was not judged has not passed.
    #[must_use]
    pub fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut parts: Vec<Self> = parts.into_iter().collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.verdict));
        let Some(verdict) = parts.first().map(|part| part.verdict) else {
            return Self::of(Verdict::Inconclusive, "nothing was judged");
        };
        Self { verdict, reasons: parts.into_iter().flat_map(|part| part.reasons).collect() }
    }
}

/// An upper bound of the probability that a correct mesh does not pass a whole run, from the β of each of its tests: their sum,
/// 1 at most (the union bound, so dependence between tests does not matter).
#[must_use]
pub fn false_failure_budget(betas: impl IntoIterator<Item = f64>) -> f64 {
    betas.into_iter().sum::<f64>().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_judged_is_not_a_pass() {
        assert_eq!(Judgement::all([]).verdict, Verdict::Inconclusive);
        assert_ne!(Judgement::all([]).verdict.exit_code(), 0);
    }

    #[test]
    fn the_weightiest_verdict_wins_with_all_reasons() {
        let all = Judgement::all([
            Judgement::pass(),
            Judgement::of(Verdict::Unobservable, "no XFCC"),
            Judgement::of(Verdict::Infrastructure, "envoy died"),
            Judgement::fail("403"),
            Judgement::of(Verdict::Inconclusive, "cap"),
        ]);
        assert_eq!(all.verdict, Verdict::Fail);
        assert_eq!(all.reasons, ["403", "envoy died", "cap", "no XFCC"]);
        assert_eq!(Judgement::all([Judgement::pass(), Judgement::pass()]), Judgement::pass());
        assert_eq!(
            Judgement::all([Judgement::pass(), Judgement::of(Verdict::Unobservable, "")]).verdict.exit_code(),
            4
        );
    }

    #[test]
    fn budgets_add_up() {
        assert!((false_failure_budget([1e-5; 40]) - 4e-4).abs() < 1e-12);
        assert!((false_failure_budget([0.6, 0.6]) - 1.0).abs() < 1e-12);
        assert!(false_failure_budget([]).abs() < 1e-12);
    }
}
