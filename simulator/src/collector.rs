//! A fake receiver of what sidecars tell of their traffic: OTLP over gRPC and over HTTP (log entries and spans), and Zipkin's
//! API with JSON (spans). One port speaks all of them.

mod otlp;
mod zipkin;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// How the host names of collectors end (RFC 2606: no real name does).
pub const DOMAIN: &str = ".collectors.test";

/// A span or a log entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: EntryKind,
    /// Its texts by name: attributes (Zipkin: tags) under their own names, those of the resource behind `resource.`; of a log
    /// entry also `body`, or `body.<name>` for each field; of a span also `name`, `kind` and `service`.
    pub texts: BTreeMap<String, String>,
    /// Of a span: its trace, itself, and its parent, in hexadecimal; empty if there is none.
    pub trace: String,
    /// The span's own id.
    pub id: String,
    /// Its parent's.
    pub parent: String,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A log entry.
    Log,
    /// A span.
    Span,
}

/// A running collector. Dropping it closes its port.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    entries: Mutex<Vec<Entry>>,
    count: watch::Sender<usize>,
}

impl Collector {
    /// Starts to listen. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The address is taken.
    pub async fn start(bind: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(bind).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { entries: Mutex::default(), count: watch::channel(0).0 });
        let acceptor = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self { address, shared, acceptor })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All that it was told so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts what it was told.
    pub fn count(&self) -> watch::Receiver<usize> {
        self.shared.count.subscribe()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Connections end with the acceptor.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let shared = shared.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let shared = shared.clone();
                async move { Ok::<_, Infallible>(answer(request, &shared).await) }
            });
            let served = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            if let Err(error) = served {
                tracing::debug!(%error, "a connection to a collector ended");
            }
        });
    }
}

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

async fn answer(request: Request<Incoming>, shared: &Shared) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_grpc = kind.starts_with("application/grpc");
    let Ok(body) = request.into_body().collect().await else { return plain(StatusCode::BAD_REQUEST) };
    let mut body = body.to_bytes();
    if is_grpc {
        // One message: a flag, its length, itself (gRPC, PROTOCOL-HTTP2).
        body.advance(body.len().min(5));
    }
    let read = match path.as_str() {
        path if path.ends_with("LogsService/Export") || path == "/v1/logs" => otlp::logs(body),
        path if path.ends_with("TraceService/Export") || path == "/v1/traces" => otlp::spans(body),
        _ => zipkin::spans(&body),
    };
    match read {
        Ok(entries) => {
            let mut all = shared.entries.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(entries);
            shared.count.send_replace(all.len());
            drop(all);
            if is_grpc { grpc() } else { plain(StatusCode::ACCEPTED) }
        }
        Err(error) => {
            tracing::warn!(path, error, "a collector cannot read what it was sent");
            plain(StatusCode::BAD_REQUEST)
        }
    }
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::new()).boxed_unsync());
    *response.status_mut() = status;
    response
}

/// An empty message, and the status in trailers.
fn grpc() -> Response<Body> {
    let trailers = HeaderMap::from_iter([(header::HeaderName::from_static("grpc-status"), HeaderValue::from(0))]);
    let message = Full::new(Bytes::from_static(&[0; 5])).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(message.boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
