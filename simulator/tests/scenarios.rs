//! Every scenario file, with every combination of its matrix, as a test of its own: `evaluator::<id>` without Envoy, and
//! `process::<id>` on real Envoys with the evaluator beside them.
//!
//! `SIMULATOR_ENVOY` names the binary, else it is looked for as `simulator run` does. Nothing is installed here: without Envoy the
//! tests on real ones are ignored, and tell why. `REQUIRE_REAL=1` makes them fail instead. `SIMULATOR_SEED` repeats a run.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use simulator::{
    cli::{
        CliError,
        args::Selection,
        load::{Loaded, load_checked},
    },
    envoy::{Backend, Wish, find::present},
    judge::Verdict,
    report::{self, Style},
    run::{Settings, Task, run_one},
};
use tokio::{
    runtime::Runtime,
    sync::{Semaphore, mpsc},
};

/// What all tests share.
struct Suite {
    runtime: Runtime,
    /// Scenarios with real Envoys at a time: each of them starts several.
    permits: Semaphore,
    seed: u64,
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    // Scenarios wait more than they work.
    arguments.test_threads.get_or_insert(2 * cores);
    match trials(&arguments, 2 * cores) {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn trials(arguments: &Arguments, permits: usize) -> Result<Vec<Trial>, String> {
    // The place that failures name files from, so that the command that repeats one can be pasted.
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).map_err(|error| error.to_string())?;
    let selection = Selection { paths: vec![PathBuf::from("scenarios")], only: Vec::new() };
    let (loaded, _) = load_checked(&selection).map_err(told)?;
    let runtime = Runtime::new().map_err(|error| format!("cannot start the runtime: {error}"))?;
    let seed = std::env::var("SIMULATOR_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    let suite = Arc::new(Suite { runtime, permits: Semaphore::new(permits), seed });
    let mut trials: Vec<_> = loaded.iter().map(|one| trial(&suite, "evaluator", one, Backend::Evaluator)).collect();
    if wants_envoy(arguments) {
        match suite.runtime.block_on(envoy()) {
            Ok(backend) => trials.extend(loaded.iter().map(|one| trial(&suite, "process", one, backend.clone()))),
            Err(why) => trials.extend(loaded.iter().map(|one| without_envoy(one, &why))),
        }
    }
    Ok(trials)
}

/// Looking for Envoy takes a moment, which a runner of single tests would spend on each of them.
fn wants_envoy(arguments: &Arguments) -> bool {
    !(arguments.exact && arguments.filter.as_ref().is_some_and(|name| name.starts_with("evaluator::")))
}

/// The binary; else where was looked.
async fn envoy() -> Result<Backend, String> {
    let wish = Wish { envoy: std::env::var_os("SIMULATOR_ENVOY").map(PathBuf::from), ..Wish::default() };
    match present(&wish).await {
        Ok(Ok(choice)) => Ok(choice.backend),
        Ok(Err(searched)) => Err(format!("no Envoy ({searched}): run `simulator envoy install`")),
        Err(error) => Err(error.to_string()),
    }
}

fn trial(suite: &Arc<Suite>, place: &'static str, one: &Loaded, backend: Backend) -> Trial {
    let task = Task { file: one.file.clone(), scenario: one.expanded.scenario.clone() };
    let suite = suite.clone();
    Trial::ignorable_test(name(place, one), move || suite.runtime.block_on(suite.run(&task, place, backend)))
}

/// Ignored with the reason where the kind of a test stands; an error where a real Envoy is demanded.
fn without_envoy(one: &Loaded, why: &str) -> Trial {
    let required = std::env::var_os("REQUIRE_REAL").is_some_and(|value| value == "1");
    let why = why.to_owned();
    let trial = Trial::test(name("process", one), {
        let why = why.clone();
        move || Err(Failed::from(why))
    });
    if required { trial } else { trial.with_kind(why).with_ignored_flag(true) }
}

fn name(place: &str, one: &Loaded) -> String {
    format!("{place}::{}", one.expanded.scenario.id)
}

impl Suite {
    async fn run(&self, task: &Task, place: &str, backend: Backend) -> Result<Completion, Failed> {
        let _permit = match backend {
            Backend::Evaluator => None,
            _ => Some(self.permits.acquire().await?),
        };
        let bundles = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bundles").join(place);
        let settings = Settings { backend, bundles, ..Settings::evaluator(self.seed) };
        // Nobody watches the progress.
        let (events, _) = mpsc::unbounded_channel();
        let report = run_one(task, &settings, &events).await;
        match report.verdict {
            Verdict::Pass => Ok(Completion::Completed),
            Verdict::Unobservable => Ok(Completion::ignored_with("this backend cannot observe any of it")),
            _ => Err(Failed::from(report::failure(&report, Style::Plain))),
        }
    }
}

fn told(error: CliError) -> String {
    match error {
        CliError::Problems(problems) => problems.iter().map(|problem| problem.render(false)).collect(),
        other => other.to_string(),
    }
}
