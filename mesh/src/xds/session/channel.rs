//! What one proxy asked for, was sent and holds, of one kind of resource.

mod plan;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use super::{
    Dispatch, Variant,
    status::{KindStatus, Nack, Refusal},
    subscription::Subscription,
};
use crate::snapshot::{Resource, ResourceType, Snapshot};

/// How many refused responses of a kind are kept to be shown.
const NACKS_KEPT: usize = 16;

/// One kind of resource on one stream.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) kind: ResourceType,
    variant: Variant,
    /// `None` until the first request.
    pub(super) subscription: Option<Subscription>,
    /// The last version of every resource that was sent and what became of it.
    entries: BTreeMap<Arc<str>, Entry>,
    /// The response that waits for its ACK or NACK.
    outstanding: Option<Outstanding>,
    /// The nonce sent last, answered or not.
    last_nonce: Option<u64>,
    /// Resources that differ from what was sent last.
    upserts: BTreeSet<Arc<str>>,
    /// Resources that were sent and are to go.
    removals: BTreeSet<Arc<str>>,
    /// Names whose (re)subscription is to be answered, whether or not something changed.
    owed: BTreeSet<Arc<str>>,
    /// A response is due even if there is nothing to say: Envoy waits for the first one.
    answer: bool,
    /// Names that are to be sent once the proxy asks for the kind, whatever it holds of them from an earlier stream.
    needed: BTreeSet<Arc<str>>,
    /// State-of-the-world: the version that the proxy claims to hold, from an earlier stream.
    claimed: Option<String>,
    nacks: VecDeque<Nack>,
    nack_count: u64,
}

/// The last version sent of a resource.
#[derive(Debug)]
struct Entry {
    version: Arc<str>,
    /// The content, kept where a removal must be told by a complete list (state-of-the-world).
    resource: Option<Resource>,
    /// The response that carried it; 0 if it came from an earlier stream.
    nonce: u64,
    standing: Standing,
    acked: Option<Arc<str>>,
}

/// What became of a version that was sent.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    Sent,
    Acked,
    Refused(String),
}

#[derive(Debug)]
struct Outstanding {
    nonce: u64,
    /// What it takes away. Removals go out by themselves.
    going: Vec<Arc<str>>,
    /// Names that it tells to be absent, beside resources.
    absent: Vec<Arc<str>>,
    resources: Vec<(Arc<str>, Arc<str>)>,
}

impl Channel {
    pub(super) fn new(kind: ResourceType, variant: Variant) -> Self {
        Self {
            kind,
            variant,
            subscription: None,
            entries: BTreeMap::new(),
            outstanding: None,
            last_nonce: None,
            upserts: BTreeSet::new(),
            removals: BTreeSet::new(),
            owed: BTreeSet::new(),
            answer: false,
            needed: BTreeSet::new(),
            claimed: None,
            nacks: VecDeque::new(),
            nack_count: 0,
        }
    }

    /// Whether the nonce is that of an older response than the last, or of none on this stream.
    fn is_stale(&self, nonce: &str) -> bool {
        self.last_nonce.is_none_or(|last| nonce != last.to_string())
    }

    /// Takes in an ACK (`refusal` is `None`) or a NACK. Answers to anything but the outstanding response are ignored.
    pub(super) fn answered(&mut self, nonce: &str, refusal: Option<&str>) {
        if self.is_stale(nonce) {
            return;
        }
        let Some(outstanding) = self.outstanding.take() else { return };
        let carried =
            self.entries.values_mut().filter(|e| e.nonce == outstanding.nonce && e.standing == Standing::Sent);
        for entry in carried {
            if let Some(message) = refusal {
                entry.standing = Standing::Refused(message.to_owned());
            } else {
                entry.acked = Some(entry.version.clone());
                entry.standing = Standing::Acked;
            }
        }
        let wants = |n: &Arc<str>| self.subscription.as_ref().is_some_and(|s| s.wants(n));
        if self.variant == Variant::Delta && refusal.is_none() {
            // Asked for anew, by wildcard, while the response was under way: the proxy has it, and may have to give it up.
            let unknown = |n: &Arc<str>| wants(n) && !self.entries.contains_key(n) && !outstanding.going.contains(n);
            let carried = outstanding.resources.iter().filter(|(n, version)| !version.is_empty() && unknown(n));
            self.owed.extend(carried.map(|(n, _)| n.clone()));
        }
        if let Some(message) = refusal {
            // What was said beside a bad resource was not heard.
            self.owed.extend(outstanding.absent.iter().filter(|n| wants(n)).cloned());
            self.keep_nack(outstanding, message);
        }
    }

