//! Logging to standard error, with a level that can be changed while the process runs.

use std::io::IsTerminal as _;
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tracing_subscriber::{EnvFilter, Registry, layer::SubscriberExt as _, reload, util::SubscriberInitExt as _};

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// The level in force, and the way to change it. Clones change the same one.
#[derive(Clone)]
pub struct Level {
    handle: Option<reload::Handle<EnvFilter, Registry>>,
    current: Arc<Mutex<String>>,
}

/// The directives cannot be understood, or logging was set up by somebody else.
#[derive(Debug, thiserror::Error)]
#[error("log level `{directives}`: {why}; write a level such as `info`, or directives such as `info,mesh::xds=debug`")]
pub struct LevelError {
    directives: String,
    why: String,
}

impl Level {
    /// Sets up logging for the whole process. `directives` is a level, or several `target=level` with commas between.
    ///
    /// # Errors
    /// [`LevelError`] if the directives are wrong, or logging is set up already.
    pub fn init(format: Format, directives: &str) -> Result<Self, LevelError> {
        let (filter, handle) = reload::Layer::new(filter(directives)?);
        let lines =
            tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
        let registry = tracing_subscriber::registry().with(filter);
        let set = match format {
            Format::Json => registry.with(lines.json().flatten_event(true)).try_init(),
            Format::Text => registry.with(lines).try_init(),
        };
        set.map_err(|error| LevelError { directives: directives.to_owned(), why: error.to_string() })?;
        Ok(Self { handle: Some(handle), current: Arc::new(Mutex::new(directives.to_owned())) })
    }

    /// For a control plane within a process that logs in its own way: changes are remembered, nothing else.
    pub fn detached() -> Self {
        Self { handle: None, current: Arc::new(Mutex::new("info".to_owned())) }
    }

    /// What is in force.
    pub fn current(&self) -> String {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Logs with these directives from now on.
    ///
    /// # Errors
    /// [`LevelError`] if they are wrong; nothing has changed then.
    pub fn set(&self, directives: &str) -> Result<(), LevelError> {
        let filter = filter(directives)?;
        if let Some(handle) = &self.handle {
            let gone = |error: reload::Error| LevelError { directives: directives.to_owned(), why: error.to_string() };
            handle.reload(filter).map_err(gone)?;
        }
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = directives.to_owned();
        Ok(())
    }
}

fn filter(directives: &str) -> Result<EnvFilter, LevelError> {
    let refuse = |why: String| LevelError { directives: directives.to_owned(), why };
    if directives.trim().is_empty() {
        return Err(refuse("it is empty".to_owned()));
    }
    EnvFilter::builder().parse(directives).map_err(|error| refuse(error.to_string()))
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Level").field(&self.current()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_directives_change_nothing() {
        let level = Level::detached();
        level.set("info,mesh::xds=debug").expect("these are fine");
        for wrong in ["", "mesh=loud", "a=b=c"] {
            assert!(level.set(wrong).is_err(), "{wrong}");
        }
        assert_eq!(level.current(), "info,mesh::xds=debug");
    }
}
