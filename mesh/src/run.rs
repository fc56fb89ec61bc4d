//! The control plane in one process: the one writer that owns the [`World`], and the ADS server that it feeds.
//!
//! ```text
//! apply(Vec<Change>) ──mpsc──► writer thread: World::apply ──► snapshot::build ──watch per pod──► one ADS stream each
//! ```
//!
//! There is no waiting on the leading edge: the writer takes what is queued, applies all of it, and publishes. What comes
//! meanwhile is the next batch. Snapshots are built for proxies that have a stream; others get theirs when they connect.

pub mod status;
mod writer;

use std::{
    fmt, io,
    net::SocketAddr,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use rustls::ServerConfig;
pub use status::{NotSynced, ProxyStatus};
use tokio::sync::{mpsc, oneshot, watch};
use writer::{Command, Feeds, View, Writer};

use crate::{
    admin::Metrics,
    model::ObjectName,
    snapshot::{Resource, ResourceType, Snapshot},
    world::{Change, World},
    xds::{
        Server,
        server::{self, Identity, Limits},
    },
};

/// What a control plane needs to start.
pub struct Config {
    /// Where proxies connect. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Certificate of the control plane, and whether it demands client certificates. See [`crate::xds::tls`].
    pub tls: ServerConfig,
    /// How proxies prove who they are.
    pub identity: Identity,
    /// What the ADS server lets clients do.
    pub limits: Limits,
    /// The last hand on every snapshot before it is published. A simulator without iptables needs it; a cluster does not.
    pub finish: Option<Finish>,
    /// Where everything is counted.
    pub metrics: Arc<Metrics>,
}

/// Turns the snapshot of a pod into the one that is delivered.
#[derive(Clone)]
pub struct Finish(pub Arc<FinishFn>);

/// See [`Finish`].
pub type FinishFn = dyn Fn(&ObjectName, Snapshot) -> Snapshot + Send + Sync;

impl fmt::Debug for Finish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Finish")
    }
}

/// Why a control plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is not to be had.
    #[error("listen on {address} for proxies: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// No thread for the writer.
    #[error("start the writer thread: {0}")]
    Writer(io::Error),
}

/// The writer has ended: the control plane is shutting down, or was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the control plane has stopped; start it again")]
pub struct Stopped;

/// Resources that replace what was built for one pod, or come in addition.
pub type Overrides = Vec<(ResourceType, Arc<str>, Resource)>;

/// A running control plane. Dropping it is the same as killing it, but does not wait.
pub struct ControlPlane {
    server: Server,
    commands: mpsc::UnboundedSender<Command>,
    view: watch::Receiver<Arc<View>>,
    feeds: Arc<Feeds>,
    changed: watch::Receiver<u64>,
    metrics: Arc<Metrics>,
    writer: JoinHandle<()>,
}

/// The newest world, for whoever looks at it from outside: a webhook, a status writer. Cheap to clone.
#[derive(Clone)]
pub struct Worlds(watch::Receiver<Arc<View>>);

impl Worlds {
    /// Everything known, as of now; the last that was known if the control plane has ended.
    pub fn now(&self) -> World {
        self.0.borrow().world.clone()
    }

    /// Waits until there may be something new; false if the control plane has ended.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

impl fmt::Debug for Worlds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worlds")
    }
}

