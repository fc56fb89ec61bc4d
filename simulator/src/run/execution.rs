//! The steps of one scenario, in order.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{FutureExt as _, future::BoxFuture};
use tokio::sync::{Mutex, watch};

use super::{
    check::{Surroundings, broken},
    expect::{SplitPlan, sampled::answered, words},
    measure::Sample,
    predict::FAILED,
};
use crate::{
    client::RequestIds,
    judge::{Verdict, sequential::Outcome},
    lab::{Lab, LabError},
    report::{CheckReport, StepReport},
    scenario::model::{Check, Control, Expect, Probe, Probes, Scenario, Step, Traffic},
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

/// Pods by name, each with its workload.
#[derive(Clone, Debug)]
pub struct WorkloadNames(BTreeMap<String, String>);

impl WorkloadNames {
    /// The category of a sample among the shares of a split.
    pub fn outcome(&self, plan: &SplitPlan, sample: &Sample) -> Outcome {
        let name = match sample.sightings.as_slice() {
            [sighting] if answered(sample) => self.0.get(&*sighting.pod).map_or(&*sighting.pod, String::as_str),
            [] => FAILED,
            // Seen twice, or seen without an answer: no share of anybody.
            _ => return Outcome::Elsewhere,
        };
        plan.category(name).map_or(Outcome::Elsewhere, Outcome::Category)
    }
}

impl Execution {
    /// Ready to begin.
    pub fn new(lab: Lab, scenario: Arc<Scenario>, ids: Arc<RequestIds>) -> Self {
        let mut candidates = Vec::new();
        collect(&scenario.steps, &mut candidates);
        candidates.extend(scenario.always.iter().map(|check| check.traffic.clone()));
        Self { lab: Mutex::new(lab), ids, candidates, scenario }
    }

    /// Whether the scenario is about what the evaluator does not model.
    pub(super) fn is_real_only(&self) -> bool {
        self.scenario.real_only
    }

    /// Which workload each pod belongs to.
    pub async fn workload_names(&self) -> WorkloadNames {
        let lab = self.lab.lock().await;
        let pods = lab.topology.pods.values();
        WorkloadNames(pods.map(|pod| (pod.object.name.name.to_string(), pod.workload.clone())).collect())
    }

    /// Carries out all steps; stops after the first that does not pass.
    pub async fn run(&self, mut progress: impl FnMut(&StepReport)) -> Vec<StepReport> {
        let mut reports = Vec::new();
        reports.extend(self.invariants("0").await);
        for (i, step) in self.scenario.steps.iter().enumerate() {
            let number = (i + 1).to_string();
            reports.extend(self.step(number.clone(), step, Surroundings::default()).await);
            reports.extend(self.invariants(&number).await);
            reports.iter().next_back().into_iter().for_each(&mut progress);
            if reports.iter().any(|report| stops(report.verdict)) {
                break;
            }
        }
        reports
    }

    /// The checks that always hold.
    async fn invariants(&self, after: &str) -> Option<StepReport> {
        if self.scenario.always.is_empty() {
            return None;
        }
        let started = Instant::now();
        let mut checks = Vec::new();
        for Check { traffic, expect } in &self.scenario.always {
            checks.push(self.check(traffic, expect, &Surroundings::default()).await);
        }
        let summary = if after == "0" {
            "what always holds, at the start".into()
        } else {
            format!("what always holds, after step {after}")
        };
        Some(step_report(format!("{after}+"), None, summary, started, checks))
    }

    fn step<'a>(&'a self, number: String, step: &'a Step, around: Surroundings) -> BoxFuture<'a, Vec<StepReport>> {
        async move {
            let started = Instant::now();
            let report =
                |summary: String, checks| step_report(number.clone(), step.id.clone(), summary, started, checks);
            if let Some(branches) = &step.parallel {
                return self.parallel(&number, branches).await;
            }
            if let Some(repeat) = &step.repeat {
                let mut reports = Vec::new();
                for round in 1..=repeat.times {
                    for (i, inner) in repeat.steps.iter().enumerate() {
                        reports.extend(self.step(format!("{number}.{round}.{}", i + 1), inner, around.clone()).await);
                        if reports.last().is_some_and(|r| stops(r.verdict)) {
                            return reports;
                        }
                    }
                }
                return reports;
            }
            if let Some(traffic) = &step.traffic {
                let expect = step.expect.clone().unwrap_or_default();
                let check = self.check(traffic, &expect, &around).await;
                return vec![report(format!("traffic {}", check.what), vec![check])];
            }
            if let Some(probes) = &step.probes {
                let mut checks = Vec::new();
                for (traffic, expect) in rows(probes) {
                    checks.push(self.check(&traffic, &expect, &around).await);
                }
                return vec![report(format!("{} probes", checks.len()), checks)];
            }
            if let Some(control) = &step.control {
                let checks = self.control_step(control, &around).await;
                return vec![report(
                    format!("control: what step {} expects must not hold yet", control.discriminates),
                    checks,
                )];
            }
            if let Some(wanted) = &step.collected {
                return vec![report(format!("collected by {}", wanted.by), vec![self.collected(wanted).await])];
            }
            if let Some(wanted) = &step.logged {
                return vec![report(format!("logged by {}", wanted.by), vec![self.logged(wanted).await])];
            }
            if let Some(wanted) = &step.metrics {
                return vec![report(format!("metrics of {}", wanted.of), self.metrics(wanted).await)];
            }
            let (summary, outcome) = self.act(step).await;
            let (convergence, checks) = match outcome {
                Ok((took, checks)) => (took, checks),
                Err(error) => (None, vec![broken(summary.clone(), String::new(), &error)]),
            };
            let mut report = report(summary, checks);
            report.convergence_ms = convergence.map(millis);
            vec![report]
        }
        .boxed()
    }

    /// Runs branches side by side. Those that send `until-done` end when the others have.
    async fn parallel(&self, number: &str, branches: &[Vec<Step>]) -> Vec<StepReport> {
        let (finish, done) = watch::channel(false);
        let open = branches.iter().filter(|branch| !branch.iter().any(sends_until_done)).count();
        let left = AtomicUsize::new(open);
        if open == 0 {
            finish.send_replace(true);
        }
        let mut running = Vec::new();
        for (b, branch) in branches.iter().enumerate() {
            let around = Surroundings { unstable: true, done: Some(done.clone()) };
            running.push(self.branch(format!("{number}.{}", b + 1), branch, around, &left, &finish));
        }
        futures::future::join_all(running).await.concat()
    }

    fn branch<'a>(
        &'a self,
        number: String,
        steps: &'a [Step],
        around: Surroundings,
        left: &'a AtomicUsize,
        finish: &'a watch::Sender<bool>,
    ) -> BoxFuture<'a, Vec<StepReport>> {
        async move {
            let mut reports = Vec::new();
            for (i, step) in steps.iter().enumerate() {
                reports.extend(self.step(format!("{number}.{}", i + 1), step, around.clone()).await);
                if reports.last().is_some_and(|r| stops(r.verdict)) {
                    break;
                }
            }
            let waited_for = !steps.iter().any(sends_until_done);
            if waited_for && left.fetch_sub(1, Ordering::SeqCst) == 1 {
                finish.send_replace(true);
            }
            reports
        }
        .boxed()
    }

    /// The expectation of the discriminated step must fail now, and what is expected now must hold.
    async fn control_step(&self, control: &Control, around: &Surroundings) -> Vec<CheckReport> {
        let Some(later) = find(&self.scenario.steps, &control.discriminates) else {
            let error = LabError::Unknown(format!("no step is called {}", control.discriminates));
            return vec![broken("control".into(), String::new(), &error)];
        };
        let (Some(later_traffic), Some(later_expect)) = (&later.traffic, &later.expect) else {
            let error = LabError::Unknown(format!("step {} sends no traffic", control.discriminates));
            return vec![broken("control".into(), String::new(), &error)];
        };
        let traffic = control.traffic.as_ref().unwrap_or(later_traffic);
        let mut checks = Vec::new();
        if let Some(expect) = &control.expect {
            checks.push(self.check(traffic, expect, around).await);
        }
        let now = Expect { within: None, ..later_expect.clone() };
        let mut check = self.check(later_traffic, &now, around).await;
        check.expected = format!("that this does not hold yet: {}", words(&now));
        check.verdict = match check.verdict {
            Verdict::Fail | Verdict::Inconclusive => Verdict::Pass,
            Verdict::Pass => {
                check.observed =
                    format!("it holds already, so step {} would pass whatever the mesh does", control.discriminates);
                Verdict::Fail
            }
            other => other,
        };
        checks.push(check);
        checks
    }
}

