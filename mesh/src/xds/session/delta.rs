//! The incremental variant on the wire (xDS transport protocol, "incremental xDS").

use std::collections::HashMap;

use envoy_types::pb::envoy::{
    config::core::v3::Node,
    service::discovery::v3::{self as wire, DeltaDiscoveryRequest, DeltaDiscoveryResponse},
};

use super::{Dispatch, Heading, Protocol, Session, Variant, channel::Channel, subscription::WILDCARD};
use crate::snapshot::ResourceType;

/// The incremental variant.
#[derive(Clone, Copy, Debug)]
pub struct Delta;

impl Protocol for Delta {
    type Request = DeltaDiscoveryRequest;
    type Response = DeltaDiscoveryResponse;
    const VARIANT: Variant = Variant::Delta;

    fn on_request(session: &mut Session, request: DeltaDiscoveryRequest) -> Vec<Dispatch> {
        let Some(kind) = ResourceType::from_type_url(&request.type_url) else { return Vec::new() };
        let channel = session.channel(kind);
        if !request.response_nonce.is_empty() {
            channel.answered(&request.response_nonce, request.error_detail.as_ref().map(|e| e.message.as_str()));
        }
        // Names count even beside a stale nonce: each change of the subscription is told only once.
        if subscribe(channel, &request) {
            session.compare(kind);
        }
        session.dispatch()
    }

    fn encode(dispatch: &Dispatch) -> DeltaDiscoveryResponse {
        let resources = dispatch.resources.iter().map(|(name, resource)| wire::Resource {
            name: name.to_string(),
            version: resource.version.to_string(),
            resource: Some((*resource.body).clone()),
            ..Default::default()
        });
        DeltaDiscoveryResponse {
            system_version_info: dispatch.version.clone(),
            resources: resources.collect(),
            type_url: dispatch.kind.type_url().to_owned(),
            removed_resources: dispatch.removed.iter().map(ToString::to_string).collect(),
            nonce: dispatch.nonce.to_string(),
            ..Default::default()
        }
    }

    fn node(request: &DeltaDiscoveryRequest) -> Option<&Node> {
        request.node.as_ref()
    }

    fn heading(request: &DeltaDiscoveryRequest) -> Heading<'_> {
        Heading {
            kind: ResourceType::from_type_url(&request.type_url),
            nonce: &request.response_nonce,
            refusal: request.error_detail.as_ref().map(|detail| detail.message.as_str()),
            holds: !request.initial_resource_versions.is_empty(),
        }
    }
}

/// Applies the changes of the subscription that the request tells, and returns whether there are any.
fn subscribe(channel: &mut Channel, request: &DeltaDiscoveryRequest) -> bool {
    let first = channel.subscription.is_none();
    let added = &request.resource_names_subscribe;
    let dropped = &request.resource_names_unsubscribe;
    if !first && added.is_empty() && dropped.is_empty() {
        return false;
    }
    let mut subscription = channel.subscription.clone().unwrap_or_default();
    let legacy = first && channel.kind.is_wildcard() && added.is_empty();
    for name in dropped {
        if name == WILDCARD {
            subscription.wildcard = false;
        } else if subscription.names.remove(name.as_str()) && subscription.wildcard {
            // The proxy cannot know whether the wildcard covers the name: it is sent, or told to be gone.
            channel.owe(name.as_str().into());
        }
    }
    let initial = if first { &request.initial_resource_versions } else { &HashMap::new() };
    let was_wildcard = subscription.wildcard;
    subscription.wildcard |= legacy || added.iter().any(|n| n == WILDCARD);
    if subscription.wildcard && !was_wildcard && initial.is_empty() {
        channel.owe_answer();
    }
    let named = added.iter().filter(|n| *n != WILDCARD);
    subscription.names.extend(named.clone().map(|n| n.as_str().into()));
    for name in named.filter(|n| !initial.contains_key(*n)) {
        channel.owe(name.as_str().into());
    }
    for (name, version) in initial.iter().filter(|(name, _)| subscription.wants(name)) {
        channel.holds(name.as_str().into(), version.as_str().into());
    }
    channel.subscribe(subscription);
    true
}
