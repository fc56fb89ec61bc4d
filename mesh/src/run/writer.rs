//! The one writer: changes in, snapshots out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use imbl::{OrdMap, OrdSet};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Finish, Overrides};
use crate::{
    admin::Metrics,
    model::{Kind, ObjectName, ServiceAccount},
    snapshot::{self, Class, Snapshot},
    world::{Affected, Change, Object, World},
    xds::{Feed, Source},
};

/// What the writer is asked to do.
pub(super) enum Command {
    /// Take in changes, and answer with the generation.
    Apply(Vec<Change>, oneshot::Sender<u64>),
    /// Replace resources in one pod's snapshot.
    Poison(ObjectName, Overrides, oneshot::Sender<u64>),
    /// Answer with the generation.
    Ping(oneshot::Sender<u64>),
    /// A stream of the pod began: build its snapshot.
    Connected(ObjectName),
    /// End.
    Stop,
}

/// What the writer knows, for readers. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) world: World,
    pub(super) pods: OrdSet<ObjectName>,
    pub(super) overrides: OrdMap<ObjectName, Arc<Overrides>>,
    pub(super) generation: u64,
    finish: Option<Finish>,
}

impl View {
    pub(super) fn new(finish: Option<Finish>) -> Self {
        Self { finish, ..Self::default() }
    }

    /// The configuration of the proxy of `pod`.
    pub(super) fn snapshot(&self, pod: &ObjectName) -> Option<Arc<Snapshot>> {
        self.pods.contains(pod).then(|| {
            let mut snapshot = snapshot::build(&self.world, pod);
            if let Some(Finish(finish)) = &self.finish {
                snapshot = finish(pod, snapshot);
            }
            for (kind, name, resource) in self.overrides.get(pod).into_iter().flat_map(|o| o.iter()) {
                snapshot.insert(*kind, name.clone(), resource.clone());
            }
            Arc::new(snapshot)
        })
    }

    /// The class of a pod that shares its snapshot with others; `None` if something is done to its own.
    fn class(&self, pod: &ObjectName) -> Option<Class> {
        let alone = self.finish.is_some() || self.overrides.contains_key(pod) || !self.pods.contains(pod);
        if alone { None } else { Class::of(&self.world, pod) }
    }

    /// Takes a change in; remembers which pods there are.
    fn apply(&mut self, change: Change) -> Affected {
        match &change {
            Change::Put(Object::Workload(workload)) => drop(self.pods.insert(workload.name.clone())),
            Change::Gone(object) if object.kind == Kind::Pod => drop(self.pods.remove(&object.name)),
            _ => {}
        }
        self.world.apply(change)
    }
}

/// The snapshots of connected proxies, each in a channel that its stream reads.
pub(super) struct Feeds {
    by_pod: Mutex<BTreeMap<ObjectName, watch::Sender<Feed>>>,
    /// Weak: the writer holds the feeds, and ends when nobody can ask it for anything.
    commands: mpsc::WeakUnboundedSender<Command>,
}

impl Feeds {
    pub(super) fn new(commands: &mpsc::UnboundedSender<Command>) -> Self {
        Self { by_pod: Mutex::default(), commands: commands.downgrade() }
    }

