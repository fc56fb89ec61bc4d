//! The suite can tell: every broken mesh is killed, every scenario does what it says, and nothing passes where there is no mesh.

#![expect(clippy::unwrap_used, reason = "a failure is the test's failure")]

use std::path::{Path, PathBuf};

use conformance::{
    kill::{self, File, Finding, Plan, Sample},
    mutant::mutants,
    sampler,
};
use simulator::{
    envoy::{Wish, find::present},
    run::Settings,
};

fn suite() -> Vec<File> {
    kill::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/conformance")).unwrap()
}

fn words(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("- {finding}\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_matrix_is_whole() {
    let matrix = kill::run(suite(), Plan::default(), &kill::on_evaluator(1), |_| {}).await;
    assert_eq!(matrix.mutants.len(), mutants().len());
    assert!(matrix.pairs.len() >= matrix.mutants.len());
    let untried: Vec<_> = matrix.files.iter().filter(|file| !matrix.null.contains_key(&file.path)).collect();
    assert!(
        untried.iter().all(|file| file.path.iter().any(|part| part == "metrics")),
        "only Envoys count: {untried:?}"
    );
    let findings = kill::findings(&matrix);
    assert!(findings.is_empty(), "`smi-conformance mutants` tells more:\n{}", words(&findings));
}

/// Chance decides which. `SIMULATOR_SEED` repeats a run; without an Envoy nothing is shown, and that is an error under
/// `REQUIRE_REAL=1`.
#[tokio::test(flavor = "multi_thread")]
async fn real_envoys_show_the_same_kills() {
    const SAMPLE: usize = 8;
    let seed = std::env::var("SIMULATOR_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    let Some(envoys) = envoys(seed).await else { return };
    let plan = Plan { sample: Some(Sample { size: SAMPLE, seed }), null: false, ..Plan::default() };
    let matrix = kill::run(suite(), plan, &envoys, |_| {}).await;
    assert_eq!(matrix.pairs.len(), SAMPLE);
    let findings = kill::findings(&matrix);
    let undone: Vec<_> = findings.into_iter().filter(|f| matches!(f, Finding::Undone { .. })).collect();
    assert!(undone.is_empty(), "with SIMULATOR_SEED={seed}:\n{}", words(&undone));
}

/// The evaluator counts nothing, so that what is measured is asked of Envoys, and there of none.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_measured_without_a_mesh() {
    let Some(envoys) = envoys(1).await else { return };
    let measured = suite().into_iter().filter(|file| file.path.iter().any(|part| part == "metrics")).collect();
    let plan = Plan { mutants: Vec::new(), ..Plan::default() };
    let matrix = kill::run(measured, plan, &envoys, |_| {}).await;
    assert!(matrix.null.len() >= 8);
    let vacuous: Vec<_> = matrix.vacuous().map(|file| &file.path).collect();
    assert!(vacuous.is_empty(), "{vacuous:?}");
}

/// Settings for real Envoys; `None` if there is none here. Nothing is installed.
async fn envoys(seed: u64) -> Option<Settings> {
    let wish = Wish { envoy: std::env::var_os("SIMULATOR_ENVOY").map(PathBuf::from), ..Wish::default() };
    let why = match present(&wish).await {
        Ok(Ok(choice)) => return Some(Settings { backend: choice.backend, jobs: 2, ..Settings::evaluator(seed) }),
        Ok(Err(searched)) => searched.to_string(),
        Err(error) => error.to_string(),
    };
    assert!(std::env::var_os("REQUIRE_REAL").is_none_or(|value| value != "1"), "no Envoy: {why}");
    eprintln!("skipped, for there is no Envoy: {why}");
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correct_mesh_fails_no_more_often_than_stated() {
    let shares = sampler::shares(&suite(), &kill::on_evaluator(1)).await;
    assert_eq!(shares.unknown, [""; 0], "these do not pass on the evaluator");
    assert!(!shares.measurements.is_empty());
    let alarms = sampler::sample(&shares, 10, 1);
    assert!(alarms.within_budget(), "{alarms:?}");
}
