//! What the watches tell, for those who need it: the world, the settings of this process, and the probes.

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _, stream::BoxStream};
use kube::Client;
use tokio::sync::watch;

use super::Watches;
use crate::{
    admin::Metrics,
    api::mesh_config::MeshConfigSpec,
    ca::{Clock as _, SystemClock},
    world::Change,
};

/// One batch of the watches. The first is everything: until it comes, the world is not whole.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// What the world has to take in, settings included.
    pub changes: Vec<Change>,
    /// The MeshConfig, if it has changed.
    pub mesh_config: Option<Arc<MeshConfigSpec>>,
    /// How many namespaces are in the mesh.
    pub namespaces: usize,
}

/// The same, told apart.
pub struct Ears {
    /// For the world.
    pub batches: BoxStream<'static, Vec<Change>>,
    /// For whoever follows MeshConfig: this process, and the injector.
    pub mesh_config: watch::Receiver<Arc<MeshConfigSpec>>,
    /// For the probes.
    pub watches: watch::Receiver<Watches>,
}

/// Between two questions to the API server whether it is there.
const ASK: Duration = Duration::from_secs(10);

/// Tells apart what the watches tell. With a client, the API server is asked now and then whether it is there. Must be
/// called within a tokio runtime.
pub fn listen(
    heard: impl Stream<Item = Heard> + Send + 'static,
    client: Option<Client>,
    metrics: Arc<Metrics>,
) -> Ears {
    let (told, mesh_config) = watch::channel(Arc::<MeshConfigSpec>::default());
    let missing = vec!["the first list of every kind".to_owned()];
    let (state, watches) = watch::channel(Watches { missing, error: None, last_contact: None });
    let state = Arc::new(state);
    if let Some(client) = client {
        tokio::spawn(ask(client, state.clone()));
    }
    let batches = heard.map(move |Heard { changes, mesh_config, namespaces }| {
        if let Some(spec) = mesh_config {
            drop(told.send_replace(spec));
        }
        metrics.monitored_namespaces(namespaces);
        state.send_modify(|state| {
            state.missing.clear();
            state.last_contact = Some(SystemClock.now());
        });
        changes
    });
    Ears { batches: batches.boxed(), mesh_config, watches }
}

/// Runs until nobody looks at the state any more.
async fn ask(client: Client, state: Arc<watch::Sender<Watches>>) {
    loop {
        let answer = client.apiserver_version().await;
        state.send_modify(|state| match answer {
            Ok(_) => {
                state.last_contact = Some(SystemClock.now());
                state.error = None;
            }
            Err(error) => state.error = Some(error.to_string()),
        });
        tokio::select! {
            () = state.closed() => return,
            () = tokio::time::sleep(ASK) => {}
        }
    }
}

impl std::fmt::Debug for Ears {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ears")
    }
}