    /// What the stream of `pod` was told last.
    pub(super) fn told(&self, pod: &ObjectName) -> Option<Arc<Snapshot>> {
        match &*self.lock().get(pod)?.borrow() {
            Feed::Known { snapshot, .. } => Some(snapshot.clone()),
            Feed::Unknown | Feed::Gone => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectName, watch::Sender<Feed>>> {
        // A map of channels is whole after every single operation.
        self.by_pod.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pods with a stream. Feeds that nobody reads any more are dropped.
    fn connected(&self) -> Vec<ObjectName> {
        let mut feeds = self.lock();
        feeds.retain(|_, feed| feed.receiver_count() > 0);
        feeds.keys().cloned().collect()
    }

    fn is_connected(&self, pod: &ObjectName) -> bool {
        self.lock().get(pod).is_some_and(|feed| feed.receiver_count() > 0)
    }

    /// Tells the stream of `pod`, if it has one and the news differ from what it was told last.
    fn publish(&self, pod: &ObjectName, account: Option<ServiceAccount>, snapshot: Option<Arc<Snapshot>>) {
        if let Some(feed) = self.lock().get(pod) {
            feed.send_if_modified(|told| {
                let news = match (snapshot, &*told) {
                    (Some(snapshot), _) => Feed::Known { snapshot, account },
                    // A pod that was never there may still come.
                    (None, Feed::Unknown) => Feed::Unknown,
                    (None, Feed::Known { .. } | Feed::Gone) => Feed::Gone,
                };
                let differs = !same(told, &news);
                if differs {
                    *told = news;
                }
                differs
            });
        }
    }
}

/// Compares versions, which are hashes of the content.
fn same(a: &Feed, b: &Feed) -> bool {
    match (a, b) {
        (Feed::Known { snapshot: a, account: x }, Feed::Known { snapshot: b, account: y }) if x == y => {
            a.iter().map(|(k, n, r)| (k, n, &r.version)).eq(b.iter().map(|(k, n, r)| (k, n, &r.version)))
        }
        _ => a == b,
    }
}

impl Source for Feeds {
    fn subscribe(&self, pod: &ObjectName) -> watch::Receiver<Feed> {
        let receiver = {
            let mut feeds = self.lock();
            let feed = feeds.entry(pod.clone()).or_default();
            // A stream that begins does not care that the pod was gone once.
            feed.send_if_modified(|told| {
                if *told == Feed::Gone {
                    *told = Feed::Unknown;
                }
                false
            });
            feed.subscribe()
        };
        if let Some(commands) = self.commands.upgrade() {
            // If the writer has ended, the server is ending too.
            let _ = commands.send(Command::Connected(pod.clone()));
        }
        receiver
    }
}

/// As many snapshots as it takes to make up for starting a thread.
const SHARE: usize = 64;

/// The thread that owns the world.
pub(super) struct Writer {
    queue: mpsc::UnboundedReceiver<Command>,
    feeds: Arc<Feeds>,
    view: View,
    published: watch::Sender<Arc<View>>,
    metrics: Arc<Metrics>,
}

/// What a batch of commands asks for.
#[derive(Default)]
struct Batch {
    everyone: bool,
    pods: BTreeSet<ObjectName>,
    done: Vec<oneshot::Sender<u64>>,
    stop: bool,
}

impl Writer {
    pub(super) fn new(
        queue: mpsc::UnboundedReceiver<Command>,
        feeds: Arc<Feeds>,
        published: watch::Sender<Arc<View>>,
        finish: Option<Finish>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { queue, feeds, view: View::new(finish), published, metrics }
    }

    /// Runs until it is told to stop.
    pub(super) fn run(mut self) {
        while let Some(first) = self.queue.blocking_recv() {
            let mut batch = Batch::default();
            self.take(first, &mut batch);
            while let Ok(next) = self.queue.try_recv() {
                self.take(next, &mut batch);
            }
            self.publish(batch.everyone, batch.pods);
            for done in batch.done {
                // Who asked may have given up waiting.
                let _ = done.send(self.view.generation);
            }
            if batch.stop {
                return;
            }
        }
    }

    fn take(&mut self, command: Command, batch: &mut Batch) {
        match command {
            Command::Apply(changes, done) => {
                self.metrics.event_taken();
                for change in changes {
                    match self.view.apply(change) {
                        Affected::All => batch.everyone = true,
                        Affected::Pods(pods) => batch.pods.extend(pods),
                    }
                }
                self.view.generation += 1;
                batch.done.push(done);
            }
            Command::Poison(pod, overrides, done) => {
                self.metrics.event_taken();
                if overrides.is_empty() {
                    self.view.overrides.remove(&pod);
                } else {
                    self.view.overrides.insert(pod.clone(), Arc::new(overrides));
                }
                batch.pods.insert(pod);
                batch.done.push(done);
            }
            Command::Ping(done) => {
                self.metrics.event_taken();
                batch.done.push(done);
            }
            Command::Connected(pod) => drop(batch.pods.insert(pod)),
            Command::Stop => batch.stop = true,
        }
    }

    /// Builds and hands out the snapshots of connected proxies that may have changed.
    fn publish(&self, everyone: bool, pods: BTreeSet<ObjectName>) {
        self.published.send_replace(Arc::new(self.view.clone()));
        let concerned: Vec<_> = match everyone {
            true => {
                self.metrics.broadcast();
                self.feeds.connected()
            }
            false => pods.into_iter().filter(|p| self.feeds.is_connected(p)).collect(),
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let share = concerned.len().div_ceil(cores).max(SHARE);
        thread::scope(|scope| {
            let mut shares = concerned.chunks(share);
            let first = shares.next().unwrap_or_default();
            for share in shares {
                scope.spawn(|| self.build(share));
            }
            self.build(first);
        });
    }

    fn build(&self, pods: &[ObjectName]) {
        let mut built: BTreeMap<Class, Arc<Snapshot>> = BTreeMap::new();
        for pod in pods {
            let class = self.view.class(pod);
            let known = class.as_ref().and_then(|class| built.get(class)).cloned();
            let snapshot = known.or_else(|| self.view.snapshot(pod));
            if let (Some(class), Some(snapshot)) = (class, &snapshot) {
                built.insert(class, snapshot.clone());
            }
            let account = self.view.world.workload(pod).map(|workload| workload.account.clone());
            self.feeds.publish(pod, account, snapshot);
        }
    }
}
