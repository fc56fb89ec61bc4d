use proptest::prelude::*;

use super::*;
use crate::{
    metrics::{
        flow::{Flow, Party, UNKNOWN},
        histogram::Histogram,
        resource::Owners,
    },
    model::Backend as Share,
    testing::{self, name, pod},
    world::World,
};

const SERVICES: &str = "kind: Service\napiVersion: v1\nmetadata: {name: a}\n\
    spec: {clusterIP: 10.96.0.1, selector: {app: a}, ports: [{port: 80}]}\n---\n\
    kind: Service\napiVersion: v1\nmetadata: {name: b}\n\
    spec: {clusterIP: 10.96.0.2, selector: {app: b}, ports: [{port: 80}]}\n";

/// Deployments `a` and `b` with two pods each, one service each, and a pod alone.
fn world() -> World {
    let of = |pod_name: &str, app: &str| pod(pod_name, app, &format!("app={app},pod-template-hash=h"));
    let pods = [of("a-h-1", "a"), of("a-h-2", "a"), of("b-h-1", "b"), of("b-h-2", "b"), pod("alone", "x", "")];
    testing::world(SERVICES, pods)
}

const PODS: [&str; 5] = ["a-h-1", "a-h-2", "b-h-1", "b-h-2", "alone"];

fn party(pod: &str) -> Party {
    let namespace = name("x").namespace.to_string();
    match pod.split_once('-') {
        Some((owner, _)) => Party { namespace, kind: "Deployment".into(), name: owner.into(), pod: pod.into() },
        None if pod == UNKNOWN => {
            Party { namespace: UNKNOWN.into(), kind: UNKNOWN.into(), name: UNKNOWN.into(), pod: UNKNOWN.into() }
        }
        None => Party { namespace, kind: "Pod".into(), name: pod.into(), pod: pod.into() },
    }
}

fn flow(source: &str, destination: &str) -> Flow {
    let (source, destination) = (party(source), party(destination));
    Flow { service: destination.name.clone(), source, destination, split: UNKNOWN.into() }
}

fn counts(success: u64, failure: u64) -> Counts {
    let latency = Histogram::from_cumulative(&[(1000, success)].into(), success + failure);
    Counts { success, failure, latency }
}

fn traffic(flows: &[(&str, &str, u64, u64)]) -> Traffic {
    let mut all = Traffic::default();
    for (source, destination, success, failure) in flows {
        all.add(&Traffic([(flow(source, destination), counts(*success, *failure))].into()));
    }
    all
}

fn told(edges: &BTreeMap<Peer, Counts>) -> Vec<(Direction, &str, u64, u64)> {
    edges.iter().map(|((direction, peer), c)| (*direction, &*peer.name, c.success, c.failure)).collect()
}

#[test]
fn an_edge_is_seen_from_both_ends() {
    let world = world();
    let directory = Directory { world: &world, owners: &Owners::of_kubernetes() };
    let traffic = traffic(&[
        ("a-h-1", "b-h-1", 3, 1),
        ("a-h-2", "b-h-1", 2, 0),
        ("b-h-2", "a-h-1", 1, 0),
        ("a-h-1", "b-h-2", 0, 0),
    ]);
    let pods = edges(&traffic, &directory, ResourceKind::Pod, &name("a-h-1"));
    assert_eq!(told(&pods), [(Direction::To, "b-h-1", 3, 1), (Direction::From, "b-h-2", 1, 0)]);
    let deployments = edges(&traffic, &directory, ResourceKind::Deployment, &name("b"));
    assert_eq!(told(&deployments), [(Direction::To, "a", 1, 0), (Direction::From, "a", 5, 1)]);
    assert_eq!(edges(&traffic, &directory, ResourceKind::Pod, &name("alone")), BTreeMap::new());
}

