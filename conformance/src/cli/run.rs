//! `smi-conformance run`: progress on standard error, the result on standard output, reports in files.

use std::{
    io::{self, IsTerminal as _, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use simulator::{
    envoy::{Preference, Variant, Wish, choose},
    report::Style,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::sync::mpsc;

use super::{
    CliError,
    report::{Rendering, render, write},
};
use crate::{
    feature,
    report::{self, Report, TestVerdict},
    run::{self as running, Event, Known, Options, Replay, not_supported},
    suite::{Suite, Test},
    target::{Target, adapter::Adapter, simulator::Simulator},
};

const EXAMPLES: &str = "\
Examples:
  smi-conformance run                                   real Envoys if there are any
  smi-conformance run --backend evaluator --only 'conformance.split.*'
  smi-conformance run --report report.html --report report.json
  smi-conformance run --profile SPLIT-HTTP -- ./my-adapter --context staging
  smi-conformance run --dry-run -- ./my-adapter         what would be asked, and what not, and why

A command after `--` is an adapter: it stands between the suite and your mesh. Start from conformance/adapters/README.md.
The extension of a report's file decides its form: .json, .yaml, .html, .xml (JUnit), .md, .txt.

Exit codes:
  0 pass   1 fail   2 wrong usage   3 infrastructure broke   4 inconclusive
A selection of tests leaves what the others would prove unproven, and so ends with 4 even if all of them pass.";

/// `smi-conformance run`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Run {
    /// A directory of scenario files; those that are built in if omitted.
    #[arg(value_name = "SCENARIO_DIR")]
    directory: Option<PathBuf>,
    /// Only tests with this id (`*` stands for anything); may be repeated.
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
    /// No tests with this id; may be repeated.
    #[arg(long, value_name = "ID")]
    skip: Vec<String>,
    /// Only what this profile is about; may be repeated.
    #[arg(long, value_name = "NAME")]
    profile: Vec<String>,
    /// Where this project's own mesh runs.
    #[arg(long, value_enum, default_value_t, conflicts_with = "adapter")]
    backend: BackendChoice,
    /// The Envoy binary for the process backend.
    #[arg(long, value_name = "PATH", env = "SIMULATOR_ENVOY")]
    envoy: Option<PathBuf>,
    /// Seed of everything that is drawn; printed, so that a run can be repeated.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many tests run side by side, if the target can; twice the machine's cores if omitted.
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// How often a test that does not pass is run again; one that passes then is flaky, which is no pass.
    #[arg(long, value_name = "N", default_value_t = 0)]
    retries: u32,
    /// A file with tests that are known to fail: `id: reason` a line. One of them that passes fails the run.
    #[arg(long, value_name = "FILE")]
    known_failing: Option<PathBuf>,
    /// Stops at the first test that does not pass.
    #[arg(long)]
    fail_fast: bool,
    /// Says what would be run, and what would not and why, and runs nothing.
    #[arg(long)]
    dry_run: bool,
    /// Writes a report; may be repeated.
    #[arg(long, value_name = "FILE")]
    report: Vec<PathBuf>,
    /// Form of the result on standard output.
    #[arg(long, short, value_enum, default_value_t)]
    output: Rendering,
    /// An adapter and its arguments.
    #[arg(last = true, value_name = "COMMAND")]
    adapter: Vec<String>,
}

/// Where this project's own mesh runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum BackendChoice {
    /// Real Envoys if possible, the evaluator otherwise; the choice and its reason are printed.
    #[default]
    Auto,
    /// No Envoy: reads the generated configuration.
    Evaluator,
    /// One Envoy process a workload, on 127.0.0.0/8.
    Process,
    /// Envoys in containers.
    Container,
}

/// Runs what is selected.
pub(super) fn run(args: &Run, out: &mut dyn Write) -> Result<u8, CliError> {
    let renderings = args.report.iter().map(|path| rendering(path)).collect::<Result<Vec<_>, _>>()?;
    let suite = args.directory.as_deref().map_or_else(Suite::embedded, Suite::read)?;
    let tests = selected(args, &suite)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        tokio::select! {
            report = execute(args, &suite, tests, out) => report,
            _ = tokio::signal::ctrl_c() => Err(CliError::Infrastructure("interrupted".into())),
        }
    });
    // Whatever still runs (sidecars are ended as their owners are dropped) gets a moment to end.
    runtime.shutdown_timeout(Duration::from_secs(5));
    let Some(report) = report? else { return Ok(0) };
    for (path, rendering) in args.report.iter().zip(renderings) {
        write(&render(&report, rendering, Style::Plain)?, Some(path), out)?;
        eprintln!("report: {}", path.display());
    }
    let coloured = args.output == Rendering::Text && simulator::cli::colour(&io::stdout());
    let style = if coloured { Style::Coloured } else { Style::Plain };
    write(&render(&report, args.output, style)?, None, out)?;
    Ok(report.run.verdict.exit_code())
}

