//! Shares are exact.

use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::{
    ClusterSpecifier, WeightedCluster, weighted_cluster::ClusterWeight,
};

use super::fixture::{
    CLIENT_NAME, Mesh, WEB, any_permission, assignment, caller, get, inbound, policy, request, route, routes_of,
    tcp_to, weights,
};
use crate::{
    evaluator::{Evaluation, Verdict},
    exchange::Request,
    scenario::model::Proto,
};

/// A second cluster with one pod, and a third without any.
fn with_backends(mut mesh: Mesh) -> Mesh {
    for (name, addresses) in [("one", &WEB[..1]), ("none", &[])] {
        let cluster = mesh.client.clusters["ns/web|8080"].clone();
        mesh.client
            .clusters
            .insert(name.into(), envoy_types::pb::envoy::config::cluster::v3::Cluster { name: name.into(), ..cluster });
        mesh.client.endpoints.insert(name.into(), assignment(addresses));
    }
    mesh
}

fn weights_of(evaluation: &Evaluation) -> (Vec<(&str, u64)>, u64) {
    let name = |verdict: &'_ Verdict| match verdict {
        Verdict::Delivered(delivered) if &*delivered.pod == "web-0" => "web-0",
        Verdict::Delivered(_) => "web-1",
        Verdict::Denied(_) => "denied",
    };
    let mut all: Vec<_> = evaluation.outcomes.iter().map(|outcome| (name(&outcome.verdict), outcome.weight)).collect();
    all.sort_unstable();
    (all, evaluation.total)
}

fn judge(mesh: &Mesh, request: &Request) -> Evaluation {
    mesh.evaluator().evaluate(&caller(), request).expect("modelled")
}

fn http(split: &[(&str, u32)]) -> Mesh {
    let mut mesh = with_backends(Mesh::http(vec![inbound(".*", Vec::new(), CLIENT_NAME)]));
    mesh.client.routes.insert("rds-outbound.80".into(), routes_of(vec![route(".*", Vec::new(), weights(split))]));
    mesh
}

#[test]
fn weights_and_endpoints_multiply_and_equal_pods_add_up() {
    let evaluation = judge(&http(&[("ns/web|8080", 2), ("one", 1)]), &get("/"));
    assert_eq!(weights_of(&evaluation), (vec![("web-0", 2), ("web-1", 1)], 3));
    let evaluation = judge(&http(&[("ns/web|8080", 1), ("none", 1), ("missing", 1), ("one", 0)]), &get("/"));
    let (all, total) = weights_of(&evaluation);
    assert_eq!((all, total), (vec![("denied", 2), ("denied", 2), ("web-0", 1), ("web-1", 1)], 6));
}

#[test]
fn tcp_is_split_too() {
    let mut mesh = with_backends(Mesh::tcp(vec![policy("ns/t", any_permission(), CLIENT_NAME)]));
    let split = |weights: &[(&str, u32)]| {
        let weight = |(name, weight): &(&str, u32)| ClusterWeight {
            name: (*name).into(),
            weight: *weight,
            metadata_match: None,
        };
        tcp_to(ClusterSpecifier::WeightedClusters(WeightedCluster { clusters: weights.iter().map(weight).collect() }))
    };
    mesh.client.listener.filter_chains[0].filters = vec![split(&[("one", 7), ("none", 3)])];
    let tcp = request(Proto::Tcp, "10.96.0.1:80", "", "");
    assert_eq!(weights_of(&judge(&mesh, &tcp)), (vec![("denied", 3), ("web-0", 7)], 10));
    mesh.client.listener.filter_chains[0].filters = vec![split(&[("one", 1), ("none", 0)])];
    assert!(mesh.evaluator().evaluate(&caller(), &tcp).is_err(), "Envoy refuses a weight of zero here");
}

#[test]
fn weights_that_envoy_refuses_are_not_judged() {
    for split in [&[("one", 0)][..], &[("one", u32::MAX), ("none", 1)]] {
        assert!(http(split).evaluator().evaluate(&caller(), &get("/")).is_err(), "{split:?}");
    }
}
