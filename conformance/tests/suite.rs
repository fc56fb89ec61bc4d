//! The suite on this project's own mesh.

#![expect(clippy::unwrap_used, reason = "a failure is the test's failure")]

use std::{sync::Arc, time::Duration};

use conformance::{
    catalogue,
    clause::{Level, Proof},
    report::{Circumstances, ClauseStatus, FeatureStatus, Report, RunVerdict, Suite as About, assemble},
    run::{Known, Options, Replay, run},
    selftest,
    suite::Suite,
    target::{Target as _, simulator::Simulator},
};
use simulator::{run::Settings, scenario::model::Step};

const SEED: u64 = 7;

/// The whole suite on the evaluator. `simulator`'s tests run the same files on real Envoys.
fn report() -> Report {
    let suite = Suite::embedded().unwrap();
    let target = Arc::new(Simulator::new(Settings::evaluator(SEED)));
    let options = Options {
        seed: SEED,
        jobs: 2,
        retries: 0,
        fail_fast: false,
        known: Known::default(),
        replay: Replay::default(),
        patience: Duration::from_secs(600),
    };
    let circumstances = Circumstances {
        date: "2026-01-01T00:00:00Z".into(),
        seed: SEED,
        replay: String::new(),
        duration_ms: 0,
        environment: target.environment(),
    };
    let about = About {
        version: String::new(),
        specification: String::new(),
        scenarios_sha256: suite.sha256.clone(),
        self_test: selftest::of(&suite.sha256),
    };
    let implementation = target.implementation().clone();
    let (events, _) = tokio::sync::mpsc::unbounded_channel();
    let results = tokio::runtime::Runtime::new().unwrap().block_on(run(suite.tests, target, options, events));
    assemble(circumstances, about, implementation, results)
}

#[test]
fn our_own_mesh_keeps_what_it_claims() {
    let report = report();
    let features = |status| report.features.iter().filter(move |feature| feature.status == status);
    let failed: Vec<_> = report.tests.iter().filter_map(|test| Some((&test.id, test.reason.as_ref()?))).collect();
    let failed: Vec<_> = failed.into_iter().filter(|(_, why)| !why.contains("does not claim")).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let unproven: Vec<_> = features(FeatureStatus::Unproven).map(|feature| &feature.name).collect();
    assert!(unproven.is_empty(), "nothing proves {unproven:?}");
    assert_eq!(report.run.verdict, RunVerdict::Pass);

    // Every clause that binds a mesh, and that the evaluator can show, is kept; every ambiguous one that is asked about is read as
    // the catalogue says that we read it.
    for result in &report.clauses {
        let clause = catalogue::clause(&result.id).unwrap();
        let excused = catalogue::unshown(&clause.id).or(catalogue::shown_in_part(&clause.id));
        let shown = clause.proof == Proof::Traffic && excused.is_none();
        match clause.level {
            Level::Must | Level::Implied if shown && result.status != ClauseStatus::Read => {
                assert_eq!(result.status, ClauseStatus::Kept, "{}: {:?}", clause.id, result.reason);
            }
            Level::Ambiguous if !result.readings.is_empty() => {
                let ours: Vec<_> = clause.ours.iter().collect();
                assert_eq!(result.readings.iter().collect::<Vec<_>>(), ours, "{}", clause.id);
            }
            _ => {}
        }
    }
}

#[test]
fn what_is_known_of_the_suite_is_recorded_and_good() {
    let suite = Suite::embedded().unwrap();
    let Some(known) = selftest::of(&suite.sha256) else {
        panic!("scenarios have changed: run `smi-conformance mutants --record conformance/self-test.yaml`")
    };
    assert!(known.mutants >= 40, "{known:?}");
    assert!(known.survivors.is_empty() && known.vacuous.is_empty(), "{known:?}");
    assert!(known.fair_runs >= 1000, "{known:?}");
}

/// What holds before a policy is applied differs from what must hold after; where traffic is measured, it is measured before too.
#[test]
fn every_test_can_be_seen_to_differ() {
    let suite = Suite::embedded().unwrap();
    assert!(suite.tests.len() >= 200);
    let differs = |step: &Step| step.control.is_some() || step.traffic_metrics.is_some();
    let same = suite.tests.iter().filter(|test| !test.task.scenario.steps.iter().any(differs));
    let same: Vec<_> = same.filter(|test| !test.is_baseline()).map(conformance::suite::Test::id).collect();
    assert!(same.is_empty(), "no control in {same:?}");
}
