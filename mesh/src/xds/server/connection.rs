//! TCP and TLS: from a socket to a connection that knows whose it is.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::server::Connected;

use super::{Identity, ProxyId, Stop};

/// Accepts connections and hands on those that prove who they are, or will have to do so with every stream.
pub(super) struct Acceptor {
    pub(super) identity: Identity,
    pub(super) tls: watch::Receiver<Arc<ServerConfig>>,
    pub(super) handshake: Duration,
    pub(super) anonymous: Duration,
    pub(super) connections: Arc<Semaphore>,
    pub(super) stop: watch::Receiver<Stop>,
    pub(super) accepted: mpsc::Sender<io::Result<Connection>>,
}

impl Acceptor {
    /// Runs until the server stops.
    pub(super) async fn run(self, listener: TcpListener) {
        let mut stopped = self.stop.clone();
        loop {
            let accepted = tokio::select! {
                _ = stopped.wait_for(|s| *s != Stop::Not) => return,
                accepted = listener.accept() => accepted,
            };
            let (tcp, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely. Others may become free.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(permit) = self.connections.clone().try_acquire_owned() else {
                tracing::warn!(%peer, "refused a connection: the limit is reached");
                continue;
            };
            tokio::spawn(self.prove(tcp, permit));
        }
    }

    /// Does the handshake and reads the identity, within the time allowed.
    fn prove(&self, tcp: TcpStream, permit: OwnedSemaphorePermit) -> impl Future<Output = ()> + use<> {
        let tls = TlsAcceptor::from(self.tls.borrow().clone());
        let (identity, accepted, mut stop) = (self.identity.clone(), self.accepted.clone(), self.stop.clone());
        let (within, anonymous) = (self.handshake, self.anonymous);
        async move {
            let peer = tcp.peer_addr().map_or_else(|_| "unknown".to_owned(), |a| a.to_string());
            let proved = tokio::select! {
                _ = stop.wait_for(|s| *s != Stop::Not) => return,
                proved = tokio::time::timeout(within, handshake(tls, tcp, &identity)) => proved,
            };
            match proved {
                Ok(Ok((tls, proxy))) => {
                    let (proved, proof) = watch::channel(proxy.is_some());
                    let peer = Peer { proxy, proved: Arc::new(proved) };
                    let end = Box::pin(ended(stop, proof, anonymous));
                    let connection = Connection { tls, peer, end, _permit: permit };
                    // Only a server that is ending does not take it.
                    let _ = accepted.send(Ok(connection)).await;
                }
                Ok(Err(error)) => tracing::warn!(%peer, %error, "refused a connection"),
                Err(_) => tracing::warn!(%peer, "refused a connection: the TLS handshake took too long"),
            }
        }
    }
}

async fn handshake(
    acceptor: TlsAcceptor,
    tcp: TcpStream,
    identity: &Identity,
) -> Result<(TlsStream<TcpStream>, Option<ProxyId>), String> {
    // Latency matters more than the number of packets.
    tcp.set_nodelay(true).map_err(|e| e.to_string())?;
    let tls = acceptor.accept(tcp).await.map_err(|e| e.to_string())?;
    let Identity::Certificate(identify) = identity else { return Ok((tls, None)) };
    let leaf = tls.get_ref().1.peer_certificates().and_then(|c| c.first()).ok_or("no client certificate")?;
    let pod = identify(leaf)?;
    Ok((tls, Some(ProxyId { pod, account: None })))
}

/// Ends when connections are to break, or if no stream of this one has proved an identity in time.
async fn ended(mut stop: watch::Receiver<Stop>, mut proof: watch::Receiver<bool>, within: Duration) {
    let anonymous = async {
        let proved = tokio::time::timeout(within, async { proof.wait_for(|proved| *proved).await.is_ok() }).await;
        if proved.is_ok() {
            std::future::pending::<()>().await;
        }
        tracing::info!("closed a connection: no stream on it proved who it is");
    };
    tokio::select! {
        _ = stop.wait_for(|s| *s == Stop::Kill) => {}
        () = anonymous => {}
    }
}

/// The other end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// Who it is, if its certificate told.
    pub(super) proxy: Option<ProxyId>,
    proved: Arc<watch::Sender<bool>>,
}

impl Peer {
    /// A stream of the connection has proved who it is: the connection may stay.
    pub(super) fn proved(&self) {
        self.proved.send_replace(true);
    }
}

/// A connection of a proxy. It breaks when the server is killed.
pub(super) struct Connection {
    tls: TlsStream<TcpStream>,
    peer: Peer,
    end: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Given back when the connection is closed.
    _permit: OwnedSemaphorePermit,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.peer.proxy).finish()
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // HTTP/2 is always reading, so this is where the end is noticed.
        if self.end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.tls).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }
}
