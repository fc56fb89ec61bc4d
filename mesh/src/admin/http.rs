//! An HTTP/1.1 server with limits, plain or over TLS with a certificate that can be replaced.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::DefaultBodyLimit};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

/// What clients may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Connections at a time; more wait until one is free.
    pub connections: usize,
    /// Time for the TLS handshake, and again for the headers of each request; so long a connection may be idle, too.
    pub header: Duration,
    /// Size of a request's body in bytes.
    pub body: usize,
    /// Time that [`HttpServer::shutdown`] gives requests to end.
    pub drain: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            header: Duration::from_secs(10),
            // Twice what the API server takes for one object: a review holds the old and the new one.
            body: 7 << 20,
            drain: Duration::from_secs(3),
        }
    }
}

/// The certificate of a server, now and from now on. `None` is plain HTTP.
pub type Tls = Option<watch::Receiver<Arc<ServerConfig>>>;

/// The client's certificate (DER), verified in the handshake: an extension of each of its requests.
#[derive(Clone, Debug)]
pub struct PeerCertificate(pub Arc<[u8]>);

/// A running server. Dropping it ends it at once.
pub struct HttpServer {
    address: SocketAddr,
    limits: HttpLimits,
    stop: watch::Sender<bool>,
    open: Arc<Semaphore>,
    acceptor: JoinHandle<()>,
}

impl HttpServer {
    /// Serves `router` on `listener`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the listener's address cannot be read.
    pub fn start(listener: TcpListener, tls: Tls, router: Router, limits: HttpLimits) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let open = Arc::new(Semaphore::new(limits.connections));
        let router = router.layer(DefaultBodyLimit::max(limits.body));
        let acceptor = tokio::spawn(accept(listener, tls, router, limits, open.clone(), stopped));
        Ok(Self { address, limits, stop, open, acceptor })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests, and waits for those that run; breaks those that take too long.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        // It ends by itself, and was not joined before.
        let _ = (&mut self.acceptor).await;
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        if tokio::time::timeout(self.limits.drain, self.open.acquire_many(all)).await.is_err() {
            tracing::info!(address = %self.address, "some HTTP requests did not end; they are broken off");
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

impl fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpServer").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn accept(
    listener: TcpListener,
    tls: Tls,
    router: Router,
    limits: HttpLimits,
    open: Arc<Semaphore>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        // The semaphore is never closed.
        let Ok(permit) = open.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, _)) => {
                let acceptor = tls.as_ref().map(|tls| TlsAcceptor::from(tls.borrow().clone()));
                tokio::spawn(connection(tcp, acceptor, router.clone(), limits.header, stopped.clone(), permit));
            }
            Err(error) => {
                // Out of file descriptors, most likely. Others may become free.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(
    tcp: TcpStream,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    header: Duration,
    stopped: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
) {
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "a connection broke at once");
        return;
    }
    match acceptor {
        None => requests(tcp, router, None, header, stopped).await,
        Some(acceptor) => match tokio::time::timeout(header, acceptor.accept(tcp)).await {
            Ok(Ok(tls)) => {
                let chain = tls.get_ref().1.peer_certificates();
                let peer = chain.and_then(|chain| chain.first()).map(|leaf| PeerCertificate(leaf.as_ref().into()));
                requests(tls, router, peer, header, stopped).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        },
    }
}

async fn requests(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    peer: Option<PeerCertificate>,
    header: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    let router = router.map_request(move |mut request: hyper::Request<Incoming>| {
        if let Some(peer) = &peer {
            request.extensions_mut().insert(peer.clone());
        }
        request
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = async { drop(stopped.wait_for(|stop| *stop).await) } => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection broke");
    }
}
