//! A server with snapshots made by hand.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use mesh::{
    model::ObjectName,
    snapshot::{Resource, ResourceType, Snapshot},
    xds::{
        Feed, Identity, Limits, Server, Source,
        server::{listen, serve},
        tls::server_config,
    },
};
use tokio::sync::watch;

use crate::pki::{Authority, identify};

/// The snapshots of all pods.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<BTreeMap<ObjectName, watch::Sender<Feed>>>);

impl Shelf {
    pub(crate) fn put(&self, pod: &ObjectName, feed: Feed) {
        self.0.lock().unwrap().entry(pod.clone()).or_default().send_replace(feed);
    }

    pub(crate) fn set(&self, pod: &ObjectName, resources: &[(ResourceType, &str, &str)]) {
        self.put(pod, Feed::known(snapshot(resources)));
    }
}

impl Source for Shelf {
    fn subscribe(&self, pod: &ObjectName) -> watch::Receiver<Feed> {
        self.0.lock().unwrap().entry(pod.clone()).or_default().subscribe()
    }
}

pub(crate) fn snapshot(resources: &[(ResourceType, &str, &str)]) -> Arc<Snapshot> {
    let mut snapshot = Snapshot::default();
    for (kind, name, content) in resources {
        snapshot.insert(*kind, *name, Resource::new(*kind, content.as_bytes().to_vec()));
    }
    Arc::new(snapshot)
}

/// A running server, its snapshots and its authority.
pub(crate) struct Bench {
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) authority: Authority,
    pub(crate) server: Server,
}

impl Bench {
    pub(crate) fn start() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        let (authority, shelf) = (Authority::new(), Arc::new(Shelf::default()));
        let server = start(&authority, &shelf, "127.0.0.1:0".parse().unwrap(), limits);
        Self { shelf, authority, server }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Kills the server and starts another at the same address.
    pub(crate) async fn restart(self) -> Self {
        let Self { shelf, authority, server } = self;
        let address = server.address();
        server.kill().await;
        let server = start(&authority, &shelf, address, Limits::default());
        Self { shelf, authority, server }
    }

    /// Waits until the condition holds, looking again after every change.
    pub(crate) async fn until(&self, mut holds: impl FnMut(&Server) -> bool) {
        let mut changed = self.server.changed();
        while !holds(&self.server) {
            changed.changed().await.unwrap();
        }
    }
}

fn start(authority: &Authority, shelf: &Arc<Shelf>, address: SocketAddr, limits: Limits) -> Server {
    let own = authority.server();
    let tls = server_config(&own.chain, &own.key, &authority.root()).unwrap();
    let identity = Identity::Certificate(identify());
    serve(listen(address).unwrap(), tls, identity, shelf.clone(), limits, Arc::default()).unwrap()
}
