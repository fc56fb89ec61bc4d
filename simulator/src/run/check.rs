//! One piece of traffic with its expectation: predicted, sent, judged.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    aim::{Aim, describe},
    carrier::Surroundings,
    execution::Execution,
    expect::{Case, Scene, SplitPlan, WorkloadNames, denial, expected_peer, predicted, sampled, together, words},
    measure::{Sample, Sender, Until},
    predict::Prediction,
    remedy::remedy,
    ways::ways,
};
use crate::{
    evaluator::Unmodelled,
    exchange::RequestId,
    judge::{Judgement, Verdict, sequential::SplitTest},
    lab::{Lab, LabError, topology::Pod},
    report::CheckReport,
    scenario::{
        duration,
        model::{Auto, Count, Expect, Traffic},
    },
};

/// Where no count is given and the expectation does not decide one.
const AUTO: usize = 20;
const RETRY: Duration = Duration::from_millis(50);

impl Execution {
    /// Judges traffic by its expectation.
    pub(super) async fn judged(&self, traffic: &Traffic, expect: &Expect, around: &Surroundings) -> CheckReport {
        let patience = expect.within.as_deref().and_then(|text| duration::parse(text).ok()).unwrap_or_default();
        let mut deadline = Instant::now() + patience;
        if !around.unstable && self.lab.lock().await.live.is_none() {
            // On the evaluator time alone changes nothing.
            deadline = Instant::now();
        }
        loop {
            let report = match self.attempt(traffic, expect, around).await {
                Ok(report) => self.within_sight(report),
                Err(error) => broken(describe(traffic), words(expect), &error),
            };
            // What cannot be observed now cannot be later.
            let settled = matches!(report.verdict, Verdict::Pass | Verdict::Unobservable);
            if settled || Instant::now() >= deadline {
                return report;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// What the evaluator does not model is an open question, unless the scenario is not meant for it.
    fn within_sight(&self, mut report: CheckReport) -> CheckReport {
        if self.is_real_only() && report.unmodelled.is_some() && report.verdict == Verdict::Inconclusive {
            report.verdict = Verdict::Unobservable;
        }
        report
    }

    async fn attempt(
        &self,
        traffic: &Traffic,
        expect: &Expect,
        around: &Surroundings,
    ) -> Result<CheckReport, LabError> {
        let until_done = traffic.duration.as_deref() == Some("until-done");
        let (aim, prediction, sender) = {
            let lab = self.lab.lock().await;
            let aim = Arc::new(Aim::new(&lab, traffic)?);
            let prediction = Prediction::of(lab.evaluator(), &aim);
            let many = traffic.n.is_some_and(|n| n != Count::Exactly(1)) || traffic.duration.is_some();
            let sender = lab
                .live
                .as_ref()
                .and_then(|live| Sender::new(aim.clone(), traffic, self.ids.clone(), live.witness.clone(), many));
            (aim, prediction, sender)
        };
        match sender {
            Some(sender) => self.attempt_live(traffic, expect, around, &aim, &prediction, &sender).await,
            None if until_done => self.attempt_until_done(traffic, expect, around).await,
            None => {
                let lab = self.lab.lock().await;
                let case = Case { lab: &lab, aim: &aim, expect };
                Ok(on_paper(case, &prediction))
            }
        }
    }

    async fn attempt_live(
        &self,
        traffic: &Traffic,
        expect: &Expect,
        around: &Surroundings,
        aim: &Aim,
        prediction: &Result<Prediction, Unmodelled>,
        sender: &Sender,
    ) -> Result<CheckReport, LabError> {
        let plan = expect.split.as_ref().map(SplitPlan::new);
        let mut test = plan.as_ref().and_then(SplitPlan::test);
        let until = until(traffic, around, test.as_ref());
        let samples = match (&plan, &mut test) {
            (Some(plan), Some(test)) => {
                let automatic = matches!(traffic.n, Some(Count::Auto(Auto::Auto)));
                let names = self.workload_names().await;
                let samples = sender.send(until, |sample| {
                    use crate::judge::sequential::Decision;
                    test.observe(names.outcome(plan, sample)) != Decision::Undecided && automatic
                });
                samples.await
            }
            _ => sender.send(until, |_| false).await,
        };
        let lab = self.lab.lock().await;
        let case = Case { lab: &lab, aim, expect };
        let names = WorkloadNames::of(&lab.topology);
        let peer = expect.peer.as_deref().map(|peer| expected_peer(&lab, &aim.sender, peer));
        let scene = Scene { expect, names: &names, peer: peer.as_deref() };
        let mut parts = sampled::judge(scene, &samples, plan.as_ref().zip(test.as_ref()));
        // A broken mesh is caught by what it does, not by what the evaluator says of it.
        if !around.unstable && !lab.is_broken() {
            parts.push(confirmed(prediction, case, &samples));
            parts.extend(prediction.iter().flat_map(|p| predicted::judge(case, p)).map(on_evaluator));
        }
        if denial(expect).is_some() && parts.iter().all(|p| p.verdict != Verdict::Fail) {
            parts.push(self.control(&lab, traffic, aim).await);
        }
        let mut report = report(case, parts, prediction);
        report.client_saw = sampled::client_saw(&samples);
        report.server_saw = sampled::server_saw(&samples);
        let figures = test.as_ref().zip(plan.as_ref()).map(|(test, plan)| test.report().named(&plan.names));
        report.statistics = figures.and_then(|figures| serde_json::to_value(figures).ok());
        report.beta = plan.map_or(0.0, |p| p.tolerance.beta);
        if report.verdict == Verdict::Pass {
            report.trace.clear();
            report.remedy = None;
        }
        Ok(report)
    }

    /// On the evaluator: judges anew whenever something changes, until the other branches have ended.
    async fn attempt_until_done(
        &self,
        traffic: &Traffic,
        expect: &Expect,
        around: &Surroundings,
    ) -> Result<CheckReport, LabError> {
        let mut changed = self.lab.lock().await.changed();
        let mut done = around.done.clone();
        loop {
            changed.mark_unchanged();
            let report = {
                let lab = self.lab.lock().await;
                let aim = Aim::new(&lab, traffic)?;
                let prediction = Prediction::of(lab.evaluator(), &aim);
                on_paper(Case { lab: &lab, aim: &aim, expect }, &prediction)
            };
            let ended = match &mut done {
                Some(done) if *done.borrow() => true,
                Some(done) => tokio::select! {
                    _ = done.wait_for(|done| *done) => false,
                    result = changed.changed() => result.is_err(),
                },
                None => true,
            };
            if report.verdict != Verdict::Pass || ended {
                return Ok(report);
            }
        }
    }

    /// Positive evidence for a denial: the same destination answers somebody who is allowed, now; or, if nobody is, its
    /// application does when it is asked directly.
    async fn control(&self, lab: &Lab, traffic: &Traffic, aim: &Aim) -> Judgement {
        let Some(live) = &lab.live else { return Judgement::pass() };
        for candidate in &self.candidates {
            if candidate.to != traffic.to && !same_host(&candidate.to, &traffic.to) {
                continue;
            }
            let Ok(allowed) = Aim::new(lab, candidate) else { continue };
            if !Prediction::of(lab.evaluator(), &allowed).is_ok_and(|p| p.is_allowed()) {
                continue;
            }
            let what = allowed.what.clone();
            let Some(sender) = Sender::new(Arc::new(allowed), candidate, self.ids.clone(), live.witness.clone(), false)
            else {
                continue;
            };
            let samples = sender.send(Until::Count(1), |_| false).await;
            if samples.iter().all(|s| s.is_delivered() && sampled::answered(s)) {
                return Judgement::pass();
            }
            let saw = sampled::client_saw(&samples).join("; ");
            return Judgement::fail(format!(
                "the denial proves nothing: the control request {what}, which is allowed, got {saw}"
            ));
        }
        match self.application_answers(lab, aim).await {
            Ok(()) => Judgement::pass(),
            Err(why) => Judgement::of(Verdict::Infrastructure, format!("the denial proves nothing: {why}")),
        }
    }
}

/// Bare and qualified names of one service.
pub fn same_host(a: &str, b: &str) -> bool {
    let bare = |text: &str| text.split([':', '.']).next().map(str::to_owned);
    !a.starts_with("pod:") && !b.starts_with("pod:") && bare(a) == bare(b)
}

fn until(traffic: &Traffic, around: &Surroundings, test: Option<&SplitTest>) -> Until {
    match (&traffic.duration, &around.done) {
        (Some(text), Some(done)) if text == "until-done" => Until::Stopped(done.clone()),
        (Some(text), _) => Until::Elapsed(duration::parse(text).unwrap_or_default()),
        (None, _) => Until::Count(match (traffic.n, test) {
            (None, _) => 1,
            (Some(Count::Exactly(n)), _) => n as usize,
            (Some(Count::Auto(Auto::Auto)), Some(test)) => usize::try_from(test.max_samples()).unwrap_or(usize::MAX),
            (Some(Count::Auto(Auto::Auto)), None) => AUTO,
        }),
    }
}

/// The verdict of the evaluator alone.
fn on_paper(case: Case<'_>, prediction: &Result<Prediction, Unmodelled>) -> CheckReport {
    let parts = match prediction {
        Ok(prediction) => predicted::judge(case, prediction),
        // Not "unobservable": whether it holds is an open question, and nobody shall read a pass out of it.
        Err(unmodelled) => vec![Judgement::of(Verdict::Inconclusive, unmodelled.to_string())],
    };
    report(case, parts, prediction)
}

/// Real traffic and evaluator must agree, request by request, where the evaluator knows the answer.
fn confirmed(prediction: &Result<Prediction, Unmodelled>, case: Case<'_>, samples: &[Sample]) -> Judgement {
    let prediction = match prediction {
        Ok(prediction) => prediction,
        Err(unmodelled) if case.expect.predicted => {
            return Judgement::of(Verdict::Unobservable, unmodelled.to_string());
        }
        Err(_) => return Judgement::pass(),
    };
    let mut odd = samples.iter().filter_map(|s| Some((s, prediction.confirm(s, case.aim).err()?)));
    let Some((sample, said)) = odd.next() else { return Judgement::pass() };
    let saw = sampled::client_saw(std::slice::from_ref(sample)).concat();
    let server = sampled::server_saw(std::slice::from_ref(sample)).concat();
    let more = odd.count();
    Judgement::fail(format!(
        "Envoy and the evaluator disagree on {} requests: the evaluator says {said}; the client saw {saw}, the servers {server}",
        more + 1
    ))
}

/// The evaluator's own verdict counts beside the real one; what it cannot know is left to the real one.
fn on_evaluator(part: Judgement) -> Judgement {
    match part.verdict {
        Verdict::Unobservable => Judgement::pass(),
        verdict => {
            Judgement { verdict, reasons: part.reasons.into_iter().map(|r| format!("by the evaluator: {r}")).collect() }
        }
    }
}

fn report(case: Case<'_>, parts: Vec<Judgement>, prediction: &Result<Prediction, Unmodelled>) -> CheckReport {
    let judgement = together(parts);
    let failed = judgement.verdict != Verdict::Pass;
    let unmodelled = prediction.as_ref().err().map(ToString::to_string);
    let prediction = prediction.as_ref().ok().filter(|_| failed);
    CheckReport {
        trace: prediction.map(|p| ways(&p.outcomes, denial(case.expect).is_some())).unwrap_or_default(),
        remedy: prediction.and_then(|p| remedy(case.lab, case.aim, predicted::first_denial(p)?)),
        unmodelled,
        ..judged(&case.aim.what, case.expect, &judgement)
    }
}

/// A judgement as a check.
pub fn judged(what: &str, expect: &Expect, judgement: &Judgement) -> CheckReport {
    CheckReport::plain(what, words(expect), judgement.verdict, observed(&judgement.reasons))
}

/// All reasons, each once.
fn observed(reasons: &[String]) -> String {
    const SHOWN: usize = 4;
    let mut seen = BTreeSet::new();
    let distinct: Vec<_> = reasons.iter().filter(|reason| seen.insert(*reason)).map(String::as_str).collect();
    let mut text = distinct[..distinct.len().min(SHOWN)].join("; ");
    if distinct.len() > SHOWN {
        text.push_str(&format!("; and {} more", distinct.len() - SHOWN));
    }
    text
}

/// A check that could not be carried out.
pub(super) fn broken(what: String, expected: String, error: &LabError) -> CheckReport {
    let verdict =
        if matches!(error, LabError::Unobservable(_)) { Verdict::Unobservable } else { Verdict::Infrastructure };
    CheckReport::plain(what, expected, verdict, error.to_string())
}

impl Execution {
    /// Asks the applications behind the destination directly, past every sidecar.
    async fn application_answers(&self, lab: &Lab, aim: &Aim) -> Result<(), String> {
        use crate::{
            client::{Route, Session},
            scenario::model::Connections,
        };
        let Some(live) = &lab.live else { return Ok(()) };
        let behind = |pod: &&Pod| match &aim.service {
            Some(service) => lab.store.service(service).is_some_and(|s| s.selects(&pod.object.labels)),
            None => aim.addresses.iter().any(|a| a.ip() == pod.object.address),
        };
        let pods: Vec<_> = lab.topology.pods.values().filter(behind).collect();
        for pod in pods {
            for (port, kind) in &pod.ports {
                let Some(address) = live.application(&pod.object.name, *port) else { continue };
                if pod.presents.is_some() {
                    continue;
                }
                let request = crate::exchange::Request {
                    id: self.ids.next_id(),
                    proto: kind.proto(),
                    destination: address,
                    ..aim.request(RequestId(0), 0)
                };
                let session = Session::new(Route::Direct { source: None }, Connections::PerRequest);
                let view = session.send(&request).await;
                if live.witness.sightings(request.id).is_empty() {
                    return Err(format!("the application of {} does not answer: {:?}", pod.object.name, view.result));
                }
                live.witness.forget([request.id]);
            }
        }
        Ok(())
    }
}
