//! What is known of a proxy's configuration: shown to people, and waited for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use super::{Session, Variant};
use crate::snapshot::{ResourceType, Snapshot};

/// The state of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Incremental or state-of-the-world.
    pub variant: Variant,
    /// By kind of resource.
    pub kinds: BTreeMap<ResourceType, KindStatus>,
}

impl Status {
    /// All refused responses that are still remembered, by kind, oldest first.
    pub fn nacks(&self) -> impl Iterator<Item = &Nack> {
        self.kinds.values().flat_map(|k| &k.nacks)
    }
}

/// The state of one kind of resource on a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KindStatus {
    /// The proxy has asked for the kind.
    pub subscribed: bool,
    /// It asked for all resources of the kind.
    pub wildcard: bool,
    /// The names that it asked for one by one.
    pub names: BTreeSet<Arc<str>>,
    /// The version of each resource that it accepted last.
    pub acked: BTreeMap<Arc<str>, Arc<str>>,
    /// Versions that it refused. They are not sent again until the resource changes, or the proxy asks for it anew.
    pub refused: BTreeMap<Arc<str>, Refusal>,
    /// A response waits for its ACK or NACK.
    pub outstanding: bool,
    /// The last refused responses (16 at most), oldest first.
    pub nacks: Vec<Nack>,
    /// How many responses were refused since the stream began.
    pub nack_count: u64,
}

/// A refused version of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The version.
    pub version: Arc<str>,
    /// What the proxy said against the response that carried it.
    pub message: String,
}

/// A refused response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nack {
    /// The kind of resource.
    pub kind: ResourceType,
    /// The nonce of the response.
    pub nonce: String,
    /// Names and versions of what the response changed; the version is empty for a removal. An xDS client refuses a
    /// response as a whole, so not all of them need be at fault.
    pub resources: Vec<(Arc<str>, Arc<str>)>,
    /// The proxy's `error_detail`.
    pub message: String,
}

/// A resource that keeps a proxy from being in sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// The kind of resource.
    pub kind: ResourceType,
    /// The name of the resource.
    pub name: Arc<str>,
    /// What is missing.
    pub why: Why,
}

/// Why a resource is not in sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The proxy has not asked for it.
    NotSubscribed,
    /// It has not been sent: something must be answered first.
    NotSent,
    /// It was sent, and neither accepted nor refused.
    NotAcked,
    /// The proxy refused it, for this reason.
    Rejected(String),
    /// It is gone, and the proxy has not been told or has not confirmed.
    NotRemoved,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}: ", self.kind, self.name)?;
        match &self.why {
            Why::NotSubscribed => f.write_str("not asked for"),
            Why::NotSent => f.write_str("not sent yet"),
            Why::NotAcked => f.write_str("sent, not answered"),
            Why::Rejected(message) => write!(f, "rejected: {message}"),
            Why::NotRemoved => f.write_str("not removed yet"),
        }
    }
}

impl Session {
    /// The state of the stream.
    pub fn status(&self) -> Status {
        Status { variant: self.variant, kinds: self.channels.iter().map(|c| (c.kind, c.status())).collect() }
    }

    /// Whether the proxy holds exactly `snapshot`: every resource is asked for and accepted at its current version,
    /// and nothing else is left to be removed.
    pub fn is_synced(&self, snapshot: &Snapshot) -> bool {
        self.find_lacks(snapshot).next().is_none()
    }

    /// What keeps the proxy from being in sync with `snapshot`.
    pub fn lacks(&self, snapshot: &Snapshot) -> Vec<Lack> {
        self.find_lacks(snapshot).collect()
    }

    fn find_lacks<'a>(&'a self, snapshot: &'a Snapshot) -> impl Iterator<Item = Lack> + 'a {
        self.channels.iter().flat_map(move |channel| {
            let kind = channel.kind;
            let missing = snapshot.of(kind).filter_map(move |(name, resource)| {
                let wants = channel.subscription.as_ref().is_some_and(|s| s.wants(name));
                let why = match channel.standing(name) {
                    _ if !wants => Why::NotSubscribed,
                    Some((version, _)) if version != &*resource.version => Why::NotSent,
                    Some((_, Ok(true))) => return None,
                    Some((_, Ok(false))) => Why::NotAcked,
                    Some((_, Err(message))) => Why::Rejected(message.to_owned()),
                    None => Why::NotSent,
                };
                Some(Lack { kind, name: name.clone(), why })
            });
            let leftover = channel.leftovers().map(move |n| Lack { kind, name: n.clone(), why: Why::NotRemoved });
            missing.chain(leftover)
        })
    }
}
