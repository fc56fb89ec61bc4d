//! Random small worlds and requests: oracle and evaluator must say exactly the same, and real Envoys must do it.
//!
//! `PROPTEST_CASES` sets the number of worlds, `DIFFERENTIAL_SEED` those of the sample on real Envoys. The smallest world in which they
//! disagree is written as a scenario file, whose path the failure names. Without Envoy that test is ignored, and says why, unless
//! `REQUIRE_REAL=1`.

#![expect(clippy::panic, reason = "only tests use it; a failure is their failure")]

mod expectation;
mod manifest;
mod strategy;
mod world;

use std::{cell::Cell, collections::BTreeMap, path::PathBuf, process::ExitCode};

use conformance::oracle::{self, Answer, Readings, Unknown};
use libtest_mimic::{Arguments, Failed, Trial};
use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};
use simulator::{
    envoy::{Backend, Variant, Wish, find::present},
    judge::Verdict,
    lab::{Lab, Options},
    report::{self, Style},
    run::{
        Settings, Task,
        aim::Aim,
        predict::{FAILED, Prediction},
        run_one,
    },
    scenario::{
        Scenario,
        builder::step,
        model::{Count, Fault, Traffic},
    },
};
use tokio::{runtime::Runtime, sync::mpsc};

use self::{expectation::expectation, world::World};

/// Worlds, if `PROPTEST_CASES` does not say otherwise.
const WORLDS: u32 = 80;
/// Requests of a world, at most.
const REQUESTS: usize = 30;
/// Worlds that are tried on real Envoys.
const REAL_WORLDS: usize = 3;
/// Requests of each.
const REAL_REQUESTS: usize = 12;
/// At most so many requests may be beyond the specification.
const UNKNOWN: f64 = 0.4;
/// At least so many requests must reach somebody, and be denied: else nothing is compared.
const EITHER_WAY: f64 = 0.1;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let runtime = Runtime::new().unwrap_or_else(|error| panic!("cannot start the runtime: {error}"));
    let evaluator =
        Trial::test("oracle_and_evaluator_say_the_same_of_random_worlds", || compare().map_err(Failed::from));
    let name = "real_envoys_do_what_the_oracle_says_of_random_worlds";
    let real = match runtime.block_on(envoy()) {
        Ok(backend) => Trial::test(name, || sample(backend).map_err(Failed::from)),
        Err(why) if std::env::var_os("REQUIRE_REAL").is_some_and(|value| value == "1") => {
            Trial::test(name, || Err(Failed::from(why)))
        }
        Err(why) => Trial::test(name, || Ok(())).with_kind(why).with_ignored_flag(true),
    };
    libtest_mimic::run(&arguments, vec![evaluator, real]).exit_code()
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

#[derive(Default)]
struct Counts {
    worlds: Cell<usize>,
    requests: Cell<usize>,
    unknown: Cell<usize>,
    unmodelled: Cell<usize>,
    allowed: Cell<usize>,
    denied: Cell<usize>,
    shared: Cell<usize>,
    split: Cell<usize>,
}

fn compare() -> Result<(), String> {
    let runtime = Runtime::new().map_err(|error| error.to_string())?;
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { Config::default().cases } else { WORLDS };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let counts = Counts::default();
    let result = TestRunner::new(config).run(&strategy::world(REQUESTS), |world| {
        let wrong = runtime.block_on(disagreements(&world, &counts)).map_err(TestCaseError::fail)?;
        if wrong.is_empty() { Ok(()) } else { Err(TestCaseError::fail(wrong.join("\n"))) }
    });
    match result {
        Ok(()) => counts.judge(),
        Err(TestError::Fail(reason, world)) => Err(told(&world, reason.message())),
        Err(TestError::Abort(reason)) => Err(reason.to_string()),
    }
}

/// What oracle and evaluator do not agree on, in words.
async fn disagreements(world: &World, counts: &Counts) -> Result<Vec<String>, String> {
    let scenario = world.setup("random");
    let asked = asked(world, &scenario);
    let dir = std::env::temp_dir();
    let options = Options { runtime: None, variant: Variant::Delta, seed: 1, dir, mutation: None };
    let lab = Lab::start(&scenario, &PathBuf::from("random.yaml"), &options).await;
    let mut lab = lab.map_err(|error| format!("the world cannot be set up: {error}"))?;
    carry_out(&mut lab, &scenario).await?;
    add(&counts.worlds);
    let mut wrong = Vec::new();
    for (traffic, answer) in asked {
        add(&counts.requests);
        let Ok(answer) = answer else {
            add(&counts.unknown);
            continue;
        };
        // Everybody may be gone whom an unmeshed caller could be led to.
        let Ok(aim) = Aim::new(&lab, &traffic) else { continue };
        let Ok(prediction) = Prediction::of(lab.evaluator(), &aim) else {
            add(&counts.unmodelled);
            continue;
        };
        counts.answered(&answer);
        let (ours, theirs) = (shares(&answer), predicted(&prediction, &lab)?);
        if ours != theirs {
            wrong.push(format!("{}\n  the oracle:    {answer}\n  the evaluator: {theirs:?}", aim.what));
        }
    }
    Ok(wrong)
}

