//! Checks SMI manifests without any cluster: who may call whom?
//!
//! ```text
//! cargo run --example check_manifests
//! ```text
//!
//! In a repository of your own, the manifests come from the files that you deploy, and the question is a test:
//!
//! ```text
//! #[test]
//! fn only_the_bookbuyer_reads_books() {
//!     let scenario = Scenario::new("bookstore")
//!         .workload("bookbuyer", |w| w)
//!         .workload("bookthief", |w| w)
//!         .workload("bookstore", |w| w.service("bookstore").port("http", 8080))
//!         .manifest("allow", include_str!("../deploy/allow.yaml"))
//!         .step(step().apply(["allow"]))
//!         .step(step().probes([
//!             (traffic("bookbuyer", "bookstore").get("/books"), delivered()),
//!             (traffic("bookthief", "bookstore").get("/books"), denied()),
//!         ]));
//!     scenario.verify().unwrap();
//! }
//! ```
//!
//! `verify` asks the evaluator, which needs no Envoy and takes milliseconds; `verify_on(Preference::Process)` asks real ones too.

use simulator::{
    Failure, Scenario,
    envoy::Preference,
    scenario::{
        builder::{delivered, denied, denied_because, shares, step, traffic},
        model::{Because, Shape},
    },
};

/// The buyer may look at books and buy them; the stores may restock at the warehouse.
const POLICIES: &str = r#"
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: bookstore-routes, namespace: bookstore}
spec:
  matches:
  - {name: books-bought, pathRegex: /books-bought, methods: [GET]}
  - {name: buy-a-book, pathRegex: ".*a-book.*new", methods: [GET]}
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: bookbuyer-to-bookstore, namespace: bookstore}
spec:
  destination: {kind: ServiceAccount, name: bookstore, namespace: bookstore}
  sources: [{kind: ServiceAccount, name: bookbuyer, namespace: bookbuyer}]
  rules: [{kind: HTTPRouteGroup, name: bookstore-routes}]
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: warehouse-routes, namespace: bookwarehouse}
spec:
  matches:
  - {name: restock, pathRegex: /, methods: [POST]}
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: bookstore-to-warehouse, namespace: bookwarehouse}
spec:
  destination: {kind: ServiceAccount, name: bookwarehouse, namespace: bookwarehouse}
  sources: [{kind: ServiceAccount, name: bookstore, namespace: bookstore}]
  rules: [{kind: HTTPRouteGroup, name: warehouse-routes}]
"#;

/// A tenth of the traffic tries version 2.
const SPLIT: &str = r#"
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: bookstore-split, namespace: bookstore}
spec:
  service: bookstore
  backends: [{service: bookstore-v1, weight: 90}, {service: bookstore-v2, weight: 10}]
"#;

fn main() -> Result<(), Failure> {
    let preference =
        if std::env::args().any(|arg| arg == "--envoy") { Preference::Process } else { Preference::Evaluator };
    bookstore().verify_on(preference)?;
    println!("the manifests hold: the buyer buys, one time in ten from version 2, and the thief gets nothing");
    Ok(())
}

fn bookstore() -> Scenario {
    let store = |version: &'static str| {
        move |w: simulator::scenario::model::Workload| {
            w.namespace("bookstore").account("bookstore").service("bookstore").service(version).port("http", 14001)
        }
    };
    let reads = |who: &str| traffic(who, "bookstore.bookstore").get("/books-bought");
    Scenario::new("bookstore.manifests")
        .title("who may call whom in the bookstore")
        .workload("bookbuyer", |w| w.namespace("bookbuyer"))
        .workload("bookthief", |w| w.namespace("bookthief"))
        .workload("bookstore-v1", store("bookstore-v1"))
        .workload("bookstore-v2", store("bookstore-v2"))
        .workload("bookwarehouse", |w| w.namespace("bookwarehouse").service("bookwarehouse").port("http", 14001))
        .manifest("policies", POLICIES)
        .manifest("split", SPLIT)
        .step(step().traffic(reads("bookbuyer"), denied()))
        .step(step().apply(["policies"]))
        .step(step().probes([
            (reads("bookbuyer"), delivered().status(200).peer("bookbuyer/bookbuyer")),
            (traffic("bookbuyer", "bookstore.bookstore").get("/buy-a-book/new"), delivered()),
            (
                traffic("bookbuyer", "bookstore.bookstore").get("/admin"),
                denied_because(Because::RouteNotAllowed, [Shape::Http404]),
            ),
            (reads("bookthief"), denied_because(Because::WrongSource, [])),
            (traffic("bookstore-v1", "bookwarehouse.bookwarehouse").request("POST", "/"), delivered()),
            (traffic("bookbuyer", "bookwarehouse.bookwarehouse").request("POST", "/"), denied()),
        ]))
        .step(step().apply(["split"]))
        .step(step().traffic(reads("bookbuyer").auto(), shares([("bookstore-v1", 90), ("bookstore-v2", 10)])))
}
