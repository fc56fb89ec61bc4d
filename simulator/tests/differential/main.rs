//! Random small worlds and requests: real Envoys must end every request as the evaluator predicts.
//!
//! `PROPTEST_CASES` sets the number of worlds. The smallest world in which they disagree is written to
//! `target/differential/` as a scenario file, with the command that runs it again. Without Envoy the tests say so and pass, unless
//! `REQUIRE_REAL=1`.

#![expect(clippy::panic, reason = "only tests use it; a failure is their failure")]

mod strategy;
mod world;

use std::{
    cell::Cell,
    path::{Path, PathBuf},
};

use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use simulator::{
    envoy::{Backend, Variant, Wish, find::present},
    judge::Verdict,
    report::{self, ScenarioReport, Style},
    run::{Settings, Task, run_one},
};
use tokio::{runtime::Runtime, sync::mpsc};

/// Requests of a world, at most; each is sent one to six times.
const REQUESTS: usize = 40;
/// Each step of shrinking starts a world anew.
const SHRINK_STEPS: u32 = 80;
/// At most so many requests may be beyond the evaluator.
const UNMODELLED: f64 = 0.05;

#[test]
fn envoy_agrees_with_the_evaluator_over_incremental_xds() {
    compare(Variant::Delta, 8);
}

#[test]
fn envoy_agrees_with_the_evaluator_over_state_of_the_world_xds() {
    compare(Variant::Sotw, 4);
}

#[derive(Default)]
struct Counts {
    worlds: Cell<usize>,
    checks: Cell<usize>,
    unmodelled: Cell<usize>,
}

fn compare(variant: Variant, worlds: u32) {
    let runtime = Runtime::new().unwrap_or_else(|error| panic!("cannot start the runtime: {error}"));
    let Some(backend) = runtime.block_on(envoy()) else { return };
    let settings = Settings { backend, variant, bundles: target().join("bundles"), ..Settings::evaluator(1) };
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { Config::default().cases } else { worlds };
    let config = Config { cases, max_shrink_iters: SHRINK_STEPS, failure_persistence: None, ..Config::default() };
    let counts = Counts::default();
    let result = TestRunner::new(config).run(&strategy::world(REQUESTS), |world| {
        let report = runtime.block_on(run(&world, &settings));
        counts.add(&report);
        match report.verdict {
            Verdict::Pass | Verdict::Unobservable => Ok(()),
            _ => Err(TestCaseError::fail(report::failure(&report, Style::Plain))),
        }
    });
    match result {
        Ok(()) => counts.judge(),
        Err(TestError::Fail(reason, world)) => panic!("{}", told(&world, variant, reason.message())),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

async fn run(world: &world::World, settings: &Settings) -> ScenarioReport {
    let task = Task { file: PathBuf::from("random.yaml"), scenario: world.scenario("random") };
    let (events, _) = mpsc::unbounded_channel();
    run_one(&task, settings, &events).await
}

impl Counts {
    fn add(&self, report: &ScenarioReport) {
        self.worlds.set(self.worlds.get() + 1);
        for check in report.steps.iter().flat_map(|step| &step.checks) {
            self.checks.set(self.checks.get() + 1);
            if let Some(why) = &check.unmodelled {
                self.unmodelled.set(self.unmodelled.get() + 1);
                println!("unmodelled: {}: {why}", check.what);
            }
        }
    }

    fn judge(&self) {
        let (worlds, checks, unmodelled) = (self.worlds.get(), self.checks.get(), self.unmodelled.get());
        println!("{worlds} worlds, {checks} kinds of requests, {unmodelled} of them unmodelled");
        assert!(unmodelled as f64 <= UNMODELLED * checks as f64, "{unmodelled} of {checks} are unmodelled");
    }
}

/// Writes the smallest failing world down, and says how to run it.
fn told(world: &world::World, variant: Variant, failure: &str) -> String {
    let name = format!("{variant:?}").to_lowercase();
    let file = target().join(format!("{name}.yaml"));
    let yaml = world.scenario(&format!("differential.{name}")).to_yaml();
    let yaml = yaml.unwrap_or_else(|error| panic!("the world cannot be written: {error}"));
    let written = std::fs::create_dir_all(target()).and_then(|()| std::fs::write(&file, yaml));
    written.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    format!("{failure}\nthe smallest world: simulator run {} --backend process --xds {name}", file.display())
}

/// `target/differential`, beside the folder that Cargo gives to tests.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("differential")
}

/// The binary; `None` after saying why there is none.
async fn envoy() -> Option<Backend> {
    let wish = Wish { envoy: std::env::var_os("SIMULATOR_ENVOY").map(PathBuf::from), ..Wish::default() };
    let reason = match present(&wish).await {
        Ok(Ok(choice)) => return Some(choice.backend),
        Ok(Err(searched)) => format!("no Envoy ({searched}): run `simulator envoy install`"),
        Err(error) => error.to_string(),
    };
    assert!(std::env::var_os("REQUIRE_REAL").is_none_or(|value| value != "1"), "{reason}");
    eprintln!("skipped: {reason}");
    None
}
