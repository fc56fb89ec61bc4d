//! The kill matrix: which scenarios can tell which broken meshes from a correct one, and which prove nothing.

mod files;
mod findings;
mod plan;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures::{StreamExt as _, stream};
use serde::Serialize;
use simulator::{
    judge::Verdict,
    report::ScenarioReport,
    run::{Settings, Task, backend_name, backends, run_one, weightiest},
};
use tokio::sync::mpsc;

pub use files::{File, LoadError, load};
pub use findings::{Finding, findings};
pub use plan::{Pairs, Plan, Sample};

use crate::{
    mutant::Mutant,
    null::{BASELINE, without_mesh},
};

/// The tag of scenarios that need kill nothing: they show that what others take for granted works at all.
pub const SMOKE: &str = "smoke";

/// What came of one broken mesh and one scenario file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pair {
    /// The broken mesh.
    pub mutant: &'static str,
    /// The scenario file.
    pub file: PathBuf,
    /// Whether the file says that it kills it.
    pub declared: bool,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a scenario on a mesh that is not right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// One of the scenarios of the file failed.
    Killed {
        /// Which one.
        scenario: String,
        /// At which step.
        step: String,
        /// What it saw.
        saw: String,
    },
    /// All of them passed.
    Survived,
    /// None failed, and not all passed. No kill.
    Open {
        /// Why not.
        why: String,
    },
}

/// All that was tried.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KillMatrix {
    /// The files, in their order.
    pub files: Vec<File>,
    /// The broken meshes.
    pub mutants: Vec<&'static str>,
    /// Every pair that was tried, by broken mesh.
    pub pairs: Vec<Pair>,
    /// What came of each scenario file without any mesh; nothing if that was not tried. Passing is surviving.
    pub null: BTreeMap<PathBuf, Outcome>,
    /// Whether only a part of what should be was tried: then nothing follows from what is missing.
    pub partial: bool,
}

/// How far it is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Pairs that are done.
    pub done: usize,
    /// All pairs.
    pub total: usize,
    /// What was done last.
    pub last: String,
}

/// Tries what the plan says, `settings.jobs` pairs at a time.
pub async fn run(files: Vec<File>, plan: Plan, settings: &Settings, progress: impl Fn(Progress)) -> KillMatrix {
    let pairs = plan.pairs(&files);
    // What a backend cannot observe it cannot find vacuous.
    let backend = backend_name(&settings.backend);
    let observed = |file: &&File| file.tasks.iter().all(|task| backends(&task.scenario).contains(&backend));
    let alone: Vec<&File> = files.iter().filter(|_| plan.null).filter(observed).collect();
    let total = pairs.len() + alone.len();
    let done = AtomicUsize::new(0);
    let told = |last: String| {
        progress(Progress { done: done.fetch_add(1, Ordering::Relaxed) + 1, total, last });
    };
    let told = &told;
    let null = stream::iter(alone).map(|file| async move {
        let tasks = file.tasks.iter().map(without_mesh).collect();
        let outcome = try_all(tasks, settings.clone(), true).await;
        told(format!("no mesh × {}", file.path.display()));
        (file.path.clone(), outcome)
    });
    let null = null.buffer_unordered(settings.jobs.max(1)).collect().await;
    let files = &files;
    let tried = stream::iter(pairs).map(|(mutant, index)| async move {
        let file = &files[index];
        let pair = pair(mutant, file, settings).await;
        told(format!("{} × {}", mutant.name, file.path.display()));
        pair
    });
    let mut pairs: Vec<Pair> = tried.buffer_unordered(settings.jobs.max(1)).collect().await;
    let order = |name: &str| plan.mutants.iter().position(|mutant| mutant.name == name);
    pairs.sort_by(|a, b| (order(a.mutant), &a.file).cmp(&(order(b.mutant), &b.file)));
    KillMatrix {
        files: files.clone(),
        mutants: plan.mutants.iter().map(|mutant| mutant.name).collect(),
        pairs,
        null,
        partial: plan.sample.is_some(),
    }
}

async fn pair(mutant: &Mutant, file: &File, settings: &Settings) -> Pair {
    let settings = Settings { mutation: Some(mutant.mutation()), ..settings.clone() };
    Pair {
        mutant: mutant.name,
        file: file.path.clone(),
        declared: file.kills.contains(mutant.name),
        outcome: try_all(file.tasks.clone(), settings, false).await,
    }
}

/// Runs scenarios until one settles what comes of all: the first that fails where one kill is enough, the first that passes where
/// one pass is too many.
async fn try_all(tasks: Vec<Task>, settings: Settings, to_pass: bool) -> Outcome {
    let mut last = Outcome::Survived;
    for task in tasks {
        let settings = settings.clone();
        let report = tokio::spawn(async move { run_one(&task, &settings, &mpsc::unbounded_channel().0).await }).await;
        let outcome = match report {
            Ok(report) => outcome(&report),
            Err(error) => Outcome::Open { why: format!("the run ended early: {error}") },
        };
        match (&outcome, to_pass) {
            (Outcome::Survived, true) | (Outcome::Killed { .. }, false) => return outcome,
            (Outcome::Survived, false) => {}
            _ => last = outcome,
        }
    }
    last
}

/// Only a failure is a kill.
fn outcome(report: &ScenarioReport) -> Outcome {
    let step = report.steps.iter().find(|step| step.verdict == report.verdict);
    let saw = weightiest(report).map(|check| format!("{}: {}", check.what, check.observed)).unwrap_or_default();
    match report.verdict {
        Verdict::Pass => Outcome::Survived,
        Verdict::Fail => Outcome::Killed {
            scenario: report.id.clone(),
            step: step.map(|step| step.number.clone()).unwrap_or_default(),
            saw,
        },
        other => Outcome::Open { why: format!("{other}: {saw}") },
    }
}

impl Outcome {
    /// Whether a scenario failed.
    #[must_use]
    pub fn is_kill(&self) -> bool {
        matches!(self, Self::Killed { .. })
    }
}

impl KillMatrix {
    /// The files that kill a broken mesh.
    pub fn killers<'a>(&'a self, mutant: &'a str) -> impl Iterator<Item = &'a Pair> {
        self.pairs.iter().filter(move |pair| pair.mutant == mutant && pair.outcome.is_kill())
    }

    /// The broken meshes that a file kills.
    pub fn killed_by<'a>(&'a self, file: &'a std::path::Path) -> impl Iterator<Item = &'static str> + 'a {
        self.pairs.iter().filter(move |pair| pair.file == file && pair.outcome.is_kill()).map(|pair| pair.mutant)
    }

    /// The files that pass without any mesh, and are not meant to.
    pub fn vacuous(&self) -> impl Iterator<Item = &File> {
        let passes = |file: &&File| self.null.get(&file.path) == Some(&Outcome::Survived);
        self.files.iter().filter(passes).filter(|file| !file.tags.contains(BASELINE))
    }
}

/// Settings for the evaluator on all cores of the machine.
#[must_use]
pub fn on_evaluator(seed: u64) -> Settings {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    Settings { jobs: cores * 2, ..Settings::evaluator(seed) }
}
