//! Sends many requests, as fast as asked.

use std::{fmt, sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, mpsc, watch},
    task::JoinSet,
    time::{Interval, MissedTickBehavior},
};

use super::Session;
use crate::exchange::{ClientView, Request, RequestId};

/// How fast requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Requests under way at once, at least 1 (0 counts as 1).
    pub concurrency: usize,
    /// Requests per second on average, as far as `concurrency` allows; `None`, or a value that is not positive, for as fast as
    /// it goes. A delay is caught up.
    pub rps: Option<f64>,
}

/// A load under way. Dropping it aborts the requests under way.
pub struct Load {
    results: mpsc::UnboundedReceiver<(RequestId, ClientView)>,
    stopper: Stopper,
    _senders: JoinSet<()>,
}

/// Stops a load from elsewhere. Clones stop the same load.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<watch::Sender<bool>>);

impl Stopper {
    /// No further request is begun; those under way end as they would have.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// Starts to send what `requests` yields, until it ends or the load is stopped. Must be called within a tokio runtime.
///
/// For a stream without end use `std::iter::from_fn` or `std::iter::repeat_with`.
pub fn start<I>(session: &Arc<Session>, pace: Pace, requests: I) -> Load
where
    I: IntoIterator<Item = Request>,
    I::IntoIter: Send + 'static,
{
    let (results_in, results) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(false);
    let source = Arc::new(Mutex::new(Source { ticks: ticks(pace.rps), requests: requests.into_iter(), stopped }));
    let mut senders = JoinSet::new();
    for _ in 0..pace.concurrency.max(1) {
        let (session, source, results) = (session.clone(), source.clone(), results_in.clone());
        senders.spawn(async move {
            while let Some(request) = next(&source).await {
                let view = session.send(&request).await;
                if results.send((request.id, view)).is_err() {
                    break;
                }
            }
        });
    }
    Load { results, stopper: Stopper(Arc::new(stop)), _senders: senders }
}

impl Load {
    /// The next request that has ended, in order of their ends; `None` when all have.
    pub async fn next(&mut self) -> Option<(RequestId, ClientView)> {
        self.results.recv().await
    }

    /// Everything that has not been taken with [`Load::next`], when all has ended.
    pub async fn collect(mut self) -> Vec<(RequestId, ClientView)> {
        let mut all = Vec::new();
        while let Some(result) = self.next().await {
            all.push(result);
        }
        all
    }

    /// Stops this load, also while another task waits for results.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Load(stopped: {})", *self.stopper.0.borrow())
    }
}

struct Source<I> {
    ticks: Option<Interval>,
    requests: I,
    stopped: watch::Receiver<bool>,
}

/// The next request, at its time; `None` if there is none or the load is stopped.
async fn next<I: Iterator<Item = Request>>(source: &Mutex<Source<I>>) -> Option<Request> {
    let mut source = source.lock().await;
    let Source { ticks, requests, stopped } = &mut *source;
    if *stopped.borrow() {
        return None;
    }
    if let Some(ticks) = ticks {
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return None,
            _ = ticks.tick() => {}
        }
    }
    requests.next()
}

fn ticks(rps: Option<f64>) -> Option<Interval> {
    let period = Duration::try_from_secs_f64(1.0 / rps?).ok().filter(|period| !period.is_zero())?;
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    Some(ticks)
}
