//! One leader among the replicas, by a Lease (`coordination.k8s.io/v1`).
//!
//! Safe without equal clocks: a candidate takes a lease over when it has itself seen it unchanged for the lease's whole
//! duration; a leader stops leading earlier than that after the last renewal that it knows to have been made.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client, Error,
    api::{ObjectMeta, PostParams},
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// Times of an election. `retry` twice and `deadline` together are to be shorter than `duration`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long a lease holds after its last renewal; whole seconds, 1 at least.
    pub duration: Duration,
    /// How long a leader leads after its last renewal.
    pub deadline: Duration,
    /// Time between two attempts, and for each.
    pub retry: Duration,
}

impl Default for Terms {
    /// 15 s, 10 s and 2 s, as Kubernetes' own controllers have them.
    fn default() -> Self {
        Self { duration: Duration::from_secs(15), deadline: Duration::from_secs(10), retry: Duration::from_secs(2) }
    }
}

/// A lease, as far as an election depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; empty after a release.
    pub holder: String,
    /// `metadata.resourceVersion`: changes with every renewal.
    pub version: String,
    /// How long it holds.
    pub duration: Duration,
}

/// What a candidate has to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make the lease.
    Create,
    /// Take it over, from the version that was read.
    Take,
    /// Renew it, from the version that was read.
    Renew,
    /// Nothing: another one holds it.
    Wait,
}

/// One candidate. No IO, no clock: times are given, from any fixed start.
#[derive(Clone, Debug)]
pub struct Candidate {
    identity: String,
    terms: Terms,
    /// The foreign record that was seen last, and since when it is unchanged.
    seen: Option<(Record, Duration)>,
    renewed: Option<Duration>,
}

impl Candidate {
    /// A candidate that does not lead. `identity` is its own alone.
    pub fn new(identity: impl Into<String>, terms: Terms) -> Self {
        Self { identity: identity.into(), terms, seen: None, renewed: None }
    }

    /// What to do, when `record` is what the API server has at `now`.
    pub fn read(&mut self, record: Option<&Record>, now: Duration) -> Step {
        let Some(record) = record else { return Step::Create };
        if record.holder == self.identity {
            return Step::Renew;
        }
        self.renewed = None;
        if record.holder.is_empty() {
            return Step::Take;
        }
        match &self.seen {
            Some((seen, since)) if seen == record => {
                if now.saturating_sub(*since) >= record.duration {
                    Step::Take
                } else {
                    Step::Wait
                }
            }
            _ => {
                self.seen = Some((record.clone(), now));
                Step::Wait
            }
        }
    }

    /// What it wanted to write is written; the request left at `sent`.
    pub fn written(&mut self, sent: Duration) {
        self.renewed = Some(sent);
        self.seen = None;
    }

    /// Whether it leads at `now`.
    pub fn leads(&self, now: Duration) -> bool {
        self.renewed.is_some_and(|renewed| now < renewed + self.terms.deadline)
    }
}

/// A running candidacy.
#[derive(Debug)]
pub struct Candidacy {
    leads: watch::Receiver<bool>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Candidacy {
    /// Whether this replica leads, now and later.
    pub fn leads(&self) -> watch::Receiver<bool> {
        self.leads.clone()
    }

    /// Ends at once, as a crash would: another one leads when the lease has run out.
    pub fn kill(self) {
        self.task.abort();
    }

    /// Stops leading, and lets another one lead at once.
    pub async fn release(self) {
        let Self { leads: _leads, stop, task } = self;
        // If the task is gone there is nothing to release.
        let _ = stop.send(());
        let _ = task.await;
    }
}

/// Runs for the lease `name` in `namespace`, as `identity`, until it is released or killed. A candidacy that is dropped ends as if
/// killed, but says that it does not lead.
pub fn run(client: Client, namespace: &str, name: &str, identity: &str, terms: Terms) -> Candidacy {
    let api: Api<Lease> = Api::namespaced(client, namespace);
    let (tell, leads) = watch::channel(false);
    let (stop, stopped) = oneshot::channel();
    let election = Election {
        api,
        name: name.to_owned(),
        candidate: Candidate::new(identity, terms),
        start: Instant::now(),
        tell,
        held: None,
    };
    let task = tokio::spawn(election.run(stopped));
    Candidacy { leads, stop, task }
}

struct Election {
    api: Api<Lease>,
    name: String,
    candidate: Candidate,
    start: Instant,
    tell: watch::Sender<bool>,
    /// The lease as it was last written by this one.
    held: Option<Lease>,
}

impl Election {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let retry = self.candidate.terms.retry;
        loop {
            match timeout(retry, self.round()).await {
                Ok(Ok(())) => {}
                // Somebody else was faster.
                Ok(Err(Error::Api(answer))) if answer.code == 409 => {}
                Ok(Err(error)) => tracing::warn!(lease = self.name, %error, "cannot renew the lease; trying again"),
                Err(_) => tracing::warn!(lease = self.name, "the API server does not answer; trying again"),
            }
            let leads = self.candidate.leads(self.start.elapsed());
            if self.tell.send_if_modified(|told| std::mem::replace(told, leads) != leads) {
                tracing::info!(lease = self.name, leads, "leadership changed");
            }
            tokio::select! {
                () = sleep(retry) => {}
                asked = &mut stopped => {
                    self.tell.send_replace(false);
                    if asked.is_ok() && let Some(held) = self.held.take() {
                        self.release(held, retry).await;
                    }
                    return;
                }
            }
        }
    }

