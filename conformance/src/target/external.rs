//! Carries scenarios out on a mesh that can only be asked, over the adapter protocol.
//!
//! Such a mesh follows changes in its own time, and nobody knows what it should do but the scenario. So each check is tried until it
//! holds or the mesh's convergence bound is over, and what held must hold once more; a split is measured once, after it has
//! settled; and a denial needs a sign that everything else works.

mod change;
mod denial;
mod manifest;
mod metrics;
mod send;
mod settle;
mod shares;
mod world;

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::{FutureExt as _, future::BoxFuture};
use serde_json::Value;
use simulator::{
    client::RequestIds,
    judge::Verdict,
    report::{CheckReport, StepReport},
    run::{Acted, Carrier, Surroundings, Task, Walk},
    scenario::model::{Expect, Scenario, Step, Traffic},
};

pub use manifest::{objects, unsupported};

use self::world::World;
use super::{
    adapter::protocol::{Call, Described, Done, Explain, Test, Told},
    ask::{Ask, AskError, asked},
};
use crate::feature;

/// One test on a mesh that can only be asked.
pub struct External<'t> {
    ask: &'t dyn Ask,
    described: &'t Described,
    scenario: &'t Scenario,
    /// What the other side calls the test.
    test: String,
    /// Whether the requests of the scenario are counted by the mesh, and so must not be repeated.
    counts: bool,
    ids: RequestIds,
    world: Mutex<World>,
    state: Mutex<State>,
}

/// What changes as the steps go on.
#[derive(Debug)]
struct State {
    /// The last change.
    changed: Instant,
    /// Until when the mesh may still be following it.
    deadline: Instant,
    /// What was let through since.
    allowed: Vec<Traffic>,
    /// Whether the control plane is running.
    up: bool,
    /// How long the mesh took to follow, if that was seen and not reported yet.
    convergence: Option<Duration>,
    /// What is applied, by resource.
    applied: BTreeMap<String, Vec<Value>>,
}

impl std::fmt::Debug for External<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("External").field("test", &self.test).field("state", &self.state).finish_non_exhaustive()
    }
}

impl<'t> External<'t> {
    /// A test that nobody has heard of yet. `test` is its name in the protocol.
    ///
    /// # Errors
    /// The scenario cannot be laid out, in words.
    pub fn new(
        ask: &'t dyn Ask,
        described: &'t Described,
        task: &'t Task,
        test: String,
        seed: u64,
    ) -> Result<Self, String> {
        let now = Instant::now();
        let state = State {
            changed: now,
            deadline: now,
            allowed: Vec::new(),
            up: true,
            convergence: None,
            applied: BTreeMap::new(),
        };
        Ok(Self {
            ask,
            described,
            scenario: &task.scenario,
            counts: feature::needed(&task.scenario).contains("TrafficMetrics"),
            test,
            ids: RequestIds::new(seed),
            world: Mutex::new(World::new(&task.scenario)?),
            state: Mutex::new(state),
        })
    }

    /// Has the world made.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn set_up(&self) -> Result<(), AskError> {
        let call = Call::Setup(self.world().setup(&self.test));
        let Done {} = asked(self.ask, &call, self.long()).await?;
        // A mesh that has just been set up may still be finding its pods.
        self.touch();
        Ok(())
    }

    /// Carries the steps out.
    pub async fn run(&self, progress: impl FnMut(&StepReport)) -> Vec<StepReport> {
        Walk::new(self.scenario, self).run(progress).await
    }

    /// What the other side has to say for a failure bundle, if it does.
    pub async fn dump(&self) -> Option<String> {
        let told: Result<Told, _> = asked(self.ask, &Call::Dump(self.about()), self.short()).await;
        told.ok().map(|told| told.text)
    }

    /// Has the world taken away.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn tear_down(&self) -> Result<(), AskError> {
        let Done {} = asked(self.ask, &Call::Teardown(self.about()), self.long()).await?;
        Ok(())
    }

    fn about(&self) -> Test {
        Test { test: self.test.clone() }
    }

    fn short(&self) -> Duration {
        Duration::from_secs(self.described.timeouts.request)
    }

    fn long(&self) -> Duration {
        Duration::from_secs(self.described.timeouts.setup)
    }

    fn bound(&self) -> Duration {
        Duration::from_secs(self.described.timeouts.convergence)
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something has changed, at this moment.
    fn touch(&self) {
        let bound = self.bound();
        let mut state = self.state();
        state.changed = Instant::now();
        // A control plane that is down makes nobody follow anything.
        state.deadline = if state.up { state.changed + bound } else { state.changed };
        state.allowed.clear();
        state.convergence = None;
    }

    /// Adds the other side's reasons to a check that failed.
    async fn explained(&self, mut check: CheckReport, traffic: &Traffic) -> CheckReport {
        let aim = self.world().aim(traffic);
        let Ok(aim) = aim else { return check };
        let request = aim.request(self.ids.next_id(), 0);
        let call = Call::Explain(Explain { test: self.test.clone(), request });
        let told: Result<Told, _> = asked(self.ask, &call, self.short()).await;
        check.trace = told.map(|told| told.text.lines().map(str::to_owned).collect()).unwrap_or_default();
        check
    }
}

impl Carrier for External<'_> {
    fn check<'a>(
        &'a self,
        traffic: &'a Traffic,
        expect: &'a Expect,
        around: &'a Surroundings,
    ) -> BoxFuture<'a, CheckReport> {
        async move {
            let check = match self.judged(traffic, expect, around).await {
                Ok(check) => check,
                Err(error) => broken(simulator::run::aim::describe(traffic), &error),
            };
            if check.verdict == Verdict::Pass {
                if expect.allowed == Some(true) && !around.unstable {
                    self.state().allowed.push(traffic.clone());
                }
                return check;
            }
            if around.now { check } else { self.explained(check, traffic).await }
        }
        .boxed()
    }

    fn act<'a>(&'a self, step: &'a Step) -> BoxFuture<'a, Acted> {
        self.change(step).boxed()
    }

    fn observe<'a>(&'a self, step: &'a Step) -> BoxFuture<'a, Vec<CheckReport>> {
        async move {
            match &step.traffic_metrics {
                Some(wanted) => vec![self.traffic_metrics(wanted).await],
                None => {
                    let what = format!("what the mesh tells: {:?}", step.id);
                    let why = "a mesh behind a protocol does not tell this";
                    vec![CheckReport::plain(what, "", Verdict::Inconclusive, why)]
                }
            }
        }
        .boxed()
    }

    fn patience(&self) -> Duration {
        self.state().deadline.saturating_duration_since(Instant::now())
    }

    fn take_convergence(&self) -> Option<Duration> {
        self.state().convergence.take()
    }
}

/// A check that could not be carried out.
fn broken(what: impl Into<String>, error: &AskError) -> CheckReport {
    let verdict = if error.is_unsupported() { Verdict::Inconclusive } else { Verdict::Infrastructure };
    CheckReport::plain(what, "", verdict, error.to_string())
}
