//! Splits: first until they have settled, then measured, once.

use std::time::{Duration, Instant};

use simulator::{
    judge::{
        Verdict,
        sequential::{Decision, Outcome, SplitTest},
    },
    report::CheckReport,
    run::{
        Surroundings,
        expect::{Scene, SplitPlan, WorkloadNames, sampled, together},
        judged,
    },
    scenario::model::{Auto, Count, Expect, Traffic},
};

use super::{External, send::Until, settle::seen, world::Aim};
use crate::target::ask::AskError;

/// Requests between two looks, while a split settles.
const LOOK: usize = 40;
/// A share that is off by more than this has not settled yet. No verdict rests on it.
const ROUGHLY: f64 = 0.25;
/// How long between two looks.
const RETRY: Duration = Duration::from_millis(100);

impl External<'_> {
    /// Judges shares.
    pub(super) async fn shares(
        &self,
        aim: &Aim,
        traffic: &Traffic,
        expect: &Expect,
        around: &Surroundings,
        plan: SplitPlan,
        mut test: SplitTest,
    ) -> Result<CheckReport, AskError> {
        let names = self.world().names();
        let mut unsettled = None;
        if !around.now && !around.unstable {
            unsettled = self.settle(aim, traffic, expect, &plan, &names).await?;
        }
        let automatic = matches!(traffic.n, Some(Count::Auto(Auto::Auto)));
        let until = match traffic.n {
            Some(Count::Auto(Auto::Auto)) => Until::Count(usize::try_from(test.max_samples()).unwrap_or(usize::MAX)),
            _ => Until::of(traffic, around.done.as_ref()),
        };
        let samples = self.send(aim, traffic, &until, |sample| {
            test.observe(names.outcome(&plan, sample)) != Decision::Undecided && automatic
        });
        let samples = samples.await?;
        let peer = expect.peer.as_deref().map(|peer| aim.peer(peer));
        let scene = Scene { expect, names: &names, peer: peer.as_deref() };
        let parts = sampled::judge(scene, &samples, Some((&plan, &test)));
        let mut report = seen(judged(&aim.what, expect, &together(parts)), &samples);
        report.statistics = serde_json::to_value(test.report()).ok();
        report.beta = plan.tolerance.beta;
        if let Some(why) = unsettled.filter(|_| report.verdict != Verdict::Pass) {
            report.observed = format!("{}; before that, {why}", report.observed);
        }
        Ok(report)
    }

    /// Looks until exactly those that have a weight are reached, roughly as they should be. What was seen last, if time is over
    /// before.
    async fn settle(
        &self,
        aim: &Aim,
        traffic: &Traffic,
        expect: &Expect,
        plan: &SplitPlan,
        names: &WorkloadNames,
    ) -> Result<Option<String>, AskError> {
        let deadline = self.until_when(expect);
        let mut window = Window::new(plan);
        loop {
            let looked = Instant::now();
            let samples = self.send(aim, traffic, &Until::Count(LOOK), |_| false).await?;
            let outcomes: Vec<_> = samples.iter().map(|sample| names.outcome(plan, sample)).collect();
            match window.look(&outcomes) {
                Look::Settled => {
                    self.followed(looked);
                    return Ok(None);
                }
                why if Instant::now() >= deadline => {
                    return Ok(Some(format!("{why}: {}", sampled::server_saw(&samples).join(", "))));
                }
                _ => tokio::time::sleep(RETRY).await,
            }
        }
    }
}

/// What came of the requests since something last spoke against the split.
struct Window {
    shares: Vec<f64>,
    counts: Vec<usize>,
}

/// What a look says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Settled,
    Strange,
    Rough,
    Missing,
}

impl std::fmt::Display for Look {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Settled => "it settled",
            Self::Strange => "requests still ended where none should",
            Self::Rough => "shares were still far off",
            Self::Missing => "not everybody with a weight was reached",
        })
    }
}

impl Window {
    #[expect(clippy::cast_precision_loss, reason = "a rough look")]
    fn new(plan: &SplitPlan) -> Self {
        let sum: f64 = plan.weights.iter().map(|weight| *weight as f64).sum();
        let shares: Vec<_> = plan.weights.iter().map(|weight| *weight as f64 / sum).collect();
        Self { counts: vec![0; shares.len()], shares }
    }

    #[expect(clippy::cast_precision_loss, reason = "a rough look")]
    fn look(&mut self, outcomes: &[Outcome]) -> Look {
        let mut fresh = vec![0_usize; self.counts.len()];
        let mut strange = false;
        for outcome in outcomes {
            match outcome {
                Outcome::Category(category) if self.shares[*category] > 0.0 => fresh[*category] += 1,
                _ => strange = true,
            }
        }
        let off =
            |(share, count): (&f64, &usize)| (*count as f64 / outcomes.len().max(1) as f64 - share).abs() > ROUGHLY;
        let rough = self.shares.iter().zip(&fresh).any(off);
        if strange || rough {
            self.counts.fill(0);
            return if strange { Look::Strange } else { Look::Rough };
        }
        self.counts.iter_mut().zip(&fresh).for_each(|(count, more)| *count += more);
        let missing = self.shares.iter().zip(&self.counts).any(|(share, count)| *share > 0.0 && *count == 0);
        if missing { Look::Missing } else { Look::Settled }
    }
}

#[cfg(test)]
mod tests {
    use simulator::scenario::model::Split;

    use super::*;

    #[test]
    fn a_split_has_settled_when_exactly_those_with_a_weight_are_reached() {
        let shares = [("a".to_owned(), 90), ("b".to_owned(), 10), ("c".to_owned(), 0)].into();
        let mut window = Window::new(&SplitPlan::new(&Split { shares, ..Split::default() }));
        let of = |a: usize, b: usize, c: usize| -> Vec<Outcome> {
            let times = |category, n| std::iter::repeat_n(Outcome::Category(category), n);
            times(0, a).chain(times(1, b)).chain(times(2, c)).collect()
        };
        assert_eq!(window.look(&of(40, 0, 0)), Look::Missing);
        assert_eq!(window.look(&of(20, 20, 0)), Look::Rough, "the split before, perhaps");
        assert_eq!(window.look(&of(39, 0, 1)), Look::Strange);
        assert_eq!(window.look(&[Outcome::Elsewhere]), Look::Strange);
        assert_eq!(window.look(&of(40, 0, 0)), Look::Missing, "what was seen before something strange is forgotten");
        assert_eq!(window.look(&of(37, 3, 0)), Look::Settled);
    }
}
