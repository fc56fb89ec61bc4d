//! Runs scenarios: on the evaluator alone, or on real Envoys with the evaluator beside them, so that the two can disagree.

mod act;
pub mod aim;
pub mod because;
mod bundle;
pub mod carrier;
mod check;
mod execution;
pub mod expect;
pub mod measure;
mod observe;
pub mod predict;
mod remedy;
pub mod traffic_metrics;
mod walk;
mod ways;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use tokio::sync::{Semaphore, mpsc};

pub use carrier::{Acted, Carrier, Surroundings};
pub use check::{judged, same_host};
pub use execution::Execution;
pub use remedy::remedy;
pub use walk::{Walk, combined, millis, traffic_of};

use crate::{
    client::RequestIds,
    envoy::{
        Backend, SidecarError, Variant,
        network::{Engine, Network},
    },
    judge::Verdict,
    lab::{Lab, LabError, Options, live::Runtime, mutation::Mutation},
    report::{BackendReport, CheckReport, FORMAT, RunReport, ScenarioReport, StepReport},
    scenario::{Scenario, model::Step},
};

/// A scenario with the file that it comes from.
#[derive(Clone, Debug)]
pub struct Task {
    /// The file, for reports and for manifests beside it.
    pub file: PathBuf,
    /// One combination of its matrix.
    pub scenario: Scenario,
}

/// How scenarios are run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What carries the traffic.
    pub backend: Backend,
    /// Why it was chosen, in a sentence.
    pub reason: String,
    /// How sidecars talk to the control plane.
    pub variant: Variant,
    /// Decides everything that is random.
    pub seed: u64,
    /// Scenarios at a time.
    pub jobs: usize,
    /// Keep a bundle of every scenario, not only of those that do not pass.
    pub keep: bool,
    /// Begin no further scenario after one that does not pass.
    pub fail_fast: bool,
    /// Where bundles are kept.
    pub bundles: PathBuf,
    /// How the mesh is broken on purpose. No bundle is kept of such a run: it is meant to fail.
    pub mutation: Option<Arc<dyn Mutation>>,
}

impl Settings {
    /// The evaluator alone, one scenario at a time.
    pub fn evaluator(seed: u64) -> Self {
        Self {
            backend: Backend::Evaluator,
            reason: "as asked".into(),
            variant: Variant::Delta,
            seed,
            jobs: 1,
            keep: false,
            fail_fast: false,
            bundles: default_bundles(),
            mutation: None,
        }
    }

    /// Real Envoys as processes of this binary, one scenario at a time.
    pub fn process(envoy: PathBuf, version: String, seed: u64) -> Self {
        Self { backend: Backend::Process { envoy, version }, ..Self::evaluator(seed) }
    }
}

/// Where failure bundles go if nothing else is said: below the system's folder for temporary files.
pub fn default_bundles() -> PathBuf {
    std::env::temp_dir().join("smi-simulator").join("bundles")
}

/// Something that happened, for whoever shows progress.
#[derive(Clone, Debug)]
pub enum Event {
    /// A scenario has begun.
    Started(String),
    /// A step of a scenario has ended.
    Step(String, StepReport),
    /// A scenario has ended.
    Ended(Box<ScenarioReport>),
}

/// Runs scenarios side by side, isolated from each other. Events are sent as they happen; the report has the order of `tasks`.
pub async fn run(tasks: Vec<Task>, settings: Settings, events: mpsc::UnboundedSender<Event>) -> RunReport {
    let started = Instant::now();
    let settings = Arc::new(settings);
    let permits = Arc::new(Semaphore::new(settings.jobs.max(1)));
    let failed = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let running: Vec<_> = tasks
        .into_iter()
        .map(|task| {
            let (settings, permits, failed, events) =
                (settings.clone(), permits.clone(), failed.clone(), events.clone());
            tokio::spawn(async move {
                let _permit = permits.acquire_owned().await.ok()?;
                if settings.fail_fast && failed.load(std::sync::atomic::Ordering::SeqCst) {
                    return None;
                }
                let report = run_one(&task, &settings, &events).await;
                if report.verdict != Verdict::Pass && !report.is_skipped() {
                    failed.store(true, std::sync::atomic::Ordering::SeqCst);
                }
                // Nobody need be watching.
                let _ = events.send(Event::Ended(Box::new(report.clone())));
                Some(report)
            })
        })
        .collect();
    let _abort = AbortAll(running.iter().map(tokio::task::JoinHandle::abort_handle).collect());
    let mut scenarios = Vec::new();
    for task in running {
        scenarios.extend(task.await.ok().flatten());
    }
    report(&settings, scenarios, started)
}

