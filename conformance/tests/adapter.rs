//! Meshes that can only be asked, over the adapter protocol.

#[path = "adapter/broken.rs"]
mod broken;
#[path = "adapter/rules.rs"]
mod rules;

use std::path::{Path, PathBuf};

use conformance::target::{
    Target as _,
    adapter::{Adapter, protocol},
    external::unsupported,
};
use futures::StreamExt as _;
use simulator::{
    cli::{args::Selection, load::load},
    envoy::{Wish, find::present},
    judge::Verdict,
    report::ScenarioReport,
    run::{Settings, Task, run_one},
};
use tokio::sync::mpsc;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn tasks(paths: &[&str]) -> Vec<Task> {
    let paths = paths.iter().map(|path| root().join("scenarios").join(path)).filter(|path| path.exists()).collect();
    let loaded = load(&Selection { paths, only: Vec::new() }).expect("`simulator lint` tells what is wrong");
    loaded.into_iter().map(|one| Task { file: one.file, scenario: one.expanded.scenario }).collect()
}

/// A scenario of one file, from its text.
fn task(yaml: &str) -> Task {
    let directory = tempfile::tempdir().expect("a folder for one file");
    let file = directory.path().join("scenario.yaml");
    std::fs::write(&file, yaml).expect("the folder is new");
    let loaded = load(&Selection { paths: vec![file.clone()], only: Vec::new() }).expect("a sound scenario");
    Task { file, scenario: loaded.into_iter().next().expect("one scenario").expanded.scenario }
}

/// The sample adapter.
fn python(arguments: &[&str]) -> Vec<String> {
    let script = root().join("conformance/adapters/python/no_mesh.py").display().to_string();
    ["python3".to_owned(), script].into_iter().chain(arguments.iter().map(|&text| text.to_owned())).collect()
}

/// The sample adapter, changed by some lines of Python.
fn changed(lines: &str) -> Vec<String> {
    let directory = root().join("conformance/adapters/python").display().to_string();
    let program = format!(
        "import os, sys, time\nsys.dont_write_bytecode = True\nsys.path.insert(0, {directory:?})\nimport no_mesh as mesh\n{lines}\nmesh.main()\n"
    );
    ["python3".to_owned(), "-c".into(), program].into()
}

fn ours(backend: &str) -> Vec<String> {
    [env!("CARGO_BIN_EXE_smi-conformance"), "serve-adapter", "--backend", backend].map(ToOwned::to_owned).into()
}

fn told(report: &ScenarioReport) -> String {
    simulator::report::failure(report, simulator::report::Style::Plain)
}

#[test]
fn the_schema_is_current() {
    let file = root().join("conformance/adapter.schema.json");
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == protocol::schema(),
        "{} is outdated: run `smi-conformance schema adapter > conformance/adapter.schema.json`",
        file.display()
    );
}

/// Those that say so (`baseline`) may; what else passes could not tell a mesh from none. Real clients and servers, this time.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_mesh_nothing_passes() {
    // There is nothing to wait for.
    let at_once = "hello = mesh.Adapter.hello\n\
        mesh.Adapter.hello = lambda self, params: {**hello(self, params), 'timeouts': {'convergence': 0, 'setup': 20, 'request': 20}}\n";
    let adapter = Adapter::start(&changed(at_once)).await.unwrap();
    let mut files = vec!["conformance"];
    files.extend([
        "access/path-regex.yaml",
        "split/weights-70-30.yaml",
        "split/matches-headers.yaml",
        "tcp/split.yaml",
    ]);
    let asked: Vec<_> = tasks(&files)
        .into_iter()
        .filter(|task| unsupported(adapter.implementation(), &task.scenario).is_none())
        .filter(|task| !task.scenario.tags.iter().any(|tag| tag == "baseline"))
        .collect();
    let reports: Vec<_> = futures::stream::iter(&asked)
        .map(|task| adapter.carry_out(task, 11))
        .buffer_unordered(adapter.parallel())
        .collect()
        .await;
    adapter.stop().await;
    let vacuous: Vec<_> = reports.iter().filter(|one| one.verdict == Verdict::Pass).map(|one| &one.id).collect();
    assert!(vacuous.is_empty(), "{vacuous:?}");
    let broken: Vec<_> = reports.iter().filter(|one| one.verdict == Verdict::Infrastructure).map(told).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let failed = reports.iter().filter(|one| one.verdict == Verdict::Fail).count();
    println!("{failed} of {} fail", reports.len());
    assert!(failed * 2 > reports.len(), "the rest is not spoken by the sample: {failed} of {}", reports.len());
}

/// The protocol carries everything: what the simulator finds directly, it finds behind the protocol too.
#[tokio::test(flavor = "multi_thread")]
async fn behind_the_protocol_the_verdicts_are_the_same() {
    let adapter = Adapter::start(&ours("evaluator")).await.unwrap();
    let ours = &adapter.described().implementation;
    let (skipped, asked): (Vec<_>, Vec<_>) =
        tasks(&["split", "access", "tcp", "headless", "conformance"]).into_iter().partition(|task| {
            let observed = simulator::run::backends(&task.scenario).contains(&"evaluator");
            unsupported(ours, &task.scenario).is_some() || !observed
        });
    let compared = asked.len();
    let differences: Vec<_> = futures::stream::iter(&asked)
        .map(|task| difference(&adapter, task))
        .buffer_unordered(adapter.parallel())
        .filter_map(async |difference| difference)
        .collect()
        .await;
    adapter.stop().await;
    assert!(differences.is_empty(), "{} of {compared}:\n{}", differences.len(), differences.join("\n"));
    let not_asked: Vec<_> = skipped.iter().map(|task| &task.scenario.id).collect();
    println!("{compared} compared; not asked: {not_asked:?}");
    assert!(compared > 50, "only {compared} were compared; not asked: {not_asked:?}");
}

async fn difference(adapter: &Adapter, task: &Task) -> Option<String> {
    let (events, _) = mpsc::unbounded_channel();
    let directly = run_one(task, &Settings::evaluator(3), &events).await.verdict;
    let behind = adapter.carry_out(task, 3).await;
    let differs = directly != behind.verdict;
    differs.then(|| format!("directly {directly}, behind the protocol {}: {}", behind.verdict, told(&behind)))
}

/// A few on real Envoys: what is sampled agrees with what is exact.
#[tokio::test(flavor = "multi_thread")]
async fn real_envoys_pass_behind_the_protocol() {
    if let Ok(Err(searched)) = present(&Wish::default()).await {
        assert!(std::env::var_os("REQUIRE_REAL").is_none(), "no Envoy: {searched}");
        return eprintln!("no Envoy ({searched}): not tried");
    }
    let adapter = Adapter::start(&ours("process")).await.unwrap();
    let files = [
        "split/weights-70-30.yaml",
        "split/live-shift.yaml",
        "access/path-regex.yaml",
        "tcp/split.yaml",
        "conformance/metrics/edges.yaml",
        "conformance/metrics/counts.yaml",
    ];
    for task in tasks(&files) {
        let report = adapter.carry_out(&task, 3).await;
        assert_eq!(report.verdict, Verdict::Pass, "{}", told(&report));
    }
    adapter.stop().await;
}
