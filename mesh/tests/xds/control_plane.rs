//! The one writer, from change to ACK.

use std::{sync::Arc, time::Duration};

use mesh::{
    model::{Kind, ObjectName, ObjectRef, ServiceAccount, Workload},
    run::{Config, ControlPlane, Overrides},
    snapshot::{Resource, ResourceType},
    world::{Change, Object},
    xds::{Identity, Limits, session::Variant, tls::server_config},
};
use tonic::Code;

use crate::{
    client::{Delta, delta},
    pki::{Authority, identify},
};

const PATIENCE: Duration = Duration::from_secs(60);

fn pod(name: &str) -> ObjectName {
    ObjectName::new("shop", name)
}

fn workload(name: &str) -> Change {
    Change::Put(Object::Workload(Workload {
        name: pod(name),
        account: ServiceAccount::new("shop", "default"),
        labels: Default::default(),
        address: "10.0.0.1".parse().unwrap(),
        named_ports: Default::default(),
        ready: true,
        hostname: None,
        subdomain: None,
    }))
}

fn secret(content: &str) -> Overrides {
    let resource = Resource::new(ResourceType::Secret, content.as_bytes().to_vec());
    vec![(ResourceType::Secret, "test".into(), resource)]
}

async fn start(authority: &Authority, listen: &str) -> ControlPlane {
    let own = authority.server();
    let tls = server_config(&own.chain, &own.key, &authority.root()).unwrap();
    let config = Config {
        listen: listen.parse().unwrap(),
        tls,
        identity: Identity::Certificate(identify()),
        limits: Limits::default(),
        finish: None,
        metrics: Arc::default(),
    };
    ControlPlane::start(config).await.unwrap()
}

/// A proxy that subscribes to all there is.
async fn proxy(plane: &ControlPlane, authority: &Authority, name: &str) -> Delta {
    let own = authority.proxy(&pod(name));
    let proxy = delta(plane.address(), &authority.root(), Some(&own)).await.unwrap();
    for kind in ResourceType::ALL {
        proxy.subscribe(kind, &["*"]).await;
    }
    proxy
}

async fn until(plane: &ControlPlane, holds: impl Fn(&ControlPlane) -> bool) {
    let mut changed = plane.changed();
    while !holds(plane) {
        changed.changed().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_in_force_when_all_are_synced() {
    let authority = Authority::new();
    let plane = start(&authority, "127.0.0.1:0").await;
    assert_eq!(plane.apply(vec![workload("a"), workload("b")]).await, Ok(1));
    assert_eq!(plane.generation(), 1);
    assert_eq!(
        plane.proxies().iter().map(|p| (p.pod.clone(), p.connected)).collect::<Vec<_>>(),
        [(pod("a"), false), (pod("b"), false)]
    );
    for name in ["a", "b"] {
        tokio::spawn(proxy(&plane, &authority, name).await.follow());
    }
    until(&plane, |p| p.proxies().iter().all(|p| p.synced)).await;
    plane.poison(pod("a"), secret("1")).await.unwrap();
    plane.synced(PATIENCE).await.unwrap();
    let status = plane.proxies().remove(0);
    assert_eq!((status.variant, status.synced), (Some(Variant::Delta), true));
    let secrets = &status.stream.unwrap().kinds[&ResourceType::Secret].acked;
    assert_eq!(secrets["test"], secret("1")[0].2.version);
    assert!(plane.snapshot(&pod("a")).unwrap().get(ResourceType::Secret, "test").is_some());
    assert!(plane.snapshot(&pod("b")).unwrap().get(ResourceType::Secret, "test").is_none());
    assert_eq!(plane.snapshot(&pod("c")), None);
    plane.poison(pod("a"), Vec::new()).await.unwrap();
    plane.synced(PATIENCE).await.unwrap();
    assert!(plane.snapshot(&pod("a")).unwrap().get(ResourceType::Secret, "test").is_none());
    plane.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_synced_is_told() {
    let authority = Authority::new();
    let plane = start(&authority, "127.0.0.1:0").await;
    plane.apply(vec![workload("a")]).await.unwrap();
    plane.poison(pod("a"), secret("bad")).await.unwrap();
    let own = authority.proxy(&pod("a"));
    let mut a = delta(plane.address(), &authority.root(), Some(&own)).await.unwrap();
    a.subscribe(ResourceType::Secret, &["test"]).await;
    let response = a.next().await.unwrap();
    a.nack(&response, "not a key").await;
    until(&plane, |p| p.proxies().iter().any(|p| !p.nacks.is_empty())).await;
    let error = plane.synced(Duration::ZERO).await.unwrap_err();
    assert_eq!(error.proxies[0].0, pod("a"));
    assert!(error.to_string().contains("[shop/a: Secret test: rejected: not a key"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_may_come_before_its_pod_and_must_go_with_it() {
    let authority = Authority::new();
    let plane = start(&authority, "127.0.0.1:0").await;
    let a = tokio::spawn(proxy(&plane, &authority, "a").await.follow());
    until(&plane, |p| p.proxies().iter().any(|p| p.connected)).await;
    assert!(!plane.proxies()[0].synced);
    plane.synced(PATIENCE).await.expect("a stranger has nothing to hold");
    plane.apply(vec![workload("a")]).await.unwrap();
    plane.synced(PATIENCE).await.unwrap();
    assert!(plane.proxies()[0].synced);
    plane.apply(vec![Change::Gone(ObjectRef::new(Kind::Pod, pod("a")))]).await.unwrap();
    assert_eq!(a.await.unwrap().code(), Code::NotFound);
    plane.apply(vec![workload("a")]).await.unwrap();
    tokio::spawn(proxy(&plane, &authority, "a").await.follow());
    until(&plane, |p| p.proxies().iter().any(|p| p.synced)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_control_plane_starts_again_at_its_address() {
    let authority = Authority::new();
    let plane = start(&authority, "127.0.0.1:0").await;
    plane.apply(vec![workload("a")]).await.unwrap();
    let a = tokio::spawn(proxy(&plane, &authority, "a").await.follow());
    until(&plane, |p| p.proxies().iter().any(|p| p.synced)).await;
    let address = plane.address().to_string();
    plane.kill().await;
    a.await.unwrap();
    let plane = start(&authority, &address).await;
    plane.apply(vec![workload("a")]).await.unwrap();
    tokio::spawn(proxy(&plane, &authority, "a").await.follow());
    until(&plane, |p| p.proxies().iter().any(|p| p.synced)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_many_askers_are_all_taken_in() {
    let authority = Authority::new();
    let plane = Arc::new(start(&authority, "127.0.0.1:0").await);
    let askers = (0..50).map(|i| {
        let plane = plane.clone();
        tokio::spawn(async move { plane.apply(vec![workload(&format!("p{i}"))]).await.unwrap() })
    });
    let mut generations = Vec::new();
    for asker in askers.collect::<Vec<_>>() {
        generations.push(asker.await.unwrap());
    }
    assert_eq!(plane.proxies().len(), 50);
    assert_eq!(generations.into_iter().max(), Some(50));
}
