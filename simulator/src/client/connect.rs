//! How a client reaches the network.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::TlsConnector;

use super::{
    failure::Failure,
    proxy_protocol::proxy_header,
    tap::{Notes, ReadsOn, Tap},
    tls,
};

/// The way from an application to [`crate::exchange::Request::destination`].
#[derive(Clone, Debug)]
pub enum Route {
    /// Through the pod's own sidecar: connects to its outbound listener and names the destination in a PROXY protocol v2
    /// header, which stands for the redirection by iptables in a real pod.
    ThroughSidecar {
        /// The sidecar's outbound listener.
        outbound: SocketAddr,
        /// The pod's address, given as the source. The source port is that of the real connection.
        source: IpAddr,
    },
    /// As [`Route::ThroughSidecar`], by an application that speaks TLS itself.
    ThroughSidecarTls {
        /// The sidecar's outbound listener.
        outbound: SocketAddr,
        /// The pod's address.
        source: IpAddr,
        /// The application's TLS; see [`tls::trusting_any_server`].
        config: Arc<ClientConfig>,
        /// The SNI.
        server_name: ServerName<'static>,
    },
    /// Straight to the destination, in plaintext.
    Direct {
        /// Address to connect from; any if `None`. All of 127.0.0.0/8 can be used without root.
        source: Option<IpAddr>,
    },
    /// Straight to the destination, normally another pod's inbound sidecar port, over TLS with credentials of its own.
    DirectTls {
        /// Address to connect from; any if `None`.
        source: Option<IpAddr>,
        /// Certificate and ALPN that are presented; see [`tls::trusting_any_server`].
        config: Arc<ClientConfig>,
        /// The SNI, for example a service's FQDN.
        server_name: ServerName<'static>,
    },
}

/// Anything to read from and write to.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// An open connection, before anything is spoken on it.
pub(super) struct Connected {
    pub(super) stream: Tap<Box<dyn Io>>,
    pub(super) notes: Arc<Notes>,
    /// The names in the server's certificate; `None` in plaintext.
    pub(super) server_names: Option<Vec<String>>,
}

impl Route {
    /// Opens a connection to `destination`.
    pub(super) async fn connect(&self, destination: SocketAddr) -> Result<Connected, Failure> {
        match self {
            Self::ThroughSidecar { outbound, source } => {
                let stream = redirected(*outbound, *source, destination).await?;
                Ok(Connected::new(ReadsOn::new(stream), None))
            }
            Self::Direct { source } => {
                let stream = open(destination, *source).await.map_err(|e| Failure::connecting(&e))?;
                Ok(Connected::new(ReadsOn::new(stream), None))
            }
            Self::ThroughSidecarTls { outbound, source, config, server_name } => {
                wrapped(redirected(*outbound, *source, destination).await?, config, server_name).await
            }
            Self::DirectTls { source, config, server_name } => {
                let stream = open(destination, *source).await.map_err(|e| Failure::connecting(&e))?;
                wrapped(stream, config, server_name).await
            }
        }
    }
}

async fn wrapped(
    stream: TcpStream,
    config: &Arc<ClientConfig>,
    server_name: &ServerName<'static>,
) -> Result<Connected, Failure> {
    let connector = TlsConnector::from(config.clone());
    let handshake = connector.connect(server_name.clone(), ReadsOn::new(stream)).await;
    let stream = handshake.map_err(|e| Failure::io(&e))?;
    let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let names = leaf.map(tls::names).unwrap_or_default();
    Ok(Connected::new(stream, Some(names)))
}

impl Connected {
    fn new(stream: impl Io + 'static, server_names: Option<Vec<String>>) -> Self {
        let notes = Arc::new(Notes::default());
        Self { stream: Tap::new(Box::new(stream), notes.clone()), notes, server_names }
    }
}

/// What iptables do: a connection to the sidecar that says where it was to go.
async fn redirected(outbound: SocketAddr, source: IpAddr, destination: SocketAddr) -> Result<TcpStream, Failure> {
    let mut stream = open(outbound, None).await.map_err(|e| Failure::connecting(&e))?;
    let port = stream.local_addr().map_err(|e| Failure::io(&e))?.port();
    let header = proxy_header(SocketAddr::new(source, port), destination);
    stream.write_all(&header).await.map_err(|e| Failure::io(&e))?;
    Ok(stream)
}

async fn open(to: SocketAddr, from: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(from) = from {
        // A bound socket takes its port from the whole address; without this, one in TIME_WAIT would block it.
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::new(from, 0))?;
    }
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