/// The rows of a probe table, each as traffic of one request.
fn rows(probes: &Probes) -> Vec<(Traffic, Expect)> {
    let whole = |row: &Probe| {
        let (method, path) = match (&row.get, &row.post) {
            (Some(path), _) => (Some("GET".to_owned()), Some(path.clone())),
            (None, Some(path)) => (Some("POST".to_owned()), Some(path.clone())),
            (None, None) => (row.method.clone(), row.path.clone()),
        };
        let traffic = Traffic {
            from: row.from.clone().or_else(|| probes.from.clone()).unwrap_or_default(),
            to: row.to.clone().or_else(|| probes.to.clone()).unwrap_or_default(),
            host: row.host.clone(),
            method,
            path,
            headers: row.headers.clone(),
            proto: row.proto.or(probes.proto).unwrap_or_default(),
            tls: row.tls.clone(),
            present: row.present.clone(),
            ..Traffic::default()
        };
        (traffic, row.expect.clone())
    };
    probes.rows.iter().map(whole).collect()
}

fn collect(steps: &[Step], into: &mut Vec<Traffic>) {
    for step in steps {
        into.extend(step.traffic.clone());
        into.extend(step.probes.iter().flat_map(rows).map(|(traffic, _)| traffic));
        into.extend(step.control.iter().filter_map(|c| c.traffic.clone()));
        step.parallel.iter().flatten().for_each(|branch| collect(branch, into));
        step.repeat.iter().for_each(|repeat| collect(&repeat.steps, into));
    }
}

