//! The scenarios of the metrics API tell a right one from wrong ones, on real Envoys: what each says that it kills, it kills; and
//! where nobody has a sidecar none of them passes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::PathBuf;

use futures::StreamExt as _;
use mesh::metrics::MetricsMutation;
use simulator::{
    cli::{
        args::Selection,
        load::{Loaded, load_checked},
    },
    client::RequestIds,
    envoy::{Backend, Variant, Wish, find::present},
    judge::Verdict,
    lab::{Lab, Options, live::Runtime, metrics::MetricsApi},
    report::StepReport,
    run::{Execution, combined},
    scenario::model::Scenario,
};

const MUTANTS: [(&str, MetricsMutation); 4] = [
    ("metrics-doubled", MetricsMutation::Doubled),
    ("metrics-edges-swapped", MetricsMutation::EdgesSwapped),
    ("metrics-failures-as-successes", MetricsMutation::FailuresAsSuccesses),
    ("metrics-stale", MetricsMutation::Stale),
];

/// The scenarios, impatient: what is wrong stays wrong.
fn scenarios() -> Vec<(PathBuf, Scenario)> {
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).unwrap();
    let paths = vec![PathBuf::from("scenarios/conformance/metrics")];
    let (loaded, _) = load_checked(&Selection { paths, only: Vec::new() }).unwrap_or_else(|_| panic!("they are sound"));
    let hasten = |Loaded { file, expanded, .. }| {
        let mut scenario: Scenario = expanded.scenario;
        for wanted in scenario.steps.iter_mut().filter_map(|step| step.traffic_metrics.as_mut()) {
            wanted.within = Some("1s".into());
        }
        (file, scenario)
    };
    loaded.into_iter().map(hasten).collect()
}

async fn envoy() -> Option<PathBuf> {
    let wish = Wish { envoy: std::env::var_os("SIMULATOR_ENVOY").map(PathBuf::from), ..Wish::default() };
    let found = match present(&wish).await {
        Ok(Ok(choice)) => match choice.backend {
            Backend::Process { envoy, .. } => Some(envoy),
            _ => None,
        },
        _ => None,
    };
    let required = std::env::var("REQUIRE_REAL").is_ok_and(|value| value == "1");
    assert!(found.is_some() || !required, "REQUIRE_REAL is set, and there is no Envoy: run `simulator envoy install`");
    found
}

async fn run(envoy: PathBuf, file: PathBuf, scenario: Scenario, metrics: MetricsApi) -> Vec<StepReport> {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Some(Runtime::Process { envoy });
    let options = Options { runtime, variant: Variant::Delta, seed: 1, dir: dir.path().to_owned(), mutation: None };
    let mut lab = Lab::start(&scenario, &file, &options).await.unwrap();
    lab.metrics = metrics;
    let execution = Execution::new(lab, scenario.into(), RequestIds::new(1).into());
    let steps = execution.run(|_| {}).await;
    execution.lab.into_inner().stop().await.unwrap();
    steps
}

fn verdict(steps: &[StepReport]) -> Verdict {
    combined(steps.iter().filter(|step| !step.checks.is_empty()).map(|step| step.verdict), Verdict::Inconclusive)
}

fn told(steps: &[StepReport]) -> String {
    let checks = steps.iter().flat_map(|step| &step.checks).filter(|check| check.verdict != Verdict::Pass);
    checks.map(|check| format!("{}: {}", check.what, check.observed)).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_passes_and_kills_what_it_says() {
    let Some(envoy) = envoy().await else { return };
    let mut runs = Vec::new();
    for (file, scenario) in scenarios() {
        runs.push((None, file.clone(), scenario.clone()));
        for (name, mutation) in MUTANTS.iter().filter(|(name, _)| scenario.kills.iter().any(|killed| killed == name)) {
            runs.push((Some((*name, *mutation)), file.clone(), scenario.clone()));
        }
    }
    for (name, _) in MUTANTS {
        assert!(runs.iter().any(|(mutant, ..)| mutant.is_some_and(|(known, _)| known == name)), "nothing kills {name}");
    }
    let runs = futures::stream::iter(runs).map(|(mutant, file, scenario)| {
        let (envoy, id) = (envoy.clone(), scenario.id.clone());
        async move {
            let metrics = mutant.map_or_else(MetricsApi::default, |(_, mutation)| MetricsApi::broken(mutation));
            (mutant, id, run(envoy, file, scenario, metrics).await)
        }
    });
    let wrong = runs.buffer_unordered(4).filter_map(async |(mutant, id, steps)| {
        let (expected, name) = mutant.map_or((Verdict::Pass, "nothing"), |(name, _)| (Verdict::Fail, name));
        (verdict(&steps) != expected).then(|| format!("{id} with {name}: {:?}\n{}", verdict(&steps), told(&steps)))
    });
    let wrong: Vec<_> = wrong.collect().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_sidecars_no_scenario_passes() {
    let Some(envoy) = envoy().await else { return };
    for (file, mut scenario) in scenarios() {
        scenario.workloads.values_mut().for_each(|workload| workload.mesh = false);
        let id = scenario.id.clone();
        let steps = run(envoy.clone(), file, scenario, MetricsApi::default()).await;
        assert_eq!(verdict(&steps), Verdict::Fail, "{id}: {}", told(&steps));
    }
}
