//! A sidecar, wherever it runs.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use super::{
    admin::{Admin, AdminError, State},
    container::Container,
    process::Process,
};

/// How often a starting Envoy is asked whether it is there.
const POLL: Duration = Duration::from_millis(5);

/// A running Envoy beside one pod's application. Dropping it ends it.
#[derive(Debug)]
pub enum Sidecar {
    /// A process of this machine.
    Process(Box<Process>),
    /// A container on this machine.
    Container(Box<Container>),
}

/// A sidecar cannot be started, or is gone.
#[derive(Debug, thiserror::Error)]
pub enum SidecarError {
    /// A file of the sidecar cannot be written or read.
    #[error("cannot access {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The program cannot be executed.
    #[error("cannot run {program}: {source}")]
    Spawn {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// Envoy ended on its own: it refuses its bootstrap, or its address is taken.
    #[error("Envoy ended ({status}); it last said:\n{log}")]
    Exited {
        /// How it ended.
        status: String,
        /// The last lines of its log.
        log: String,
    },
    /// It runs and does not get where it should.
    #[error("Envoy is not {wanted} after {waited:?} ({last}); it last said:\n{log}")]
    Late {
        /// What was waited for.
        wanted: &'static str,
        /// For how long.
        waited: Duration,
        /// The last answer or error.
        last: String,
        /// The last lines of its log.
        log: String,
    },
    /// The Docker engine refuses something.
    #[error("Docker engine: cannot {doing}: {reason}")]
    Docker {
        /// What was tried.
        doing: String,
        /// Why not.
        reason: String,
    },
    /// A restarted container has another address than before; everything configured for the old one is wrong.
    #[error("the container came back as {now}, was {before}")]
    Moved {
        /// The address at the start.
        before: IpAddr,
        /// The address now.
        now: IpAddr,
    },
}

impl Sidecar {
    /// Its administration interface.
    pub fn admin(&self) -> &Admin {
        match self {
            Self::Process(process) => process.admin(),
            Self::Container(container) => container.admin(),
        }
    }

    /// The pod's address.
    pub fn address(&self) -> IpAddr {
        self.admin().address().ip()
    }

    /// Waits until Envoy has its configuration and serves. That needs a control plane.
    ///
    /// # Errors
    /// [`SidecarError::Exited`] as soon as it ends; [`SidecarError::Late`] with the state that it is stuck in.
    pub async fn wait_live(&mut self, patience: Duration) -> Result<(), SidecarError> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let answer = self.admin().ready().await;
            if matches!(answer, Ok(State::Live)) {
                return Ok(());
            }
            if let Some(status) = self.exited().await? {
                return Err(SidecarError::Exited { status, log: tail(&self.log().await) });
            }
            if tokio::time::Instant::now() >= deadline {
                let (last, log) = (describe(&answer), tail(&self.log().await));
                return Err(SidecarError::Late { wanted: "live", waited: patience, last, log });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Kills Envoy without farewell, as a crash would. [`Sidecar::restart`] brings it back.
    ///
    /// # Errors
    /// The system or the Docker engine refuses.
    pub async fn kill(&mut self) -> Result<(), SidecarError> {
        match self {
            Self::Process(process) => process.kill().await,
            Self::Container(container) => container.kill().await,
        }
    }

    /// Kills Envoy if it runs, and starts it again with the same bootstrap at the same address.
    ///
    /// # Errors
    /// As at the first start; for a container also [`SidecarError::Moved`].
    pub async fn restart(&mut self) -> Result<(), SidecarError> {
        match self {
            Self::Process(process) => process.restart().await,
            Self::Container(container) => container.restart().await,
        }
    }

    /// Ends Envoy, and waits until it is gone.
    ///
    /// # Errors
    /// The system or the Docker engine refuses.
    pub async fn stop(self) -> Result<(), SidecarError> {
        match self {
            Self::Process(process) => process.stop().await,
            Self::Container(container) => container.stop().await,
        }
    }

    /// Everything that it has logged so far. Empty if that cannot be read.
    pub async fn log(&self) -> String {
        match self {
            Self::Process(process) => process.log(),
            Self::Container(container) => container.log().await,
        }
    }

    async fn exited(&mut self) -> Result<Option<String>, SidecarError> {
        match self {
            Self::Process(process) => Ok(process.exited()?.map(|status| status.to_string())),
            Self::Container(container) => container.exited().await,
        }
    }
}

/// Waits for the first answer of an administration interface, one question at a time.
#[derive(Debug)]
pub(super) struct Answering<'a> {
    admin: &'a Admin,
    bootstrap: &'a Path,
    deadline: tokio::time::Instant,
    patience: Duration,
}

impl<'a> Answering<'a> {
    /// The answer must name this bootstrap: another Envoy may hold the address, and ours be about to end for that reason.
    pub(super) fn new(admin: &'a Admin, bootstrap: &'a Path, patience: Duration) -> Self {
        Self { admin, bootstrap, deadline: tokio::time::Instant::now() + patience, patience }
    }

    /// Asks once; if there is no answer, rests a moment. The caller looks meanwhile whether Envoy has ended.
    ///
    /// # Errors
    /// [`SidecarError::Late`].
    pub(super) async fn asked(&self) -> Result<bool, SidecarError> {
        let last = match self.admin.config_path().await {
            Ok(path) if path == self.bootstrap => return Ok(true),
            Ok(path) => format!("{} answers for {}", self.admin.address(), path.display()),
            Err(error) => error.to_string(),
        };
        if tokio::time::Instant::now() >= self.deadline {
            return Err(SidecarError::Late { wanted: "answering", waited: self.patience, last, log: String::new() });
        }
        tokio::time::sleep(POLL).await;
        Ok(false)
    }
}

/// How a process ended, or the error if that cannot be known.
pub(super) fn describe_exit(status: ExitStatus, log: &str) -> SidecarError {
    SidecarError::Exited { status: status.to_string(), log: tail(log) }
}

/// The last lines of a log.
pub(super) fn tail(log: &str) -> String {
    const LINES: usize = 15;
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

fn describe(answer: &Result<State, AdminError>) -> String {
    match answer {
        Ok(state) => format!("it is {state:?}"),
        Err(error) => error.to_string(),
    }
}