/// Ends what is still running when the run itself is dropped, so that Ctrl-C leaves nothing behind.
struct AbortAll(Vec<tokio::task::AbortHandle>);

impl Drop for AbortAll {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::AbortHandle::abort);
    }
}

fn report(settings: &Settings, scenarios: Vec<ScenarioReport>, started: Instant) -> RunReport {
    let checks = scenarios.iter().flat_map(|s| &s.steps).flat_map(|s| &s.checks);
    let live = settings.backend != Backend::Evaluator;
    RunReport {
        format: FORMAT,
        backend: BackendReport {
            name: backend_name(&settings.backend).into(),
            reason: settings.reason.clone(),
            envoy: match &settings.backend {
                Backend::Process { version, .. } => Some(version.clone()),
                Backend::Container { image } => Some(image.clone()),
                Backend::Evaluator => None,
            },
            xds: live.then(|| format!("{:?}", settings.variant).to_lowercase()),
        },
        seed: settings.seed,
        verdict: RunReport::verdict_of(&scenarios),
        duration_ms: millis(started.elapsed()),
        false_failure_budget: checks.map(|check| check.beta).sum(),
        scenarios,
    }
}

/// Runs one scenario.
pub async fn run_one(task: &Task, settings: &Settings, events: &mpsc::UnboundedSender<Event>) -> ScenarioReport {
    let started = Instant::now();
    let id = task.scenario.id.clone();
    let _ = events.send(Event::Started(id.clone()));
    let beyond_backend = is_beyond(&task.scenario, &settings.backend);
    let ran = if beyond_backend {
        Err(LabError::Unobservable(ONE_ADDRESS.into()))
    } else {
        carry_out(task, settings, events).await
    };
    let (steps, bundle) = match ran {
        Ok(done) => done,
        Err(error) => (vec![not_set_up(&error, started)], None),
    };
    ScenarioReport {
        title: task.scenario.title.clone(),
        file: task.file.display().to_string(),
        clauses: task.scenario.clauses.clone(),
        real_only: task.scenario.real_only,
        beyond_backend,
        verdict: combined(steps.iter().filter(|s| !s.checks.is_empty()).map(|s| s.verdict), Verdict::Inconclusive),
        duration_ms: millis(started.elapsed()),
        replay: replay(task, settings),
        steps,
        bundle: bundle.map(|path| path.display().to_string()),
        id,
    }
}

const ONE_ADDRESS: &str = "containers see all that lies outside of the mesh at one address; use --backend process";

/// Whether a scenario is about addresses that a backend cannot give: whoever has no sidecar reaches containers, and is reached from
/// them, through the engine's gateway. Source ranges and several servers outside cannot be told apart there.
fn is_beyond(scenario: &Scenario, backend: &Backend) -> bool {
    matches!(backend, Backend::Container { .. }) && needs_addresses(scenario)
}

/// The backends on which a scenario is observed.
pub fn backends(scenario: &Scenario) -> Vec<&'static str> {
    let evaluator = (!scenario.real_only && !scenario.steps.iter().any(watches_envoys)).then_some("evaluator");
    let container = (!needs_addresses(scenario)).then_some("container");
    evaluator.into_iter().chain(["process"]).chain(container).collect()
}

/// Whether a step looks at what only Envoys can tell.
fn watches_envoys(step: &Step) -> bool {
    let told = step.collected.is_some() || step.logged.is_some() || step.metrics.is_some();
    let mut inner = step.parallel.iter().flatten().flatten().chain(step.repeat.iter().flat_map(|repeat| &repeat.steps));
    told || step.traffic_metrics.is_some() || inner.any(watches_envoys)
}

fn needs_addresses(scenario: &Scenario) -> bool {
    let outside = scenario.workloads.values().any(|workload| workload.outside.is_some());
    // Manifests are text here.
    let gateways = || serde_json::to_string(scenario).is_ok_and(|text| text.contains("IngressBackend"));
    outside || gateways()
}

