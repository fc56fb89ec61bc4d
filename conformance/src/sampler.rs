//! A fair sampler: a mesh whose shares are exactly the stated ones, measured as a real one is.
//!
//! Statistics fail a correct mesh now and then; how often they may is stated with every measurement (β). Here it is counted.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use simulator::{
    judge::{
        Verdict,
        sequential::{Decision, Outcome, SplitTest},
    },
    run::{Settings, expect::SplitPlan, run_one},
    scenario::model::{Count, Expect, Scenario, Step, Traffic},
};
use tokio::sync::mpsc;

use crate::kill::File;

/// One measurement of shares that a scenario asks for.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// The scenario.
    pub scenario: String,
    /// What it declares, and with what errors.
    pub plan: SplitPlan,
    /// How many requests it sends; `None`: as many as it takes.
    pub requests: Option<u32>,
}

/// All measurements of a suite.
#[derive(Clone, Debug, Default)]
pub struct Shares {
    /// In the order of the files.
    pub measurements: Vec<Measurement>,
    /// Scenarios that do not pass on the evaluator: what a correct mesh does there is not known.
    pub unknown: Vec<String>,
}

/// What came of many runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FalseAlarms {
    /// Runs of all measurements.
    pub runs: usize,
    /// Measurements in each.
    pub measurements: usize,
    /// Runs in which at least one measurement did not pass.
    pub false_alarms: usize,
    /// What did not pass, with how often.
    pub by_scenario: std::collections::BTreeMap<String, usize>,
    /// How many such runs the stated errors allow on average, at most.
    pub expected: f64,
}

impl FalseAlarms {
    /// Whether a mesh with the stated errors would have so many false alarms at least once in a thousand times.
    #[must_use]
    pub fn within_budget(&self) -> bool {
        const SURPRISE: f64 = 1e-3;
        // Poisson: P(X ≥ k) = 1 − Σ_{i<k} e^{−λ} λ^i / i!
        let (mut term, mut fewer) = ((-self.expected).exp(), 0.0);
        for i in 0..self.false_alarms {
            fewer += term;
            #[expect(clippy::cast_precision_loss, reason = "a number of runs")]
            let next = (i + 1) as f64;
            term *= self.expected / next;
        }
        1.0 - fewer >= SURPRISE
    }
}

/// What the scenarios measure. The evaluator knows no tolerance: where a scenario passes on it, a correct mesh has exactly the
/// declared shares.
pub async fn shares(files: &[File], settings: &Settings) -> Shares {
    let mut shares = Shares::default();
    for task in files.iter().flat_map(|file| &file.tasks) {
        let mut found = Vec::new();
        collect(&task.scenario, &mut found);
        if found.is_empty() {
            continue;
        }
        let report = run_one(task, settings, &mpsc::unbounded_channel().0).await;
        if report.verdict == Verdict::Pass {
            shares.measurements.extend(found);
        } else {
            shares.unknown.push(report.id);
        }
    }
    shares
}

/// Measures everything so many times.
#[must_use]
pub fn sample(shares: &Shares, runs: usize, seed: u64) -> FalseAlarms {
    let mut by_scenario = std::collections::BTreeMap::new();
    let mut false_alarms = 0;
    for run in 0..runs {
        let mut alarmed = false;
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ (run as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for measurement in &shares.measurements {
            if !passes(measurement, &mut rng) {
                alarmed = true;
                *by_scenario.entry(measurement.scenario.clone()).or_default() += 1;
            }
        }
        false_alarms += usize::from(alarmed);
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of runs")]
    let expected = runs as f64 * shares.measurements.iter().map(|m| m.plan.tolerance.beta).sum::<f64>();
    FalseAlarms { runs, measurements: shares.measurements.len(), false_alarms, by_scenario, expected }
}

/// Draws requests until the test knows; whether it says that the shares are right.
fn passes(measurement: &Measurement, rng: &mut ChaCha8Rng) -> bool {
    let Some(mut test) = measurement.plan.test() else { return false };
    let total: u64 = measurement.plan.weights.iter().sum();
    let limit = measurement.requests.map_or(test.max_samples(), u64::from);
    for _ in 0..limit {
        let mut drawn = rng.random_range(0..total);
        let category = measurement.plan.weights.iter().position(|weight| match drawn.checked_sub(*weight) {
            Some(rest) => {
                drawn = rest;
                false
            }
            None => true,
        });
        let decision = observe(&mut test, category);
        // A fixed number of requests is sent to the last one.
        if decision != Decision::Undecided && measurement.requests.is_none() {
            break;
        }
    }
    test.decision() == Decision::Pass
}

fn observe(test: &mut SplitTest, category: Option<usize>) -> Decision {
    test.observe(category.map_or(Outcome::Elsewhere, Outcome::Category))
}

fn collect(scenario: &Scenario, into: &mut Vec<Measurement>) {
    let mut add = |traffic: &Traffic, expect: &Expect| {
        if let Some(split) = &expect.split {
            let requests = match traffic.n {
                Some(Count::Exactly(n)) => Some(n),
                _ => None,
            };
            let plan = SplitPlan::new(split);
            into.push(Measurement { scenario: scenario.id.clone(), plan, requests });
        }
    };
    walk(&scenario.steps, &mut add);
    for check in &scenario.always {
        // At the start and after every step.
        (0..=scenario.steps.len()).for_each(|_| add(&check.traffic, &check.expect));
    }
}

fn walk(steps: &[Step], add: &mut dyn FnMut(&Traffic, &Expect)) {
    for step in steps {
        if let (Some(traffic), Some(expect)) = (&step.traffic, &step.expect) {
            add(traffic, expect);
        }
        if let Some(control) = &step.control
            && let (Some(traffic), Some(expect)) = (&control.traffic, &control.expect)
        {
            add(traffic, expect);
        }
        for probe in step.probes.iter().flat_map(|probes| &probes.rows) {
            add(&Traffic::default(), &probe.expect);
        }
        step.parallel.iter().flatten().for_each(|branch| walk(branch, add));
        if let Some(repeat) = &step.repeat {
            (0..repeat.times).for_each(|_| walk(&repeat.steps, add));
        }
    }
}

#[cfg(test)]
mod tests {
    use simulator::judge::sequential::Tolerance;

    use super::*;

    fn shares(requests: Option<u32>, tolerance: Tolerance) -> Shares {
        let plan = SplitPlan { names: vec!["a".into(), "b".into()], weights: vec![7, 3], tolerance };
        Shares { measurements: vec![Measurement { scenario: "s".into(), plan, requests }; 3], unknown: Vec::new() }
    }

    #[test]
    fn a_fair_mesh_fails_about_as_often_as_stated() {
        let loose = Tolerance { delta: 0.1, alpha: 0.01, beta: 0.02 };
        let alarms = sample(&shares(None, loose), 500, 1);
        assert_eq!((alarms.runs, alarms.measurements), (500, 3));
        assert!((alarms.expected - 30.0).abs() < 1e-9, "{alarms:?}");
        assert!(alarms.within_budget(), "{alarms:?}");
        // The bounds of a sequential test are not tight, but it is no oracle either.
        assert!(alarms.false_alarms > 0, "{alarms:?}");
        assert_eq!(alarms, sample(&shares(None, loose), 500, 1), "the seed decides everything");
    }

    #[test]
    fn too_few_requests_are_found_out() {
        let alarms = sample(&shares(Some(30), Tolerance::default()), 50, 1);
        assert_eq!(alarms.false_alarms, 50);
        assert_eq!(alarms.by_scenario["s"], 150);
        assert!(!alarms.within_budget());
    }
}
