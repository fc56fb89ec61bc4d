//! One ADS stream, with a proxy that keeps to no rule.

use std::{collections::BTreeSet, sync::Arc};

use arbitrary::Arbitrary;
use envoy_types::pb::{
    envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest},
    google::rpc::Status,
};
use mesh::{
    snapshot::{Resource, ResourceType, Snapshot},
    xds::{Delta, Dispatch, Protocol, Session, Sotw},
};

/// What happens on one stream.
#[derive(Arbitrary, Clone, Debug)]
pub struct Stream {
    sotw: bool,
    events: Vec<Event>,
}

#[derive(Arbitrary, Clone, Debug)]
enum Event {
    /// The pod has a new configuration.
    Publish(Vec<(Kind, Name, u8)>),
    /// The proxy says something.
    Request(Request),
}

#[derive(Arbitrary, Clone, Debug)]
struct Request {
    kind: Kind,
    /// Names that it asks for: all of them in state-of-the-world.
    names: Vec<Name>,
    dropped: Vec<Name>,
    /// Versions that it says to have.
    held: Vec<(Name, u8)>,
    nonce: Nonce,
    refuses: bool,
}

#[derive(Arbitrary, Clone, Debug)]
enum Kind {
    Served(u8),
    Other(String),
}

#[derive(Arbitrary, Clone, Debug)]
enum Name {
    Usual(u8),
    Wildcard,
    Any(String),
}

#[derive(Arbitrary, Clone, Debug)]
enum Nonce {
    None,
    /// That of a response so many before the last one.
    Sent(u8),
    Any(String),
}

/// Runs the stream. Nothing is sent twice under one nonce, nothing that the snapshot never had, and nothing makes it panic.
pub fn run(stream: &Stream) {
    if stream.sotw { speak::<Sotw>(stream, sotw) } else { speak::<Delta>(stream, delta) }
}

fn speak<P: Protocol>(stream: &Stream, request: fn(&Request, &[Dispatch]) -> P::Request) {
    let mut session = Session::new(P::VARIANT);
    let (mut sent, mut published) = (Vec::<Dispatch>::new(), BTreeSet::new());
    let mut current = Arc::<Snapshot>::default();
    for event in &stream.events {
        let due = match event {
            Event::Publish(contents) => {
                current = Arc::new(snapshot(contents));
                published.extend(current.iter().map(|(kind, name, _)| (kind, name.clone())));
                session.on_snapshot(current.clone())
            }
            Event::Request(said) => P::on_request(&mut session, request(said, &sent)),
        };
        for dispatch in due {
            assert!(sent.last().is_none_or(|last| last.nonce < dispatch.nonce), "a nonce twice");
            for (name, _) in &dispatch.resources {
                assert!(published.contains(&(dispatch.kind, name.clone())), "{name} was never there");
            }
            let _ = P::encode(&dispatch);
            sent.push(dispatch);
        }
        let _ = session.status();
        assert_eq!(session.is_synced(&current), session.lacks(&current).is_empty());
    }
}

fn snapshot(contents: &[(Kind, Name, u8)]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (kind, name, content) in contents {
        if let Kind::Served(kind) = kind {
            let kind = served(*kind);
            snapshot.insert(kind, text(name), Resource::new(kind, vec![*content]));
        }
    }
    snapshot
}

fn delta(said: &Request, sent: &[Dispatch]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: url(&said.kind),
        resource_names_subscribe: said.names.iter().map(text).collect(),
        resource_names_unsubscribe: said.dropped.iter().map(text).collect(),
        initial_resource_versions: said.held.iter().map(|(name, version)| (text(name), version.to_string())).collect(),
        response_nonce: nonce(&said.nonce, sent),
        error_detail: error(said),
        ..Default::default()
    }
}

fn sotw(said: &Request, sent: &[Dispatch]) -> DiscoveryRequest {
    DiscoveryRequest {
        type_url: url(&said.kind),
        version_info: said.held.first().map(|(_, version)| version.to_string()).unwrap_or_default(),
        resource_names: said.names.iter().map(text).collect(),
        response_nonce: nonce(&said.nonce, sent),
        error_detail: error(said),
        ..Default::default()
    }
}

fn error(said: &Request) -> Option<Status> {
    said.refuses.then(|| Status { message: "no".into(), ..Default::default() })
}

fn nonce(nonce: &Nonce, sent: &[Dispatch]) -> String {
    match nonce {
        Nonce::None => String::new(),
        Nonce::Sent(before) => {
            sent.iter().rev().nth(usize::from(*before)).map(|dispatch| dispatch.nonce.to_string()).unwrap_or_default()
        }
        Nonce::Any(any) => any.clone(),
    }
}

fn served(kind: u8) -> ResourceType {
    ResourceType::ALL[usize::from(kind) % ResourceType::ALL.len()]
}

fn url(kind: &Kind) -> String {
    match kind {
        Kind::Served(kind) => served(*kind).type_url().to_owned(),
        Kind::Other(url) => url.clone(),
    }
}

fn text(name: &Name) -> String {
    match name {
        Name::Usual(number) => format!("n{}", number % 4),
        Name::Wildcard => "*".to_owned(),
        Name::Any(any) => any.clone(),
    }
}
