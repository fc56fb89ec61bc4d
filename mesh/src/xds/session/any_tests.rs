//! A proxy that keeps to no rule: any request in any order, with any nonce. Nothing panics, nothing goes out that the proxy's own
//! snapshots never had, and no nonce is used twice. (`mesh/fuzz` does the same with a fuzzer.)

use std::collections::BTreeSet;

use envoy_types::pb::{
    envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest},
    google::rpc,
};
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;
use crate::testing::cases;

#[derive(Clone, Debug)]
enum Event {
    /// A new snapshot: contents by kind and name.
    Publish(Vec<(usize, &'static str, u8)>),
    Say(Said),
}

#[derive(Clone, Debug)]
struct Said {
    url: String,
    names: Vec<String>,
    dropped: Vec<String>,
    held: Vec<(String, String)>,
    nonce: String,
    error: Option<String>,
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => select(vec!["a", "b", "c", "*", ""]).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

prop_compose! {
    fn said()(
        url in prop_oneof![
            8 => select(ResourceType::ALL.map(|kind| kind.type_url().to_owned()).to_vec()),
            1 => any::<String>(),
        ],
        names in vec(name(), 0..4),
        dropped in vec(name(), 0..3),
        held in vec((name(), name()), 0..3),
        // Nonces are numbers from 1 on, so many of these were really sent.
        nonce in prop_oneof![4 => (0..12u64).prop_map(|n| n.to_string()), 2 => Just(String::new()), 1 => any::<String>()],
        error in option::weighted(0.2, any::<String>()),
    ) -> Said {
        Said { url, names, dropped, held, nonce, error }
    }
}

fn event() -> impl Strategy<Value = Event> {
    let content = (0..5usize, select(vec!["a", "b", "c", "*", ""]), any::<u8>());
    prop_oneof![1 => vec(content, 0..8).prop_map(Event::Publish), 4 => said().prop_map(Event::Say)]
}

fn speak<P: Protocol>(events: Vec<Event>, request: fn(Said) -> P::Request) {
    let mut session = Session::new(P::VARIANT);
    let (mut current, mut published, mut last) = (Arc::<Snapshot>::default(), BTreeSet::new(), 0);
    for event in events {
        let due = match event {
            Event::Publish(contents) => {
                let mut snapshot = Snapshot::default();
                for (kind, name, content) in contents {
                    let kind = ResourceType::ALL[kind];
                    published.insert((kind, name));
                    snapshot.insert(kind, name, Resource::new(kind, vec![content]));
                }
                current = Arc::new(snapshot);
                session.on_snapshot(current.clone())
            }
            Event::Say(said) => P::on_request(&mut session, request(said)),
        };
        for dispatch in due {
            assert!(dispatch.nonce > last, "nonce {} after {last}", dispatch.nonce);
            last = dispatch.nonce;
            for (name, _) in &dispatch.resources {
                assert!(published.contains(&(dispatch.kind, &**name)), "{name} was never there");
            }
            let _ = P::encode(&dispatch);
        }
        assert_eq!(session.is_synced(&current), session.lacks(&current).is_empty());
        let _ = session.status();
    }
}

fn delta(said: Said) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: said.url,
        resource_names_subscribe: said.names,
        resource_names_unsubscribe: said.dropped,
        initial_resource_versions: said.held.into_iter().collect(),
        response_nonce: said.nonce,
        error_detail: said.error.map(|message| rpc::Status { message, ..Default::default() }),
        ..Default::default()
    }
}

fn sotw(said: Said) -> DiscoveryRequest {
    DiscoveryRequest {
        type_url: said.url,
        version_info: said.held.into_iter().next().map(|(_, version)| version).unwrap_or_default(),
        resource_names: said.names,
        response_nonce: said.nonce,
        error_detail: said.error.map(|message| rpc::Status { message, ..Default::default() }),
        ..Default::default()
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn no_order_of_delta_requests_panics(events in vec(event(), 1..40)) {
        speak::<Delta>(events, delta);
    }

    #[test]
    fn no_order_of_sotw_requests_panics(events in vec(event(), 1..40)) {
        speak::<Sotw>(events, sotw);
    }
}