/// What a file's extension asks for.
fn rendering(path: &Path) -> Result<Rendering, CliError> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => Ok(Rendering::Json),
        Some("yaml" | "yml") => Ok(Rendering::Yaml),
        Some("html") => Ok(Rendering::Html),
        Some("xml") => Ok(Rendering::Junit),
        Some("md") => Ok(Rendering::Markdown),
        Some("txt") => Ok(Rendering::Text),
        _ => Err(CliError::Usage(format!(
            "{}: the extension decides the form of a report: .json, .yaml, .html, .xml, .md or .txt",
            path.display()
        ))),
    }
}

/// The tests that are asked for. Asking for what does not exist is an error, not an empty run.
fn selected(args: &Run, suite: &Suite) -> Result<Vec<Test>, CliError> {
    for pattern in args.only.iter().chain(&args.skip) {
        if !suite.tests.iter().any(|test| running::fits(pattern, test.id())) {
            return Err(CliError::Usage(format!("there is no test `{pattern}`; --dry-run lists those that there are")));
        }
    }
    let profiles = &feature::catalogue().profiles;
    let mut wanted = Vec::new();
    for name in &args.profile {
        let Some(profile) = profiles.iter().find(|profile| profile.name.eq_ignore_ascii_case(name)) else {
            let known: Vec<_> = profiles.iter().map(|profile| profile.name.as_str()).collect();
            return Err(CliError::Usage(format!("there is no profile `{name}`; one of {}", known.join(", "))));
        };
        wanted.push(profile);
    }
    let belongs = |test: &Test| wanted.is_empty() || wanted.iter().any(|profile| profile.covers(&test.features));
    let any = |patterns: &[String], test: &Test| patterns.iter().any(|pattern| running::fits(pattern, test.id()));
    let tests = suite.tests.iter().filter(|test| belongs(test) && !any(&args.skip, test));
    Ok(tests.filter(|test| args.only.is_empty() || any(&args.only, test)).cloned().collect())
}

async fn execute(args: &Run, suite: &Suite, tests: Vec<Test>, out: &mut dyn Write) -> Result<Option<Report>, CliError> {
    let seed = args.seed.unwrap_or_else(rand::random);
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let jobs = args.jobs.map_or(cores * 2, usize::from);
    let target = target(args, seed, jobs).await?;
    let known = match &args.known_failing {
        Some(path) => Known::read(path, &suite.tests.iter().map(Test::id).collect::<Vec<_>>()),
        None => Ok(Known::default()),
    };
    let options = Options {
        seed,
        jobs,
        retries: args.retries,
        fail_fast: args.fail_fast,
        known: known.map_err(|error| CliError::Usage(error.to_string()))?,
        replay: replay(args, &*target, seed),
        patience: PATIENCE,
    };
    let asked = preflight(&tests, &*target);
    if args.dry_run {
        listing(&tests, &*target, out)?;
        return Ok(None);
    }
    let began = (OffsetDateTime::now_utc(), Instant::now());
    let (events, inbox) = mpsc::unbounded_channel();
    let progress = tokio::spawn(show(inbox, asked));
    let replay = options.replay.clone();
    let results = running::run(tests, target.clone(), options, events).await;
    // The channel is closed by now; the display ends by itself.
    let _ = progress.await;
    let run = report::Circumstances {
        date: began.0.format(&Rfc3339).unwrap_or_default(),
        seed,
        replay: replay.of(&selection(args)),
        duration_ms: simulator::run::millis(began.1.elapsed()),
        environment: target.environment(),
    };
    let about = report::Suite {
        version: env!("CARGO_PKG_VERSION").into(),
        specification: "SMI v0.6.0: access v1alpha3, specs v1alpha4, split v1alpha4, metrics v1alpha1".into(),
        scenarios_sha256: suite.sha256.clone(),
        self_test: crate::selftest::of(&suite.sha256),
    };
    Ok(Some(report::assemble(run, about, target.implementation().clone(), results)))
}

