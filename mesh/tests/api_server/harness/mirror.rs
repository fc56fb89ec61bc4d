//! A world that follows the cluster, as the control plane's does.

use std::collections::{BTreeMap, BTreeSet};

use kube::Client;
use mesh::{
    api::mesh_config::MeshConfigSpec,
    k8s::{self, Batch, Directory, Namespaces, Unreadable},
    model::{Kind, ObjectName, ObjectRef, TrustDomain},
    world::World,
};
use tokio::sync::mpsc;

use super::PATIENCE;

/// Everything that the watches have told so far.
pub(crate) struct Mirror {
    batches: mpsc::Receiver<Batch>,
    pub(crate) world: World,
    pub(crate) unreadable: BTreeMap<ObjectRef, Unreadable>,
    pub(crate) namespaces: Namespaces,
    pub(crate) directory: Directory,
    pub(crate) missing: BTreeSet<Kind>,
    pub(crate) mesh_config: MeshConfigSpec,
}

impl Mirror {
    /// Watches the mesh `osm` with its control plane in `home`, and returns when the first batch is there.
    pub(crate) async fn start(client: &Client, home: &str) -> Self {
        let options = k8s::Options { namespace: home.to_owned(), ..k8s::Options::default() };
        let mut mirror = Self {
            batches: k8s::watch(client, &options),
            world: World::default(),
            unreadable: BTreeMap::new(),
            namespaces: Namespaces::default(),
            directory: Directory::default(),
            missing: BTreeSet::new(),
            mesh_config: MeshConfigSpec::default(),
        };
        tokio::time::timeout(PATIENCE, mirror.next()).await.expect("a first batch");
        mirror
    }

    async fn next(&mut self) {
        let batch = self.batches.recv().await.expect("watches go on for ever");
        for change in batch.changes_under(&TrustDomain::default(), "osm-system") {
            self.world.apply(change);
        }
        for (object, why) in batch.unreadable {
            match why {
                Some(why) => drop(self.unreadable.insert(object, why)),
                None => drop(self.unreadable.remove(&object)),
            }
        }
        if let Some(spec) = batch.mesh_config {
            self.mesh_config = (*spec).clone();
        }
        (self.namespaces, self.directory, self.missing) = (batch.namespaces, batch.directory, batch.missing);
    }

    /// Takes batches in until `condition` holds.
    pub(crate) async fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !condition(self) {
                self.next().await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("not within {PATIENCE:?}: {what}");
        }
    }

    /// Waits until an object of the world is there (or not).
    pub(crate) async fn sees(&mut self, namespace: &str, kind: Kind, name: &str, there: bool) {
        let object = ObjectName::new(namespace, name);
        let what = format!("{kind} {object}: {there}");
        self.until(&what, |mirror| mirror.has(kind, &object) == there).await;
    }

    fn has(&self, kind: Kind, name: &ObjectName) -> bool {
        match kind {
            Kind::Pod => self.world.workload(name).is_some(),
            Kind::Service => self.world.service(name).is_some(),
            Kind::HttpRouteGroup => self.world.http_route_group(name).is_some(),
            Kind::TcpRoute => self.world.tcp_route(name).is_some(),
            Kind::TrafficTarget => self.world.targets().any(|o| o.name == *name),
            Kind::TrafficSplit => self.world.splits().any(|o| o.name == *name),
            other => panic!("add {other} here"),
        }
    }
}
