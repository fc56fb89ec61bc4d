//! The steps of one scenario, in order, whoever carries them out.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use futures::{FutureExt as _, future::BoxFuture};
use tokio::sync::watch;

use super::{
    carrier::{Acted, Carrier, Surroundings},
    expect::words,
    traffic_metrics,
};
use crate::{
    judge::Verdict,
    report::{CheckReport, ReadingReport, StepReport},
    scenario::model::{Check, Control, Expect, Probes, Reading, Scenario, Step, Traffic},
};

/// A scenario on its way through its steps.
#[derive(Clone, Copy)]
pub struct Walk<'w> {
    scenario: &'w Scenario,
    carrier: &'w dyn Carrier,
}

impl std::fmt::Debug for Walk<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walk").field("scenario", &self.scenario.id).finish_non_exhaustive()
    }
}

impl<'w> Walk<'w> {
    /// At the first step.
    pub fn new(scenario: &'w Scenario, carrier: &'w dyn Carrier) -> Self {
        Self { scenario, carrier }
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
            checks.push(self.carrier.check(traffic, expect, &Surroundings::default()).await);
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
            let report = |summary: String, checks| StepReport {
                convergence_ms: self.carrier.take_convergence().map(millis),
                ..step_report(number.clone(), step.id.clone(), summary, started, checks)
            };
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
                let check = self.carrier.check(traffic, &expect, &around).await;
                return vec![report(format!("traffic {}", check.what), vec![check])];
            }
            if let Some(probes) = &step.probes {
                let mut checks = Vec::new();
                for (traffic, expect) in rows(probes) {
                    checks.push(self.carrier.check(&traffic, &expect, &around).await);
                }
                return vec![report(format!("{} probes", checks.len()), checks)];
            }
            if let Some(reading) = &step.reading {
                let check = self.reading(reading, &around).await;
                return vec![report(format!("reading of {}", reading.clause), vec![check])];
            }
            if let Some(control) = &step.control {
                let checks = self.control_step(control, &around).await;
                return vec![report(
                    format!("control: what step {} expects must not hold yet", control.discriminates),
                    checks,
                )];
            }
            if let Some(summary) = observation(step) {
                return vec![report(summary, self.carrier.observe(step).await)];
            }
            let Acted { summary, convergence, checks } = self.carrier.act(step).await;
            if around.unstable {
                // Who watches in another branch sees every state, on the evaluator too, where changing takes no time.
                tokio::task::yield_now().await;
            }
            vec![StepReport { convergence_ms: convergence.map(millis), ..report(summary, checks) }]
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
            let around = Surroundings { unstable: true, done: Some(done.clone()), ..Surroundings::default() };
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

    /// Looks which of the readings holds. What fits none of them is an open question, not a failure.
    async fn reading(&self, reading: &Reading, around: &Surroundings) -> CheckReport {
        let deadline = Instant::now() + self.carrier.patience();
        loop {
            let check = self.read(reading, around).await;
            if check.reading.is_some() || check.verdict != Verdict::Inconclusive || Instant::now() >= deadline {
                return check;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Asks for each reading once.
    async fn read(&self, reading: &Reading, around: &Surroundings) -> CheckReport {
        let around = Surroundings { now: true, ..around.clone() };
        let mut refuted = Vec::new();
        let mut last = None;
        for (name, expect) in &reading.readings {
            let mut check = self.carrier.check(&reading.traffic, expect, &around).await;
            match check.verdict {
                Verdict::Pass => {
                    check.reading = Some(ReadingReport { clause: reading.clause.clone(), reading: name.clone() });
                    check.observed = format!("the mesh reads {} as `{name}`", reading.clause);
                    return check;
                }
                Verdict::Fail => refuted.push(format!("not `{name}`: {}", check.observed)),
                _ => return check,
            }
            last = Some(check);
        }
        let Some(mut check) = last else { return unknown("reading", "there are no readings") };
        check.expected = format!("one of the readings that {} has", reading.clause);
        check.observed = refuted.join("; ");
        check.verdict = Verdict::Inconclusive;
        check
    }

    /// The expectation of the discriminated step must fail now, and what is expected now must hold.
    async fn control_step(&self, control: &Control, around: &Surroundings) -> Vec<CheckReport> {
        let Some(later) = Step::find(&self.scenario.steps, &control.discriminates) else {
            return vec![unknown("control", &format!("no step is called {}", control.discriminates))];
        };
        let (Some(later_traffic), Some(later_expect)) = (&later.traffic, &later.expect) else {
            return vec![unknown("control", &format!("step {} sends no traffic", control.discriminates))];
        };
        let traffic = control.traffic.as_ref().unwrap_or(later_traffic);
        let mut checks = Vec::new();
        if let Some(expect) = &control.expect {
            checks.push(self.carrier.check(traffic, expect, around).await);
        }
        let now = Expect { within: None, ..later_expect.clone() };
        let around = Surroundings { now: true, ..around.clone() };
        let mut check = self.carrier.check(later_traffic, &now, &around).await;
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

/// How often a question that no reading answers is asked again.
const AGAIN: Duration = Duration::from_millis(100);

/// The summary of a step that looks at what the mesh tells.
fn observation(step: &Step) -> Option<String> {
    let collected = step.collected.as_ref().map(|wanted| format!("collected by {}", wanted.by));
    let logged = || step.logged.as_ref().map(|wanted| format!("logged by {}", wanted.by));
    let metrics = || step.metrics.as_ref().map(|wanted| format!("metrics of {}", wanted.of));
    collected.or_else(logged).or_else(metrics).or_else(|| step.traffic_metrics.as_ref().map(traffic_metrics::summary))
}

/// What the checks of the file should have caught.
fn unknown(what: &str, why: &str) -> CheckReport {
    CheckReport::plain(what, "", Verdict::Infrastructure, why)
}

/// All traffic of a scenario, in the order of its steps.
pub fn traffic_of(scenario: &Scenario) -> Vec<Traffic> {
    let mut all = Vec::new();
    collect(&scenario.steps, &mut all);
    all.extend(scenario.always.iter().map(|check| check.traffic.clone()));
    all
}

/// The rows of a probe table, each as traffic of one request.
fn rows(probes: &Probes) -> impl Iterator<Item = (Traffic, Expect)> {
    probes.rows.iter().map(|row| (probes.traffic(row), row.expect.clone()))
}

fn collect(steps: &[Step], into: &mut Vec<Traffic>) {
    for step in steps {
        into.extend(step.traffic.clone());
        into.extend(step.probes.iter().flat_map(rows).map(|(traffic, _)| traffic));
        into.extend(step.control.iter().filter_map(|c| c.traffic.clone()));
        into.extend(step.reading.iter().map(|reading| reading.traffic.clone()));
        step.parallel.iter().flatten().for_each(|branch| collect(branch, into));
        step.repeat.iter().for_each(|repeat| collect(&repeat.steps, into));
    }
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
