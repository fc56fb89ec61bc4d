//! All watches together.

use std::time::Duration;

use kube::{Api, Client};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, interval, sleep_until},
};

use super::{
    Batch, Intake,
    follow::follow,
    source::{self, KINDS},
    told::{self, Told},
};
use crate::model::Kind;

/// What comes within this time after a batch goes into the next one together. The first change after a quiet time is
/// handed over at once.
const GATHER: Duration = Duration::from_millis(5);
/// How often an incomplete start says what it waits for.
const REMIND: Duration = Duration::from_secs(10);

/// Whose objects are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The mesh's name: the value of [`MONITORED_BY`](super::MONITORED_BY).
    pub mesh: String,
    /// The namespace of the control plane: of the MeshConfig, and of what holds for the whole mesh.
    pub namespace: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { mesh: "osm".into(), namespace: "osm-system".into() }
    }
}

/// Watches the cluster. The first batch is everything, and comes when every kind has been listed; without changes there is
/// no other. Errors are logged and tried again for ever. Dropping the receiver ends all watches.
///
/// Whoever is slow gets fewer and larger batches, never more than one at a time. Needs a tokio runtime.
pub fn watch(client: &Client, options: &Options) -> mpsc::Receiver<Batch> {
    let (out, events) = mpsc::channel(1024);
    let mut watches = JoinSet::new();
    watches.spawn(follow(vec![Api::all(client.clone())], told::namespaces, out.clone()));
    watches.spawn(follow(vec![Api::all(client.clone())], told::pods, out.clone()));
    watches.spawn(follow(vec![Api::all(client.clone())], told::services, out.clone()));
    watches.spawn(follow(vec![Api::all(client.clone())], told::slices, out.clone()));
    for kind in custom_kinds() {
        let version = |version: &&str| Api::all_with(client.clone(), &source::resource(kind, version));
        let versions = source::served(kind).versions.iter().map(version).collect();
        watches.spawn(follow(versions, move |event| told::custom(kind, event), out.clone()));
    }
    let (batches, receiver) = mpsc::channel(1);
    let intake = Intake::new(options.mesh.clone(), options.namespace.as_str());
    tokio::spawn(drive(intake, events, batches, watches));
    receiver
}

/// All kinds that have a CRD, but for MeshRootCertificate: the certificates watch that themselves.
fn custom_kinds() -> impl Iterator<Item = Kind> {
    let built_in = |kind: &Kind| matches!(kind, Kind::Service | Kind::Pod | Kind::EndpointSlice);
    KINDS.into_iter().filter(move |kind| !built_in(kind)).chain([Kind::MeshConfig])
}

/// Hands over what the watches tell. They end with this.
async fn drive(
    mut intake: Intake,
    mut events: mpsc::Receiver<Told>,
    batches: mpsc::Sender<Batch>,
    _watches: JoinSet<()>,
) {
    let mut reminder = interval(REMIND);
    reminder.reset();
    loop {
        tokio::select! {
            event = events.recv() => {
                let Some(event) = event else { return };
                intake.take(event);
                while let Ok(more) = events.try_recv() {
                    intake.take(more);
                }
            }
            _ = reminder.tick(), if !intake.is_complete() => {
                tracing::warn!(kinds = ?intake.waits_for(), "still waiting for what the API server has");
            }
            () = batches.closed() => return,
        }
        while intake.is_due() {
            if hand_over(&mut intake, &mut events, &batches).await.is_none() {
                return;
            }
        }
    }
}

/// Hands a batch over as soon as it is taken, then gathers for a moment.
async fn hand_over(
    intake: &mut Intake,
    events: &mut mpsc::Receiver<Told>,
    batches: &mpsc::Sender<Batch>,
) -> Option<()> {
    loop {
        tokio::select! {
            biased;
            permit = batches.reserve() => {
                permit.ok()?.send(intake.batch());
                break;
            }
            event = events.recv() => intake.take(event?),
        }
    }
    let end = Instant::now() + GATHER;
    loop {
        tokio::select! {
            () = sleep_until(end) => return Some(()),
            event = events.recv() => intake.take(event?),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::crd::{WebhookClient, definitions, served};

    #[test]
    fn every_kind_that_is_defined_is_watched_in_every_version() {
        let defined: BTreeSet<_> = definitions(&WebhookClient::default())
            .unwrap()
            .iter()
            .map(|crd| crd["spec"]["names"]["kind"].as_str().unwrap().to_owned())
            .filter(|kind| kind != Kind::MeshRootCertificate.as_str())
            .collect();
        assert_eq!(custom_kinds().map(|kind| kind.as_str().to_owned()).collect::<BTreeSet<_>>(), defined);
        for kind in custom_kinds() {
            let watched: BTreeSet<_> = source::served(kind).versions.iter().map(|v| (*v).to_owned()).collect();
            let there = served(kind.as_str());
            let there = there.iter().filter_map(|v| Some(v.split_once('/')?.1.to_owned())).collect();
            assert_eq!(watched, there, "{kind}");
        }
    }
}
