//! The bookstore demo of Open Service Mesh, end to end.

use std::{collections::BTreeMap, net::SocketAddr};

use simulator::{exchange::ClientResult, scenario::model::Proto};

use crate::mesh::{Call, Mesh, eventually};

pub(crate) const TESTS: &[(&str, fn())] = &[("bookstore::the_demo_works_end_to_end", demo)];

const SERVICES: &str = include_str!("manifests/services.yaml");
pub(crate) const ACCESS: &str = include_str!("manifests/access.yaml");

/// Namespace, pod, account and labels.
type Row = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);

const PODS: [Row; 6] = [
    ("bookbuyer", "bookbuyer", "bookbuyer", &[("app", "bookbuyer")]),
    ("bookthief", "bookthief", "bookthief", &[("app", "bookthief")]),
    ("bookstore", "bookstore-v1", "bookstore", &[("app", "bookstore"), ("version", "v1")]),
    ("bookstore", "bookstore-v2", "bookstore", &[("app", "bookstore"), ("version", "v2")]),
    ("bookwarehouse", "bookwarehouse", "bookwarehouse", &[("app", "bookwarehouse")]),
    ("bookwarehouse", "mysql", "mysql", &[("app", "mysql")]),
];

/// The mesh with the demo's pods and services in it, without any policy.
pub(crate) async fn bookstore() -> Mesh {
    let mut mesh = Mesh::start().await;
    for namespace in ["bookbuyer", "bookthief", "bookstore", "bookwarehouse"] {
        mesh.add_namespace(namespace).await;
    }
    mesh.apply(SERVICES).await;
    for (namespace, name, account, labels) in PODS {
        let proto = if name == "mysql" { Proto::TcpServerFirst } else { Proto::Http1 };
        let port = if name == "mysql" { 3306 } else { 14001 };
        mesh.start_pod(namespace, name, account, labels, port, proto).await;
    }
    mesh
}

/// The buyer's call.
pub(crate) fn buy(from: &'static str) -> Call {
    let headers = [("client-app", "bookbuyer"), ("user-agent", "Go-http-client/1.1")];
    Call {
        from,
        to: "10.96.0.10:14001".parse().unwrap(),
        authority: "bookstore.bookstore.svc.cluster.local:14001",
        method: "GET",
        path: "/books-bought",
        headers: BTreeMap::from(headers.map(|(k, v)| (k.to_owned(), v.to_owned()))),
        proto: Proto::Http1,
    }
}

fn restock(from: &'static str) -> Call {
    Call {
        to: "10.96.0.13:14001".parse().unwrap(),
        authority: "bookwarehouse.bookwarehouse.svc.cluster.local:14001",
        method: "POST",
        path: "/restock-books",
        headers: BTreeMap::new(),
        ..buy(from)
    }
}

fn query(from: &'static str, mysql: SocketAddr) -> Call {
    Call { to: mysql, proto: Proto::TcpServerFirst, ..restock(from) }
}

fn demo() {
    crate::mesh::block_on(async {
        let mesh = bookstore().await;
        let mysql = SocketAddr::new(mesh.address("mysql"), 3306);
        nothing_is_allowed(&mesh, mysql).await;

        mesh.set_permissive(true).await;
        eventually("permissive mode lets the buyer through", async || mesh.is_answered(&buy("bookbuyer")).await).await;
        eventually("permissive mode lets the thief through", async || mesh.is_answered(&buy("bookthief")).await).await;
        mesh.set_permissive(false).await;
        eventually("the thief is shut out", async || !mesh.is_answered(&buy("bookthief")).await).await;
        nothing_is_allowed(&mesh, mysql).await;

        mesh.apply(ACCESS).await;
        eventually("the buyer may buy", async || mesh.is_answered(&buy("bookbuyer")).await).await;
        eventually("the store may restock", async || mesh.is_answered(&restock("bookstore-v1")).await).await;
        eventually("the warehouse may store", async || mesh.is_answered(&query("bookwarehouse", mysql)).await).await;
        only_the_policy_holds(&mesh, mysql).await;

        shares(&mesh).await;

        mesh.delete(ACCESS).await;
        eventually("nobody may buy", async || !mesh.is_answered(&buy("bookbuyer")).await).await;
        eventually("nobody may store", async || !mesh.is_answered(&query("bookwarehouse", mysql)).await).await;
        nothing_is_allowed(&mesh, mysql).await;
        mesh.stop().await;
    });
}

