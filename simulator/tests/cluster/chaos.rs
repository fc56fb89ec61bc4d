//! What happens to traffic when parts of the control plane go away.

use std::sync::atomic::{AtomicBool, Ordering};

use simulator::exchange::ClientResult;

use crate::{
    bookstore::{ACCESS, bookstore, buy},
    mesh::{Call, Mesh, eventually},
};

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("chaos::traffic_outlives_the_api_server", api_server),
    ("chaos::traffic_outlives_the_controller", controller),
    ("chaos::another_replica_takes_over", replicas),
    ("chaos::pods_come_and_go_by_the_hundred", churn),
];

/// A second client that may buy, and a policy that lets it.
const THIEF: &str = "\
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: bookthief-to-bookstore, namespace: bookstore}
spec:
  destination: {kind: ServiceAccount, name: bookstore, namespace: bookstore}
  rules: [{kind: HTTPRouteGroup, name: bookstore-service-routes, matches: [buy-a-book, books-bought]}]
  sources: [{kind: ServiceAccount, name: bookthief, namespace: bookthief}]
";

/// The demo with its policy in force.
async fn ready() -> Mesh {
    let mesh = bookstore().await;
    mesh.apply(ACCESS).await;
    eventually("the buyer may buy", async || mesh.is_answered(&buy("bookbuyer")).await).await;
    mesh.settled().await;
    mesh
}

/// Traffic goes on while `fault` happens.
async fn under_traffic(mesh: &Mesh, fault: impl AsyncFnOnce()) {
    let stop = AtomicBool::new(false);
    let denied: Call = buy("bookwarehouse");
    let faulty = async {
        fault().await;
        stop.store(true, Ordering::Relaxed);
    };
    let allowed = buy("bookbuyer");
    let (watched, ()) = tokio::join!(mesh.watch_traffic(&allowed, &denied, &stop), faulty);
    watched.is_clean();
}

fn api_server() {
    crate::mesh::block_on(async {
        let mesh = ready().await;
        under_traffic(&mesh, async || {
            mesh.api.kill();
            for _ in 0..20 {
                assert!(mesh.is_answered(&buy("bookbuyer")).await, "without an API server");
            }
            mesh.api.restart().await;
            mesh.apply(THIEF).await;
            eventually("a policy of after the outage holds", async || mesh.is_answered(&buy("bookthief")).await).await;
            mesh.delete(THIEF).await;
            eventually("a policy can be withdrawn", async || !mesh.is_answered(&buy("bookthief")).await).await;
        })
        .await;
        mesh.stop().await;
    });
}

fn controller() {
    crate::mesh::block_on(async {
        let mut mesh = ready().await;
        mesh.apply(THIEF).await;
        eventually("the thief may buy", async || mesh.is_answered(&buy("bookthief")).await).await;
        mesh.settled().await;
        mesh.kill_controller(0).await;
        under_traffic(&mesh, async || {
            for _ in 0..20 {
                let answer = mesh.send(&buy("bookbuyer")).await;
                assert!(matches!(answer, ClientResult::Answered { .. }), "without a controller: {answer:?}");
            }
            mesh.delete(THIEF).await;
        })
        .await;
        // The one that comes back has other certificates for the same identities, below the same root.
        mesh.start_controller(0).await;
        under_traffic(&mesh, async || {
            eventually("what was withdrawn meanwhile is", async || !mesh.is_answered(&buy("bookthief")).await).await;
        })
        .await;
        mesh.stop().await;
    });
}

fn replicas() {
    crate::mesh::block_on(async {
        let mut mesh = ready().await;
        mesh.start_controller(1).await;
        mesh.kill_controller(0).await;
        under_traffic(&mesh, async || {
            mesh.apply(THIEF).await;
            eventually("the other replica configures", async || mesh.is_answered(&buy("bookthief")).await).await;
        })
        .await;
        mesh.stop().await;
    });
}

fn churn() {
    crate::mesh::block_on(async {
        let mut mesh = ready().await;
        under_traffic(&mesh, async || mesh.churn(1000).await).await;
        mesh.start_controller(1).await;
        let world = |number: usize| mesh.controllers[number].as_ref().unwrap().plane().world();
        let pods = |number: usize| world(number).workloads().cloned().collect::<Vec<_>>();
        eventually("what was watched is what is there", async || pods(0) == pods(1)).await;
        assert_eq!(pods(0).len(), 500 + 6, "those of the demo and every other one");
        mesh.stop().await;
    });
}