impl ControlPlane {
    /// Starts the writer and the ADS server. The world is empty.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    #[expect(clippy::unused_async, reason = "needs a tokio runtime, and says so by being async")]
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let address = config.listen;
        let refused = |source| StartError::Listen { address, source };
        let listener = server::listen(address).map_err(refused)?;
        let (commands, queue) = mpsc::unbounded_channel();
        let (view, current) = watch::channel(Arc::new(View::new(config.finish.clone())));
        let feeds = Arc::new(Feeds::new(&commands));
        let server =
            server::serve(listener, config.tls, config.identity, feeds.clone(), config.limits, config.metrics.clone())
                .map_err(refused)?;
        let changed = server.changed();
        let writer = Writer::new(queue, feeds.clone(), view, config.finish, config.metrics.clone());
        let writer = thread::Builder::new().name("writer".into()).spawn(|| writer.run()).map_err(StartError::Writer)?;
        Ok(Self { server, commands, view: current, feeds, changed, metrics: config.metrics, writer })
    }

    /// Where proxies connect.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Takes changes in, in this order and without any other between them. Returns when the snapshots of all connected
    /// proxies that they concern are published, with the generation of the world that has them: 1 for the first batch.
    ///
    /// # Errors
    /// If the control plane has stopped.
    pub async fn apply(&self, changes: Vec<Change>) -> Result<u64, Stopped> {
        self.ask(|done| Command::Apply(changes, done)).await
    }

    /// For fault injection: from now on these resources are put into the snapshot of `pod` before it is published.
    /// An empty list heals it.
    ///
    /// # Errors
    /// If the control plane has stopped.
    pub async fn poison(&self, pod: ObjectName, overrides: Overrides) -> Result<u64, Stopped> {
        self.ask(|done| Command::Poison(pod, overrides, done)).await
    }

    async fn ask(&self, command: impl FnOnce(oneshot::Sender<u64>) -> Command) -> Result<u64, Stopped> {
        let (done, generation) = oneshot::channel();
        self.metrics.event_queued();
        self.commands.send(command(done)).map_err(|_| Stopped)?;
        generation.await.map_err(|_| Stopped)
    }

    /// Asks the writer for a sign of life. Returns when it has done all that was asked of it before.
    ///
    /// # Errors
    /// If the control plane has stopped.
    pub async fn ping(&self) -> Result<u64, Stopped> {
        self.ask(Command::Ping).await
    }

    /// Where everything is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Lets in this many proxies from now on; 0 is no limit. Those that are connected stay.
    pub fn limit_proxies(&self, most: usize) {
        self.server.limit_proxies(most);
    }

    /// Everything known, as of now.
    pub fn world(&self) -> World {
        self.view.borrow().world.clone()
    }

    /// The same, for others.
    pub fn worlds(&self) -> Worlds {
        Worlds(self.view.clone())
    }

    /// How many batches of changes have been taken in.
    pub fn generation(&self) -> u64 {
        self.view.borrow().generation
    }

    /// The newest configuration of the proxy of `pod`, connected or not; `None` if there is no such pod.
    pub fn snapshot(&self, pod: &ObjectName) -> Option<Arc<Snapshot>> {
        let view = self.view.borrow().clone();
        view.snapshot(pod)
    }

    fn eye(&self) -> status::Eye<'_> {
        status::Eye { view: self.view.borrow().clone(), feeds: &self.feeds, server: &self.server }
    }

    /// All pods of the world and all proxies that are connected, by name.
    pub fn proxies(&self) -> Vec<ProxyStatus> {
        self.eye().proxies()
    }

    /// A counter that goes up whenever a proxy connects, disconnects, is sent or answers something.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }

    /// Waits until every connected proxy holds its newest snapshot. Proxies of pods that the world does not have are
    /// left out: there is nothing for them to hold.
    ///
    /// # Errors
    /// If that is not so in time: who lacks what.
    pub async fn synced(&self, within: Duration) -> Result<(), NotSynced> {
        let mut changed = self.changed();
        let waiting = async {
            let mut waits = status::Waiting::default();
            while !waits.is_over(&self.eye()) {
                if changed.changed().await.is_err() {
                    return;
                }
            }
        };
        match tokio::time::timeout(within, waiting).await {
            Ok(()) => Ok(()),
            Err(_) => self.eye().not_synced(),
        }
    }

    /// Uses another certificate or other roots for connections from now on. Those that are open stay.
    pub fn replace_tls(&self, tls: ServerConfig) {
        self.server.replace_tls(tls);
    }

    /// Ends all streams with a status, and waits until everything is closed. Proxies keep what they have.
    pub async fn shutdown(self) {
        let Self { server, commands, view, writer, .. } = self;
        server.shutdown().await;
        end(&commands, view, writer).await;
    }

    /// Breaks all connections and closes the listener at once, as a crash would. The address is free on return.
    pub async fn kill(self) {
        let Self { server, commands, view, writer, .. } = self;
        server.kill().await;
        end(&commands, view, writer).await;
    }
}

async fn end(commands: &mpsc::UnboundedSender<Command>, mut view: watch::Receiver<Arc<View>>, writer: JoinHandle<()>) {
    // A writer that is gone already is as good.
    let _ = commands.send(Command::Stop);
    while view.changed().await.is_ok() {}
    if writer.join().is_err() {
        tracing::error!("the writer thread panicked");
    }
}

impl fmt::Debug for ControlPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlPlane").field("server", &self.server).finish_non_exhaustive()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("listen", &self.listen).field("limits", &self.limits).finish_non_exhaustive()
    }
}
