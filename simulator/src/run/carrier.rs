//! Who carries the steps of a scenario out: the lab in this process, or a mesh somewhere else.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::{
    judge::Verdict,
    report::CheckReport,
    scenario::model::{Expect, Step, Traffic},
};

/// Carries out what [`super::Walk`] asks for. It judges; the walk decides what comes next, and what a verdict means there.
///
/// Nothing here fails: what goes wrong around the mesh is a check of verdict [`Verdict::Infrastructure`].
pub trait Carrier: Send + Sync {
    /// Sends traffic and judges what comes of it.
    fn check<'a>(
        &'a self,
        traffic: &'a Traffic,
        expect: &'a Expect,
        around: &'a Surroundings,
    ) -> BoxFuture<'a, CheckReport>;

    /// Carries out a step that changes something or waits: `apply`, `delete`, `wait`, `fault`.
    fn act<'a>(&'a self, step: &'a Step) -> BoxFuture<'a, Acted>;

    /// Carries out a step that looks at what the mesh tells of its traffic: `collected`, `logged`, `metrics`.
    fn observe<'a>(&'a self, step: &'a Step) -> BoxFuture<'a, Vec<CheckReport>>;

    /// How long a question may be asked again until one of its answers holds. Not at all where changes are waited for.
    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    /// How long the mesh took to follow the last change, if a check has shown that since this was asked last.
    fn take_convergence(&self) -> Option<Duration> {
        None
    }
}

/// What surrounds a check.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Something else may change the mesh meanwhile: what was predicted before need not hold after.
    pub unstable: bool,
    /// What holds at this moment is asked, not what will.
    pub now: bool,
    /// Becomes true when the other branches of `parallel` have ended.
    pub done: Option<watch::Receiver<bool>>,
}

/// What came of a step that changes something.
#[derive(Clone, Debug)]
pub struct Acted {
    /// What it did, in a line.
    pub summary: String,
    /// How long the mesh took to follow, where that is known.
    pub convergence: Option<Duration>,
    /// What was checked on the way, and what broke.
    pub checks: Vec<CheckReport>,
}

impl CheckReport {
    /// A check of which no more is known than this.
    pub fn plain(
        what: impl Into<String>,
        expected: impl Into<String>,
        verdict: Verdict,
        observed: impl Into<String>,
    ) -> Self {
        Self {
            what: what.into(),
            expected: expected.into(),
            verdict,
            observed: observed.into(),
            client_saw: Vec::new(),
            server_saw: Vec::new(),
            trace: Vec::new(),
            remedy: None,
            unmodelled: None,
            statistics: None,
            reading: None,
            beta: 0.0,
        }
    }
}
