//! Sends requests over one route.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Route,
    connect::Connected,
    failure::Failure,
    grpc, http,
    pool::{Http1, Http2, Pool},
    tcp, websocket,
};
use crate::{
    exchange::{ClientResult, ClientView, Request},
    scenario::model::{Connections, Proto},
};

/// How long a request may take, connection included, if nothing else is set.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// One application's way to send. Requests may run at the same time: share the session behind an `Arc`.
///
/// With [`Connections::KeepAlive`], HTTP/1.1 connections are reused one request at a time, and all HTTP/2 and gRPC requests
/// to a destination share one connection. TCP and websockets take a new connection for every request in any case.
///
/// Like any HTTP client, it tries once more on a new connection if a *reused* connection turns out to have been closed:
/// always if the request was not sent or the server says that it did not look at it (RFC 9113 §8.7), and otherwise over HTTP/1.1 for GET, HEAD, OPTIONS, TRACE, PUT and DELETE
/// (RFC 9110 §9.2.2) if nothing of an answer arrived.
pub struct Session {
    route: Route,
    connections: Connections,
    timeout: Duration,
    pool: Pool,
    server_names: Mutex<Option<Vec<String>>>,
}

impl Session {
    /// A session without connections; they are opened by the first requests.
    pub fn new(route: Route, connections: Connections) -> Self {
        Self { route, connections, timeout: DEFAULT_TIMEOUT, pool: Pool::default(), server_names: Mutex::default() }
    }

    /// Gives up on a request after `timeout`. Such a request has failed, in no shape of denial.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends one request and tells how it ended. Every failure is a result; it never panics.
    pub async fn send(&self, request: &Request) -> ClientView {
        let start = Instant::now();
        let result = match tokio::time::timeout(self.timeout, self.attempts(request)).await {
            Ok(result) => result.unwrap_or_else(ClientResult::from),
            Err(_) => Failure::other(format!("timed out after {:?}", self.timeout)).into(),
        };
        ClientView { result, elapsed: start.elapsed() }
    }

    /// The DNS and URI names in the certificate of the server that was connected to last; `None` without TLS.
    pub fn server_names(&self) -> Option<Vec<String>> {
        self.server_names.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Drops the connections that are kept: idle ones close now, others after their last request.
    pub fn disconnect(&self) {
        self.pool.clear();
    }

    async fn attempts(&self, request: &Request) -> Result<ClientResult, Failure> {
        match self.attempt(request, true).await {
            Err(failure) if failure.stale => self.attempt(request, false).await,
            result => result,
        }
    }

    async fn attempt(&self, request: &Request, may_reuse: bool) -> Result<ClientResult, Failure> {
        match request.proto {
            Proto::Http1 => http::send_http1(self, request, may_reuse).await,
            Proto::Http2 => http::send_http2(self, request, may_reuse).await,
            Proto::Grpc => grpc::send(self, request, 1, may_reuse).await,
            Proto::GrpcStream => grpc::send(self, request, grpc::STREAM_MESSAGES, may_reuse).await,
            Proto::Tcp => tcp::send(self.connect(request).await?, request, false).await,
            Proto::TcpServerFirst => tcp::send(self.connect(request).await?, request, true).await,
            Proto::Websocket => websocket::send(self.connect(request).await?, request).await,
        }
    }

    async fn connect(&self, request: &Request) -> Result<Connected, Failure> {
        let connected = self.route.connect(request.destination).await?;
        if connected.server_names.is_some() {
            let mut names = self.server_names.lock().unwrap_or_else(PoisonError::into_inner);
            names.clone_from(&connected.server_names);
        }
        Ok(connected)
    }

    /// An HTTP/1.1 connection for this request.
    pub(super) async fn http1(&self, request: &Request, may_reuse: bool) -> Result<Http1, Failure> {
        while let Some(mut kept) = self.pool.take_http1(request.destination).filter(|_| may_reuse) {
            // Its task may still be busy with the end of the last answer; an error means that it is closed.
            if kept.sender.ready().await.is_ok() {
                return Ok(kept);
            }
        }
        Http1::over(self.connect(request).await?, false).await
    }

    /// Takes a connection back after its answer was read to the end.
    pub(super) fn keep_http1(&self, request: &Request, connection: Http1) {
        if self.keeps() {
            self.pool.put_http1(request.destination, connection);
        }
    }

    /// An HTTP/2 connection for this request.
    pub(super) async fn http2(&self, request: &Request, may_reuse: bool) -> Result<Http2, Failure> {
        if !self.keeps() {
            return Http2::over(self.connect(request).await?).await;
        }
        let place = self.pool.http2(request.destination);
        let mut place = place.lock().await;
        if let Some(kept) = place.as_ref().filter(|kept| may_reuse && !kept.sender.is_closed()) {
            return Ok(kept.clone());
        }
        let fresh = Http2::over(self.connect(request).await?).await?;
        *place = Some(Http2 { reused: true, ..fresh.clone() });
        Ok(fresh)
    }

    fn keeps(&self) -> bool {
        self.connections == Connections::KeepAlive
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { route, connections, timeout, .. } = self;
        write!(f, "Session({route:?}, {connections:?}, {timeout:?})")
    }
}