#[test]
fn what_comes_from_outside_has_no_peer_and_is_measured_at_the_server() {
    let world = world();
    let directory = Directory { world: &world, owners: &Owners::of_kubernetes() };
    let outside = traffic(&[(UNKNOWN, "a-h-1", 4, 0)]);
    let all = received(&outside, &directory, ResourceKind::Deployment);
    assert_eq!((all[&name("a")].counts.success, all[&name("a")].side()), (4, Side::Server));
    assert!(edges(&outside, &directory, ResourceKind::Deployment, &name("a")).is_empty());
    let both = traffic(&[(UNKNOWN, "a-h-1", 4, 0), ("b-h-1", "a-h-2", 1, 0)]);
    let all = received(&both, &directory, ResourceKind::Deployment);
    assert_eq!((all[&name("a")].counts.success, all[&name("a")].side()), (5, Side::Client));
}

#[test]
fn what_nobody_answered_is_the_services_alone() {
    let world = world();
    let directory = Directory { world: &world, owners: &Owners::of_kubernetes() };
    let nobody = Party { kind: "Service".into(), name: "b".into(), pod: UNKNOWN.into(), ..party("b-h-1") };
    let unanswered = Flow { destination: nobody, ..flow("a-h-1", "b-h-1") };
    let traffic = Traffic([(unanswered, counts(0, 2))].into());
    assert_eq!(received(&traffic, &directory, ResourceKind::Service)[&name("b")].counts.failure, 2);
    assert!(received(&traffic, &directory, ResourceKind::Namespace).is_empty());
    assert!(received(&traffic, &directory, ResourceKind::Pod).is_empty());
}

#[test]
fn only_what_a_split_chose_counts_for_its_backends() {
    let of = |service: &str, weight| Share { service: service.into(), weight };
    let split = TrafficSplit {
        name: name("s"),
        created: None,
        service: "root".into(),
        backends: vec![of("a", 90), of("b", 5), of("b", 5)],
        matches: Vec::new(),
    };
    let by_split = |destination: &str| Flow { split: name("s").to_string(), ..flow("alone", destination) };
    let mut all = traffic(&[("alone", "a-h-1", 100, 0)]);
    all.0.insert(by_split("a-h-1"), counts(7, 1));
    all.0.insert(by_split("a-h-2"), counts(2, 0));
    let rows: Vec<_> = backends(&all, &split).into_iter().map(|(b, c)| (b.apex, b.name, b.weight, c.success)).collect();
    let row = |name: &str, weight, success| ("root".to_owned(), name.to_owned(), weight, success);
    assert_eq!(rows, [row("a", 90, 9), row("b", 10, 0)]);
}

proptest! {
    #[test]
    fn a_resource_is_the_sum_of_its_pods(
        flows in proptest::collection::vec((0..5_usize, 0..5_usize, 0..100_u64, 0..100_u64), 0..40)
    ) {
        let world = world();
        let directory = Directory { world: &world, owners: &Owners::of_kubernetes() };
        let flows: Vec<_> = flows.into_iter().map(|(s, d, ok, failed)| (PODS[s], PODS[d], ok, failed)).collect();
        let all = traffic(&flows);
        let pods = received(&all, &directory, ResourceKind::Pod);
        let sum = |of: &dyn Fn(&str) -> bool| {
            let mut sum = Counts::default();
            pods.iter().filter(|(pod, _)| of(&pod.name)).for_each(|(_, r)| sum.add(&r.counts));
            sum
        };
        for kind in [ResourceKind::Deployment, ResourceKind::ReplicaSet, ResourceKind::Service] {
            for (resource, received) in received(&all, &directory, kind) {
                let prefix = format!("{}-", resource.name.split('-').next().unwrap());
                prop_assert_eq!(received.counts, sum(&|pod| pod.starts_with(&prefix)), "{:?} {}", kind, resource);
            }
        }
        let everything = received(&all, &directory, ResourceKind::Namespace);
        if let Some((_, namespace)) = everything.iter().next() {
            prop_assert_eq!(&namespace.counts, &sum(&|_| true));
        }
        // Every request of an edge is on the edge of its peer, too.
        for from in PODS {
            for ((direction, peer), counts) in edges(&all, &directory, ResourceKind::Pod, &name(from)) {
                let back = if direction == Direction::To { Direction::From } else { Direction::To };
                let mirrored = edges(&all, &directory, ResourceKind::Pod, &peer);
                prop_assert_eq!(mirrored.get(&(back, name(from))), Some(&counts));
            }
        }
    }
}
