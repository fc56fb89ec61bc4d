//! One scenario carried out in the lab of this process.

use std::sync::Arc;

use futures::{FutureExt as _, future::BoxFuture};
use tokio::sync::Mutex;

use super::{
    carrier::{Acted, Carrier, Surroundings},
    check::broken,
    expect::WorkloadNames,
    walk::{Walk, traffic_of},
};
use crate::{
    client::RequestIds,
    lab::Lab,
    report::{CheckReport, StepReport},
    scenario::model::{Expect, Scenario, Step, Traffic},
};

/// A scenario being carried out.
#[derive(Debug)]
pub struct Execution {
    /// The world of the scenario. Held while it changes, not while traffic flows.
    pub lab: Mutex<Lab>,
    /// Makes request ids.
    pub ids: Arc<RequestIds>,
    /// All traffic of the scenario: where control requests are taken from.
    pub candidates: Vec<Traffic>,
    scenario: Arc<Scenario>,
}

impl Execution {
    /// Ready to begin.
    pub fn new(lab: Lab, scenario: Arc<Scenario>, ids: Arc<RequestIds>) -> Self {
        let candidates = traffic_of(&scenario);
        Self { lab: Mutex::new(lab), ids, candidates, scenario }
    }

    /// Whether the scenario is about what the evaluator does not model.
    pub(super) fn is_real_only(&self) -> bool {
        self.scenario.real_only
    }

    /// Which workload each pod belongs to.
    pub async fn workload_names(&self) -> WorkloadNames {
        WorkloadNames::of(&self.lab.lock().await.topology)
    }

    /// Carries out all steps; stops after the first that does not pass.
    pub async fn run(&self, progress: impl FnMut(&StepReport)) -> Vec<StepReport> {
        Walk::new(&self.scenario, self).run(progress).await
    }
}

impl Carrier for Execution {
    fn check<'a>(
        &'a self,
        traffic: &'a Traffic,
        expect: &'a Expect,
        around: &'a Surroundings,
    ) -> BoxFuture<'a, CheckReport> {
        self.judged(traffic, expect, around).boxed()
    }

    fn act<'a>(&'a self, step: &'a Step) -> BoxFuture<'a, Acted> {
        async move {
            let (summary, outcome) = self.changed(step).await;
            match outcome {
                Ok((convergence, checks)) => Acted { summary, convergence, checks },
                Err(error) => {
                    let checks = vec![broken(summary.clone(), String::new(), &error)];
                    Acted { summary, convergence: None, checks }
                }
            }
        }
        .boxed()
    }

    fn observe<'a>(&'a self, step: &'a Step) -> BoxFuture<'a, Vec<CheckReport>> {
        async move {
            if let Some(wanted) = &step.collected {
                return vec![self.collected(wanted).await];
            }
            if let Some(wanted) = &step.logged {
                return vec![self.logged(wanted).await];
            }
            if let Some(wanted) = &step.traffic_metrics {
                return vec![self.traffic_metrics(wanted).await];
            }
            match &step.metrics {
                Some(wanted) => self.metrics(wanted).await,
                None => Vec::new(),
            }
        }
        .boxed()
    }
}
