//! Expectations, judged on what the evaluator predicts and on what real ends saw. One aspect, one judgement.

pub mod predicted;
pub mod sampled;

use std::collections::BTreeMap;

use mesh::model::ServiceAccount;

use super::{aim::Aim, measure::Sample, predict::FAILED};
use crate::{
    judge::{
        Judgement, Verdict,
        sequential::{Outcome, SplitTest, Tolerance},
    },
    lab::{
        Lab,
        topology::{Pod, Topology},
    },
    scenario::model::{Because, Denied, Expect, Shape, Split},
};

/// A split expectation in the form that the tests take.
#[derive(Clone, Debug)]
pub struct SplitPlan {
    /// Names of workloads, and [`FAILED`] if a share must fail.
    pub names: Vec<String>,
    /// Their weights.
    pub weights: Vec<u64>,
    /// δ, α, β.
    pub tolerance: Tolerance,
}

impl SplitPlan {
    /// Reads an expectation.
    pub fn new(split: &Split) -> Self {
        let mut shares: BTreeMap<String, u64> = split.shares.clone();
        if let Some(failed) = split.failed {
            shares.insert(FAILED.to_owned(), failed);
        }
        let (names, weights) = shares.into_iter().unzip();
        let default = Tolerance::default();
        let tolerance = Tolerance {
            delta: split.delta.unwrap_or(default.delta),
            alpha: split.alpha.unwrap_or(default.alpha),
            beta: split.beta.unwrap_or(default.beta),
        };
        Self { names, weights, tolerance }
    }

    /// A new test; `None` if the expectation declares nothing that could be tested.
    pub fn test(&self) -> Option<SplitTest> {
        SplitTest::new(&self.weights, self.tolerance).ok()
    }

    /// The declared weights by name.
    pub fn declared(&self) -> BTreeMap<String, u64> {
        self.names.iter().cloned().zip(self.weights.iter().copied()).collect()
    }

    /// The place of a name among the categories.
    pub fn category(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| n == name)
    }
}

/// Pods by name, each with its workload.
#[derive(Clone, Debug)]
pub struct WorkloadNames(BTreeMap<String, String>);

impl WorkloadNames {
    /// All pods of a topology.
    pub fn of(topology: &Topology) -> Self {
        let pods = topology.pods.values();
        Self(pods.map(|pod| (pod.object.name.name.to_string(), pod.workload.clone())).collect())
    }

    /// The workload of a pod; the pod's own name if it belongs to none.
    pub fn workload<'a>(&'a self, pod: &'a str) -> &'a str {
        self.0.get(pod).map_or(pod, String::as_str)
    }

    /// The category of a sample among the shares of a split.
    pub fn outcome(&self, plan: &SplitPlan, sample: &Sample) -> Outcome {
        let name = match sample.sightings.as_slice() {
            [sighting] if sampled::answered(sample) => self.workload(&sighting.pod),
            [] => FAILED,
            // Seen twice, or seen without an answer: no share of anybody.
            _ => return Outcome::Elsewhere,
        };
        plan.category(name).map_or(Outcome::Elsewhere, Outcome::Category)
    }
}

/// The shapes and the reason that a denial must have; `None` if no denial is expected.
pub fn denial(expect: &Expect) -> Option<(&[Shape], Option<Because>)> {
    match expect.denied.as_ref()? {
        Denied::Plain(true) => Some((&[], None)),
        Denied::Plain(false) => None,
        Denied::Detailed(detail) => Some((&detail.shapes, detail.because)),
    }
}

/// An expectation in words.
pub fn words(expect: &Expect) -> String {
    let mut parts = Vec::new();
    match expect.allowed {
        Some(true) => parts.push("allowed".to_owned()),
        Some(false) => parts.push("not allowed".to_owned()),
        None => {}
    }
    if let Some((shapes, because)) = denial(expect) {
        let mut text = "denied".to_owned();
        if !shapes.is_empty() {
            let shapes: Vec<_> = shapes.iter().map(kebab).collect();
            text.push_str(&format!(" as {}", shapes.join(" or ")));
        }
        if let Some(because) = because {
            text.push_str(&format!(" because of {}", kebab(&because)));
        }
        parts.push(text);
    }
    if let Some(status) = expect.status {
        parts.push(format!("status {status}"));
    }
    parts.extend(expect.headers.iter().map(|(name, value)| format!("header {name}: {value}")));
    parts.extend(expect.absent.iter().map(|name| format!("no header {name}")));
    if let Some(tries) = expect.tries {
        parts.push(format!("seen {tries} times"));
    }
    if !expect.backend.is_empty() {
        parts.push(format!("served by {}", expect.backend.join(" or ")));
    }
    if !expect.reaches.is_empty() {
        parts.push(format!("reaching {}", expect.reaches.join(" and ")));
    }
    if let Some(split) = &expect.split {
        let plan = SplitPlan::new(split);
        let shares: Vec<_> = plan.declared().iter().map(|(name, weight)| format!("{name} {weight}")).collect();
        parts.push(format!("shares {}", shares.join(" : ")));
    }
    if expect.echo.is_some() {
        parts.push("the server seeing the request as described".into());
    }
    if let Some(peer) = &expect.peer {
        parts.push(format!("the server seeing {peer} as caller"));
    }
    if expect.predicted {
        parts.push("as the evaluator predicts".into());
    }
    if let Some(within) = &expect.within {
        parts.push(format!("within {within}"));
    }
    parts.join(", ")
}

/// A unit value as YAML writes it.
pub fn kebab(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The identity that `peer` means, for a sender.
pub(super) fn expected_peer(lab: &Lab, sender: &Pod, peer: &str) -> String {
    let account = match peer.split_once('/') {
        Some((namespace, name)) => ServiceAccount::new(namespace, name),
        None => ServiceAccount::new(sender.object.account.namespace.clone(), peer),
    };
    account.spiffe_id(&lab.world().settings().trust_domain)
}

/// Several judgements as one: what cannot be observed does not spoil what was seen to hold, but is no pass by itself.
pub fn together(parts: Vec<Judgement>) -> Judgement {
    let (unobservable, seen): (Vec<_>, Vec<_>) = parts.into_iter().partition(|p| p.verdict == Verdict::Unobservable);
    if seen.is_empty() { Judgement::all(unobservable) } else { Judgement::all(seen) }
}

/// Which workload a pod belongs to; the pod's own name if to none.
fn workload<'a>(lab: &'a Lab, pod: &'a str) -> &'a str {
    lab.topology.workload_of(pod).unwrap_or(pod)
}

/// What judging samples takes, wherever they come from.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The expectation.
    pub expect: &'a Expect,
    /// Whose pods the sightings are.
    pub names: &'a WorkloadNames,
    /// The caller that `peer` means, as sightings write it.
    pub peer: Option<&'a str>,
}

/// What every judge of a prediction is given.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The lab.
    pub lab: &'a Lab,
    /// The traffic, worked out.
    pub aim: &'a Aim,
    /// The expectation.
    pub expect: &'a Expect,
}
