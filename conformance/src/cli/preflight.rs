//! `smi-conformance preflight`.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::Args;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use owo_colors::OwoColorize as _;

use super::{CliError, Output, structured};
use crate::target::cluster::{self, Profile, preflight::Finding};

const EXAMPLES: &str = "\
Examples:
  smi-conformance preflight osm                         the current context of your kubeconfig
  smi-conformance preflight my-mesh.yaml --context staging -o json

A profile says how a mesh is joined, dialled and switched. Built in: consul, fsm, istio-adapter, linkerd-smi, osm, smi-mesh,
traefik-mesh; start from one of conformance/profiles.

Exit codes:
  0 nothing is missing   1 something is   2 wrong usage   3 the API server cannot be asked";

/// `smi-conformance preflight`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Preflight {
    /// A built-in profile, or the file of one.
    profile: String,
    /// The context of the kubeconfig; the current one if omitted.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The kubeconfig; `KUBECONFIG` or `~/.kube/config` if omitted.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Looks, and prints what was found.
pub(super) fn run(args: &Preflight, out: &mut dyn Write) -> Result<u8, CliError> {
    let profile = Profile::find(&args.profile).map_err(|error| CliError::Usage(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let found = runtime.block_on(async {
        let client = client(args).await?;
        cluster::preflight(&client, &profile).await.map_err(|error| CliError::Infrastructure(chain(&error)))
    })?;
    if args.output != Output::Table {
        out.write_all(structured(&found, args.output)?.as_bytes())?;
        return Ok(u8::from(!found.is_ok()));
    }
    let tried = profile.tried.as_ref().map_or_else(|| "untried".to_owned(), |how| format!("tried: {how}"));
    writeln!(out, "{} {} ({tried}) on Kubernetes {}", profile.name, profile.version, found.server)?;
    for (api, versions) in &found.apis {
        writeln!(out, "      {api}.smi-spec.io: {}", versions.join(", "))?;
    }
    let encodings: Vec<_> = found.header_encodings.iter().map(|one| format!("{one:?}").to_lowercase()).collect();
    if !encodings.is_empty() {
        writeln!(out, "      headers of an HTTPRouteGroup are a {}", encodings.join(" or a "))?;
    }
    let colour = simulator::cli::colour(&io::stdout());
    for finding in &found.findings {
        writeln!(out, "{}", line(finding, colour))?;
    }
    let missing = found.findings.iter().filter(|finding| !finding.ok).count();
    match missing {
        0 => writeln!(out, "nothing is missing")?,
        missing => writeln!(out, "{missing} of {} are missing", found.findings.len())?,
    }
    Ok(u8::from(missing > 0))
}

fn line(finding: &Finding, colour: bool) -> String {
    let word = match (finding.ok, colour) {
        (true, false) => "ok   ".to_owned(),
        (false, false) => "MISS ".to_owned(),
        (true, true) => "ok   ".green().to_string(),
        (false, true) => "MISS ".red().bold().to_string(),
    };
    let observed = if finding.observed.is_empty() { String::new() } else { format!(" ({})", finding.observed) };
    let hint = finding.hint.as_ref().map_or_else(String::new, |hint| format!("\n      {hint}"));
    format!("{word} {}{observed}{hint}", finding.what)
}

async fn client(args: &Preflight) -> Result<Client, CliError> {
    let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
    let config = match &args.kubeconfig {
        None => Config::from_kubeconfig(&options).await,
        Some(path) => {
            let read = Kubeconfig::read_from(path).map_err(|error| CliError::Usage(chain(&error)))?;
            Config::from_custom_kubeconfig(read, &options).await
        }
    };
    let config = config.map_err(|error| CliError::Usage(format!("{}; name one with --kubeconfig", chain(&error))))?;
    Client::try_from(config).map_err(|error| CliError::Infrastructure(chain(&error)))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    let mut text = error.to_string();
    for cause in causes.map(ToString::to_string).filter(|cause| !cause.is_empty()) {
        if !text.contains(&cause) {
            text.push_str(&format!(": {cause}"));
        }
    }
    text
}
