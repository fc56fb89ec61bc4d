//! Asking somebody who speaks the adapter protocol, wherever that is.

use std::{fmt::Display, time::Duration};

use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::adapter::protocol::{Call, Code, Refusal};

/// Somebody who carries out what the protocol asks for.
pub trait Ask: Send + Sync {
    /// Carries out a call, in this time at most.
    fn ask<'a>(&'a self, call: &'a Call, within: Duration) -> BoxFuture<'a, Result<Value, AskError>>;
}

/// Why there is no answer: never a verdict about the mesh.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The command cannot be started.
    #[error("the adapter `{command}` cannot be started: {why}")]
    Start {
        /// The command.
        command: String,
        /// Why not.
        why: String,
    },
    /// It ended.
    #[error("the adapter is gone: {status}{}", told(said))]
    Gone {
        /// How it ended.
        status: String,
        /// Its last words on standard error.
        said: String,
    },
    /// It says nothing.
    #[error("the adapter did not answer `{method}` within {within:?}{}", told(said))]
    Silent {
        /// What was asked.
        method: String,
        /// How long was waited.
        within: Duration,
        /// Its last words on standard error.
        said: String,
    },
    /// It says something else.
    #[error("the adapter wrote a line to standard output that is no reply ({why}): {line}{}", told(said))]
    Garbled {
        /// The line, or its beginning.
        line: String,
        /// What is wrong with it.
        why: String,
        /// Its last words on standard error.
        said: String,
    },
    /// The reply does not fit the request.
    #[error("the adapter's reply to `{method}` does not fit: {why}")]
    Unfit {
        /// What was asked.
        method: String,
        /// What is wrong.
        why: String,
    },
    /// It says that it does not.
    #[error("the adapter says: {0}")]
    Refused(Refusal),
}

impl AskError {
    /// A reply that does not fit.
    pub fn unfit(method: &str, why: &dyn Display) -> Self {
        Self::Unfit { method: method.into(), why: why.to_string() }
    }

    /// Whether the other side says that it, or its mesh, has no such thing.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code == Code::Unsupported)
    }
}

fn told(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!("; it said: {said}") }
}

/// Asks, and reads the answer as what it must be.
///
/// # Errors
/// [`AskError`].
pub async fn asked<T: DeserializeOwned>(who: &dyn Ask, call: &Call, within: Duration) -> Result<T, AskError> {
    let value = who.ask(call, within).await?;
    serde_json::from_value(value).map_err(|error| AskError::unfit(call.method(), &error))
}