async fn nothing_is_allowed(mesh: &Mesh, mysql: SocketAddr) {
    let calls = [buy("bookbuyer"), buy("bookthief"), restock("bookstore-v1"), query("bookwarehouse", mysql)];
    // Each pod's sidecar learns of it in its own time: that one denies says nothing of the others.
    eventually("nothing is allowed", async || {
        for call in &calls {
            if mesh.is_answered(call).await {
                return false;
            }
        }
        true
    })
    .await;
    for call in &calls {
        mesh.is_denied(call).await;
    }
}

/// The table of the demo: three pairs may talk, about what the routes say, and no other.
async fn only_the_policy_holds(mesh: &Mesh, mysql: SocketAddr) {
    let buyer = buy("bookbuyer");
    let book = Call { path: "/buy-a-book/new", headers: BTreeMap::new(), ..buyer.clone() };
    assert!(mesh.is_answered(&book).await, "a route without headers");
    let denied = [
        Call { method: "POST", ..buyer.clone() },
        Call { path: "/books-sold", ..buyer.clone() },
        Call { headers: BTreeMap::new(), ..buyer },
        buy("bookthief"),
        buy("bookwarehouse"),
        Call { method: "GET", ..restock("bookstore-v1") },
        restock("bookbuyer"),
        restock("bookthief"),
        query("bookstore-v1", mysql),
        query("bookthief", mysql),
    ];
    for call in &denied {
        mesh.is_denied(call).await;
    }
}

/// 100 : 0, 50 : 50 and 0 : 100.
async fn shares(mesh: &Mesh) {
    for (v1, v2) in [(100, 0), (50, 50), (0, 100)] {
        mesh.apply(&format!(
            "apiVersion: split.smi-spec.io/v1alpha4\nkind: TrafficSplit\n\
             metadata: {{name: bookstore-split, namespace: bookstore}}\n\
             spec:\n  service: bookstore\n  backends:\n\
             \x20 - {{service: bookstore-v1, weight: {v1}}}\n  - {{service: bookstore-v2, weight: {v2}}}\n"
        ))
        .await;
        let settled = async || {
            let (first, second) = counts(mesh, 20).await;
            (first > 0) == (v1 > 0) && (second > 0) == (v2 > 0)
        };
        eventually("the split takes effect", settled).await;
        let (first, second) = counts(mesh, 200).await;
        assert_eq!(first + second, 200, "every request is answered by one of the backends");
        match (v1, v2) {
            (_, 0) => assert_eq!(second, 0, "a weight of zero gets nothing"),
            (0, _) => assert_eq!(first, 0, "a weight of zero gets nothing"),
            // With 200 even draws, fewer than 60 on one side come about once in a hundred million runs.
            _ => assert!(first >= 60 && second >= 60, "half and half: {first} and {second}"),
        }
    }
}

async fn counts(mesh: &Mesh, requests: usize) -> (usize, usize) {
    let (mut first, mut second) = (0, 0);
    for _ in 0..requests {
        match mesh.send(&buy("bookbuyer")).await {
            ClientResult::Answered { pod: Some(pod), .. } if pod == "bookstore-v1" => first += 1,
            ClientResult::Answered { pod: Some(pod), .. } if pod == "bookstore-v2" => second += 1,
            _ => {}
        }
    }
    (first, second)
}
