//! Connections that are kept for the next request.

use std::{
    collections::HashMap,
    convert::Infallible,
    error::Error,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{connect::Connected, failure::Failure, tap::Notes};

/// The body of every request.
pub(super) type RequestBody = UnsyncBoxBody<Bytes, Infallible>;

/// An HTTP/1.1 connection, for one request at a time.
pub(super) struct Http1 {
    pub(super) sender: http1::SendRequest<RequestBody>,
    pub(super) notes: Arc<Notes>,
    /// It has served a request before.
    pub(super) reused: bool,
}

/// An HTTP/2 connection; clones share it.
#[derive(Clone)]
pub(super) struct Http2 {
    pub(super) sender: http2::SendRequest<RequestBody>,
    pub(super) notes: Arc<Notes>,
    /// It was opened for an earlier request.
    pub(super) reused: bool,
}

/// A place for one HTTP/2 connection. Locked while it is opened, so that requests at once share it.
pub(super) type Http2Place = Arc<tokio::sync::Mutex<Option<Http2>>>;

/// Idle HTTP/1.1 connections and the HTTP/2 connection, by destination.
#[derive(Default)]
pub(super) struct Pool {
    http1: Mutex<HashMap<SocketAddr, Vec<Http1>>>,
    http2: Mutex<HashMap<SocketAddr, Http2Place>>,
}

impl Pool {
    /// An idle connection, the one used last: it has had the least time to be closed.
    pub(super) fn take_http1(&self, destination: SocketAddr) -> Option<Http1> {
        let mut idle = lock(&self.http1);
        let connections = idle.get_mut(&destination)?;
        while let Some(connection) = connections.pop() {
            if !connection.sender.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    pub(super) fn put_http1(&self, destination: SocketAddr, mut connection: Http1) {
        if !connection.sender.is_closed() {
            connection.reused = true;
            lock(&self.http1).entry(destination).or_default().push(connection);
        }
    }

    /// Where the connection to this destination is kept.
    pub(super) fn http2(&self, destination: SocketAddr) -> Http2Place {
        lock(&self.http2).entry(destination).or_default().clone()
    }

    /// Closes idle connections now and others after their last request.
    pub(super) fn clear(&self) {
        lock(&self.http1).clear();
        lock(&self.http2).clear();
    }
}

impl Http1 {
    /// Makes an HTTP/1.1 connection of it. `upgrades`: it may become a websocket.
    pub(super) async fn over(connected: Connected, upgrades: bool) -> Result<Self, Failure> {
        let Connected { stream, notes, .. } = connected;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, driver) = handshake.map_err(|e| Failure::of_connection(&notes, false, &e))?;
        // Ends when the sender is dropped and the last answer is read. Errors reach the request through the sender.
        if upgrades {
            tokio::spawn(async move { drop(driver.with_upgrades().await) });
        } else {
            tokio::spawn(async move { drop(driver.await) });
        }
        Ok(Self { sender, notes, reused: false })
    }
}

impl Http2 {
    /// Makes an HTTP/2 connection of it, by prior knowledge.
    pub(super) async fn over(connected: Connected) -> Result<Self, Failure> {
        let Connected { stream, notes, .. } = connected;
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, driver) = handshake.map_err(|e| Failure::of_connection(&notes, false, &e))?;
        tokio::spawn(async move { drop(driver.await) });
        Ok(Self { sender, notes, reused: false })
    }

    /// Why no response came.
    pub(super) fn failure(&self, mut error: TrySendError<http::Request<RequestBody>>) -> Failure {
        let unsent = error.take_message().is_some();
        // Settings frames arrive on every connection: bytes received say nothing.
        let failure = Failure::of_connection(&self.notes, false, error.error());
        Failure { stale: self.reused && (unsent || is_unprocessed(error.error())), ..failure }
    }
}

/// Whether the server says that it did not look at the request: a refused stream, or one above the last stream of a
/// graceful GOAWAY (RFC 9113 §8.7). A proxy that drains a connection does so.
fn is_unprocessed(error: &hyper::Error) -> bool {
    let h2 = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    h2.is_some_and(|h2| match h2.reason() {
        Some(h2::Reason::REFUSED_STREAM) => h2.is_remote(),
        Some(h2::Reason::NO_ERROR) => h2.is_remote() && h2.is_go_away(),
        _ => false,
    })
}

/// No code panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
