//! The ADS server: sessions over gRPC over TLS.
//!
//! A proxy is who its certificate or its token says ([`Identity`]). What it says of itself (the node id) is never trusted.

mod connection;
mod identity;
mod registry;
mod stream;

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use connection::{Acceptor, Connection};
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer;
use identity::Gate;
pub use identity::{Identify, Identity, ReviewError, TokenOwner, TokenReviewer};
use registry::Registry;
pub use registry::{ProxyId, StreamInfo};
use rustls::ServerConfig;
use stream::Ads;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::{Semaphore, mpsc, watch},
    task::JoinHandle,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport;

use crate::{
    admin::Metrics,
    model::{ObjectName, ServiceAccount},
    snapshot::Snapshot,
};

/// What a stream is to tell its proxy.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Feed {
    /// The pod has not been seen yet. The stream waits.
    #[default]
    Unknown,
    /// The pod is there.
    Known {
        /// The proxy's configuration.
        snapshot: Arc<Snapshot>,
        /// The account that the pod runs under. A proxy whose token is of another account gets nothing; nor does one
        /// with a token if the account is not known.
        account: Option<ServiceAccount>,
    },
    /// The pod is gone. The stream ends.
    Gone,
}

impl Feed {
    /// A configuration for a pod whose account is not known: for proxies that have a certificate.
    pub fn known(snapshot: Arc<Snapshot>) -> Self {
        Self::Known { snapshot, account: None }
    }
}

/// Where the configuration of a proxy comes from.
pub trait Source: Send + Sync + 'static {
    /// The configuration of the proxy of `pod`, now and from now on. Called when its stream begins.
    fn subscribe(&self, pod: &ObjectName) -> watch::Receiver<Feed>;
}

/// What the server lets clients do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; more are closed at once.
    pub connections: usize,
    /// Size of a request in bytes.
    pub message: usize,
    /// Time from the TCP connection to the end of the TLS handshake.
    pub handshake: Duration,
    /// Time from the handshake until a stream has proved who the proxy is, where certificates do not. Bounds the time for
    /// headers, and that of one token review.
    pub anonymous: Duration,
    /// Interval of HTTP/2 pings, and the time to wait for their answer.
    pub keepalive: Duration,
    /// Time that [`Server::shutdown`] gives connections to end by themselves.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            message: 16 << 20,
            handshake: Duration::from_secs(10),
            anonymous: Duration::from_secs(10),
            keepalive: Duration::from_secs(30),
            drain: Duration::from_secs(2),
        }
    }
}

/// A running server. Dropping it is the same as killing it, but does not wait.
pub struct Server {
    address: SocketAddr,
    limits: Limits,
    registry: Arc<Registry>,
    tls: watch::Sender<Arc<ServerConfig>>,
    stop: watch::Sender<Stop>,
    connections: Arc<Semaphore>,
    tasks: Vec<JoinHandle<()>>,
}

/// How the server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Stop {
    /// It does not.
    Not,
    /// No new connections; streams end with a status.
    Drain,
    /// Connections break.
    Kill,
}

/// Opens a listening socket that can be opened again right after a restart (`SO_REUSEADDR`).
///
/// # Errors
/// If the address cannot be bound.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// Serves ADS on `listener`. Must be called within a tokio runtime.
///
/// With [`Identity::Certificate`], `tls` must demand client certificates (see [`super::tls::server_config`]).
///
/// # Errors
/// If the listener's address cannot be read.
pub fn serve(
    listener: TcpListener,
    tls: ServerConfig,
    identity: Identity,
    source: Arc<dyn Source>,
    limits: Limits,
    metrics: Arc<Metrics>,
) -> io::Result<Server> {
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(Stop::Not);
    let (tls, current_tls) = watch::channel(with_http2(tls));
    let connections = Arc::new(Semaphore::new(limits.connections));
    let registry = Arc::new(Registry::new(metrics));
    let (accepted, incoming) = mpsc::channel(64);
    let gate = match &identity {
        Identity::Certificate(_) => None,
        Identity::Token(reviewer) => Some(Gate::new(reviewer.clone(), limits.anonymous / 2)),
    };
    let acceptor = Acceptor {
        identity,
        tls: current_tls,
        handshake: limits.handshake,
        anonymous: limits.anonymous,
        connections: connections.clone(),
        stop: stopped.clone(),
        accepted,
    };
    let service = AggregatedDiscoveryServiceServer::new(Ads::new(source, gate, registry.clone(), stopped.clone()))
        .max_decoding_message_size(limits.message);
    let tasks = vec![
        tokio::spawn(acceptor.run(listener)),
        tokio::spawn(serve_http2(service, incoming, stopped, limits.keepalive)),
    ];
    Ok(Server { address, limits, registry, tls, stop, connections, tasks })
}

/// Size of all headers of a stream, in bytes: room for a token.
const LONGEST_HEADERS: u32 = 32 << 10;

async fn serve_http2(
    service: AggregatedDiscoveryServiceServer<Ads>,
    incoming: mpsc::Receiver<io::Result<Connection>>,
    mut stopped: watch::Receiver<Stop>,
    keepalive: Duration,
) {
    let stop = async move {
        let _ = stopped.wait_for(|s| *s != Stop::Not).await;
    };
    let served = transport::Server::builder()
        .http2_keepalive_interval(Some(keepalive))
        .http2_keepalive_timeout(Some(keepalive))
        .max_concurrent_streams(8)
        .http2_max_header_list_size(LONGEST_HEADERS)
        .serve_with_incoming_shutdown(service, ReceiverStream::new(incoming), stop);
    if let Err(error) = served.await {
        tracing::error!(%error, "the ADS server ended");
    }
}

fn with_http2(mut tls: ServerConfig) -> Arc<ServerConfig> {
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(tls)
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Uses another certificate or other roots for connections from now on. Those that are open stay.
    pub fn replace_tls(&self, tls: ServerConfig) {
        self.tls.send_replace(with_http2(tls));
    }

    /// Lets in this many proxies from now on; 0 is no limit. Those that are connected stay. More are refused with
    /// `RESOURCE_EXHAUSTED`.
    pub fn limit_proxies(&self, most: usize) {
        self.registry.limit(most);
    }

    /// The streams that are open, by pod.
    pub fn streams(&self) -> Vec<StreamInfo> {
        self.registry.streams()
    }

    /// The stream of `pod`, if it has one.
    pub fn stream(&self, pod: &ObjectName) -> Option<StreamInfo> {
        self.registry.stream(pod)
    }

    /// A counter that goes up whenever a stream begins, ends, or has taken in a request or a snapshot.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.registry.changed()
    }

    /// Ends all streams with a status and waits for connections to close; breaks those that take too long.
    pub async fn shutdown(self) {
        self.stop.send_replace(Stop::Drain);
        let drained = tokio::time::timeout(self.limits.drain, self.all_closed()).await;
        if drained.is_err() {
            tracing::info!("some proxies did not close their connection; it is broken off");
        }
        self.kill().await;
    }

    /// Closes the listener and breaks all connections, without a word.
    pub async fn kill(mut self) {
        self.stop.send_replace(Stop::Kill);
        self.all_closed().await;
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            // Either it ended or it was aborted: both are what is wanted.
            let _ = task.await;
        }
    }

    async fn all_closed(&self) {
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        // The semaphore is never closed, so the only outcome is that all permits are back.
        let _ = self.connections.acquire_many(all).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(Stop::Kill);
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).field("limits", &self.limits).finish_non_exhaustive()
    }
}
