//! The streams that are open: one per pod.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::watch;

use crate::{
    admin::Metrics,
    model::{ObjectName, ServiceAccount},
    snapshot::Snapshot,
    xds::session::{
        Session, Variant,
        status::{Lack, Status},
    },
};

/// Who is at the other end of a stream, as proved by a certificate or a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyId {
    /// The pod that the proxy serves.
    pub pod: ObjectName,
    /// The account that it must run under; `None` if a certificate named the pod alone.
    pub account: Option<ServiceAccount>,
}

/// There are as many proxies as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full(pub(super) usize);

/// An open stream.
#[derive(Clone, Debug)]
pub struct StreamInfo {
    /// The pod that the proxy serves.
    pub pod: ObjectName,
    session: Arc<Mutex<Session>>,
}

impl StreamInfo {
    /// Incremental or state-of-the-world.
    pub fn variant(&self) -> Variant {
        lock(&self.session).variant()
    }

    /// Everything known of the stream, as of now.
    pub fn status(&self) -> Status {
        lock(&self.session).status()
    }

    /// Whether the proxy holds exactly `snapshot`.
    pub fn is_synced(&self, snapshot: &Snapshot) -> bool {
        lock(&self.session).is_synced(snapshot)
    }

    /// What keeps the proxy from being in sync with `snapshot`.
    pub fn lacks(&self, snapshot: &Snapshot) -> Vec<Lack> {
        lock(&self.session).lacks(snapshot)
    }
}

/// All open streams.
#[derive(Debug, Default)]
pub(super) struct Registry {
    open: Mutex<BTreeMap<ObjectName, Open>>,
    /// Most streams at a time; 0 is no limit.
    most: AtomicUsize,
    changed: watch::Sender<u64>,
    pub(super) metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Open {
    session: Arc<Mutex<Session>>,
    /// Dropped when a newer stream takes the place.
    _replaced: watch::Sender<()>,
}

/// A place in the registry, given up on drop.
#[derive(Debug)]
pub(super) struct Place {
    registry: Arc<Registry>,
    pod: ObjectName,
    session: Arc<Mutex<Session>>,
    replaced: watch::Receiver<()>,
}

impl Registry {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, ..Self::default() }
    }

    /// Lets in this many streams from now on; 0 is no limit. Those that are open stay.
    pub(super) fn limit(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Enters a new stream of `pod`. An older one is told to end: a proxy has one stream, so the older is a dead one.
    pub(super) fn enter(self: &Arc<Self>, pod: ObjectName, variant: Variant) -> Result<Place, Full> {
        let session = Arc::new(Mutex::new(Session::new(variant)));
        let (sender, replaced) = watch::channel(());
        let most = self.most.load(Ordering::Relaxed);
        let mut open = lock(&self.open);
        if most != 0 && open.len() >= most && !open.contains_key(&pod) {
            return Err(Full(most));
        }
        open.insert(pod.clone(), Open { session: session.clone(), _replaced: sender });
        self.metrics.connected_proxies(open.len());
        drop(open);
        self.touch();
        Ok(Place { registry: self.clone(), pod, session, replaced })
    }

    pub(super) fn streams(&self) -> Vec<StreamInfo> {
        let open = lock(&self.open);
        open.iter().map(|(pod, o)| StreamInfo { pod: pod.clone(), session: o.session.clone() }).collect()
    }

    pub(super) fn stream(&self, pod: &ObjectName) -> Option<StreamInfo> {
        let open = lock(&self.open);
        open.get(pod).map(|o| StreamInfo { pod: pod.clone(), session: o.session.clone() })
    }

    pub(super) fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn touch(&self) {
        self.changed.send_modify(|n| *n += 1);
    }
}

impl Place {
    /// The pod of the stream.
    pub(super) fn pod(&self) -> &ObjectName {
        &self.pod
    }

    /// Lets the session take something in, and tells those who wait for changes.
    pub(super) fn step<T>(&self, step: impl FnOnce(&mut Session) -> T) -> T {
        let result = step(&mut lock(&self.session));
        self.registry.touch();
        result
    }

    /// Ends when a newer stream of the same pod has taken the place.
    pub(super) async fn replaced(&mut self) {
        while self.replaced.changed().await.is_ok() {}
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = lock(&self.registry.open);
        if open.get(&self.pod).is_some_and(|o| Arc::ptr_eq(&o.session, &self.session)) {
            open.remove(&self.pod);
            self.registry.metrics.connected_proxies(open.len());
        }
        drop(open);
        self.registry.touch();
    }
}

/// A step that panicked leaves a session that may lack a response, and nothing worse: its stream is closed with it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
