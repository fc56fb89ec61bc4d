//! `smi-conformance mutants`: the kill matrix.

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal as _, Write},
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use simulator::{
    envoy::{Preference, Wish, choose},
    run::Settings,
};

use super::CliError;
use crate::{
    kill::{self, File, Finding, KillMatrix, Outcome, Pairs, Plan, Progress, Sample},
    mutant::{Mutant, mutant, mutants},
    report::SelfTest,
    sampler,
    selftest::Recorded,
    suite::Suite,
};

const EXAMPLES: &str = "\
Examples:
  smi-conformance mutants --list                       all broken meshes
  smi-conformance mutants                              what the files say that they kill, and the mesh that is none
  smi-conformance mutants --all --only split-ignored   every file that kills this one
  smi-conformance mutants --all -o kills               the `kills` that every file could have
  smi-conformance mutants --backend process --sample 20 --seed 7";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Mutants {
    /// Where the scenario files are.
    #[arg(default_value = "scenarios/conformance")]
    directory: PathBuf,
    /// What carries the traffic.
    #[arg(long, value_enum, default_value_t)]
    backend: BackendChoice,
    /// Only these broken meshes.
    #[arg(long, value_name = "MUTANT", num_args = 1..)]
    only: Vec<String>,
    /// Every file with every broken mesh, not only with those that it says it kills.
    #[arg(long)]
    all: bool,
    /// Only so many pairs, drawn at random; and no run without any mesh.
    #[arg(long, value_name = "N")]
    sample: Option<usize>,
    /// Decides everything that is random.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Runs at a time; by default twice the number of cores on the evaluator, and one a core with Envoys.
    #[arg(short, long)]
    jobs: Option<std::num::NonZero<usize>>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Prints the broken meshes and tries nothing.
    #[arg(long)]
    list: bool,
    /// Writes what is known of the suite now, for reports: `conformance/self-test.yaml`. Needs the whole matrix.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["only", "sample", "list"])]
    record: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum BackendChoice {
    /// The generated configuration, judged without any Envoy.
    #[default]
    Evaluator,
    /// Real Envoys as processes.
    Process,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For reading.
    #[default]
    Text,
    /// For programs.
    Json,
    /// One line a file: what it killed, as its `kills` would say.
    Kills,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Printed<'a> {
    matrix: &'a KillMatrix,
    findings: &'a [Finding],
}

/// Tries what is selected.
pub(super) fn run(args: &Mutants, out: &mut dyn Write) -> Result<(), CliError> {
    let chosen = chosen(&args.only)?;
    if args.list {
        return list(&chosen, out);
    }
    let files = kill::load(&args.directory)?;
    let plan = Plan {
        mutants: chosen,
        pairs: if args.all { Pairs::All } else { Pairs::Declared },
        sample: args.sample.map(|size| Sample { size, seed: args.seed }),
        null: args.sample.is_none() && args.only.is_empty(),
    };
    let narrowed = !args.only.is_empty();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let matrix = runtime.block_on(try_out(args, files, plan))?;
    let mut findings = kill::findings(&matrix);
    // Of what was left out on purpose nothing can be said.
    findings.retain(|finding| !narrowed || !matches!(finding, Finding::Idle { .. }));
    match args.output {
        Output::Text => text(&matrix, &findings, out)?,
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &Printed { matrix: &matrix, findings: &findings })?;
            writeln!(out)?;
        }
        Output::Kills => kills(&matrix, out)?,
    }
    if let Some(path) = &args.record {
        runtime.block_on(record(args, &matrix, path))?;
    }
    match findings.len() {
        0 => Ok(()),
        1 => Err(CliError::Found("1 finding".into())),
        n => Err(CliError::Found(format!("{n} findings"))),
    }
}

/// Draws from the shares of a correct mesh so often that one false alarm in a thousand shows.
const FAIR_RUNS: usize = 1000;

