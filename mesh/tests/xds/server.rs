//! What the ADS server does for whom.

use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use mesh::{
    model::ObjectName,
    snapshot::ResourceType::{Cluster, Endpoint, Secret},
    xds::{Feed, Limits, tls::server_config},
};
use tonic::Code;

use crate::{
    bench::{Bench, snapshot},
    client::{contents, delta, expect, sotw},
    pki::Authority,
};

fn pod(name: &str) -> ObjectName {
    ObjectName::new("shop", name)
}

async fn open(bench: &Bench, name: &str) -> crate::client::Delta {
    let own = bench.authority.proxy(&pod(name));
    delta(bench.address(), &bench.authority.root(), Some(&own)).await.unwrap()
}

#[tokio::test]
async fn only_certificates_of_proxies_are_let_in() {
    let bench = Bench::start();
    bench.shelf.set(&pod("a"), &[]);
    let root = bench.authority.root();
    let strangers = [
        ("no certificate", None),
        ("another authority", Some(Authority::new().proxy(&pod("a")))),
        ("a workload's certificate", Some(bench.authority.uri("spiffe://cluster.local/bookstore/shop"))),
        ("another trust domain", Some(bench.authority.uri("spiffe://elsewhere/a/sidecar/default/shop"))),
        ("a server's certificate", Some(bench.authority.server())),
    ];
    for (who, own) in strangers {
        assert!(delta(bench.address(), &root, own.as_ref()).await.is_err(), "{who}");
    }
    assert!(bench.server.streams().is_empty());
    open(&bench, "a").await;
}

#[tokio::test]
async fn secrets_of_another_pod_cannot_be_had() {
    let bench = Bench::start();
    bench.shelf.set(&pod("a"), &[(Secret, "a-key", "A")]);
    bench.shelf.set(&pod("b"), &[(Secret, "b-key", "B")]);
    let mut a = open(&bench, "a").await;
    a.subscribe(Secret, &["a-key", "b-key"]).await;
    assert_eq!(a.take().await, expect(&[("a-key", Some("A")), ("b-key", None)]));
    a.subscribe(Secret, &["*"]).await;
    bench.shelf.set(&pod("a"), &[(Secret, "a-key", "A2")]);
    while a.take().await != expect(&[("a-key", Some("A2"))]) {}

    let own = bench.authority.proxy(&pod("a"));
    let mut a = sotw(bench.address(), &bench.authority.root(), &own).await;
    a.subscribe(Secret, &["b-key"]).await;
    a.subscribe(Secret, &["b-key", "a-key"]).await;
    assert_eq!(a.take().await, ["A2"]);
}

#[tokio::test]
async fn a_change_reaches_only_the_pods_that_it_concerns() {
    let bench = Bench::start();
    let (mut a, mut b) = (open(&bench, "a").await, open(&bench, "b").await);
    for (name, proxy) in [("a", &mut a), ("b", &mut b)] {
        bench.shelf.set(&pod(name), &[(Cluster, "c", "1")]);
        proxy.subscribe(Cluster, &[]).await;
        assert_eq!(proxy.take().await, expect(&[("c", Some("1"))]));
    }
    bench.shelf.set(&pod("a"), &[(Cluster, "c", "2")]);
    assert_eq!(a.take().await, expect(&[("c", Some("2"))]));
    bench.shelf.set(&pod("b"), &[(Cluster, "c", "1"), (Cluster, "d", "1")]);
    assert_eq!(b.take().await, expect(&[("d", Some("1"))]), "nothing came before");
}

#[tokio::test]
async fn a_stream_waits_for_its_pod_and_ends_with_it() {
    let bench = Bench::start();
    let mut a = open(&bench, "a").await;
    a.subscribe(Cluster, &[]).await;
    bench.until(|s| s.stream(&pod("a")).is_some_and(|i| i.status().kinds[&Cluster].subscribed)).await;
    bench.shelf.set(&pod("a"), &[(Cluster, "c", "1")]);
    assert_eq!(a.take().await, expect(&[("c", Some("1"))]));
    bench.shelf.put(&pod("a"), Feed::Gone);
    let status = a.next().await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "pod shop/a is gone"));
    bench.until(|s| s.streams().is_empty()).await;
}

