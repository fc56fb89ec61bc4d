//! Checks of a mesh that may still be following a change.

use std::time::{Duration, Instant};

use simulator::{
    judge::Verdict,
    report::CheckReport,
    run::{
        Surroundings,
        expect::{Scene, SplitPlan, denial, sampled, together},
        judged,
        measure::Sample,
    },
    scenario::{
        duration,
        model::{Count, Expect, Traffic},
    },
};

use super::{External, send::Until, world::Aim};
use crate::target::ask::AskError;

/// How often it is tried again.
const RETRY: Duration = Duration::from_millis(100);
/// Requests that must hold once more, where a check sends one.
const ONCE_MORE: usize = 8;
/// The same, where it matters who answers: somebody else might have, by chance.
const ONCE_MORE_SAME: usize = 20;

impl External<'_> {
    /// Judges traffic by its expectation.
    pub(super) async fn judged(
        &self,
        traffic: &Traffic,
        expect: &Expect,
        around: &Surroundings,
    ) -> Result<CheckReport, AskError> {
        let aim = match self.world().aim(traffic) {
            Ok(aim) => aim,
            Err(why) => return Ok(CheckReport::plain(&traffic.to, "", Verdict::Infrastructure, why)),
        };
        let until = Until::of(traffic, around.done.as_ref());
        let plan = expect.split.as_ref().map(SplitPlan::new);
        if let Some((plan, test)) = plan.and_then(|plan| plan.test().map(|test| (plan, test))) {
            return self.shares(&aim, traffic, expect, around, plan, test).await;
        }
        // What is counted is sent once: nothing that a scenario did not ask for.
        if around.now || self.counts || matches!(until, Until::Stopped(_)) {
            return self.attempt(&aim, traffic, expect, &until).await;
        }
        self.settled(&aim, traffic, expect, around, &until).await
    }

    /// Tries until it holds or time is over; what held must hold once more.
    async fn settled(
        &self,
        aim: &Aim,
        traffic: &Traffic,
        expect: &Expect,
        around: &Surroundings,
        until: &Until,
    ) -> Result<CheckReport, AskError> {
        let deadline = self.until_when(expect);
        let report = loop {
            let tried = Instant::now();
            let report = self.attempt(aim, traffic, expect, until).await?;
            if report.verdict == Verdict::Pass {
                self.followed(tried);
                break report;
            }
            if Instant::now() >= deadline {
                return Ok(report);
            }
            tokio::time::sleep(RETRY).await;
        };
        if around.unstable {
            return Ok(report);
        }
        let mut again = self.attempt(aim, traffic, expect, &once_more(traffic, expect, until)).await?;
        if again.verdict != Verdict::Pass {
            again.observed = format!("it held, and then did not: {}", again.observed);
            return Ok(again);
        }
        Ok(report)
    }

    /// Until when a check may be tried.
    pub(super) fn until_when(&self, expect: &Expect) -> Instant {
        let patience = expect.within.as_deref().and_then(|text| duration::parse(text).ok()).unwrap_or_default();
        self.state().deadline.max(Instant::now() + patience)
    }

    /// The mesh was seen to follow the last change, at this moment.
    pub(super) fn followed(&self, when: Instant) {
        let mut state = self.state();
        let took = when.saturating_duration_since(state.changed);
        if state.up && state.deadline > state.changed {
            state.convergence = Some(state.convergence.map_or(took, |known| known.max(took)));
        }
    }

    /// Sends once, and judges.
    async fn attempt(
        &self,
        aim: &Aim,
        traffic: &Traffic,
        expect: &Expect,
        until: &Until,
    ) -> Result<CheckReport, AskError> {
        let samples = self.send(aim, traffic, until, |_| false).await?;
        let names = self.world().names();
        let peer = expect.peer.as_deref().map(|peer| aim.peer(peer));
        let scene = Scene { expect, names: &names, peer: peer.as_deref() };
        let mut parts = sampled::judge(scene, &samples, None);
        if denial(expect).is_some() && parts.iter().all(|part| part.verdict == Verdict::Pass) {
            parts.push(self.evidence(aim, traffic).await?);
        }
        Ok(seen(judged(&aim.what, expect, &together(parts)), &samples))
    }
}

/// Adds what both ends saw.
pub(super) fn seen(report: CheckReport, samples: &[Sample]) -> CheckReport {
    CheckReport { client_saw: sampled::client_saw(samples), server_saw: sampled::server_saw(samples), ..report }
}

fn once_more(traffic: &Traffic, expect: &Expect, until: &Until) -> Until {
    match (until, traffic.n) {
        (Until::Count(_), None | Some(Count::Exactly(1))) => {
            Until::Count(if expect.backend.is_empty() { ONCE_MORE } else { ONCE_MORE_SAME })
        }
        _ => until.clone(),
    }
}
