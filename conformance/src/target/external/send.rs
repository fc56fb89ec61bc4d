//! Requests to the other side, and what comes back as samples.

use std::time::{Duration, Instant};

use simulator::{
    exchange::{ClientResult, ClientView, RequestId, Sighting},
    run::measure::Sample,
    scenario::{
        duration,
        model::{Auto, Count, Proto, Traffic},
    },
};
use tokio::sync::watch;

use super::{External, world::Aim};
use crate::target::{
    adapter::protocol::{Answer, Answers, Call, Client, Request, Seen, Send},
    ask::{AskError, asked},
};

/// Requests of one call.
pub(super) const BATCH: usize = 50;
/// Where no count is given and the expectation does not decide one.
const AUTO: usize = 20;
/// Requests under way at once, where many are sent.
const CONCURRENCY: usize = 8;
/// A request is given up after this.
const TIMEOUT: Duration = Duration::from_secs(5);

/// When to stop sending.
#[derive(Clone, Debug)]
pub(super) enum Until {
    /// After so many requests.
    Count(usize),
    /// After this time.
    Elapsed(Duration),
    /// When this becomes true.
    Stopped(watch::Receiver<bool>),
}

impl Until {
    /// What the scenario says.
    pub(super) fn of(traffic: &Traffic, done: Option<&watch::Receiver<bool>>) -> Self {
        match (&traffic.duration, done) {
            (Some(text), Some(done)) if text == "until-done" => Self::Stopped(done.clone()),
            (Some(text), _) => Self::Elapsed(duration::parse(text).unwrap_or_default()),
            (None, _) => Self::Count(match traffic.n {
                None => 1,
                Some(Count::Exactly(n)) => n as usize,
                Some(Count::Auto(Auto::Auto)) => AUTO,
            }),
        }
    }

    fn left(&self, sent: usize, since: Instant) -> usize {
        match self {
            Self::Count(count) => count.saturating_sub(sent).min(BATCH),
            Self::Elapsed(duration) if sent > 0 && since.elapsed() >= *duration => 0,
            Self::Stopped(stopped) if sent > 0 && *stopped.borrow() => 0,
            Self::Elapsed(_) | Self::Stopped(_) => CONCURRENCY,
        }
    }
}

impl External<'_> {
    /// Sends until it is time to stop, or until `judge` has seen enough (it returns true then).
    pub(super) async fn send(
        &self,
        aim: &Aim,
        traffic: &Traffic,
        until: &Until,
        mut judge: impl FnMut(&Sample) -> bool,
    ) -> Result<Vec<Sample>, AskError> {
        let started = Instant::now();
        let mut samples = Vec::new();
        loop {
            let mut left = until.left(samples.len(), started);
            if let Some(rps) = traffic.rps {
                // Ten times a second at most.
                left = left.min((rps as usize / 10).max(1));
            }
            if left == 0 {
                return Ok(samples);
            }
            let batch: Vec<_> = (0..left).map(|i| aim.request(self.ids.next_id(), samples.len() + i)).collect();
            let single = matches!(until, Until::Count(1));
            let fresh = self.exchange(batch, if single { 1 } else { CONCURRENCY }).await?;
            let mut enough = false;
            for sample in &fresh {
                enough |= judge(sample);
            }
            samples.extend(fresh);
            if enough {
                return Ok(samples);
            }
            if let Some(rps) = traffic.rps.filter(|rps| *rps > 0) {
                let due = Duration::from_secs_f64(samples.len() as f64 / f64::from(rps));
                tokio::time::sleep(due.saturating_sub(started.elapsed())).await;
            }
        }
    }

    /// Sends a batch.
    pub(super) async fn exchange(&self, requests: Vec<Request>, concurrency: usize) -> Result<Vec<Sample>, AskError> {
        let rounds = u32::try_from(1 + requests.len() / concurrency.max(1)).unwrap_or(u32::MAX);
        let within = self.short() + TIMEOUT * rounds;
        let timeout_ms = simulator::run::millis(TIMEOUT);
        let call = Call::Send(Send { test: self.test.clone(), requests, concurrency, timeout_ms });
        let Answers { answers } = asked(self.ask, &call, within).await?;
        let Call::Send(Send { requests, .. }) = &call else { return Ok(Vec::new()) };
        if answers.len() != requests.len() {
            let why = format!("{} requests, but {} answers", requests.len(), answers.len());
            return Err(AskError::unfit("send", &why));
        }
        requests.iter().zip(answers).map(|(request, answer)| sample(request, answer)).collect()
    }
}

fn sample(request: &Request, answer: Answer) -> Result<Sample, AskError> {
    if request.id != answer.id {
        let why = format!("request {} is answered as {}", request.id, answer.id);
        return Err(AskError::unfit("send", &why));
    }
    let id: RequestId = answer.id.parse().map_err(|error| AskError::unfit("send", &error))?;
    let result = match answer.client {
        Client::Answered { status, pod, headers } => ClientResult::Answered { status, pod, headers },
        Client::Failed { shape, status, headers, detail } => ClientResult::Failed { shape, status, headers, detail },
    };
    let sightings = answer.seen.into_iter().map(|seen| sighting(request.proto, seen)).collect();
    Ok(Sample { id, view: ClientView { result, elapsed: Duration::ZERO }, sightings })
}

fn sighting(proto: Proto, seen: Seen) -> Sighting {
    let Seen { pod, port, method, path, host, headers, peer } = seen;
    Sighting { pod: pod.into(), port, proto, method, path, authority: host, headers, peer }
}
