//! Watches a connection: how many bytes came back, and how it ended.
//!
//! HTTP libraries fold the cause of an error into words. What a denial looked like must be known exactly, so it is taken
//! down where it happens: at the socket.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How the other side ended a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Closed or reset.
    Closed(String),
    /// A TLS alert, or bytes that are no TLS.
    Tls(String),
    /// Another error of the system.
    Other(String),
}

/// What is known of a connection. Shared between the connection and whoever judges its failure.
#[derive(Debug, Default)]
pub(super) struct Notes {
    received: AtomicU64,
    end: Mutex<Option<End>>,
}

impl Notes {
    /// Bytes received so far, without TLS framing.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// How it ended; `None` while it is open.
    pub(super) fn end(&self) -> Option<End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first end counts, but for one thing: a TLS alert explains a reset that was noticed earlier.
    fn ended(&self, end: End) {
        let mut known = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() || matches!(end, End::Tls(_)) {
            *known = Some(end);
        }
    }
}

impl From<&io::Error> for End {
    fn from(error: &io::Error) -> Self {
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Self::Tls(tls.to_string());
        }
        match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof => Self::Closed(error.to_string()),
            _ => Self::Other(error.to_string()),
        }
    }
}

/// A connection that takes notes.
#[derive(Debug)]
pub(super) struct Tap<S> {
    stream: S,
    notes: Arc<Notes>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Tap<S> {
    pub(super) fn new(stream: S, notes: Arc<Notes>) -> Self {
        Self { stream, notes }
    }

    fn note_error<T>(&self, result: &io::Result<T>) {
        if let Err(error) = result {
            self.notes.ended(End::from(error));
        }
    }

    fn count(&self, bytes: usize) {
        self.notes.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Tap<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let room = buf.remaining();
        let result = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        let read = buf.filled().len() - before;
        match &result {
            Ok(()) if read == 0 && room > 0 => self.notes.ended(End::Closed("end of stream".into())),
            Ok(()) => self.count(read),
            Err(error) => self.notes.ended(End::from(error)),
        }
        Poll::Ready(result)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.note_error(&result);
        Poll::Ready(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        self.note_error(&result);
        Poll::Ready(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Our own doing: no note.
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A socket that goes on reading after a write has failed.
///
/// A server that refuses a client says why (an alert of TLS 1.3, an early HTTP answer) and closes. If the client still
/// writes, the write fails, although the reason lies in the receive buffer. So a write to a broken connection is
/// swallowed here, and the next read gives the reason, or the end.
#[derive(Debug)]
pub(super) struct ReadsOn<S> {
    stream: S,
    broken: bool,
}

impl<S> ReadsOn<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, broken: false }
    }

    fn swallow<T>(&mut self, result: io::Result<T>, instead: T) -> io::Result<T> {
        match result {
            Err(error) if matches!(End::from(&error), End::Closed(_)) => {
                self.broken = true;
                Ok(instead)
            }
            other => other,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadsOn<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadsOn<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.broken {
            return Poll::Ready(Ok(bytes.len()));
        }
        let result = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        Poll::Ready(self.swallow(result, bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        Poll::Ready(self.swallow(result, ()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
        Poll::Ready(self.swallow(result, ()))
    }
}
