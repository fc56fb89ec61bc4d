//! A listener that every Envoy refuses.

use std::sync::Arc;

use envoy_types::pb::envoy::config::listener::v3::Listener;
use mesh::snapshot::{Resource, ResourceType, Snapshot, name};
use prost::Message as _;

/// The listener of a snapshot that matters most, as it is, and spoiled: without an address, which Envoy's own validation refuses.
pub fn spoiled(snapshot: &Snapshot) -> Option<(Arc<str>, Resource, Resource)> {
    let candidates = [name::INBOUND_LISTENER, name::OUTBOUND_LISTENER];
    let (listener, good) = candidates.into_iter().find_map(|l| Some((l, snapshot.get(ResourceType::Listener, l)?)))?;
    let decoded = Listener::decode(&*good.body.value).ok()?;
    let bad = Listener { address: None, additional_addresses: Vec::new(), ..decoded };
    Some((listener.into(), good.clone(), Resource::new(ResourceType::Listener, bad.encode_to_vec())))
}
