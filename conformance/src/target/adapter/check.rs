//! Whether an adapter keeps the protocol: asked before it is trusted with a mesh.

mod sent;
mod world;

use std::{fmt, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use simulator::client::RequestIds;

use super::{
    GREETING, check_described,
    link::Link,
    protocol::{Call, Code, Described, Hello, PROTOCOL, Reply, Test},
};
use crate::target::ask::{AskError, asked};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What holds if it passed.
    pub rule: &'static str,
    /// What was found.
    pub result: Found,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Found {
    /// It holds.
    Passed,
    /// It does not.
    Failed {
        /// What happened.
        why: String,
        /// What to do.
        hint: &'static str,
    },
    /// It was not tried.
    Skipped {
        /// Why not.
        why: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Found::Passed => write!(f, "passed   {}", self.rule),
            Found::Failed { why, hint } => write!(f, "FAILED   {}\n         {why}\n         hint: {hint}", self.rule),
            Found::Skipped { why } => write!(f, "skipped  {} ({why})", self.rule),
        }
    }
}

/// Starts an adapter, and looks whether it keeps the protocol.
pub async fn check(command: &[String]) -> Vec<Finding> {
    check_within(command, GREETING).await
}

/// The same, with another time for the adapter to say who it is.
pub async fn check_within(command: &[String], greeting: Duration) -> Vec<Finding> {
    let mut examination = match Link::start(command) {
        Ok(link) => Examination { link, described: None, ids: RequestIds::new(1), findings: Vec::new() },
        Err(error) => {
            let hint = "the command is what follows `--`; try it by hand";
            return vec![Finding { rule: STARTS, result: Found::Failed { why: error.to_string(), hint } }];
        }
    };
    examination.conversation(greeting).await;
    examination.tests().await;
    examination.farewell().await;
    examination.findings
}

/// Whether everything that was tried holds.
#[must_use]
pub fn passed(findings: &[Finding]) -> bool {
    !findings.iter().any(|finding| matches!(finding.result, Found::Failed { .. }))
}

const STARTS: &str = "It starts, and says who it is";
const NO_METHOD: &str = "A method that does not exist is an error of code `unknown-method`";
const NO_PARAMS: &str = "A method without what belongs to it is an error of code `invalid`";
const GARBAGE: &str = "A line that is no request is an error of code `malformed` with id null, and not the end";
const NO_TEST: &str = "A test that was not set up is an error of code `invalid`";
const LEAVES: &str = "It leaves by itself when its standard input ends";
/// For anything that is not a test.
const SOON: Duration = Duration::from_secs(5);

/// An adapter under examination.
struct Examination {
    link: Link,
    described: Option<Described>,
    ids: RequestIds,
    findings: Vec<Finding>,
}

impl Examination {
    fn found(&mut self, rule: &'static str, outcome: Result<(), String>, hint: &'static str) {
        let result = match outcome {
            Ok(()) => Found::Passed,
            Err(why) => Found::Failed { why, hint },
        };
        self.findings.push(Finding { rule, result });
    }

    fn skipped(&mut self, rule: &'static str, why: impl Into<String>) {
        self.findings.push(Finding { rule, result: Found::Skipped { why: why.into() } });
    }

    async fn ask<T: DeserializeOwned>(&self, call: &Call) -> Result<T, AskError> {
        let timeouts = self.described.as_ref().map(|described| described.timeouts).unwrap_or_default();
        let within = match call {
            Call::Setup(_) | Call::Teardown(_) => Duration::from_secs(timeouts.setup),
            Call::Ready(_) => Duration::from_secs(timeouts.convergence + timeouts.request),
            _ => Duration::from_secs(timeouts.request) + SOON,
        };
        asked(&self.link, call, within).await
    }

    /// What does not need any test.
    async fn conversation(&mut self, greeting: Duration) {
        let hello = Hello { protocol: PROTOCOL.into(), suite: env!("CARGO_PKG_VERSION").into() };
        let greeted: Result<Described, _> = asked(&self.link, &Call::Hello(hello), greeting).await;
        let outcome = greeted.map_err(|error| error.to_string()).and_then(|described| {
            check_described(&described)?;
            self.described = Some(described);
            Ok(())
        });
        self.found(STARTS, outcome, "see `hello` in conformance/adapters/README.md, and adapter.schema.json");
        if self.described.is_none() {
            return;
        }
        let unknown = self
            .line(Some(2_000_000), r#"{"id":2000000,"method":"no-such-method","params":{}}"#, Code::UnknownMethod)
            .await;
        self.found(NO_METHOD, unknown, "reply to every request, with its id; never ignore one");
        let bare = self.line(Some(2_000_001), r#"{"id":2000001,"method":"send","params":{}}"#, Code::Invalid).await;
        self.found(NO_PARAMS, bare, "check what is in `params`, and reply with an error");
        let garbage = self.line(None, "this is no JSON", Code::Malformed).await;
        self.found(
            GARBAGE,
            garbage,
            r#"reply {"id": null, "error": {"code": "malformed", "message": "…"}}, and go on"#,
        );
        let nobody: Result<serde_json::Value, _> = self.ask(&Call::Dump(Test { test: "nobody".into() })).await;
        self.found(NO_TEST, refused(nobody, Code::Invalid), "keep the tests by the name that `setup` gives them");
    }

    /// Sends a line of any kind, and expects an error of this code.
    async fn line(&self, id: Option<u64>, line: &str, code: Code) -> Result<(), String> {
        match self.link.exchange(id, line, SOON).await {
            Ok(Reply { error: Some(refusal), result: None, .. }) if refusal.code == code => Ok(()),
            Ok(reply) => Err(format!("the reply is {}", serde_json::to_string(&reply).unwrap_or_default())),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn farewell(&mut self) {
        if self.link.is_broken() {
            return self.skipped(LEAVES, "the conversation broke off before");
        }
        let outcome = match self.link.leave().await {
            true => Ok(()),
            false => Err("it was still there after 3 s, and was killed".to_owned()),
        };
        self.found(LEAVES, outcome, "read lines until there are none, then take down what is left, and exit");
    }
}

/// An error of this code is what was wanted.
fn refused<T: fmt::Debug>(outcome: Result<T, AskError>, code: Code) -> Result<(), String> {
    match outcome {
        Err(AskError::Refused(refusal)) if refusal.code == code => Ok(()),
        Err(error) => Err(error.to_string()),
        Ok(result) => Err(format!("the result is {result:?}")),
    }
}
