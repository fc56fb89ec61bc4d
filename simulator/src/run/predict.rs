//! What the evaluator says will come of traffic.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    evaluator::{Delivered, Denial, Evaluation, Evaluator, Stage, Trace, Unmodelled, Verdict},
    exchange::{RequestId, Sighting},
    judge::exact::Fraction,
    lab::Lab,
    run::{aim::Aim, expect::kebab, measure::Sample},
};
use crate::{exchange::ClientResult, scenario::model::Shape};

/// Everything that can come of traffic, each with its exact share.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// The outcomes.
    pub outcomes: Vec<Predicted>,
}

/// One outcome.
#[derive(Clone, Debug)]
pub struct Predicted {
    /// Its share of the requests.
    pub share: Fraction,
    /// What comes of them.
    pub verdict: Verdict,
    /// The way that leads there, line by line.
    pub trace: Vec<String>,
    /// The RBAC policies that let them through, each the TrafficTarget `namespace/name`.
    pub granted: Vec<Arc<str>>,
}

impl Prediction {
    /// Evaluates traffic, with the way of each outcome.
    ///
    /// # Errors
    /// The configuration holds something that the evaluator does not model.
    pub fn of(evaluator: &Evaluator, aim: &Aim) -> Result<Self, Unmodelled> {
        let mut outcomes = Vec::new();
        for n in 0..aim.addresses.len() {
            let evaluation = evaluator.explain(&aim.caller, &aim.request(RequestId(0), n))?;
            outcomes.extend(Self::shares(&evaluation, aim.addresses.len()));
        }
        Ok(Self { outcomes })
    }

    fn shares(evaluation: &Evaluation, addresses: usize) -> impl Iterator<Item = Predicted> {
        let part = Fraction::new(1, addresses as u64).unwrap_or(Fraction::ONE);
        evaluation.outcomes.iter().map(move |outcome| Predicted {
            share: Fraction::new(outcome.weight, evaluation.total)
                .and_then(|s| s.times(part))
                .unwrap_or(Fraction::ZERO),
            verdict: outcome.verdict.clone(),
            trace: outcome.trace.to_string().lines().map(str::to_owned).collect(),
            granted: granted(&outcome.trace),
        })
    }

    /// The outcomes in which an application gets the request.
    pub fn delivered(&self) -> impl Iterator<Item = (&Predicted, &Delivered)> {
        self.outcomes.iter().filter_map(|o| match &o.verdict {
            Verdict::Delivered(delivered) => Some((o, delivered)),
            Verdict::Denied(_) => None,
        })
    }

    /// The outcomes in which none does.
    pub fn denied(&self) -> impl Iterator<Item = (&Predicted, &Denial)> {
        self.outcomes.iter().filter_map(|o| match &o.verdict {
            Verdict::Denied(denial) => Some((o, denial)),
            Verdict::Delivered(_) => None,
        })
    }

    /// Whether every request reaches an application.
    pub fn is_allowed(&self) -> bool {
        self.denied().next().is_none() && !self.outcomes.is_empty()
    }

    /// Shares by workload; what is not delivered counts as `failed`.
    ///
    /// # Errors
    /// A share that cannot be written in 64 bits.
    pub fn by_workload(&self, lab: &Lab) -> Result<BTreeMap<String, Fraction>, &'static str> {
        let mut shares: BTreeMap<String, Fraction> = BTreeMap::new();
        for outcome in &self.outcomes {
            let name = match &outcome.verdict {
                Verdict::Delivered(delivered) => {
                    lab.topology.workload_of(&delivered.pod).unwrap_or(&delivered.pod).to_owned()
                }
                Verdict::Denied(_) => FAILED.to_owned(),
            };
            let share = shares.entry(name).or_insert(Fraction::ZERO);
            *share = share.plus(outcome.share).ok_or("a share that cannot be written exactly")?;
        }
        Ok(shares)
    }

    /// Whether a real request ended in one of the ways predicted; if not, what was predicted, in words.
    ///
    /// # Errors
    /// The words.
    pub fn confirm(&self, sample: &Sample, aim: &Aim) -> Result<(), String> {
        let refused = matches!(&sample.view.result, ClientResult::Failed { shape: Some(Shape::Refused), .. });
        if aim.unbound && refused && self.denied().next().is_some() {
            return Ok(());
        }
        if self.outcomes.iter().any(|o| agrees(&o.verdict, sample)) {
            return Ok(());
        }
        let said: Vec<_> = self.outcomes.iter().map(|o| words(&o.verdict)).collect();
        Err(said.join(", or "))
    }
}

fn granted(trace: &Trace) -> Vec<Arc<str>> {
    let guards = trace.steps.iter().filter(|step| matches!(step.stage, Stage::NetworkRbac | Stage::HttpRbac));
    let mut targets: Vec<_> = guards.flat_map(|step| step.objects.iter().cloned()).collect();
    targets.sort();
    targets.dedup();
    targets
}

/// The name under which failed requests are counted beside workloads.
pub const FAILED: &str = "(failed)";

fn agrees(verdict: &Verdict, sample: &Sample) -> bool {
    match (verdict, &sample.view.result) {
        // Which bytes come out depends on timing; no share of it is an allowed request.
        (Verdict::Delivered(delivered), _) if delivered.banner_only => true,
        (Verdict::Delivered(delivered), ClientResult::Answered { .. }) => match sample.sightings.as_slice() {
            [sighting] => same(delivered, sighting),
            _ => false,
        },
        (Verdict::Denied(denial), ClientResult::Failed { shape, .. }) => {
            sample.sightings.is_empty() && denial.shape.is_none_or(|expected| *shape == Some(expected))
        }
        _ => false,
    }
}

fn same(delivered: &Delivered, sighting: &Sighting) -> bool {
    *delivered.pod == *sighting.pod
        && delivered.port == sighting.port
        && delivered.path == sighting.path
        && delivered.authority.eq_ignore_ascii_case(&sighting.authority)
        && (sighting.method.is_empty() || delivered.peer == sighting.peer)
}

/// An outcome in words.
pub fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Delivered(delivered) if delivered.path.is_empty() => {
            format!("{} gets it on port {}", delivered.pod, delivered.port)
        }
        Verdict::Delivered(delivered) => {
            let Delivered { pod, port, authority, path, .. } = delivered;
            format!("{pod} gets it on port {port} (host {authority}, path {path})")
        }
        Verdict::Denied(denial) => {
            let shape = denial.shape.map_or_else(|| "an unusual failure".into(), |s| kebab(&s));
            format!("denied by {} at {} ({shape})", denial.pod, denial.layer)
        }
    }
}