/// Every request of a world, with what the oracle says of it.
fn asked(world: &World, scenario: &Scenario) -> Vec<(Traffic, Result<Answer, Unknown>)> {
    let mut known = oracle::World::new(scenario);
    for step in &scenario.steps {
        for resource in step.apply.iter().flatten() {
            known.apply(resource).unwrap_or_else(|why| panic!("a random manifest is refused: {why}"));
        }
        if let Some(Fault::Ready(readiness)) = &step.fault {
            known.set_ready(&readiness.workload, readiness.ready);
        }
    }
    let readings = Readings::ours();
    let answer = |traffic: &Traffic| known.answer(&oracle::Request::new(traffic)?, &readings);
    let sent = world.requests.iter().map(|request| world.traffic(request));
    sent.map(|traffic| (traffic.clone(), answer(&traffic))).collect()
}

async fn carry_out(lab: &mut Lab, scenario: &Scenario) -> Result<(), String> {
    for step in &scenario.steps {
        for resource in step.apply.iter().flatten() {
            lab.apply(resource).await.map_err(|error| format!("the manifest is refused: {error}"))?;
        }
        if let Some(Fault::Ready(readiness)) = &step.fault {
            let pods = lab.pods(&readiness.workload).map_err(|error| error.to_string())?;
            lab.set_ready(&pods, readiness.ready).await.map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Shares by workload; what nobody gets under [`FAILED`].
fn shares(answer: &Answer) -> BTreeMap<String, String> {
    let named = answer
        .outcomes
        .iter()
        .map(|outcome| (outcome.workload.clone().unwrap_or_else(|| FAILED.to_owned()), outcome.share.to_string()));
    named.collect()
}

fn predicted(prediction: &Prediction, lab: &Lab) -> Result<BTreeMap<String, String>, String> {
    let shares = prediction.by_workload(lab)?;
    Ok(shares.into_iter().map(|(name, share)| (name, share.to_string())).collect())
}

fn add(count: &Cell<usize>) {
    count.set(count.get() + 1);
}

impl Counts {
    fn answered(&self, answer: &Answer) {
        if answer.outcomes.iter().any(|outcome| outcome.clauses.contains(&"TS-01")) {
            add(&self.split);
        }
        match answer.outcomes.as_slice() {
            [one] if one.workload.is_none() => add(&self.denied),
            [_] => add(&self.allowed),
            _ => add(&self.shared),
        }
    }

    fn judge(&self) -> Result<(), String> {
        let [worlds, requests, unknown, unmodelled, allowed, denied, shared, split] = [
            &self.worlds,
            &self.requests,
            &self.unknown,
            &self.unmodelled,
            &self.allowed,
            &self.denied,
            &self.shared,
            &self.split,
        ]
        .map(Cell::get);
        println!(
            "{worlds} worlds, {requests} requests: {allowed} allowed, {denied} denied, {shared} shared out, \
             {split} of all by way of a split, {unknown} beyond the specification, {unmodelled} beyond the evaluator"
        );
        let share = |count: usize| count as f64 / requests.max(1) as f64;
        let both_ways = share(allowed + shared) >= EITHER_WAY && share(denied) >= EITHER_WAY;
        match share(unknown) <= UNKNOWN && both_ways && shared > 0 && split > shared {
            true => Ok(()),
            false => Err("the worlds do not compare enough".to_owned()),
        }
    }
}

/// The world with what the oracle says as expectations: of at most so many requests.
fn scenario(world: &World, id: &str, most: usize) -> Scenario {
    let mut scenario = world.setup(id);
    let answered = asked(world, &scenario).into_iter().filter_map(|(traffic, answer)| Some((traffic, answer.ok()?)));
    for (mut traffic, answer) in answered.take(most) {
        let expect = expectation(&answer);
        traffic.n = Some(if expect.split.is_some() {
            Count::Auto(simulator::scenario::model::Auto::Auto)
        } else {
            Count::Exactly(5)
        });
        scenario = scenario.step(step().traffic(traffic, expect));
    }
    scenario
}

/// Writes the smallest failing world down, and says how to run it.
fn told(world: &World, failure: &str) -> String {
    let file = write(&scenario(world, "differential.oracle", usize::MAX));
    format!("{failure}\nthe smallest world: simulator run {file} --backend evaluator")
}

fn write(scenario: &Scenario) -> String {
    let folder = std::env::temp_dir().join("smi-conformance").join("differential");
    let file = folder.join(format!("{}-{}.yaml", scenario.id, std::process::id()));
    let yaml = scenario.to_yaml().unwrap_or_else(|error| panic!("the world cannot be written: {error}"));
    let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, yaml));
    written.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    file.display().to_string()
}

/// A few worlds by seed, on real Envoys with the oracle's answers as expectations.
fn sample(backend: Backend) -> Result<(), String> {
    let runtime = Runtime::new().map_err(|error| error.to_string())?;
    let seed =
        std::env::var("DIFFERENTIAL_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random::<u64>);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let settings = Settings { backend, ..Settings::evaluator(seed) };
    for number in 1..=REAL_WORLDS {
        let tree = strategy::world(2 * REAL_REQUESTS).new_tree(&mut runner).map_err(|reason| reason.to_string())?;
        let scenario = scenario(&tree.current(), &format!("differential.real-{number}"), REAL_REQUESTS);
        let file = write(&scenario);
        let task = Task { file: PathBuf::from(&file), scenario };
        let (events, _) = mpsc::unbounded_channel();
        let report = runtime.block_on(run_one(&task, &settings, &events));
        if report.verdict != Verdict::Pass {
            let failure = report::failure(&report, Style::Plain);
            return Err(format!("{failure}\nseed {seed}; the world: simulator run {file} --backend process"));
        }
        std::fs::remove_file(&file).map_err(|error| error.to_string())?;
    }
    println!("{REAL_WORLDS} worlds on real Envoys, seed {seed}");
    Ok(())
}
