//! One ADS stream as a state machine without IO: requests and snapshots in, responses out.
//!
//! Both variants of the xDS transport protocol share this core; [`Delta`] and [`Sotw`] translate the wire formats.
//!
//! # Rules
//!
//! - Only names that the proxy subscribes to **and** that its own snapshot has are ever sent.
//! - A response goes out if a resource differs from what was sent last, if a new subscription must be answered, or if
//!   Envoy waits for it (see below).
//! - At most one response per kind is unanswered. Newer states replace each other meanwhile.
//! - An answer with another nonce than the last one is stale: it neither accepts nor refuses anything.
//! - A refused (name, version) is kept and shown, and not sent again until the resource changes. Two exceptions: the proxy
//!   asks for the name anew; and in state-of-the-world a CDS or LDS response lists everything, so it is repeated as part
//!   of a changed set.
//!
//! # Order (make before break)
//!
//! Additions and updates go out in the order of [`ResourceType::ALL`]; what is refused does not hold up the rest. A kind
//! waits for the ACK (or NACK) of
//!
//! | kind | waits for |
//! |---|---|
//! | Secret | – |
//! | Cluster, Endpoint | Secret |
//! | Listener | Secret, Cluster, Endpoint |
//! | Route | Secret, Cluster, Endpoint, Listener |
//!
//! Endpoint does not wait for the ACK of Cluster: Envoy withholds that ACK until the changed clusters are warm, for which
//! it needs their endpoints. For the same reason an answer to a new subscription by name never waits.
//! When nothing is left to add, removals follow, each kind after the ACK of the one before, users first:
//! Listener, Route, Cluster, Endpoint, Secret. State-of-the-world lists what is to go in the first response still, and
//! leaves it out of a second one.
//!
//! # Warming
//!
//! An Envoy that gets a changed EDS cluster waits for its endpoints before it uses the change, and before it acknowledges
//! it. It does not ask for them: it has subscribed already (seen with Envoy 1.40 in both variants). So the endpoints of
//! changed clusters are sent again with them, though they are the same. A proxy that comes back asks for clusters first: if one
//! has changed meanwhile, its endpoints are sent when it asks for these, though it holds them.

mod channel;
mod delta;
mod sotw;
pub mod status;
mod subscription;

use std::sync::Arc;

use channel::Channel;
pub use delta::Delta;
use envoy_types::pb::envoy::config::{
    cluster::v3::{Cluster, cluster::ClusterDiscoveryType, cluster::DiscoveryType},
    core::v3::Node,
};
use prost::Message;
pub use sotw::Sotw;

use crate::snapshot::{Resource, ResourceType, Snapshot};

/// The two ways to speak xDS over one ADS stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// Incremental: `DeltaAggregatedResources`.
    Delta,
    /// State of the world: `StreamAggregatedResources`.
    Sotw,
}

/// The wire format of a variant.
pub trait Protocol: Send + Sync + 'static {
    /// What the proxy sends.
    type Request: Send + 'static;
    /// What it gets.
    type Response: Send + 'static;
    /// Which variant this is.
    const VARIANT: Variant;

    /// Takes in a request, and returns what is to be sent in consequence. Kinds that the mesh does not serve are
    /// never answered.
    fn on_request(session: &mut Session, request: Self::Request) -> Vec<Dispatch>;
    /// The wire format of a response.
    fn encode(dispatch: &Dispatch) -> Self::Response;
    /// The node that the proxy says it is. It proves nothing.
    fn node(request: &Self::Request) -> Option<&Node>;
    /// What a request is about.
    fn heading(request: &Self::Request) -> Heading<'_>;
}

/// What a request is about, whatever the variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heading<'a> {
    /// The kind of resource; `None` if the mesh does not serve it.
    pub kind: Option<ResourceType>,
    /// The response that it answers; empty if none.
    pub nonce: &'a str,
    /// It refuses that response, for this reason.
    pub refusal: Option<&'a str>,
    /// It names versions that the proxy holds from an earlier stream, if it is the first of its kind.
    pub holds: bool,
}

/// A response to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    /// The kind of resource.
    pub kind: ResourceType,
    /// Identifies the response in its answer. Unique on the stream.
    pub nonce: u64,
    /// Hash of the names and versions of `resources`.
    pub version: String,
    /// Additions and updates; in state-of-the-world the whole set, for CDS and LDS.
    pub resources: Vec<(Arc<str>, Resource)>,
    /// Incremental only: names of what is gone or does not exist.
    pub removed: Vec<Arc<str>>,
    /// Names of `resources` that differ from what the proxy accepted last.
    pub changed: Vec<Arc<str>>,
}

