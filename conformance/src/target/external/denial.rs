//! What shows that nothing but the mesh kept a request away.

use simulator::{
    judge::{Judgement, Verdict},
    run::{expect::sampled, same_host},
    scenario::model::Traffic,
};

use super::{External, send::Until, world::Aim};
use crate::target::ask::AskError;

impl External<'_> {
    /// The applications behind the destination answer when they are asked directly; and what was let through to it since the last
    /// change still is.
    pub(super) async fn evidence(&self, aim: &Aim, traffic: &Traffic) -> Result<Judgement, AskError> {
        let requests: Vec<_> = aim.behind.iter().map(|to| self.world().direct(to, self.ids.next_id())).collect();
        if !requests.is_empty() {
            let samples = self.exchange(requests, aim.behind.len()).await?;
            let silent = aim.behind.iter().zip(&samples).find(|(to, sample)| {
                !sampled::answered(sample) || !sample.sightings.iter().any(|seen| *seen.pod == *to.name)
            });
            if let Some((to, sample)) = silent {
                let saw = sampled::client_saw(std::slice::from_ref(sample)).join("; ");
                let why = format!(
                    "the denial proves nothing: the application of {}:{} does not answer even when it is asked directly: {saw}",
                    to.name, to.port
                );
                return Ok(Judgement::of(Verdict::Infrastructure, why));
            }
        }
        let control = {
            let state = self.state();
            state.allowed.iter().find(|one| one.to == traffic.to || same_host(&one.to, &traffic.to)).cloned()
        };
        let Some(control) = control else { return Ok(Judgement::pass()) };
        let worked_out = self.world().aim(&control);
        let Ok(allowed) = worked_out else { return Ok(Judgement::pass()) };
        let samples = self.send(&allowed, &control, &Until::Count(1), |_| false).await?;
        if samples.iter().all(|sample| sample.is_delivered() && sampled::answered(sample)) {
            return Ok(Judgement::pass());
        }
        let saw = sampled::client_saw(&samples).join("; ");
        let why = format!(
            "the denial proves nothing: the control request {}, which was let through before, got {saw}",
            allowed.what
        );
        Ok(Judgement::of(Verdict::Inconclusive, why))
    }
}
