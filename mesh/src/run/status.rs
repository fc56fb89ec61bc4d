//! Which proxies there are, and whether they hold what they should.

use std::{collections::VecDeque, fmt, sync::Arc};

use super::writer::{Feeds, View};
use crate::{
    model::ObjectName,
    xds::{
        Server, Variant,
        server::StreamInfo,
        session::status::{Lack, Nack, Status},
    },
};

/// What is known of a proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct ProxyStatus {
    /// The pod that it serves.
    pub pod: ObjectName,
    /// It has a stream.
    pub connected: bool,
    /// Incremental or state-of-the-world; `None` if it is not connected.
    pub variant: Option<Variant>,
    /// It holds exactly its newest snapshot. False if it is not connected.
    pub synced: bool,
    /// What keeps it from being in sync. Empty if it is not connected.
    pub lacks: Vec<Lack>,
    /// Responses that it refused since it connected, by kind, oldest first; 16 a kind at most.
    pub nacks: Vec<Nack>,
    /// All that is known of its stream.
    pub stream: Option<Status>,
}

/// Not every connected proxy holds its newest snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct NotSynced {
    /// Who lacks what.
    pub proxies: Vec<(ObjectName, Vec<Lack>)>,
}

impl fmt::Display for NotSynced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not in sync in time:")?;
        for (pod, lacks) in &self.proxies {
            write!(f, " [{pod}:")?;
            match lacks.as_slice() {
                [] => f.write_str(" its stream has just begun")?,
                [first, rest @ ..] => {
                    write!(f, " {first}")?;
                    if !rest.is_empty() {
                        write!(f, " and {} more", rest.len())?;
                    }
                }
            }
            f.write_str("]")?;
        }
        Ok(())
    }
}

/// All that tells the state of proxies, at one moment.
pub(super) struct Eye<'a> {
    pub(super) view: Arc<View>,
    pub(super) feeds: &'a Feeds,
    pub(super) server: &'a Server,
}

impl Eye<'_> {
    /// All pods of the world and all connected proxies, by name.
    pub(super) fn proxies(&self) -> Vec<ProxyStatus> {
        let absent = self.view.pods.iter().filter(|pod| self.server.stream(pod).is_none());
        let mut all: Vec<_> = absent.map(|pod| ProxyStatus::absent(pod.clone())).collect();
        all.extend(self.server.streams().iter().map(|stream| self.connected(stream)));
        all.sort_by(|a, b| a.pod.cmp(&b.pod));
        all
    }

    fn connected(&self, stream: &StreamInfo) -> ProxyStatus {
        let status = stream.status();
        let lacks = self.feeds.told(&stream.pod).map(|s| stream.lacks(&s));
        ProxyStatus {
            pod: stream.pod.clone(),
            connected: true,
            variant: Some(status.variant),
            synced: lacks.as_ref().is_some_and(Vec::is_empty),
            lacks: lacks.unwrap_or_default(),
            nacks: status.nacks().cloned().collect(),
            stream: Some(status),
        }
    }

    /// Whether there is something that the proxy should hold and does not.
    fn lags(&self, stream: &StreamInfo) -> bool {
        self.view.pods.contains(&stream.pod) && !self.feeds.told(&stream.pod).is_some_and(|s| stream.is_synced(&s))
    }

    /// Who is not in sync.
    pub(super) fn not_synced(&self) -> Result<(), NotSynced> {
        let lagging = self.server.streams().into_iter().filter(|s| self.lags(s));
        let proxies: Vec<_> = lagging
            .map(|s| {
                let lacks = self.feeds.told(&s.pod).map(|snapshot| s.lacks(&snapshot)).unwrap_or_default();
                (s.pod, lacks)
            })
            .collect();
        if proxies.is_empty() { Ok(()) } else { Err(NotSynced { proxies }) }
    }
}

impl ProxyStatus {
    fn absent(pod: ObjectName) -> Self {
        Self { pod, connected: false, variant: None, synced: false, lacks: Vec::new(), nacks: Vec::new(), stream: None }
    }
}

/// A wait for all proxies to be in sync, that asks first who was not so the last time.
#[derive(Default)]
pub(super) struct Waiting {
    lagging: VecDeque<ObjectName>,
}

impl Waiting {
    /// Whether all are in sync now. The cost of a "no" is the check of one proxy.
    pub(super) fn is_over(&mut self, eye: &Eye<'_>) -> bool {
        loop {
            while let Some(pod) = self.lagging.front() {
                if eye.server.stream(pod).is_some_and(|s| eye.lags(&s)) {
                    return false;
                }
                self.lagging.pop_front();
            }
            // Nobody is known to lag: look at everyone anew, since those looked at before may have fallen behind.
            self.lagging = eye.server.streams().into_iter().filter(|s| eye.lags(s)).map(|s| s.pod).collect();
            if self.lagging.is_empty() {
                return true;
            }
        }
    }
}
