//! What the applications of a run saw.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::exchange::{RequestId, Sighting};

/// Enough that a few cores seldom meet at one lock.
const SHARDS: usize = 64;

type Shard = Mutex<HashMap<RequestId, Vec<Sighting>>>;

/// By pod and port.
type Ports = BTreeMap<(Arc<str>, u16), Arc<PortCounts>>;

/// The shared record of all arrivals at all applications. Cheap to write from many tasks at once.
#[derive(Debug)]
pub struct Witness {
    shards: Vec<Shard>,
    ports: Mutex<Ports>,
}

/// What came to one port of one pod, beyond requests with an id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// Connections accepted, whatever came of them.
    pub connections: u64,
    /// Requests or connections that brought bytes, but no readable request id: garbage, or somebody else's traffic.
    pub strays: u64,
}

/// The live counters behind [`Arrivals`].
#[derive(Debug, Default)]
pub(super) struct PortCounts {
    connections: AtomicU64,
    strays: AtomicU64,
}

impl Default for Witness {
    fn default() -> Self {
        Self::new()
    }
}

impl Witness {
    /// An empty record.
    pub fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Shard::default()).collect(), ports: Mutex::default() }
    }

    /// Notes one arrival. An id may arrive several times: a retry shows as two sightings.
    pub fn record(&self, id: RequestId, sighting: Sighting) {
        lock(self.shard(id)).entry(id).or_default().push(sighting);
    }

    /// Every arrival of this id, in order; empty if no application saw it.
    pub fn sightings(&self, id: RequestId) -> Vec<Sighting> {
        lock(self.shard(id)).get(&id).cloned().unwrap_or_default()
    }

    /// Drops what is known of these ids, so that a long run does not grow without bound.
    pub fn forget(&self, ids: impl IntoIterator<Item = RequestId>) {
        for id in ids {
            lock(self.shard(id)).remove(&id);
        }
    }

    /// The number of ids that were seen and not forgotten.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Whether no id was seen, or all are forgotten.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What came to this port of this pod; zeros if no application ever played it.
    pub fn arrivals(&self, pod: &str, port: u16) -> Arrivals {
        lock(&self.ports).get(&(Arc::from(pod), port)).map(|counts| counts.read()).unwrap_or_default()
    }

    /// What came to every port, in the order of pod and port.
    pub fn all_arrivals(&self) -> Vec<(Arc<str>, u16, Arrivals)> {
        lock(&self.ports).iter().map(|((pod, port), counts)| (pod.clone(), *port, counts.read())).collect()
    }

    /// The counters of a port; the same ones after an application is started again.
    pub(super) fn port(&self, pod: &Arc<str>, port: u16) -> Arc<PortCounts> {
        lock(&self.ports).entry((pod.clone(), port)).or_default().clone()
    }

    fn shard(&self, id: RequestId) -> &Shard {
        // Ids are well mixed in their low bits already (see `client::RequestIds`); the modulo keeps the index in range.
        &self.shards[usize::from(id.0.to_le_bytes()[0]) % SHARDS]
    }
}

impl PortCounts {
    pub(super) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn strayed(&self) {
        self.strays.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> Arrivals {
        Arrivals { connections: self.connections.load(Ordering::Relaxed), strays: self.strays.load(Ordering::Relaxed) }
    }
}

/// No code panics while it holds one of these locks, and the maps are valid after every step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
