//! Whatever breaks, the world is in the end what the API server has.

use mesh::model::{Kind, ObjectName};

use super::{
    harness::{ApiServer, Mirror, Proxy, Test, apply, crds, delete, eventually, monitored, pod, test},
    watches::{GROUP, SERVICE, TARGET},
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("chaos::the_api_server_is_killed_and_its_history_forgotten", killed),
        test("chaos::kinds_that_are_not_defined_are_no_obstacle", undefined),
        test("chaos::a_watch_that_is_cut_mid_event_loses_nothing", cut),
    ]
}

async fn equals_a_fresh_start(mirror: &Mirror, server: &ApiServer) {
    let fresh = Mirror::start(&server.client(), "osm-system").await;
    assert_eq!(mirror.world, fresh.world, "as after a fresh start");
    assert_eq!(mirror.namespaces, fresh.namespaces);
    assert_eq!(mirror.unreadable, fresh.unreadable);
}

async fn killed() {
    let server = ApiServer::start().await;
    // The one that watches has connections of its own.
    let (client, watching) = (server.client(), server.client());
    crds(&client).await;
    let ns = monitored(&client, "killed").await;
    apply(&client, &ns, SERVICE).await;
    apply(&client, &ns, GROUP).await;
    pod(&client, &ns, "stays", "bookstore", "app=bookstore", "10.1.0.1").await;
    pod(&client, &ns, "goes", "bookstore", "app=bookstore", "10.1.0.2").await;
    apply(&client, &ns, TARGET).await;
    let proxy = Proxy::start(&server).await;
    let mut cut_off = Mirror::start(&proxy.client(), "osm-system").await;
    let mut mirror = Mirror::start(&watching, "osm-system").await;
    mirror.sees(&ns, Kind::TrafficTarget, "t", true).await;

    // Killed while nothing happens: nothing is forgotten, nothing is told.
    server.restart().await;
    pod(&client, &ns, "new", "bookstore", "app=bookstore", "10.1.0.3").await;
    mirror.sees(&ns, Kind::Pod, "new", true).await;
    mirror.sees(&ns, Kind::Pod, "goes", true).await;

    // Deletions that nobody watched: one client is cut off all the while, and what it could resume from is compacted away.
    proxy.cut_after(0);
    delete(&client, &ns, "v1/Pod", "goes").await;
    delete(&client, &ns, "access.smi-spec.io/v1alpha3/TrafficTarget", "t").await;
    pod(&client, &ns, "newer", "bookstore", "app=bookstore", "10.1.0.4").await;
    server.compact().await;
    server.restart().await;
    proxy.heal();
    for mirror in [&mut mirror, &mut cut_off] {
        mirror.sees(&ns, Kind::Pod, "goes", false).await;
        mirror.sees(&ns, Kind::TrafficTarget, "t", false).await;
        mirror.sees(&ns, Kind::Pod, "newer", true).await;
        mirror.sees(&ns, Kind::Pod, "stays", true).await;
        equals_a_fresh_start(mirror, &server).await;
    }
}

async fn undefined() {
    let server = ApiServer::start().await;
    let client = server.client();
    let mut mirror = Mirror::start(&client, "osm-system").await;
    assert!(
        mirror.missing.contains(&Kind::TrafficTarget) && !mirror.missing.contains(&Kind::Pod),
        "{:?}",
        mirror.missing
    );
    let ns = monitored(&client, "undefined").await;
    pod(&client, &ns, "one", "a", "app=a", "10.1.0.1").await;
    mirror.sees(&ns, Kind::Pod, "one", true).await;
    crds(&client).await;
    apply(&client, &ns, TARGET).await;
    mirror.sees(&ns, Kind::TrafficTarget, "t", true).await;
    mirror.until("it is no longer missing", |m| !m.missing.contains(&Kind::TrafficTarget)).await;
    delete(&client, "", "apiextensions.k8s.io/v1/CustomResourceDefinition", "traffictargets.access.smi-spec.io").await;
    mirror.sees(&ns, Kind::TrafficTarget, "t", false).await;
}

async fn cut() {
    let server = ApiServer::start().await;
    let client = server.client();
    let ns = monitored(&client, "cut").await;
    let proxy = Proxy::start(&server).await;
    let mut mirror = Mirror::start(&proxy.client(), "osm-system").await;
    // At every place of an event: in its length, its type, its middle.
    for (i, bytes) in [1, 30, 200, 700, 1300].into_iter().enumerate() {
        let name = format!("pod-{i}");
        proxy.cut_after(bytes);
        let cuts = proxy.cuts();
        pod(&client, &ns, &name, "a", "app=a", &format!("10.1.0.{}", i + 1)).await;
        eventually("a connection is cut", || async { (proxy.cuts() > cuts).then_some(()) }).await;
        proxy.heal();
        mirror.sees(&ns, Kind::Pod, &name, true).await;
    }
    let pods = mirror.world.workloads().filter(|pod| *pod.name.namespace == *ns).count();
    assert_eq!(pods, 5);
    assert!(mirror.world.workload(&ObjectName::new(ns.as_str(), "pod-4")).is_some_and(|pod| pod.ready));
    equals_a_fresh_start(&mirror, &server).await;
}
