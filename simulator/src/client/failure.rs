//! What a failed request looked like. The one place that decides on a [`Shape`].

use std::{collections::BTreeMap, error::Error, fmt::Display, io};

use crate::{
    client::tap::{End, Notes},
    exchange::{ClientResult, POD_HEADER},
    scenario::model::Shape,
};

/// A request that got no answer of the application.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) shape: Option<Shape>,
    pub(super) status: Option<u16>,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) detail: String,
    /// Nothing of an answer arrived, and the connection had served before: it may have been closed while idle.
    pub(super) stale: bool,
}

impl From<Failure> for ClientResult {
    fn from(failure: Failure) -> Self {
        let Failure { shape, status, headers, detail, .. } = failure;
        Self::Failed { shape, status, headers, detail }
    }
}

impl Failure {
    /// No shape of denial, whatever it was.
    pub(super) fn other(detail: impl Display) -> Self {
        Self::shaped(None, detail)
    }

    /// A failure of this shape.
    pub(super) fn shaped(shape: Option<Shape>, detail: impl Display) -> Self {
        Self { shape, status: None, headers: BTreeMap::new(), detail: detail.to_string(), stale: false }
    }

    /// The connection could not be opened.
    pub(super) fn connecting(error: &io::Error) -> Self {
        let shape = match error.kind() {
            io::ErrorKind::ConnectionRefused => Some(Shape::Refused),
            _ => return Self::io(error),
        };
        Self::shaped(shape, format!("cannot connect: {error}"))
    }

    /// The connection broke outside of any protocol library.
    pub(super) fn io(error: &io::Error) -> Self {
        Self::ended(End::from(error))
    }

    fn ended(end: End) -> Self {
        match end {
            End::Tls(detail) => Self::shaped(Some(Shape::Tls), format!("TLS: {detail}")),
            End::Closed(detail) => Self::shaped(Some(Shape::Closed), format!("closed without an answer: {detail}")),
            End::Other(detail) => Self::other(detail),
        }
    }

    /// A protocol library reports `error`; `notes` say what really happened. `answered` tells whether bytes that may be an
    /// application's have arrived for this request: then it is no denial.
    pub(super) fn of_connection(notes: &Notes, answered: bool, error: &(dyn Error + 'static)) -> Self {
        let words = chain(error);
        match notes.end() {
            Some(end @ End::Tls(_)) => Self::ended(end),
            Some(_) if answered => Self::other(format!("answer began, then the connection ended: {words}")),
            Some(end) => Self::ended(end),
            None => Self::other(words),
        }
    }

    /// A gRPC status without the application's name: from a proxy, which maps its HTTP status (Envoy: 403 to 7, 404 to 12,
    /// 503 to 14).
    pub(super) fn by_grpc_proxy(code: u16, message: &str) -> Self {
        let (shape, status) = match code {
            7 => (Some(Shape::Http403), Some(403)),
            12 => (Some(Shape::Http404), Some(404)),
            14 => (Some(Shape::Http503), Some(503)),
            _ => (None, None),
        };
        Self { status, ..Self::shaped(shape, format!("gRPC status {code} from a proxy (no {POD_HEADER}): {message}")) }
    }

    /// A response that carries no [`POD_HEADER`]: from a proxy.
    pub(super) fn by_proxy(status: u16, headers: BTreeMap<String, String>, body: &[u8]) -> Self {
        let shape = match status {
            403 => Some(Shape::Http403),
            404 => Some(Shape::Http404),
            503 => Some(Shape::Http503),
            _ => None,
        };
        let text = String::from_utf8_lossy(body);
        let detail = format!("HTTP {status} from a proxy (no {POD_HEADER}): {}", text.trim());
        Self { status: Some(status), headers, ..Self::shaped(shape, detail) }
    }
}

/// The error with its causes, in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.contains(&text) {
            words.push_str(": ");
            words.push_str(&text);
        }
        cause = error.source();
    }
    words
}