    async fn round(&mut self) -> Result<(), Error> {
        let found = self.api.get_opt(&self.name).await?;
        let record = found.as_ref().map(record);
        let sent = self.start.elapsed();
        let step = self.candidate.read(record.as_ref(), sent);
        let parameters = PostParams::default();
        let written = match (step, found) {
            (Step::Wait, _) => {
                self.held = None;
                return Ok(());
            }
            (Step::Create, _) | (_, None) => {
                let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
                let lease = self.filled(Lease { metadata, spec: None }, true);
                self.api.create(&parameters, &lease).await?
            }
            (Step::Take, Some(found)) => self.api.replace(&self.name, &parameters, &self.filled(found, true)).await?,
            (Step::Renew, Some(found)) => self.api.replace(&self.name, &parameters, &self.filled(found, false)).await?,
        };
        self.candidate.written(sent);
        self.held = Some(written);
        Ok(())
    }

    /// The lease with this candidate as its holder. What was read carries its version, so that only one of many writers wins.
    fn filled(&self, mut lease: Lease, taken: bool) -> Lease {
        let now = || Some(MicroTime(Timestamp::now()));
        let old = lease.spec.take().unwrap_or_default();
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.candidate.identity.clone()),
            lease_duration_seconds: i32::try_from(self.candidate.terms.duration.as_secs().max(1)).ok(),
            acquire_time: if taken { now() } else { old.acquire_time },
            renew_time: now(),
            lease_transitions: Some(old.lease_transitions.unwrap_or_default() + i32::from(taken)),
            ..LeaseSpec::default()
        });
        lease
    }

    async fn release(&self, mut held: Lease, within: Duration) {
        if let Some(spec) = &mut held.spec {
            spec.holder_identity = Some(String::new());
        }
        if !matches!(timeout(within, self.api.replace(&self.name, &PostParams::default(), &held)).await, Ok(Ok(_))) {
            tracing::warn!(lease = self.name, "cannot release the lease; it runs out by itself");
        }
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or_default();
    Record {
        holder: spec.holder_identity.unwrap_or_default(),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        duration: Duration::from_secs(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(holder: &str, version: u32) -> Record {
        Record { holder: holder.into(), version: version.to_string(), duration: Duration::from_secs(15) }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_lease_is_taken_when_it_has_stood_still_for_its_whole_duration() {
        let mut candidate = Candidate::new("b", Terms::default());
        assert_eq!(candidate.read(None, at(0)), Step::Create);
        assert_eq!(candidate.read(Some(&held("a", 1)), at(100)), Step::Wait);
        assert_eq!(candidate.read(Some(&held("a", 1)), at(114)), Step::Wait);
        assert_eq!(candidate.read(Some(&held("a", 2)), at(115)), Step::Wait, "renewed");
        assert_eq!(candidate.read(Some(&held("a", 2)), at(129)), Step::Wait);
        assert_eq!(candidate.read(Some(&held("a", 2)), at(130)), Step::Take);
        assert_eq!(candidate.read(Some(&held("", 3)), at(131)), Step::Take, "released");
    }

    #[test]
    fn a_leader_stops_before_another_one_may_start() {
        let terms = Terms::default();
        let (mut a, mut b) = (Candidate::new("a", terms), Candidate::new("b", terms));
        a.written(at(0));
        // The other sees the renewal as early as can be: when it was sent.
        b.read(Some(&held("a", 1)), at(0));
        let taken = (0..60).find(|s| b.read(Some(&held("a", 1)), at(*s)) == Step::Take).unwrap();
        let ended = (0..60).find(|s| !a.leads(at(*s))).unwrap();
        assert!(ended + 2 * terms.retry.as_secs() < taken, "{ended} {taken}");
        assert_eq!(a.read(Some(&held("b", 2)), at(9)), Step::Wait);
        assert!(!a.leads(at(9)), "who reads that another one leads does not");
    }

    #[test]
    fn a_leader_renews_its_own() {
        let mut a = Candidate::new("a", Terms::default());
        assert!(!a.leads(at(0)));
        assert_eq!(a.read(Some(&held("a", 1)), at(5)), Step::Renew, "its own of an earlier life");
        a.written(at(5));
        assert!(a.leads(at(14)) && !a.leads(at(15)));
    }
}
