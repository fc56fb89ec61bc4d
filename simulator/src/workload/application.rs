//! One fake application port of one pod.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
};

use mesh::model::Protocol;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::{
    Witness,
    behaviour::{Behaviour, RespondError},
    http,
    tasks::Tasks,
    tcp,
    witness::PortCounts,
};
use crate::{
    exchange::{RequestId, Sighting},
    scenario::model::{Proto, Respond},
};

/// Who speaks first on a port, and what its clients usually speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// HTTP/1.1, HTTP/2 by prior knowledge, gRPC, websockets.
    Http,
    /// TCP echo in which the client speaks first.
    Tcp,
    /// TCP echo in which the server speaks first: `hello from <pod>`.
    TcpServerFirst,
}

impl Kind {
    /// The simplest protocol that the port speaks.
    pub fn proto(self) -> Proto {
        match self {
            Self::Http => Proto::Http1,
            Self::Tcp => Proto::Tcp,
            Self::TcpServerFirst => Proto::TcpServerFirst,
        }
    }
}

impl From<Protocol> for Kind {
    /// An unsupported protocol is played as plain TCP.
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http | Protocol::Grpc => Self::Http,
            Protocol::Tcp | Protocol::Unsupported => Self::Tcp,
            Protocol::TcpServerFirst => Self::TcpServerFirst,
        }
    }
}

/// What an application plays, and where it listens.
#[derive(Clone, Debug)]
pub struct ApplicationPort {
    /// The pod's name; given in answers and sightings.
    pub pod: Arc<str>,
    /// The container port that it plays, whatever port it really listens on.
    pub port: u16,
    /// What it speaks.
    pub kind: Kind,
    /// Where it listens; port 0 takes any free port.
    pub bind: SocketAddr,
    /// How it answers.
    pub respond: Respond,
    /// Serves TLS itself: an impostor. `None` is the rule, for behind a sidecar all is plaintext.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

/// Why an application did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("application of pod {pod} cannot listen on {bind}: free that address")]
    Bind {
        /// The pod.
        pod: Arc<str>,
        /// The address.
        bind: SocketAddr,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// It cannot answer so.
    #[error(transparent)]
    Respond(#[from] RespondError),
}

/// A running application. Dropping it closes its port and all of its connections, at the latest when the runtime next runs.
pub struct Application {
    addr: SocketAddr,
    desk: Arc<Desk>,
    tasks: Tasks,
    acceptor: JoinHandle<()>,
}

/// What every connection of an application shares.
pub(super) struct Desk {
    pub(super) pod: Arc<str>,
    pub(super) port: u16,
    pub(super) counts: Arc<PortCounts>,
    kind: Kind,
    witness: Arc<Witness>,
    behaviour: RwLock<Behaviour>,
}

impl Application {
    /// Starts to listen; connections are accepted when this returns. Must be called within a tokio runtime.
    pub async fn start(port: ApplicationPort, witness: Arc<Witness>) -> Result<Self, StartError> {
        let ApplicationPort { pod, port, kind, bind, respond, tls } = port;
        let behaviour = Behaviour::new(&respond)?;
        let bound = async {
            let listener = TcpListener::bind(bind).await?;
            let addr = listener.local_addr()?;
            Ok((listener, addr))
        };
        let (listener, addr) = bound.await.map_err(|source| StartError::Bind { pod: pod.clone(), bind, source })?;
        let counts = witness.port(&pod, port);
        let desk = Arc::new(Desk { pod, port, counts, kind, witness, behaviour: RwLock::new(behaviour) });
        let tasks = Tasks::default();
        let acceptor = tokio::spawn(accept(listener, tls.map(TlsAcceptor::from), desk.clone(), tasks.clone()));
        Ok(Self { addr, desk, tasks, acceptor })
    }

    /// Where it really listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Answers differently from the next request on, also on open connections.
    pub fn set_respond(&self, respond: &Respond) -> Result<(), RespondError> {
        let behaviour = Behaviour::new(respond)?;
        *self.desk.behaviour.write().unwrap_or_else(PoisonError::into_inner) = behaviour;
        Ok(())
    }

    /// Closes the port and all connections, and returns when that is done.
    pub async fn stop(mut self) {
        self.acceptor.abort();
        // An aborted task ends with a `JoinError`, which is what is wanted here.
        let _ = (&mut self.acceptor).await;
        self.tasks.stop().await;
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.acceptor.abort();
        self.tasks.abort();
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Desk { pod, port, kind, .. } = &*self.desk;
        write!(f, "Application({pod}:{port} as {kind:?} on {})", self.addr)
    }
}

impl Desk {
    pub(super) fn behaviour(&self) -> Behaviour {
        *self.behaviour.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often this request has arrived at any application; once if it has no id.
    pub(super) fn arrivals(&self, id: Option<RequestId>) -> usize {
        id.map_or(1, |id| self.witness.sightings(id).len())
    }

    /// Records an arrival; without an id it counts as a stray.
    pub(super) fn record(&self, id: Option<RequestId>, sighting: Sighting) {
        match id {
            Some(id) => self.witness.record(id, sighting),
            None => self.counts.strayed(),
        }
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, desk: Arc<Desk>, tasks: Tasks) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                desk.counts.connected();
                tasks.spawn(connection(stream, tls.clone(), desk.clone(), tasks.clone()));
            }
            Err(error) => {
                // Out of descriptors, or the peer gave up in the backlog. Let others run, then go on.
                tracing::warn!(pod = %desk.pod, port = desk.port, %error, "cannot accept");
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, desk: Arc<Desk>, tasks: Tasks) {
    // Echoes are small; waiting to fill packets would only slow them down. A failure costs speed alone.
    let _ = stream.set_nodelay(true);
    match tls {
        None => talk(stream, desk, tasks).await,
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => talk(stream, desk, tasks).await,
            Err(error) => tracing::debug!(pod = %desk.pod, port = desk.port, %error, "TLS handshake failed"),
        },
    }
}

/// Recognises what the client speaks by its first bytes, then speaks it.
async fn talk<S>(mut stream: S, desk: Arc<Desk>, tasks: Tasks)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let server_first = desk.kind == Kind::TcpServerFirst;
    if server_first && tcp::greet(&mut stream, &desk).await.is_err() {
        return;
    }
    let Ok(first) = tcp::first_bytes(&mut stream).await else { return };
    if first.is_empty() {
        return;
    }
    if first == tcp::ID_PREFIX.as_bytes() {
        tcp::serve(stream, &desk, server_first).await;
    } else {
        http::serve(stream, &first, desk, tasks).await;
    }
}