    fn keep_nack(&mut self, outstanding: Outstanding, message: &str) {
        if self.nacks.len() == NACKS_KEPT {
            self.nacks.pop_front();
        }
        self.nack_count += 1;
        self.nacks.push_back(Nack {
            kind: self.kind,
            nonce: outstanding.nonce.to_string(),
            resources: outstanding.resources,
            message: message.to_owned(),
        });
    }

    /// Replaces the subscription. What is not wanted any more is forgotten: the proxy drops it by itself.
    pub(super) fn subscribe(&mut self, subscription: Subscription) {
        self.entries.retain(|name, _| subscription.wants(name));
        self.owed.retain(|name| subscription.wants(name));
        self.answer &= subscription.wildcard || self.variant == Variant::Sotw && !subscription.names.is_empty();
        self.subscription = Some(subscription);
    }

    /// The resource must be sent (or its absence told) though it may not have changed.
    pub(super) fn owe(&mut self, name: Arc<str>) {
        self.entries.remove(&name);
        self.owed.insert(name);
    }

    /// As [`Channel::owe`], for a proxy that may not have asked for the kind yet.
    pub(super) fn need(&mut self, name: Arc<str>) {
        match &self.subscription {
            None => drop(self.needed.insert(name)),
            Some(subscription) if subscription.wants(&name) => self.owe(name),
            Some(_) => {}
        }
    }

    /// A response must come even if it has nothing in it.
    pub(super) fn owe_answer(&mut self) {
        self.answer = true;
    }

    /// The proxy holds this version from an earlier stream.
    pub(super) fn holds(&mut self, name: Arc<str>, version: Arc<str>) {
        if self.needed.remove(&name) {
            return self.owe(name);
        }
        let acked = Some(version.clone());
        self.entries.insert(name, Entry { version, resource: None, nonce: 0, standing: Standing::Acked, acked });
    }

    /// The proxy says that it holds this version of the whole set.
    pub(super) fn claims(&mut self, version: &str) {
        self.claimed = Some(version.to_owned());
    }

    /// Whether all additions and updates are with the proxy, and answered.
    pub(super) fn is_settled(&self) -> bool {
        let busy = self.outstanding.as_ref().is_some_and(|o| o.going.is_empty());
        self.upserts.is_empty() && self.owed.is_empty() && !self.answer && !busy
    }

    /// Whether a response waits for its answer.
    pub(super) fn is_outstanding(&self) -> bool {
        self.outstanding.is_some()
    }

    /// The version of the resource that the proxy has accepted last, and whether it was sent a newer one, or refused it.
    pub(super) fn standing(&self, name: &str) -> Option<(&str, Result<bool, &str>)> {
        let entry = self.entries.get(name)?;
        let standing = match &entry.standing {
            Standing::Sent => Ok(false),
            Standing::Acked => Ok(true),
            Standing::Refused(message) => Err(message.as_str()),
        };
        Some((&entry.version, standing))
    }

    /// Resources that the proxy must give up, and has not confirmed to have.
    pub(super) fn leftovers(&self) -> impl Iterator<Item = &Arc<str>> {
        self.removals.iter().chain(self.outstanding.iter().flat_map(|o| &o.going))
    }

    pub(super) fn status(&self) -> KindStatus {
        let refused = self.entries.iter().filter_map(|(name, e)| match &e.standing {
            Standing::Refused(message) => {
                Some((name.clone(), Refusal { version: e.version.clone(), message: message.clone() }))
            }
            Standing::Sent | Standing::Acked => None,
        });
        KindStatus {
            subscribed: self.subscription.is_some(),
            wildcard: self.subscription.as_ref().is_some_and(|s| s.wildcard),
            names: self.subscription.iter().flat_map(|s| s.names.iter().cloned()).collect(),
            acked: self.entries.iter().filter_map(|(n, e)| Some((n.clone(), e.acked.clone()?))).collect(),
            refused: refused.collect(),
            outstanding: self.outstanding.is_some(),
            nacks: self.nacks.iter().cloned().collect(),
            nack_count: self.nack_count,
        }
    }
}