#[tokio::test]
async fn a_second_stream_replaces_the_first() {
    let bench = Bench::start();
    bench.shelf.set(&pod("a"), &[(Cluster, "c", "1")]);
    let mut first = open(&bench, "a").await;
    first.subscribe(Cluster, &[]).await;
    first.take().await;
    let mut second = open(&bench, "a").await;
    assert_eq!(first.next().await.unwrap_err().code(), Code::Aborted);
    second.subscribe(Cluster, &[]).await;
    assert_eq!(second.take().await, expect(&[("c", Some("1"))]));
    bench.until(|s| s.stream(&pod("a")).unwrap().is_synced(&snapshot(&[(Cluster, "c", "1")]))).await;
    assert_eq!(bench.server.streams().len(), 1);
}

#[tokio::test]
async fn a_killed_server_comes_back_at_its_address() {
    let bench = Bench::start();
    bench.shelf.set(&pod("a"), &[(Cluster, "c", "1"), (Cluster, "d", "1"), (Endpoint, "c", "1")]);
    let mut a = open(&bench, "a").await;
    a.subscribe(Cluster, &[]).await;
    let response = a.next().await.unwrap();
    a.ack(&response).await;
    let known = response.resources.iter().map(|r| (r.name.clone(), r.version.clone())).collect();

    let address = bench.address();
    let bench = bench.restart().await;
    assert_eq!(bench.address(), address);
    assert!(a.next().await.is_err(), "the connection broke");
    bench.shelf.set(&pod("a"), &[(Cluster, "c", "1"), (Cluster, "d", "2"), (Endpoint, "c", "1")]);
    let mut a = open(&bench, "a").await;
    a.send(Cluster, DeltaDiscoveryRequest { initial_resource_versions: known, ..Default::default() }).await;
    assert_eq!(a.take().await, expect(&[("d", Some("2"))]), "only the difference");
}

#[tokio::test]
async fn shutdown_tells_proxies_why() {
    let bench = Bench::start();
    bench.shelf.set(&pod("a"), &[]);
    let a = open(&bench, "a").await;
    let a = tokio::spawn(a.follow());
    bench.until(|s| !s.streams().is_empty()).await;
    let address = bench.address();
    bench.server.shutdown().await;
    let status = a.await.unwrap();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "the control plane is shutting down"));
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_refusal_is_shown() {
    let bench = Bench::start();
    bench.shelf.set(&pod("a"), &[(Cluster, "c", "bad"), (Cluster, "d", "1")]);
    let mut a = open(&bench, "a").await;
    a.subscribe(Cluster, &[]).await;
    let response = a.next().await.unwrap();
    assert_eq!(contents(&response).len(), 2);
    a.nack(&response, "c: no such thing").await;
    bench.until(|s| s.stream(&pod("a")).unwrap().status().nacks().count() == 1).await;
    let status = bench.server.stream(&pod("a")).unwrap().status();
    assert_eq!(status.nacks().next().unwrap().message, "c: no such thing");
    bench.shelf.set(&pod("a"), &[(Cluster, "c", "good"), (Cluster, "d", "1")]);
    assert_eq!(a.take().await, expect(&[("c", Some("good"))]));
}

#[tokio::test]
async fn the_certificate_is_replaced_without_a_restart() {
    let bench = Bench::start();
    bench.shelf.set(&pod("a"), &[(Cluster, "c", "1")]);
    let mut a = open(&bench, "a").await;
    let next = Authority::new();
    let (own, root) = (next.server(), next.root());
    let theirs = bench.authority.proxy(&pod("b"));
    assert!(delta(bench.address(), &root, Some(&theirs)).await.is_err(), "the client does not trust the old one");
    let tls = server_config(&own.chain, &own.key, &(bench.authority.root() + &root)).unwrap();
    bench.server.replace_tls(tls);
    delta(bench.address(), &root, Some(&theirs)).await.unwrap();
    delta(bench.address(), &root, Some(&next.proxy(&pod("c")))).await.unwrap();
    a.subscribe(Cluster, &[]).await;
    assert_eq!(a.take().await.len(), 1, "open connections stay");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed() {
    let bench = Bench::with(Limits { connections: 1, ..Limits::default() });
    let a = open(&bench, "a").await;
    let own = bench.authority.proxy(&pod("b"));
    let root = bench.authority.root();
    assert!(delta(bench.address(), &root, Some(&own)).await.is_err());
    drop(a);
    while delta(bench.address(), &root, Some(&own)).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_client_that_never_shakes_hands_is_dropped() {
    let bench = Bench::with(Limits { connections: 1, handshake: Duration::from_millis(20), ..Limits::default() });
    let mut silent = tokio::net::TcpStream::connect(bench.address()).await.unwrap();
    let mut end = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut end).await.unwrap();
    assert!(end.is_empty());
    open(&bench, "a").await;
}