/// One ADS stream of one proxy.
#[derive(Debug)]
pub struct Session {
    variant: Variant,
    /// In the order of [`ResourceType::ALL`].
    channels: [Channel; 5],
    /// `None` until the pod is known; nothing is sent before.
    snapshot: Option<Arc<Snapshot>>,
    nonce: u64,
}

/// The order of removals: what refers to others goes before these.
const REMOVALS: [ResourceType; 5] =
    [ResourceType::Listener, ResourceType::Route, ResourceType::Cluster, ResourceType::Endpoint, ResourceType::Secret];

/// The kinds whose additions must be answered before additions of `kind` go out.
fn waits_for(kind: ResourceType) -> &'static [ResourceType] {
    use ResourceType::{Cluster, Endpoint, Listener, Route, Secret};
    match kind {
        Secret => &[],
        Cluster | Endpoint => &[Secret],
        Listener => &[Secret, Cluster, Endpoint],
        Route => &[Secret, Cluster, Endpoint, Listener],
    }
}

impl Session {
    /// A stream that has just begun.
    pub fn new(variant: Variant) -> Self {
        Self { variant, channels: ResourceType::ALL.map(|kind| Channel::new(kind, variant)), snapshot: None, nonce: 0 }
    }

    /// The variant of the stream.
    pub fn variant(&self) -> Variant {
        self.variant
    }

    /// Takes in the proxy's newest configuration, and returns what is to be sent in consequence.
    pub fn on_snapshot(&mut self, snapshot: Arc<Snapshot>) -> Vec<Dispatch> {
        for channel in &mut self.channels {
            channel.compare(&snapshot);
        }
        self.snapshot = Some(snapshot);
        self.dispatch()
    }

    fn channel(&mut self, kind: ResourceType) -> &mut Channel {
        &mut self.channels[kind as usize]
    }

    /// Applies a changed subscription.
    fn compare(&mut self, kind: ResourceType) {
        if let Some(snapshot) = &self.snapshot {
            self.channels[kind as usize].compare(snapshot);
        }
    }

    /// Everything that may be sent now.
    fn dispatch(&mut self) -> Vec<Dispatch> {
        let Some(snapshot) = self.snapshot.clone() else { return Vec::new() };
        let mut responses = Vec::new();
        for kind in ResourceType::ALL {
            let free = waits_for(kind).iter().all(|k| self.channels[*k as usize].is_settled());
            let nonce = self.nonce + 1;
            if let Some(response) = self.channel(kind).additions(&snapshot, free, nonce) {
                self.nonce = nonce;
                if kind == ResourceType::Cluster {
                    self.warm(&response, &snapshot);
                }
                responses.push(response);
            }
        }
        responses.extend(self.removal(&snapshot));
        responses
    }

    fn removal(&mut self, snapshot: &Snapshot) -> Option<Dispatch> {
        if !self.channels.iter().all(Channel::is_settled) {
            return None;
        }
        let nonce = self.nonce + 1;
        for kind in REMOVALS {
            if self.channel(kind).is_outstanding() {
                return None;
            }
            if let Some(response) = self.channel(kind).take_away(snapshot, nonce) {
                self.nonce = nonce;
                return Some(response);
            }
        }
        None
    }

    /// Sends the endpoints of changed clusters again.
    fn warm(&mut self, clusters: &Dispatch, snapshot: &Snapshot) {
        let changed = clusters.resources.iter().filter(|(name, _)| clusters.changed.contains(name));
        let names: Vec<_> = changed.filter_map(|(_, cluster)| endpoints_of(cluster)).collect();
        let endpoints = self.channel(ResourceType::Endpoint);
        names.into_iter().for_each(|name| endpoints.need(name.into()));
        endpoints.compare(snapshot);
    }
}

/// The name under which an EDS cluster asks for its endpoints.
fn endpoints_of(cluster: &Resource) -> Option<String> {
    let cluster = Cluster::decode(cluster.body.value.as_slice()).ok()?;
    let eds = ClusterDiscoveryType::Type(DiscoveryType::Eds.into());
    (cluster.cluster_discovery_type == Some(eds))
        .then(|| cluster.eds_cluster_config.map(|c| c.service_name).filter(|n| !n.is_empty()).unwrap_or(cluster.name))
}

#[cfg(test)]
mod any_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