/// Writes the figures, with the files for which they hold.
async fn record(args: &Mutants, matrix: &KillMatrix, path: &Path) -> Result<(), CliError> {
    let suite = Suite::read(&args.directory)?;
    let files = kill::load(&args.directory)?;
    let shares = sampler::shares(&files, &kill::on_evaluator(args.seed)).await;
    let alarms = sampler::sample(&shares, FAIR_RUNS, args.seed);
    let alive = matrix.mutants.iter().filter(|mutant| matrix.killers(mutant).next().is_none());
    let self_test = SelfTest {
        mutants: matrix.mutants.len(),
        survivors: alive.map(|name| (*name).to_owned()).collect(),
        vacuous: matrix.vacuous().map(|file| file.path.display().to_string()).collect(),
        fair_runs: alarms.runs,
        false_alarms: alarms.false_alarms,
        expected_false_alarms: alarms.expected,
    };
    let recorded = Recorded { scenarios_sha256: suite.sha256, self_test };
    let text = serde_saphyr::to_string(&recorded).map_err(|error| CliError::Yaml(error.to_string()))?;
    let text = format!("# Written by `smi-conformance mutants --record`; a test tells when it is out of date.\n{text}");
    std::fs::write(path, text).map_err(|error| CliError::Infrastructure(format!("{}: {error}", path.display())))
}

fn chosen(only: &[String]) -> Result<Vec<&'static Mutant>, CliError> {
    if only.is_empty() {
        return Ok(mutants().iter().collect());
    }
    only.iter().map(|name| mutant(name).ok_or_else(|| CliError::NoMutant(name.clone()))).collect()
}

fn list(mutants: &[&Mutant], out: &mut dyn Write) -> Result<(), CliError> {
    let width = mutants.iter().map(|mutant| mutant.name.len()).max().unwrap_or_default();
    for mutant in mutants {
        writeln!(out, "{:width$}  {}", mutant.name, mutant.text)?;
    }
    Ok(())
}

async fn try_out(args: &Mutants, files: Vec<File>, plan: Plan) -> Result<KillMatrix, CliError> {
    let mut settings = match args.backend {
        BackendChoice::Evaluator => kill::on_evaluator(args.seed),
        BackendChoice::Process => {
            let wish = Wish { preference: Preference::Process, envoy: None, image: None, cache_home: None };
            let choice = choose(&wish).await.map_err(|error| CliError::Infrastructure(error.to_string()))?;
            let jobs = kill::on_evaluator(args.seed).jobs / 2;
            Settings { backend: choice.backend, reason: choice.reason, jobs, ..Settings::evaluator(args.seed) }
        }
    };
    settings.jobs = args.jobs.map_or(settings.jobs, std::num::NonZero::get);
    let bar = if io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {wide_msg}") {
        bar.set_style(style);
    }
    let shown = |Progress { done, total, last }: Progress| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        bar.set_message(last);
        if bar.is_hidden() && (done == total || done.is_multiple_of(500)) {
            eprintln!("{done} of {total} runs");
        }
    };
    let matrix = kill::run(files, plan, &settings, shown).await;
    bar.finish_and_clear();
    Ok(matrix)
}

fn text(matrix: &KillMatrix, findings: &[Finding], out: &mut dyn Write) -> Result<(), CliError> {
    let width = matrix.mutants.iter().map(|name| name.len()).max().unwrap_or_default();
    for mutant in &matrix.mutants {
        let killers: Vec<_> = matrix.killers(mutant).collect();
        writeln!(out, "{mutant:width$}  killed by {}", killers.len())?;
        for pair in killers {
            let Outcome::Killed { scenario, step, .. } = &pair.outcome else { continue };
            let undeclared = if pair.declared { "" } else { " (not declared)" };
            writeln!(out, "  {}  {scenario}, step {step}{undeclared}", pair.file.display())?;
        }
    }
    let killed = matrix.mutants.iter().filter(|mutant| matrix.killers(mutant).next().is_some()).count();
    let kills = matrix.pairs.iter().filter(|pair| pair.outcome.is_kill()).count();
    writeln!(
        out,
        "\n{killed} of {} broken meshes are killed; {kills} kills in {} pairs; {} files, {} tried without a mesh",
        matrix.mutants.len(),
        matrix.pairs.len(),
        matrix.files.len(),
        matrix.null.len(),
    )?;
    for finding in findings {
        writeln!(out, "- {finding}")?;
    }
    Ok(())
}

fn kills(matrix: &KillMatrix, out: &mut dyn Write) -> Result<(), CliError> {
    for file in &matrix.files {
        let names: BTreeSet<&str> = matrix.killed_by(&file.path).collect();
        let names: Vec<&str> = names.into_iter().collect();
        writeln!(out, "{}: kills: [{}]", file.path.display(), names.join(", "))?;
    }
    Ok(())
}