fn not_set_up(error: &LabError, started: Instant) -> StepReport {
    let check = check::broken("setting the scenario up".into(), "a running mesh".into(), error);
    StepReport {
        number: "0".into(),
        id: None,
        summary: "set up".into(),
        verdict: check.verdict,
        duration_ms: millis(started.elapsed()),
        convergence_ms: None,
        checks: vec![check],
    }
}

fn replay(task: &Task, settings: &Settings) -> String {
    let backend = backend_name(&settings.backend);
    let xds = if settings.variant == Variant::Sotw { " --xds sotw" } else { "" };
    let (file, id, seed) = (task.file.display(), &task.scenario.id, settings.seed);
    format!("simulator run {file} --only '{id}' --backend {backend}{xds} --seed {seed}")
}

async fn carry_out(
    task: &Task,
    settings: &Settings,
    events: &mpsc::UnboundedSender<Event>,
) -> Result<(Vec<StepReport>, Option<PathBuf>), LabError> {
    let dir = tempfile::Builder::new().prefix("smi-simulator-").tempdir()?;
    let (runtime, network) = runtime(&settings.backend, &task.scenario.id).await?;
    // Each scenario draws its own numbers, whatever runs beside it.
    let seed = settings.seed ^ xxhash(&task.scenario.id);
    let mutation = settings.mutation.clone();
    let options = Options { runtime, variant: settings.variant, seed, dir: dir.path().to_owned(), mutation };
    let lab = match Lab::start(&task.scenario, &task.file, &options).await {
        Ok(lab) => lab,
        Err(error) => {
            drop(options);
            remove(network).await?;
            return Err(error);
        }
    };
    let execution = Execution::new(lab, Arc::new(task.scenario.clone()), Arc::new(RequestIds::new(seed)));
    let id = task.scenario.id.clone();
    let steps = execution.run(|step| drop(events.send(Event::Step(id.clone(), step.clone())))).await;
    let lab = execution.lab.into_inner();
    let passed = steps.iter().all(|step| matches!(step.verdict, Verdict::Pass | Verdict::Unobservable));
    let bundle = if settings.keep || !passed && settings.mutation.is_none() {
        Some(bundle::write(&lab, &steps, &bundles(settings), &id).await?)
    } else {
        None
    };
    lab.stop().await?;
    drop(options);
    remove(network).await?;
    Ok((steps, bundle))
}

/// Runs on other backends, or with other seeds, do not overwrite each other's bundles.
fn bundles(settings: &Settings) -> PathBuf {
    settings.bundles.join(format!("{}-{}", backend_name(&settings.backend), settings.seed))
}

/// What reports call a backend.
pub fn backend_name(backend: &Backend) -> &'static str {
    match backend {
        Backend::Evaluator => "evaluator",
        Backend::Process { .. } => "process",
        Backend::Container { .. } => "container",
    }
}

async fn runtime(backend: &Backend, id: &str) -> Result<(Option<Runtime>, Option<Arc<Network>>), LabError> {
    Ok(match backend {
        Backend::Evaluator => (None, None),
        Backend::Process { envoy, .. } => (Some(Runtime::Process { envoy: envoy.clone() }), None),
        Backend::Container { image } => {
            let engine = Engine::connect().await?;
            let network = Arc::new(Network::create(&engine, id).await?);
            (Some(Runtime::Container { network: network.clone(), image: image.clone() }), Some(network))
        }
    })
}

async fn remove(network: Option<Arc<Network>>) -> Result<(), SidecarError> {
    match network.and_then(Arc::into_inner) {
        Some(network) => network.remove().await,
        None => Ok(()),
    }
}

fn xxhash(text: &str) -> u64 {
    // FNV-1a: stable across releases, and good enough to keep scenarios apart.
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The folder of a scenario below `bundles`, named so that any id fits.
fn folder(bundles: &Path, id: &str) -> PathBuf {
    let fits = |c: char| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' };
    bundles.join(id.chars().map(fits).collect::<String>())
}

/// The check that a report shows first: the one with the weightiest verdict.
pub fn weightiest(report: &ScenarioReport) -> Option<&CheckReport> {
    report.steps.iter().flat_map(|s| &s.checks).max_by_key(|check| check.verdict)
}
