//! `simulator run`: live progress on standard error, the result on standard output or in a file.

use std::{
    fs,
    io::{self, IsTerminal, Write},
    path::Path,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

use super::{
    CliError, Exit,
    args::{BackendChoice, Run, RunFormat, XdsChoice},
    colour,
    load::load_checked,
};
use crate::{
    envoy::{Backend, Preference, Variant, Wish, choose, network::Engine},
    judge::Verdict,
    report::{self, RunReport, ScenarioReport, Style},
    run::{self, Event, Settings, Task},
};

/// Runs what is selected.
pub(super) fn run(args: &Run, out: &mut dyn Write) -> Result<Exit, CliError> {
    let (loaded, warnings) = load_checked(&args.selection)?;
    for warning in warnings {
        eprint!("{}", warning.render(colour(&io::stderr())));
    }
    let tasks: Vec<_> =
        loaded.into_iter().map(|one| Task { file: one.file, scenario: one.expanded.scenario }).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Io("start the runtime".into(), error))?;
    let report = runtime.block_on(async {
        tokio::select! {
            report = execute(args, tasks) => report.map(Some),
            _ = tokio::signal::ctrl_c() => Ok(None),
        }
    });
    // Whatever still runs (sidecars are ended as their owners are dropped) gets a moment to end.
    runtime.shutdown_timeout(Duration::from_secs(5));
    let Some(report) = report? else {
        eprintln!("interrupted: all sidecars are stopped");
        return Ok(Exit::Infrastructure);
    };
    print(args, &report, out)?;
    Ok(report.verdict.into())
}

async fn execute(args: &Run, tasks: Vec<Task>) -> Result<RunReport, CliError> {
    let settings = settings(args).await?;
    if matches!(settings.backend, Backend::Container { .. }) {
        // What a killed run left behind is in the way of nobody, but it is ours to clear away.
        if let Ok(engine) = Engine::connect().await {
            let _ = engine.reap().await;
        }
    }
    let (events, inbox) = mpsc::unbounded_channel();
    let progress = tokio::spawn(show(inbox, tasks.len()));
    let report = run::run(tasks, settings, events).await;
    // The channel is closed by now; the display ends by itself.
    let _ = progress.await;
    Ok(report)
}

async fn settings(args: &Run) -> Result<Settings, CliError> {
    let preference = match args.backend {
        BackendChoice::Auto => Preference::Auto,
        BackendChoice::Evaluator => Preference::Evaluator,
        BackendChoice::Process => Preference::Process,
        BackendChoice::Container => Preference::Container,
    };
    let wish = Wish { preference, envoy: args.envoy.clone(), image: args.image.clone(), cache_home: None };
    let choice = choose(&wish).await.map_err(|error| CliError::Infrastructure(error.to_string()))?;
    let seed = args.seed.unwrap_or_else(rand::random);
    eprintln!("{choice}, seed {seed}");
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    Ok(Settings {
        backend: choice.backend,
        reason: choice.reason,
        variant: match args.xds {
            XdsChoice::Delta => Variant::Delta,
            XdsChoice::Sotw => Variant::Sotw,
        },
        seed,
        jobs: args.jobs.map_or(cores * 2, usize::from),
        keep: args.keep,
        fail_fast: args.fail_fast,
        bundles: run::default_bundles(),
        mutation: None,
    })
}

/// Shows what happens, as it happens: one line for each scenario that has ended, and a bar below on a terminal.
async fn show(mut inbox: mpsc::UnboundedReceiver<Event>, total: usize) {
    let bar = if io::stderr().is_terminal() { ProgressBar::new(total as u64) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {wide_msg}") {
        bar.set_style(style);
    }
    let style = style(colour(&io::stderr()));
    while let Some(event) = inbox.recv().await {
        match event {
            Event::Started(id) => bar.set_message(id),
            Event::Step(id, step) => bar.set_message(format!("{id}: {}", step.summary)),
            Event::Ended(report) => {
                bar.suspend(|| ended(&report, style));
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
}

fn ended(scenario: &ScenarioReport, style: Style) {
    eprintln!("{}", report::line(scenario, style));
}

fn style(colour: bool) -> Style {
    if colour { Style::Coloured } else { Style::Plain }
}

fn print(args: &Run, report: &RunReport, out: &mut dyn Write) -> Result<(), CliError> {
    let to_terminal = args.output.is_none() && colour(&io::stdout());
    let text = match args.format {
        RunFormat::Text => text(report, style(to_terminal)),
        RunFormat::Json => {
            let json = serde_json::to_string_pretty(report).map_err(io::Error::other);
            json.map_err(|error| CliError::Io("write the report".into(), error))? + "\n"
        }
        RunFormat::Junit => {
            report::junit(report).map_err(|error| CliError::Io("write the report".into(), io::Error::other(error)))?
        }
    };
    let result = match &args.output {
        Some(path) => write_file(path, &text),
        None => out.write_all(text.as_bytes()),
    };
    let target = args.output.as_ref().map_or_else(|| "standard output".into(), |p| p.display().to_string());
    result.map_err(|error| CliError::Io(target, error))
}

fn write_file(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text)
}

fn text(report: &RunReport, style: Style) -> String {
    let telling = report.scenarios.iter().filter(|s| s.verdict != Verdict::Pass && !s.is_skipped());
    let failures: String = telling.map(|s| report::failure(s, style)).collect();
    format!("{failures}{}\n", report::summary(report, style))
}
