//! The watches of the cluster, told apart for the world, the injector and the reporter.

use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use kube::Client;
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;

use super::{Heard, flags::Flags};
use crate::{
    k8s::{
        self, Batch, Directory, Namespaces, Options, defaults,
        lease::Candidacy,
        report::{self, State},
    },
    model::TrustDomain,
    run::Worlds,
};

/// What is known of the cluster besides the world.
pub(super) struct Cluster {
    /// All namespaces.
    pub(super) namespaces: watch::Receiver<Namespaces>,
    directory: watch::Receiver<Directory>,
    namespace: String,
}

impl Cluster {
    /// Starts the watches. Nothing is heard before the trust domain is known: all identities depend on it.
    pub(super) fn new(
        flags: &Flags,
        client: &Client,
        trust_domain: watch::Receiver<Option<TrustDomain>>,
    ) -> (Self, impl Stream<Item = Heard> + Send + 'static) {
        let options = Options { mesh: flags.mesh_name.clone(), namespace: flags.osm_namespace.clone() };
        let batches = ReceiverStream::new(k8s::watch(client, &options));
        let (namespaces_in, namespaces) = watch::channel(Namespaces::default());
        let (directory_in, directory) = watch::channel(Directory::default());
        let senders = Arc::new((namespaces_in, directory_in));
        let (mesh, namespace) = (flags.mesh_name.clone(), flags.osm_namespace.clone());
        let own = namespace.clone();
        let heard = batches.then(move |batch: Batch| {
            let (senders, mesh, mut trust_domain) = (senders.clone(), mesh.clone(), trust_domain.clone());
            let own = own.clone();
            async move {
                let domain = trust_domain.wait_for(Option::is_some).await.ok().and_then(|known| known.clone());
                let changes = batch.changes_under(&domain.unwrap_or_default(), &own);
                let monitored = batch.namespaces.iter().filter(|(_, n)| n.is_monitored_by(&mesh)).count();
                senders.0.send_replace(batch.namespaces);
                senders.1.send_replace(batch.directory);
                Heard { changes, mesh_config: batch.mesh_config, namespaces: monitored }
            }
        });
        (Self { namespaces, directory, namespace }, heard)
    }

    /// Writes status and Events, and the MeshConfig where there is none, for as long as this replica leads.
    pub(super) fn report(&self, client: Client, instance: String, candidacy: Candidacy, mut worlds: Worlds) {
        let leads = candidacy.leads();
        tokio::spawn(ensure_mesh_config(client.clone(), self.namespace.clone(), leads.clone()));
        let (state_in, state) = watch::channel(State::default());
        let mut directory = self.directory.clone();
        tokio::spawn(async move {
            loop {
                let now = State { world: worlds.now(), directory: directory.borrow_and_update().clone() };
                if state_in.send(now).is_err() {
                    return;
                }
                tokio::select! {
                    changed = directory.changed() => if changed.is_err() { return candidacy.release().await },
                    changed = worlds.changed() => if !changed { return candidacy.release().await },
                }
            }
        });
        tokio::spawn(report::report(client, instance, state, leads));
    }
}

/// The leader sees to it that there is a MeshConfig, so that it can be edited in place.
async fn ensure_mesh_config(client: Client, namespace: String, mut leads: watch::Receiver<bool>) {
    if leads.wait_for(|leads| *leads).await.is_err() {
        return;
    }
    loop {
        match defaults::ensure_mesh_config(&client, &namespace).await {
            Ok(true) => return tracing::info!(namespace, "made a MeshConfig with the defaults"),
            Ok(false) => return,
            Err(error) => tracing::warn!(%error, "cannot see to it that there is a MeshConfig; trying again"),
        }
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    }
}
