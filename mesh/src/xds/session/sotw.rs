//! The state-of-the-world variant on the wire (xDS transport protocol, "basic protocol").
//!
//! Limit: a proxy that narrows its subscription to CDS or LDS right after it refused a set may keep what it should drop
//! until it accepts a set. Envoy always asks for all of them.

use envoy_types::pb::envoy::{
    config::core::v3::Node,
    service::discovery::v3::{DiscoveryRequest, DiscoveryResponse},
};

use super::{Dispatch, Heading, Protocol, Session, Variant, channel::Channel, subscription::Subscription};
use crate::snapshot::ResourceType;

/// The state-of-the-world variant.
#[derive(Clone, Copy, Debug)]
pub struct Sotw;

impl Protocol for Sotw {
    type Request = DiscoveryRequest;
    type Response = DiscoveryResponse;
    const VARIANT: Variant = Variant::Sotw;

    fn on_request(session: &mut Session, request: DiscoveryRequest) -> Vec<Dispatch> {
        let Some(kind) = ResourceType::from_type_url(&request.type_url) else { return Vec::new() };
        let channel = session.channel(kind);
        let nonce = request.response_nonce.as_str();
        // On the first request of a stream a nonce can only be that of an earlier stream.
        if channel.subscription.is_some() && !nonce.is_empty() {
            channel.answered(nonce, request.error_detail.as_ref().map(|e| e.message.as_str()));
        }
        // The list counts even beside a stale nonce: it is newer than the one before.
        if subscribe(channel, &request) {
            session.compare(kind);
        }
        session.dispatch()
    }

    fn encode(dispatch: &Dispatch) -> DiscoveryResponse {
        DiscoveryResponse {
            version_info: dispatch.version.clone(),
            resources: dispatch.resources.iter().map(|(_, resource)| (*resource.body).clone()).collect(),
            type_url: dispatch.kind.type_url().to_owned(),
            nonce: dispatch.nonce.to_string(),
            ..Default::default()
        }
    }

    fn node(request: &DiscoveryRequest) -> Option<&Node> {
        request.node.as_ref()
    }

    fn heading(request: &DiscoveryRequest) -> Heading<'_> {
        Heading {
            kind: ResourceType::from_type_url(&request.type_url),
            nonce: &request.response_nonce,
            refusal: request.error_detail.as_ref().map(|detail| detail.message.as_str()),
            holds: !request.version_info.is_empty(),
        }
    }
}

/// Applies the list of names in the request, and returns whether it changed the subscription.
fn subscribe(channel: &mut Channel, request: &DiscoveryRequest) -> bool {
    let before = channel.subscription.clone();
    let legacy = channel.kind.is_wildcard() && before.as_ref().is_none_or(|s| s.legacy);
    let subscription = Subscription::from_list(&request.resource_names, legacy);
    if before.as_ref() == Some(&subscription) {
        return false;
    }
    // A proxy that held something before this stream holds names as well, but nobody knows which version of which:
    // they are all sent, in order. Only a proxy that starts afresh, or adds a name, is waiting for the answer.
    let reconnected = before.is_none() && !request.version_info.is_empty();
    let first = before.is_none();
    let before = before.unwrap_or_default();
    if reconnected && channel.kind.is_wildcard() && subscription.wildcard {
        channel.claims(&request.version_info);
    }
    if first && channel.kind.is_wildcard() || subscription.wildcard && !before.wildcard {
        channel.owe_answer();
    }
    if !reconnected {
        for name in subscription.names.difference(&before.names) {
            channel.owe(name.clone());
        }
    }
    channel.subscribe(subscription);
    true
}
