//! Runs the tests of the suite on a target.

mod known;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use simulator::{judge::Verdict, report::ScenarioReport, run::weightiest};
use tokio::sync::{Semaphore, mpsc};

pub use known::{Known, KnownError, fits};

use crate::{
    report::{Implementation, TestResult, TestVerdict},
    suite::Test,
    target::Target,
};

/// How tests are run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Decides everything that is random.
    pub seed: u64,
    /// Tests at a time, if the target can take so many.
    pub jobs: usize,
    /// How often a test that does not pass is run again, to find out whether it is flaky.
    pub retries: u32,
    /// Begin no further test after one that did not pass.
    pub fail_fast: bool,
    /// What is known to fail.
    pub known: Known,
    /// The command that runs the suite like this again.
    pub replay: Replay,
    /// No test takes longer.
    pub patience: Duration,
}

/// A command, without what selects tests.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// What comes before.
    pub head: String,
    /// What comes after: `-- COMMAND`.
    pub tail: String,
}

/// Something that happened, for whoever shows progress.
#[derive(Clone, Debug)]
pub enum Event {
    /// A test has begun.
    Started(String),
    /// A test has ended.
    Ended(Box<TestResult>),
}

impl Replay {
    /// The command with these tests selected.
    #[must_use]
    pub fn of(&self, selection: &str) -> String {
        let words = [self.head.as_str(), selection, &self.tail];
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

/// Runs tests side by side. The results have the order of the tests; with `fail_fast` some may be missing.
pub async fn run(
    tests: Vec<Test>,
    target: Arc<dyn Target>,
    options: Options,
    events: mpsc::UnboundedSender<Event>,
) -> Vec<TestResult> {
    let options = Arc::new(options);
    let permits = Arc::new(Semaphore::new(options.jobs.min(target.parallel()).max(1)));
    let failed = Arc::new(AtomicBool::new(false));
    let mut running = tokio::task::JoinSet::new();
    for (place, test) in tests.into_iter().enumerate() {
        let (target, options, permits) = (target.clone(), options.clone(), permits.clone());
        let (failed, events) = (failed.clone(), events.clone());
        running.spawn(async move {
            let _permit = permits.acquire_owned().await.ok()?;
            if options.fail_fast && failed.load(Ordering::SeqCst) {
                return None;
            }
            // Nobody need be watching.
            let _ = events.send(Event::Started(test.id().to_owned()));
            let result = run_test(&test, &*target, &options).await;
            if !matches!(result.verdict, TestVerdict::Passed | TestVerdict::KnownFailing | TestVerdict::NotSupported) {
                failed.store(true, Ordering::SeqCst);
            }
            let _ = events.send(Event::Ended(Box::new(result.clone())));
            Some((place, result))
        });
    }
    drop(events);
    let mut results: Vec<_> = running.join_all().await.into_iter().flatten().collect();
    results.sort_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}

async fn run_test(test: &Test, target: &dyn Target, options: &Options) -> TestResult {
    if let Some(reason) = not_supported(test, target.implementation()) {
        return TestResult { reason: Some(reason), ..blank(test, TestVerdict::NotSupported, options) };
    }
    let mut attempts = 0;
    loop {
        let seed = options.seed.wrapping_add(u64::from(attempts));
        attempts += 1;
        let carried_out = tokio::time::timeout(options.patience, target.carry_out(&test.task, seed)).await;
        let Ok(report) = carried_out else {
            let reason = format!("gave up after {} s", options.patience.as_secs());
            let blank = blank(test, TestVerdict::CouldNotRun, options);
            return TestResult { reason: Some(reason), attempts, ..blank };
        };
        let passed = report.verdict == Verdict::Pass;
        if passed || attempts > options.retries {
            return result(test, report, attempts, options);
        }
    }
}

/// Why the mesh is not asked, if it is not: what it does not claim, and API versions that it does not serve.
pub fn not_supported(test: &Test, implementation: &Implementation) -> Option<String> {
    let missing: Vec<_> = test.features.difference(&implementation.features).map(String::as_str).collect();
    if !missing.is_empty() {
        return Some(format!("the mesh does not claim {}", missing.join(", ")));
    }
    let served = |group: &str, version: &str| {
        let mut apis = implementation.apis.iter();
        let api = apis.find(|(api, _)| format!("{api}.smi-spec.io") == group);
        api.is_some_and(|(_, versions)| versions.iter().any(|v| v == version))
    };
    let used = crate::feature::versions(&test.task.scenario);
    let unserved: Vec<_> = used.iter().filter(|(group, version)| !served(group, version)).collect();
    if unserved.is_empty() {
        return None;
    }
    let unserved: Vec<_> = unserved.into_iter().map(|(group, version)| format!("{group}/{version}")).collect();
    Some(format!("the mesh does not serve {}", unserved.join(", ")))
}

fn result(test: &Test, report: ScenarioReport, attempts: u32, options: &Options) -> TestResult {
    let failing = match report.verdict {
        Verdict::Pass => None,
        Verdict::Fail => Some(TestVerdict::Failed),
        Verdict::Infrastructure => Some(TestVerdict::CouldNotRun),
        Verdict::Inconclusive | Verdict::Unobservable => Some(TestVerdict::Inconclusive),
    };
    let known = options.known.reason(test.id());
    let verdict = match (failing, known) {
        (None, _) if attempts > 1 => TestVerdict::Flaky,
        (None, Some(_)) => TestVerdict::Fixed,
        (None, None) => TestVerdict::Passed,
        (Some(TestVerdict::Failed), Some(_)) => TestVerdict::KnownFailing,
        (Some(verdict), _) => verdict,
    };
    let reason = match verdict {
        TestVerdict::Passed => None,
        TestVerdict::Flaky => Some(format!("passed only when it was run for the {}", ordinal(attempts))),
        TestVerdict::Fixed => Some("it is listed as known to fail, and passed: take it out of the list".into()),
        TestVerdict::KnownFailing => known.map(|why| format!("{why}; {}", seen(&report))),
        _ => Some(seen(&report)),
    };
    TestResult {
        reason,
        attempts,
        duration_ms: report.duration_ms,
        convergence_ms: report.steps.iter().filter_map(|step| step.convergence_ms).max(),
        steps: report.steps,
        ..blank(test, verdict, options)
    }
}

/// What weighs most, in a line.
fn seen(report: &ScenarioReport) -> String {
    weightiest(report).map_or_else(
        || "nothing was checked".into(),
        |check| format!("{}: expected {}; {}", check.what, check.expected, check.observed),
    )
}

fn ordinal(n: u32) -> String {
    match n {
        2 => "second time".into(),
        3 => "third time".into(),
        n => format!("{n}th time"),
    }
}

fn blank(test: &Test, verdict: TestVerdict, options: &Options) -> TestResult {
    TestResult {
        id: test.id().to_owned(),
        title: test.task.scenario.title.clone(),
        file: test.task.file.display().to_string(),
        features: test.features.clone(),
        clauses: test.task.scenario.clauses.clone(),
        baseline: test.is_baseline(),
        verdict,
        reason: None,
        attempts: 0,
        duration_ms: 0,
        convergence_ms: None,
        replay: options.replay.of(&format!("--only '{}'", test.id())),
        steps: Vec::new(),
    }
}
