//! Sends traffic for real, and gathers what both ends saw.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::{
    client::{RequestIds, Session, load},
    exchange::{ClientView, RequestId, Sighting},
    run::aim::Aim,
    scenario::model::{Connections, Traffic},
    workload::Witness,
};

/// One request, as both ends saw it.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its id.
    pub id: RequestId,
    /// What the client saw.
    pub view: ClientView,
    /// What applications saw.
    pub sightings: Vec<Sighting>,
}

impl Sample {
    /// Whether it reached an application.
    pub fn is_delivered(&self) -> bool {
        !self.sightings.is_empty()
    }
}

/// When to stop sending.
#[derive(Clone, Debug)]
pub enum Until {
    /// After so many requests.
    Count(usize),
    /// After this time.
    Elapsed(Duration),
    /// When this becomes true.
    Stopped(watch::Receiver<bool>),
}

/// What is needed to send, without the lab.
#[derive(Clone, Debug)]
pub struct Sender {
    aim: Arc<Aim>,
    session: Arc<Session>,
    ids: Arc<RequestIds>,
    witness: Arc<Witness>,
    pace: load::Pace,
}

/// A request is given up after this.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Requests under way at once, where many are sent.
const CONCURRENCY: usize = 8;

impl Sender {
    /// A sender along the aim's route; `None` if there is no live runtime.
    pub fn new(
        aim: Arc<Aim>,
        traffic: &Traffic,
        ids: Arc<RequestIds>,
        witness: Arc<Witness>,
        many: bool,
    ) -> Option<Self> {
        let connections = if aim.addresses.len() > 1 { Connections::PerRequest } else { traffic.conn };
        let session = Arc::new(Session::new(aim.route.clone()?, connections).with_timeout(TIMEOUT));
        let pace = load::Pace { concurrency: if many { CONCURRENCY } else { 1 }, rps: traffic.rps.map(f64::from) };
        Some(Self { aim, session, ids, witness, pace })
    }

    /// Sends until it is time to stop, or until `judge` has seen enough (it returns true then).
    pub async fn send(&self, until: Until, mut judge: impl FnMut(&Sample) -> bool) -> Vec<Sample> {
        let mut load = self.start(&until);
        let stopper = load.stopper();
        let watcher = watch_for_end(&until, stopper.clone());
        let mut samples = Vec::new();
        while let Some((id, view)) = load.next().await {
            let sample = Sample { id, view, sightings: self.witness.sightings(id) };
            if judge(&sample) {
                stopper.stop();
            }
            samples.push(sample);
        }
        if let Some(watcher) = watcher {
            watcher.abort();
        }
        // What arrived late counts too.
        for sample in &mut samples {
            if sample.sightings.is_empty() {
                sample.sightings = self.witness.sightings(sample.id);
            }
        }
        self.witness.forget(samples.iter().map(|s| s.id));
        samples
    }

    fn start(&self, until: &Until) -> load::Load {
        let (aim, ids, sent) = (self.aim.clone(), self.ids.clone(), AtomicUsize::new(0));
        let limit = match until {
            Until::Count(count) => *count,
            Until::Elapsed(_) | Until::Stopped(_) => usize::MAX,
        };
        let requests = std::iter::from_fn(move || {
            let n = sent.fetch_add(1, Ordering::Relaxed);
            (n < limit).then(|| aim.request(ids.next_id(), n))
        });
        load::start(&self.session, self.pace, requests)
    }
}

fn watch_for_end(until: &Until, stopper: load::Stopper) -> Option<tokio::task::JoinHandle<()>> {
    match until.clone() {
        Until::Count(_) => None,
        Until::Elapsed(duration) => {
            let end = Instant::now() + duration;
            Some(tokio::spawn(async move {
                tokio::time::sleep_until(end.into()).await;
                stopper.stop();
            }))
        }
        Until::Stopped(mut stopped) => Some(tokio::spawn(async move {
            // A sender that is gone has nothing more to wait for.
            let _ = stopped.wait_for(|stopped| *stopped).await;
            stopper.stop();
        })),
    }
}