fn find<'a>(steps: &'a [Step], id: &str) -> Option<&'a Step> {
    steps.iter().find_map(|step| {
        if step.id.as_deref() == Some(id) {
            return Some(step);
        }
        let branches = step.parallel.iter().flatten().find_map(|branch| find(branch, id));
        branches.or_else(|| step.repeat.as_ref().and_then(|repeat| find(&repeat.steps, id)))
    })
}

fn sends_until_done(step: &Step) -> bool {
    step.traffic.as_ref().is_some_and(|t| t.duration.as_deref() == Some("until-done"))
}

/// What cannot be observed here does not end a scenario: later steps may be.
fn stops(verdict: Verdict) -> bool {
    !matches!(verdict, Verdict::Pass | Verdict::Unobservable)
}

fn step_report(
    number: String,
    id: Option<String>,
    summary: String,
    started: Instant,
    checks: Vec<CheckReport>,
) -> StepReport {
    let verdict = combined(checks.iter().map(|check| check.verdict), Verdict::Pass);
    let duration_ms = millis(started.elapsed());
    StepReport { number, id, summary, verdict, duration_ms, convergence_ms: None, checks }
}

/// The weightiest verdict. What cannot be observed counts only where nothing was; `none` stands for nothing at all.
pub fn combined(verdicts: impl Iterator<Item = Verdict>, none: Verdict) -> Verdict {
    let (unobservable, seen): (Vec<_>, Vec<_>) = verdicts.partition(|v| *v == Verdict::Unobservable);
    let nothing = if unobservable.is_empty() { none } else { Verdict::Unobservable };
    seen.into_iter().max().unwrap_or(nothing)
}

/// Whole milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
