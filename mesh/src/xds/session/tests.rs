//! The rules of the session, one by one, in both variants.

use envoy_types::pb::{
    envoy::{
        config::cluster::v3::{Cluster, cluster::ClusterDiscoveryType, cluster::DiscoveryType},
        service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest},
    },
    google::rpc,
};
use prost::Message;

use super::{
    status::{Lack, Why},
    *,
};
use ResourceType::{Cluster as Cds, Endpoint as Eds, Listener as Lds, Route as Rds, Secret as Sds};

/// A snapshot of `(kind, name, content)`.
fn snapshot(resources: &[(ResourceType, &str, &str)]) -> Arc<Snapshot> {
    let mut snapshot = Snapshot::default();
    for (kind, name, content) in resources {
        snapshot.insert(*kind, *name, Resource::new(*kind, content.as_bytes().to_vec()));
    }
    Arc::new(snapshot)
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn refusal(message: &str) -> Option<rpc::Status> {
    Some(rpc::Status { message: message.into(), ..Default::default() })
}

/// A stream and what it sent, as `kind: +name=content -name`.
struct Stream {
    session: Session,
    last: std::collections::BTreeMap<ResourceType, Dispatch>,
}

impl Stream {
    fn new(variant: Variant) -> Self {
        Self { session: Session::new(variant), last: Default::default() }
    }

    fn told(&mut self, sent: Vec<Dispatch>) -> Vec<String> {
        let text = sent.iter().map(|d| {
            let mut text = format!("{:?}:", d.kind);
            for (name, resource) in &d.resources {
                text += &format!(" +{name}={}", String::from_utf8_lossy(&resource.body.value));
            }
            for name in &d.removed {
                text += &format!(" -{name}");
            }
            text
        });
        let text = text.collect();
        self.last.extend(sent.into_iter().map(|d| (d.kind, d)));
        text
    }

    fn set(&mut self, resources: &[(ResourceType, &str, &str)]) -> Vec<String> {
        let sent = self.session.on_snapshot(snapshot(resources));
        self.told(sent)
    }

    fn delta(&mut self, kind: ResourceType, request: DeltaDiscoveryRequest) -> Vec<String> {
        let sent =
            Delta::on_request(&mut self.session, DeltaDiscoveryRequest { type_url: kind.type_url().into(), ..request });
        self.told(sent)
    }

    fn sotw(&mut self, kind: ResourceType, request: DiscoveryRequest) -> Vec<String> {
        let sent =
            Sotw::on_request(&mut self.session, DiscoveryRequest { type_url: kind.type_url().into(), ..request });
        self.told(sent)
    }

    fn subscribe(&mut self, kind: ResourceType, list: &[&str]) -> Vec<String> {
        match self.session.variant() {
            Variant::Delta => {
                self.delta(kind, DeltaDiscoveryRequest { resource_names_subscribe: names(list), ..Default::default() })
            }
            Variant::Sotw => {
                let response_nonce = self.nonce(kind);
                self.sotw(kind, DiscoveryRequest { resource_names: names(list), response_nonce, ..Default::default() })
            }
        }
    }

    fn unsubscribe(&mut self, kind: ResourceType, list: &[&str]) -> Vec<String> {
        self.delta(kind, DeltaDiscoveryRequest { resource_names_unsubscribe: names(list), ..Default::default() })
    }

    fn nonce(&self, kind: ResourceType) -> String {
        self.last.get(&kind).map(|d| d.nonce.to_string()).unwrap_or_default()
    }

    fn ack(&mut self, kind: ResourceType) -> Vec<String> {
        self.answer(kind, None)
    }

    fn nack(&mut self, kind: ResourceType, message: &str) -> Vec<String> {
        self.answer(kind, refusal(message))
    }

    /// Answers the last response of the kind, with the subscription as it is.
    fn answer(&mut self, kind: ResourceType, error_detail: Option<rpc::Status>) -> Vec<String> {
        let response_nonce = self.nonce(kind);
        match self.session.variant() {
            Variant::Delta => {
                self.delta(kind, DeltaDiscoveryRequest { response_nonce, error_detail, ..Default::default() })
            }
            Variant::Sotw => {
                let subscription = self.session.channel(kind).subscription.clone().unwrap_or_default();
                let resource_names = subscription.names.iter().map(ToString::to_string).collect();
                self.sotw(kind, DiscoveryRequest { resource_names, response_nonce, error_detail, ..Default::default() })
            }
        }
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn the_first_wildcard_request_is_answered_even_if_there_is_nothing() {
    for variant in [Variant::Delta, Variant::Sotw] {
        let mut s = Stream::new(variant);
        assert_eq!(s.subscribe(Cds, &[]), NOTHING, "the pod is not known yet");
        assert_eq!(s.set(&[]), ["Cluster:"]);
        assert_eq!(s.ack(Cds), NOTHING);
        assert_eq!(s.set(&[]), NOTHING);
        assert_eq!(s.subscribe(Lds, &[]), ["Listener:"]);
    }
}

#[test]
fn an_empty_list_is_a_wildcard_for_clusters_and_listeners_only() {
    for variant in [Variant::Delta, Variant::Sotw] {
        let mut s = Stream::new(variant);
        s.set(&[(Sds, "key", "1"), (Rds, "r", "1"), (Eds, "e", "1")]);
        for kind in [Sds, Rds, Eds] {
            assert_eq!(s.subscribe(kind, &[]), NOTHING, "{kind:?}");
        }
    }
}

#[test]
fn names_that_the_own_snapshot_lacks_are_never_sent() {
    let mut s = Stream::new(Variant::Delta);
    s.set(&[(Sds, "own", "1")]);
    assert_eq!(s.subscribe(Sds, &["foreign", "own"]), ["Secret: +own=1 -foreign"]);
    let mut s = Stream::new(Variant::Sotw);
    s.set(&[(Sds, "own", "1")]);
    assert_eq!(s.subscribe(Sds, &["foreign"]), NOTHING);
    assert_eq!(s.subscribe(Sds, &["foreign", "own"]), ["Secret: +own=1"]);
}

#[test]
fn only_what_changed_is_sent() {
    let mut s = Stream::new(Variant::Delta);
    s.subscribe(Cds, &[]);
    assert_eq!(s.set(&[(Cds, "a", "1"), (Cds, "b", "1")]), ["Cluster: +a=1 +b=1"]);
    s.ack(Cds);
    assert_eq!(s.set(&[(Cds, "a", "1"), (Cds, "b", "2")]), ["Cluster: +b=2"]);
    s.ack(Cds);
    assert_eq!(s.set(&[(Cds, "a", "1"), (Cds, "b", "2")]), NOTHING);
    let mut s = Stream::new(Variant::Sotw);
    s.subscribe(Eds, &["a", "b", "c"]);
    assert_eq!(s.set(&[(Eds, "a", "1"), (Eds, "b", "1")]), ["Endpoint: +a=1 +b=1"]);
    s.ack(Eds);
    assert_eq!(s.set(&[(Eds, "a", "1"), (Eds, "b", "2"), (Eds, "c", "1")]), ["Endpoint: +b=2 +c=1"]);
}

#[test]
fn newer_states_replace_each_other_while_a_response_is_unanswered() {
    for variant in [Variant::Delta, Variant::Sotw] {
        let mut s = Stream::new(variant);
        s.subscribe(Cds, &[]);
        assert_eq!(s.set(&[(Cds, "a", "1")]), ["Cluster: +a=1"]);
        assert_eq!(s.set(&[(Cds, "a", "2")]), NOTHING);
        assert_eq!(s.set(&[(Cds, "a", "3")]), NOTHING);
        assert_eq!(s.ack(Cds), ["Cluster: +a=3"]);
        assert_eq!(s.set(&[(Cds, "a", "4")]), NOTHING);
        assert_eq!(s.set(&[(Cds, "a", "3")]), NOTHING);
        assert_eq!(s.ack(Cds), NOTHING, "back where it was");
    }
}

#[test]
fn stale_nonces_answer_nothing() {
    for variant in [Variant::Delta, Variant::Sotw] {
        let mut s = Stream::new(variant);
        s.subscribe(Cds, &[]);
        s.set(&[(Cds, "a", "1")]);
        let old = s.last[&Cds].clone();
        s.ack(Cds);
        s.set(&[(Cds, "a", "2")]);
        let new = s.last.insert(Cds, old).unwrap();
        assert_eq!(s.nack(Cds, "late"), NOTHING);
        assert_eq!(s.ack(Cds), NOTHING);
        assert_eq!(s.session.status().nacks().count(), 0);
        assert!(!s.session.is_synced(&snapshot(&[(Cds, "a", "2")])));
        s.last.insert(Cds, new);
        s.ack(Cds);
        assert!(s.session.is_synced(&snapshot(&[(Cds, "a", "2")])));
        assert_eq!(s.nack(Cds, "second thoughts"), NOTHING);
        assert!(s.session.is_synced(&snapshot(&[(Cds, "a", "2")])), "an answer counts once");
    }
}

#[test]
fn a_subscription_beside_a_stale_nonce_counts_in_delta() {
    let mut s = Stream::new(Variant::Delta);
    s.set(&[(Eds, "a", "1")]);
    let request = DeltaDiscoveryRequest {
        resource_names_subscribe: names(&["a"]),
        response_nonce: "77".into(),
        ..Default::default()
    };
    assert_eq!(s.delta(Eds, request), ["Endpoint: +a=1"]);
}

#[test]
fn a_refused_version_is_shown_and_not_sent_again() {
    let mut s = Stream::new(Variant::Delta);
    s.subscribe(Lds, &[]);
    s.set(&[(Lds, "a", "1"), (Lds, "b", "1")]);
    s.ack(Lds);
    assert_eq!(s.set(&[(Lds, "a", "bad"), (Lds, "b", "1")]), ["Listener: +a=bad"]);
    assert_eq!(s.nack(Lds, "no such filter"), NOTHING);
    let bad = Resource::new(Lds, b"bad".to_vec()).version;
    let status = s.session.status();
    let nack = status.nacks().next().unwrap();
    assert_eq!((nack.kind, &*nack.message), (Lds, "no such filter"));
    assert_eq!(nack.resources, [("a".into(), bad.clone())]);
    assert_eq!(status.kinds[&Lds].refused["a"].version, bad);
    assert_eq!(status.kinds[&Lds].acked["a"], Resource::new(Lds, b"1".to_vec()).version, "the last good one");
    let why = Why::Rejected("no such filter".into());
    let wanted = snapshot(&[(Lds, "a", "bad"), (Lds, "b", "1")]);
    assert_eq!(s.session.lacks(&wanted), [Lack { kind: Lds, name: "a".into(), why }]);

    assert_eq!(s.set(&[(Lds, "a", "bad"), (Lds, "b", "2")]), ["Listener: +b=2"], "others go on");
    s.ack(Lds);
    assert_eq!(s.set(&[(Lds, "a", "good"), (Lds, "b", "2")]), ["Listener: +a=good"]);
    s.ack(Lds);
    assert!(s.session.status().kinds[&Lds].refused.is_empty());
}

#[test]
fn going_back_after_a_refusal_is_sent() {
    // Envoy may have applied a part of what it refused.
    let mut s = Stream::new(Variant::Delta);
    s.subscribe(Lds, &[]);
    s.set(&[(Lds, "a", "1")]);
    s.ack(Lds);
    s.set(&[(Lds, "a", "bad")]);
    s.nack(Lds, "no");
    assert_eq!(s.set(&[(Lds, "a", "1")]), ["Listener: +a=1"]);
}

#[test]
fn a_refused_set_is_retried_only_if_it_changed() {
    let mut s = Stream::new(Variant::Sotw);
    s.subscribe(Lds, &[]);
    s.set(&[(Lds, "a", "bad"), (Lds, "b", "1")]);
    assert_eq!(s.nack(Lds, "no"), NOTHING);
    assert_eq!(s.set(&[(Lds, "a", "bad"), (Lds, "b", "1")]), NOTHING);
    assert_eq!(s.set(&[(Lds, "a", "bad"), (Lds, "b", "2")]), ["Listener: +a=bad +b=2"]);
    s.nack(Lds, "no");
    assert_eq!(s.set(&[(Lds, "a", "2"), (Lds, "b", "2")]), ["Listener: +a=2 +b=2"]);
    s.ack(Lds);
    assert_eq!(s.session.status().nacks().count(), 2);
    assert!(s.session.is_synced(&snapshot(&[(Lds, "a", "2"), (Lds, "b", "2")])));
}

#[test]
fn remembered_refusals_are_bounded() {
    let mut s = Stream::new(Variant::Delta);
    s.subscribe(Lds, &[]);
    for i in 0..20 {
        s.set(&[(Lds, "a", &i.to_string())]);
        s.nack(Lds, &format!("no {i}"));
    }
    let status = s.session.status();
    assert_eq!(status.kinds[&Lds].nack_count, 20);
    assert_eq!(status.nacks().count(), 16);
    assert_eq!(status.nacks().last().unwrap().message, "no 19");
}

#[test]
fn a_new_subscription_to_a_known_name_is_answered() {
    let mut s = Stream::new(Variant::Delta);
    s.set(&[(Eds, "a", "1")]);
    assert_eq!(s.subscribe(Eds, &["a", "gone"]), ["Endpoint: +a=1 -gone"]);
    s.ack(Eds);
    assert_eq!(s.subscribe(Eds, &["a"]), ["Endpoint: +a=1"]);
    assert_eq!(s.subscribe(Eds, &["a"]), NOTHING, "one response at a time");
    assert_eq!(s.ack(Eds), ["Endpoint: +a=1"]);
    s.ack(Eds);
    assert_eq!(s.subscribe(Eds, &["gone"]), ["Endpoint: -gone"]);
    s.ack(Eds);
    assert_eq!(s.set(&[(Eds, "a", "1"), (Eds, "gone", "1")]), ["Endpoint: +gone=1"]);
}

#[test]
fn what_is_unsubscribed_is_not_sent() {
    let mut s = Stream::new(Variant::Delta);
    s.set(&[(Eds, "a", "1"), (Eds, "b", "1")]);
    s.subscribe(Eds, &["a", "b"]);
    s.ack(Eds);
    assert_eq!(s.unsubscribe(Eds, &["a"]), NOTHING);
    assert_eq!(s.set(&[(Eds, "a", "2"), (Eds, "b", "1")]), NOTHING);
    assert_eq!(s.set(&[]), ["Endpoint: -b"]);
    let mut s = Stream::new(Variant::Sotw);
    s.set(&[(Eds, "a", "1"), (Eds, "b", "1")]);
    s.subscribe(Eds, &["a", "b"]);
    s.ack(Eds);
    assert_eq!(s.subscribe(Eds, &["b"]), NOTHING);
    assert_eq!(s.set(&[(Eds, "a", "2"), (Eds, "b", "1")]), NOTHING);
    assert_eq!(s.subscribe(Eds, &["a", "b"]), ["Endpoint: +a=2"]);
}

#[test]
fn wildcards_come_and_go() {
    let mut s = Stream::new(Variant::Delta);
    s.set(&[(Cds, "a", "1"), (Cds, "b", "1")]);
    assert_eq!(s.subscribe(Cds, &["a"]), ["Cluster: +a=1"], "a name is no wildcard");
    s.ack(Cds);
    assert_eq!(s.subscribe(Cds, &["*"]), ["Cluster: +b=1"]);
    s.ack(Cds);
    assert_eq!(s.unsubscribe(Cds, &["a"]), ["Cluster: +a=1"], "still covered by the wildcard");
    s.ack(Cds);
    s.subscribe(Cds, &["b"]);
    s.ack(Cds);
    assert_eq!(s.unsubscribe(Cds, &["*"]), NOTHING);
    assert_eq!(s.set(&[(Cds, "a", "2"), (Cds, "b", "2")]), ["Cluster: +b=2"]);

    let mut s = Stream::new(Variant::Sotw);
    s.set(&[(Cds, "a", "1"), (Cds, "b", "1")]);
    assert_eq!(s.subscribe(Cds, &["a"]), ["Cluster: +a=1"]);
    assert_eq!(s.subscribe(Cds, &[]), NOTHING, "once names were sent, an empty list asks for nothing");
    assert_eq!(s.subscribe(Cds, &["*"]), ["Cluster: +a=1 +b=1"]);
}

#[test]
fn a_reconnecting_proxy_gets_the_difference_only() {
    let version = |content: &str| Resource::new(Cds, content.as_bytes().to_vec()).version.to_string();
    let mut s = Stream::new(Variant::Delta);
    s.set(&[(Cds, "new", "1"), (Cds, "same", "1"), (Cds, "changed", "2")]);
    let initial = [("same", "1"), ("changed", "1"), ("stale", "1")];
    let request = DeltaDiscoveryRequest {
        initial_resource_versions: initial.iter().map(|(n, c)| (n.to_string(), version(c))).collect(),
        ..Default::default()
    };
    assert_eq!(s.delta(Cds, request), ["Cluster: +changed=2 +new=1"]);
    assert_eq!(s.ack(Cds), ["Cluster: -stale"]);

    let mut s = Stream::new(Variant::Delta);
    s.set(&[(Eds, "same", "1"), (Eds, "unseen", "1")]);
    let same = Resource::new(Eds, b"1".to_vec()).version.to_string();
    let request = DeltaDiscoveryRequest {
        resource_names_subscribe: names(&["same", "unseen"]),
        initial_resource_versions: [("same".to_owned(), same)].into(),
        ..Default::default()
    };
    assert_eq!(s.delta(Eds, request), ["Endpoint: +unseen=1"]);
}

#[test]
fn a_reconnecting_sotw_proxy_with_the_current_set_gets_nothing() {
    let world: &[_] = &[(Cds, "a", "1"), (Cds, "b", "1")];
    let mut s = Stream::new(Variant::Sotw);
    s.set(world);
    s.subscribe(Cds, &[]);
    let version_info = s.last[&Cds].version.clone();
    let request = DiscoveryRequest { version_info, response_nonce: "1".into(), ..Default::default() };
    for known in [true, false] {
        let mut s = Stream::new(Variant::Sotw);
        if known {
            s.set(world);
        }
        assert_eq!(s.sotw(Cds, request.clone()), NOTHING);
        assert_eq!(s.set(world), NOTHING);
        assert!(s.session.is_synced(&snapshot(world)));
        assert_eq!(s.set(&[(Cds, "a", "2")]), ["Cluster: +a=2 +b=1"]);
    }
    let mut s = Stream::new(Variant::Sotw);
    s.set(&[(Cds, "a", "2")]);
    assert_eq!(s.sotw(Cds, request), ["Cluster: +a=2"]);
}

#[test]
fn additions_go_in_order_and_removals_last() {
    let old: &[_] = &[(Sds, "s", "1"), (Cds, "c", "1"), (Eds, "c", "1"), (Lds, "l", "1"), (Rds, "r", "1")];
    let new: &[_] = &[(Sds, "t", "2"), (Cds, "d", "2"), (Eds, "d", "2"), (Lds, "m", "2"), (Rds, "q", "2")];
    let mut s = Stream::new(Variant::Delta);
    s.set(old);
    for kind in ResourceType::ALL {
        s.subscribe(kind, &["*"]);
        s.ack(kind);
    }
    assert_eq!(s.set(new), ["Secret: +t=2"]);
    assert_eq!(s.ack(Sds), ["Cluster: +d=2", "Endpoint: +d=2"], "Envoy acknowledges clusters when they are warm");
    assert_eq!(s.ack(Eds), NOTHING);
    assert_eq!(s.ack(Cds), ["Listener: +m=2"]);
    assert_eq!(s.nack(Lds, "no"), ["Route: +q=2"], "a refusal does not hold up the rest");
    assert_eq!(s.ack(Rds), ["Listener: -l"]);
    assert_eq!(s.ack(Lds), ["Route: -r"]);
    assert_eq!(s.ack(Rds), ["Cluster: -c"]);
    assert_eq!(s.ack(Cds), ["Endpoint: -c"]);
    assert_eq!(s.ack(Eds), ["Secret: -s"]);
    assert_eq!(s.ack(Sds), NOTHING);
    assert_eq!(s.session.lacks(&snapshot(new)).len(), 1);
}

#[test]
fn sotw_keeps_what_goes_until_its_users_are_gone() {
    let mut s = Stream::new(Variant::Sotw);
    s.set(&[(Cds, "c", "1"), (Lds, "l", "1"), (Rds, "r", "c")]);
    s.subscribe(Cds, &[]);
    s.ack(Cds);
    s.subscribe(Lds, &[]);
    s.ack(Lds);
    s.subscribe(Rds, &["r"]);
    s.ack(Rds);
    assert_eq!(s.set(&[(Cds, "d", "1"), (Lds, "l", "1"), (Rds, "r", "d")]), ["Cluster: +c=1 +d=1"]);
    assert_eq!(s.ack(Cds), ["Route: +r=d"]);
    assert_eq!(s.ack(Rds), ["Cluster: +d=1"]);
    assert!(!s.session.is_synced(&snapshot(&[(Cds, "d", "1"), (Lds, "l", "1"), (Rds, "r", "d")])));
    assert_eq!(s.ack(Cds), NOTHING);
    assert!(s.session.is_synced(&snapshot(&[(Cds, "d", "1"), (Lds, "l", "1"), (Rds, "r", "d")])));
}

#[test]
fn an_answer_to_a_new_name_does_not_wait() {
    for variant in [Variant::Delta, Variant::Sotw] {
        let mut s = Stream::new(variant);
        s.set(&[(Cds, "c", "1"), (Eds, "e", "1"), (Rds, "r", "1"), (Sds, "s", "1")]);
        assert_eq!(s.subscribe(Cds, &[]), ["Cluster: +c=1"]);
        assert_eq!(s.subscribe(Eds, &["e"]), ["Endpoint: +e=1"], "the cluster warms before it is acknowledged");
        assert_eq!(s.subscribe(Sds, &["s"]), ["Secret: +s=1"]);
        assert_eq!(s.subscribe(Rds, &["r"]), ["Route: +r=1"]);
        assert_eq!(s.subscribe(Lds, &[]), NOTHING);
        s.ack(Eds);
        s.ack(Sds);
        assert_eq!(s.ack(Cds), ["Listener:"]);
    }
}

#[test]
fn the_endpoints_of_a_changed_cluster_are_sent_again() {
    let cluster = |timeout| Cluster {
        name: "c".into(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        alt_stat_name: timeout,
        ..Default::default()
    };
    let world = |timeout: &str| {
        let mut snapshot = Snapshot::default();
        snapshot.insert(Cds, "c", Resource::new(Cds, cluster(timeout.to_owned()).encode_to_vec()));
        for name in ["c", "other"] {
            snapshot.insert(Eds, name, Resource::new(Eds, name.into()));
        }
        Arc::new(snapshot)
    };
    for variant in [Variant::Delta, Variant::Sotw] {
        let mut s = Stream::new(variant);
        let sent = s.session.on_snapshot(world("a"));
        s.told(sent);
        s.subscribe(Cds, &[]);
        s.subscribe(Eds, &["c", "other"]);
        s.ack(Eds);
        s.ack(Cds);
        let sent = s.session.on_snapshot(world("b"));
        assert_eq!(s.told(sent)[1], "Endpoint: +c=c");
    }
}

/// Envoy tells what it holds kind by kind, clusters first: the changed cluster goes out before it is known that the proxy holds
/// its endpoints.
#[test]
fn a_reconnecting_proxy_gets_the_endpoints_of_a_changed_cluster() {
    let cluster = envoy_types::pb::envoy::config::cluster::v3::Cluster {
        name: "c".into(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        ..Default::default()
    };
    let cluster = String::from_utf8(cluster.encode_to_vec()).unwrap();
    let world = [(Cds, "c", &*cluster), (Eds, "c", "1"), (Eds, "other", "1")];
    let held = |kind: ResourceType, name: &str, version: &str| {
        let version = snapshot(&world)
            .get(kind, name)
            .filter(|_| version.is_empty())
            .map_or(version.into(), |r| r.version.to_string());
        (name.to_owned(), version)
    };
    let mut s = Stream::new(Variant::Delta);
    s.set(&world);
    let clusters =
        DeltaDiscoveryRequest { initial_resource_versions: [held(Cds, "c", "old")].into(), ..Default::default() };
    assert_eq!(s.delta(Cds, clusters), [format!("Cluster: +c={cluster}")]);
    let endpoints = DeltaDiscoveryRequest {
        resource_names_subscribe: names(&["c", "other"]),
        initial_resource_versions: [held(Eds, "c", ""), held(Eds, "other", "")].into(),
        ..Default::default()
    };
    assert_eq!(s.delta(Eds, endpoints), ["Endpoint: +c=1"], "the cluster warms with them; nothing else is sent again");
}

#[test]
fn a_proxy_is_in_sync_only_when_it_asked_for_everything() {
    let mut s = Stream::new(Variant::Delta);
    let world: &[_] = &[(Cds, "c", "1"), (Eds, "e", "1")];
    let lack = |kind, name: &str, why| Lack { kind, name: name.into(), why };
    s.set(world);
    assert_eq!(
        s.session.lacks(&snapshot(world)),
        [lack(Cds, "c", Why::NotSubscribed), lack(Eds, "e", Why::NotSubscribed)]
    );
    s.subscribe(Cds, &[]);
    assert_eq!(s.session.lacks(&snapshot(world)), [lack(Cds, "c", Why::NotAcked), lack(Eds, "e", Why::NotSubscribed)]);
    s.ack(Cds);
    s.subscribe(Eds, &["e"]);
    s.ack(Eds);
    assert!(s.session.is_synced(&snapshot(world)));
    assert_eq!(s.session.lacks(&snapshot(&[(Eds, "e", "2")])), [lack(Eds, "e", Why::NotSent)]);
}
