//! A vendor's executable that speaks the adapter protocol: the suite's way to any mesh.

pub mod check;
mod link;
pub mod protocol;
pub mod serve;

use std::sync::Arc;
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use futures::{FutureExt as _, future::BoxFuture};
use simulator::{
    judge::Verdict,
    report::{CheckReport, ScenarioReport, StepReport},
    run::{Task, combined, millis},
};

pub use link::Link;

use self::protocol::{CONVERGENCE_LIMIT, Call, Described, Hello, PROTOCOL, TIMEOUT_LIMIT};
use super::{
    Target,
    ask::{AskError, asked},
    external::External,
};
use crate::{
    feature::catalogue,
    report::{Environment, Implementation},
};

/// How long an adapter may take to say who it is: it may have to find its cluster first.
pub const GREETING: Duration = Duration::from_secs(30);

/// A mesh behind an adapter.
#[derive(Debug)]
pub struct Adapter {
    command: Vec<String>,
    described: Described,
    /// Started anew after it broke, so that one test does not spoil the others.
    link: tokio::sync::Mutex<Arc<Link>>,
    tests: AtomicU64,
}

/// Why an adapter cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// It does not answer as it should.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// What it says of itself cannot be.
    #[error("what the adapter says of itself cannot be: {0}")]
    Described(String),
}

impl Adapter {
    /// Starts a command, and asks it who it is.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(command: &[String]) -> Result<Self, StartError> {
        let (link, described) = greet(command).await?;
        let link = tokio::sync::Mutex::new(Arc::new(link));
        Ok(Self { command: command.to_vec(), described, link, tests: AtomicU64::new(0) })
    }

    /// What it says of itself.
    pub fn described(&self) -> &Described {
        &self.described
    }

    /// Tells it to leave, and sees to it that it does.
    pub async fn stop(self) {
        self.link.lock().await.stop().await;
    }

    /// The running process; a new one if the last broke.
    async fn link(&self) -> Result<Arc<Link>, StartError> {
        let mut link = self.link.lock().await;
        if link.is_broken() {
            link.stop().await;
            *link = Arc::new(greet(&self.command).await?.0);
        }
        Ok(link.clone())
    }

    async fn steps(&self, task: &Task, seed: u64) -> (Vec<StepReport>, Option<String>) {
        let started = Instant::now();
        let failed = |what: &str, why: &dyn std::fmt::Display| (vec![around(what, why, started)], None);
        let link = match self.link().await {
            Ok(link) => link,
            Err(error) => return failed("start the adapter", &error),
        };
        let test = format!("t{}-{seed:x}", self.tests.fetch_add(1, Ordering::SeqCst));
        let external = match External::new(&*link, &self.described, task, test, seed) {
            Ok(external) => external,
            Err(why) => return failed("set up", &why),
        };
        if let Err(error) = external.set_up().await {
            // What was set up so far is taken away.
            let _ = external.tear_down().await;
            return failed("set up", &error);
        }
        let mut steps = external.run(|_| {}).await;
        let passed = steps.iter().all(|step| step.verdict == Verdict::Pass);
        let dump = if passed { None } else { external.dump().await };
        let ending = Instant::now();
        if let Err(error) = external.tear_down().await {
            steps.push(around("tear down", &error, ending));
        }
        (steps, dump)
    }
}

impl Target for Adapter {
    fn implementation(&self) -> &Implementation {
        &self.described.implementation
    }

    fn environment(&self) -> Environment {
        Environment {
            target: "adapter".into(),
            backend: self.described.environment.clone(),
            reason: format!("`{}` answers", self.command.join(" ")),
            envoy: None,
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }

    fn parallel(&self) -> usize {
        self.described.parallel
    }

    fn carry_out<'a>(&'a self, task: &'a Task, seed: u64) -> BoxFuture<'a, ScenarioReport> {
        async move {
            let started = Instant::now();
            let (steps, dump) = self.steps(task, seed).await;
            let scenario = &task.scenario;
            let checked = steps.iter().filter(|step| !step.checks.is_empty()).map(|step| step.verdict);
            let replay =
                format!("smi-conformance run --only '{}' --seed {seed} -- {}", scenario.id, self.command.join(" "));
            ScenarioReport {
                id: scenario.id.clone(),
                title: scenario.title.clone(),
                file: task.file.display().to_string(),
                clauses: scenario.clauses.clone(),
                verdict: combined(checked, Verdict::Inconclusive),
                real_only: scenario.real_only,
                beyond_backend: false,
                duration_ms: millis(started.elapsed()),
                bundle: dump.and_then(|dump| kept(&dump, scenario, seed)),
                steps,
                replay,
            }
        }
        .boxed()
    }
}

/// Starts a command, and checks what it says of itself.
async fn greet(command: &[String]) -> Result<(Link, Described), StartError> {
    let link = Link::start(command)?;
    let hello = Hello { protocol: PROTOCOL.into(), suite: env!("CARGO_PKG_VERSION").into() };
    let described: Described = asked(&link, &Call::Hello(hello), GREETING).await?;
    check_described(&described).map_err(StartError::Described)?;
    if described.concurrent {
        link.allow_concurrency();
    }
    Ok((link, described))
}

/// What an adapter says of itself must be possible.
///
/// # Errors
/// What is not, in words.
pub fn check_described(described: &Described) -> Result<(), String> {
    if described.protocol != PROTOCOL {
        return Err(format!("it speaks `{}`, and this suite `{PROTOCOL}`", described.protocol));
    }
    let known: BTreeSet<&str> = catalogue().features.iter().map(|feature| feature.name.as_str()).collect();
    let unknown: Vec<_> =
        described.implementation.features.iter().filter(|name| !known.contains(name.as_str())).collect();
    if !unknown.is_empty() {
        return Err(format!("it claims {unknown:?}, which are no features; there are {known:?}"));
    }
    let timeouts = described.timeouts;
    if timeouts.convergence > CONVERGENCE_LIMIT {
        let asked = timeouts.convergence;
        return Err(format!("its convergence bound is {asked} s; no mesh may take more than {CONVERGENCE_LIMIT} s"));
    }
    if timeouts.setup == 0
        || timeouts.setup > TIMEOUT_LIMIT
        || timeouts.request == 0
        || timeouts.request > TIMEOUT_LIMIT
    {
        return Err(format!("timeouts are between 1 and {TIMEOUT_LIMIT} s"));
    }
    if described.parallel == 0 {
        return Err("`parallel` is at least 1".into());
    }
    if described.parallel > 1 && !described.concurrent {
        return Err("`parallel` above 1 needs `concurrent`".into());
    }
    Ok(())
}

/// A step that failed around the mesh.
fn around(what: &str, why: &dyn std::fmt::Display, started: Instant) -> StepReport {
    let check = CheckReport::plain(what, "", Verdict::Infrastructure, why.to_string());
    StepReport {
        number: if what == "tear down" { "end".into() } else { "0".into() },
        id: None,
        summary: what.into(),
        verdict: check.verdict,
        duration_ms: millis(started.elapsed()),
        convergence_ms: None,
        checks: vec![check],
    }
}

/// Keeps what the adapter dumped; where.
fn kept(dump: &str, scenario: &simulator::Scenario, seed: u64) -> Option<String> {
    let fits = |c: char| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' };
    let name: String = scenario.id.chars().map(fits).collect();
    let folder = simulator::run::default_bundles().join(format!("adapter-{seed}"));
    let file = folder.join(format!("{name}.txt"));
    let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, dump));
    written.ok().map(|()| file.display().to_string())
}