/// No test takes longer, on any mesh: the slowest have some ten changes, each of which may take up to 30 s to take effect.
const PATIENCE: Duration = Duration::from_secs(600);

async fn target(args: &Run, seed: u64, jobs: usize) -> Result<Arc<dyn Target>, CliError> {
    if !args.adapter.is_empty() {
        let adapter = Adapter::start(&args.adapter).await;
        let adapter = adapter.map_err(|error| CliError::Infrastructure(error.to_string()))?;
        eprintln!("adapter: {}, seed {seed}", args.adapter.join(" "));
        return Ok(Arc::new(adapter));
    }
    let preference = match args.backend {
        BackendChoice::Auto => Preference::Auto,
        BackendChoice::Evaluator => Preference::Evaluator,
        BackendChoice::Process => Preference::Process,
        BackendChoice::Container => Preference::Container,
    };
    let wish = Wish { preference, envoy: args.envoy.clone(), ..Wish::default() };
    let choice = choose(&wish).await.map_err(|error| CliError::Infrastructure(error.to_string()))?;
    eprintln!("{choice}, seed {seed}");
    Ok(Arc::new(Simulator::new(simulator::run::Settings {
        backend: choice.backend,
        reason: choice.reason,
        variant: Variant::Delta,
        jobs,
        ..simulator::run::Settings::evaluator(seed)
    })))
}

fn replay(args: &Run, target: &dyn Target, seed: u64) -> Replay {
    let mut words = vec!["smi-conformance run".to_owned()];
    words.extend(args.directory.iter().map(|directory| directory.display().to_string()));
    words.push(format!("--seed {seed}"));
    let tail = if args.adapter.is_empty() {
        words.push(format!("--backend {}", target.environment().backend));
        String::new()
    } else {
        format!("-- {}", args.adapter.join(" "))
    };
    Replay { head: words.join(" "), tail }
}

fn selection(args: &Run) -> String {
    let words = |flag: &str, values: &[String]| values.iter().map(|v| format!("{flag} '{v}' ")).collect::<String>();
    let all = [words("--only", &args.only), words("--skip", &args.skip), words("--profile", &args.profile)];
    all.concat().trim_end().to_owned()
}

/// Says what will be asked before anything is; returns how many tests that are.
fn preflight(tests: &[Test], target: &dyn Target) -> usize {
    let implementation = target.implementation();
    let unsupported = tests.iter().filter(|test| not_supported(test, implementation).is_some()).count();
    let known = feature::catalogue().features.iter().map(|feature| &feature.name);
    let lacking: Vec<_> = known.filter(|name| !implementation.features.contains(*name)).map(String::as_str).collect();
    eprintln!("{} {}: {} tests", implementation.project, implementation.version, tests.len() - unsupported);
    if !lacking.is_empty() {
        eprintln!("not claimed, so not asked: {} ({unsupported} tests)", lacking.join(", "));
    }
    tests.len() - unsupported
}

/// Every test, and why it would not be run.
fn listing(tests: &[Test], target: &dyn Target, out: &mut dyn Write) -> Result<(), CliError> {
    for test in tests {
        match not_supported(test, target.implementation()) {
            None => writeln!(out, "run   {:<60} {}", test.id(), test.task.scenario.title)?,
            Some(reason) => writeln!(out, "skip  {:<60} {reason}", test.id())?,
        }
    }
    Ok(())
}

/// One line for each test that did not pass, and a bar below on a terminal.
async fn show(mut inbox: mpsc::UnboundedReceiver<Event>, total: usize) {
    let terminal = io::stderr().is_terminal();
    let bar = if terminal { ProgressBar::new(total as u64) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {wide_msg}") {
        bar.set_style(style);
    }
    let mut done = 0;
    while let Some(event) = inbox.recv().await {
        match event {
            Event::Started(id) => bar.set_message(id),
            Event::Ended(result) if result.verdict == TestVerdict::NotSupported => {}
            Event::Ended(result) => {
                done += 1;
                bar.inc(1);
                if result.verdict != TestVerdict::Passed {
                    bar.suspend(|| eprintln!("{:<13} {}  {}", word(result.verdict), result.id, result.title));
                } else if !terminal && done % 50 == 0 {
                    eprintln!("{done} of {total}");
                }
            }
        }
    }
    bar.finish_and_clear();
}

fn word(verdict: TestVerdict) -> String {
    serde_json::to_value(verdict).ok().and_then(|v| v.as_str().map(ToOwned::to_owned)).unwrap_or_default()
}
