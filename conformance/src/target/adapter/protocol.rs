//! What the suite and an adapter say to each other: one JSON object a line, one reply to every request.
//!
//! `conformance/adapters/README.md` explains it to those who write one; `conformance/adapter.schema.json` is made from these types.

mod schema;
mod traffic;
mod world;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

pub use schema::schema;
pub use traffic::{Answer, Answers, Client, PodPort, Request, Seen, Send, To, ToHost, ToService};
pub use world::{
    Applied, Apply, Change, Changed, ControlPlane, Delete, Mode, Name, Pods, Port, Readied, Readiness, Ready, Respond,
    Selected, Service, ServicePort, Setup, Speaks, Target, Workload,
};

use crate::report::Implementation;

/// The protocol that this is.
pub const PROTOCOL: &str = "smi-adapter/v1";
/// The longest convergence bound that an adapter may ask for, in seconds.
pub const CONVERGENCE_LIMIT: u64 = 60;
/// The longest time that an adapter may ask for anything else, in seconds.
pub const TIMEOUT_LIMIT: u64 = 600;

/// A request, as a line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Counts up; the reply repeats it.
    pub id: u64,
    /// What is asked for.
    pub method: String,
    /// What goes with it.
    pub params: Value,
}

/// The reply to a request, as a line: a result, or an error.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The request's; null if that could not be read.
    pub id: Option<u64>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why nothing came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Refusal>,
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[error("{message} ({code})", code = serde_json::to_value(code).ok().and_then(|code| code.as_str().map(str::to_owned)).unwrap_or_default())]
pub struct Refusal {
    /// What kind of reason.
    pub code: Code,
    /// The reason, for people.
    pub message: String,
}

/// Kinds of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The line is no request.
    Malformed,
    /// There is no such method.
    UnknownMethod,
    /// What goes with the method does not fit it, or names something that was not set up.
    Invalid,
    /// This adapter, or its mesh, cannot do that. The test is inconclusive then, not failed.
    Unsupported,
    /// It went wrong.
    Failed,
}

impl Refusal {
    /// A reason of a kind.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// What can be asked of an adapter.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "what goes with a method is told there")]
pub enum Call {
    Hello(Hello),
    Setup(Setup),
    Apply(Apply),
    Delete(Delete),
    Ready(Ready),
    Send(Send),
    Change(Change),
    Metrics(Metrics),
    Explain(Explain),
    Dump(Test),
    Teardown(Test),
}

impl Call {
    /// The method's name.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Setup(_) => "setup",
            Self::Apply(_) => "apply",
            Self::Delete(_) => "delete",
            Self::Ready(_) => "ready",
            Self::Send(_) => "send",
            Self::Change(_) => "change",
            Self::Metrics(_) => "metrics",
            Self::Explain(_) => "explain",
            Self::Dump(_) => "dump",
            Self::Teardown(_) => "teardown",
        }
    }

    /// The request with this id, as a line without its end.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn line(&self, id: u64) -> serde_json::Result<String> {
        let params = match self {
            Self::Hello(params) => serde_json::to_value(params),
            Self::Setup(params) => serde_json::to_value(params),
            Self::Apply(params) => serde_json::to_value(params),
            Self::Delete(params) => serde_json::to_value(params),
            Self::Ready(params) => serde_json::to_value(params),
            Self::Send(params) => serde_json::to_value(params),
            Self::Change(params) => serde_json::to_value(params),
            Self::Metrics(params) => serde_json::to_value(params),
            Self::Explain(params) => serde_json::to_value(params),
            Self::Dump(params) | Self::Teardown(params) => serde_json::to_value(params),
        }?;
        serde_json::to_string(&Line { id, method: self.method().into(), params })
    }

    /// Reads a line: the id as far as there is one, and the call or what is wrong with it.
    pub fn read(line: &str) -> (Option<u64>, Result<Self, Refusal>) {
        let malformed = |error: &dyn std::fmt::Display| Err(Refusal::new(Code::Malformed, error.to_string()));
        let value: Value = match serde_json::from_str(line) {
            Ok(value) => value,
            Err(error) => return (None, malformed(&error)),
        };
        let id = value["id"].as_u64();
        match serde_json::from_value::<Line>(value) {
            Ok(Line { method, params, .. }) => (id, Self::of(&method, params)),
            Err(error) => (id, malformed(&error)),
        }
    }

    fn of(method: &str, params: Value) -> Result<Self, Refusal> {
        fn read<T: DeserializeOwned>(params: Value) -> Result<T, Refusal> {
            serde_json::from_value(params).map_err(|error| Refusal::new(Code::Invalid, error.to_string()))
        }
        Ok(match method {
            "hello" => Self::Hello(read(params)?),
            "setup" => Self::Setup(read(params)?),
            "apply" => Self::Apply(read(params)?),
            "delete" => Self::Delete(read(params)?),
            "ready" => Self::Ready(read(params)?),
            "send" => Self::Send(read(params)?),
            "change" => Self::Change(read(params)?),
            "metrics" => Self::Metrics(read(params)?),
            "explain" => Self::Explain(read(params)?),
            "dump" => Self::Dump(read(params)?),
            "teardown" => Self::Teardown(read(params)?),
            other => {
                return Err(Refusal::new(Code::UnknownMethod, format!("there is no method `{other}` in {PROTOCOL}")));
            }
        })
    }
}

/// `hello`: the first request, and the only one that is not about a test.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hello {
    /// What the suite speaks: `smi-adapter/v1`.
    pub protocol: String,
    /// The version of the suite, for logs.
    pub suite: String,
}

/// The result of `hello`: who answers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Described {
    /// What the adapter speaks: `smi-adapter/v1`.
    pub protocol: String,
    /// The mesh, the API versions that it serves, and the features that it claims.
    pub implementation: Implementation,
    /// Where it runs, in free text: kind of cluster, versions, settings.
    pub environment: String,
    /// How many tests may be under way at a time; 1 if omitted.
    #[serde(default = "one")]
    pub parallel: usize,
    /// Whether a request may be sent before the one before is answered. Replies may then come in any order. Without it, traffic
    /// during changes cannot be observed as closely.
    #[serde(default)]
    pub concurrent: bool,
    /// How long things may take.
    #[serde(default)]
    pub timeouts: Timeouts,
}

fn one() -> usize {
    1
}

/// How long things may take, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Timeouts {
    /// From a change until traffic follows it: at most 60, 10 if omitted. What does not hold by then has failed.
    pub convergence: u64,
    /// `setup` and `teardown`: 60 if omitted.
    pub setup: u64,
    /// Everything else, beyond the time that requests themselves may take: 10 if omitted.
    pub request: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { convergence: 10, setup: 60, request: 10 }
    }
}

/// `dump`, `teardown`: about a test as a whole.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Test {
    /// The test, as `setup` called it.
    pub test: String,
}

/// `metrics`: a GET of the API metrics.smi-spec.io.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metrics {
    /// The test.
    pub test: String,
    /// The path with query, for example `/apis/metrics.smi-spec.io/v1alpha1/namespaces/default/pods`.
    pub path: String,
}

/// The result of `metrics`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Measured {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

/// `explain`: why the mesh does with a request what it does.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Explain {
    /// The test.
    pub test: String,
    /// The request. It is not sent.
    pub request: Request,
}

/// The result of `explain` and `dump`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Told {
    /// Text for people.
    pub text: String,
}

/// The result of `setup`, `delete`, `teardown` and `change`: nothing but that it is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Done {}
