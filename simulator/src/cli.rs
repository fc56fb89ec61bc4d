//! The `simulator` command: reads the command line, calls the library, prints.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser};

use crate::{
    judge::Verdict,
    scenario::{find::FindError, problem::Problem},
};

pub mod args;
mod envoy;
mod explain;
mod lint;
mod list;
pub mod load;
mod new;
mod run;
mod schema;

use args::{Cli, Command};

/// How a command ended; becomes the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done, everything holds.
    Pass,
    /// 1: something does not hold.
    Fail,
    /// 2: the command cannot be carried out as it was given.
    Usage,
    /// 3: something around the test broke.
    Infrastructure,
    /// 4: nothing is known.
    Inconclusive,
}

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Files are missing.
    #[error(transparent)]
    Find(#[from] FindError),
    /// Files cannot be used; the problems are printed with their excerpts.
    #[error("{} problems in scenario files", .0.len())]
    Problems(Vec<Problem>),
    /// Input or output failed.
    #[error("{0}: {1}")]
    Io(String, #[source] io::Error),
    /// Something that is needed to run scenarios cannot be had.
    #[error("{0}")]
    Infrastructure(String),
    /// The command line asks for something impossible.
    #[error("{0}")]
    Usage(String),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Pass => 0_u8,
            Exit::Fail => 1,
            Exit::Usage => 2,
            Exit::Infrastructure => 3,
            Exit::Inconclusive => 4,
        })
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Pass,
            Verdict::Fail => Self::Fail,
            Verdict::Infrastructure => Self::Infrastructure,
            Verdict::Inconclusive | Verdict::Unobservable => Self::Inconclusive,
        }
    }
}

/// Reads the command line, does what it says, prints errors. Wrong usage exits with 2 in clap.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let exit = match dispatch(cli.command, &mut io::stdout().lock()) {
        Ok(exit) => exit,
        Err(error) => report(&error),
    };
    exit.into()
}

fn dispatch(command: Command, out: &mut dyn Write) -> Result<Exit, CliError> {
    match command {
        Command::List(args) => list::list(&args, out),
        Command::Lint(args) => lint::lint(&args, out, colour(&io::stdout())),
        Command::Schema(args) => schema::schema(&args, out),
        Command::New(args) => new::new(&args, out),
        Command::Completions(args) => {
            clap_complete::generate(args.shell, &mut Cli::command(), "simulator", &mut io::stdout());
            Ok(Exit::Pass)
        }
        Command::Run(args) => run::run(&args, out),
        Command::Explain(args) => explain::explain(&args, out),
        Command::Envoy(args) => envoy::envoy(&args, out),
    }
}

/// Prints an error on standard error.
fn report(error: &CliError) -> Exit {
    let colour = colour(&io::stderr());
    match error {
        CliError::Problems(problems) => {
            for problem in problems {
                eprint!("{}", problem.render(colour));
            }
            Exit::Usage
        }
        // The reader of a pipe went away: it has seen enough.
        CliError::Io(_, source) if source.kind() == io::ErrorKind::BrokenPipe => Exit::Pass,
        other => {
            eprintln!("simulator: {other}");
            Exit::Usage
        }
    }
}

/// Whether to use colours: on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
#[must_use]
pub fn colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints; a closed pipe is an error like any other.
fn print(out: &mut dyn Write, text: &str) -> Result<(), CliError> {
    out.write_all(text.as_bytes()).map_err(|error| CliError::Io("standard output".to_owned(), error))
}

#[cfg(test)]
mod tests;
