//! The simulator: evaluated requests, a sidecar's way from nothing to its first configuration, the whole suite on the evaluator.

use std::{hint::black_box, path::Path, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use simulator::{
    cli::{args::Selection, load::load},
    envoy::{Backend, Preference, Variant, Wish, choose},
    evaluator::Verdict,
    exchange::RequestId,
    lab::{Lab, Options, live::Runtime},
    run::{Settings, Task, aim::Aim, run},
    scenario::{Scenario, builder::traffic},
};
use tokio::{runtime::Runtime as Tokio, sync::mpsc};

const POLICY: &str = r#"
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: books}
spec: {matches: [{name: read, pathRegex: "/books(/.*)?", methods: [GET]}, {name: buy, pathRegex: /buy, methods: [POST]}]}
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: buyer-to-store}
spec:
  destination: {kind: ServiceAccount, name: store}
  sources: [{kind: ServiceAccount, name: buyer}]
  rules: [{kind: HTTPRouteGroup, name: books}]
"#;

fn shop() -> Scenario {
    Scenario::new("bench.shop")
        .title("A buyer and a store")
        .workload("buyer", |w| w)
        .workload("store", |w| w.service("store").port("http", 8080))
        .manifest("policy", POLICY)
}

fn options(runtime: Option<Runtime>, dir: &Path) -> Options {
    Options { runtime, variant: Variant::Delta, seed: 1, dir: dir.to_owned(), mutation: None }
}

/// One request through both sidecars: listener, TLS both ways, RBAC, routes.
fn evaluated_requests(c: &mut Criterion) {
    let tokio = Tokio::new().expect("a runtime");
    let dir = std::env::temp_dir();
    let (lab, allowed) = tokio.block_on(async {
        let mut lab = Lab::start(&shop(), Path::new("shop.yaml"), &options(None, &dir)).await.expect("a lab");
        lab.apply("policy").await.expect("the policy");
        let aim = Aim::new(&lab, &traffic("buyer", "store").get("/books/1")).expect("an aim");
        (lab, aim)
    });
    let request = allowed.request(RequestId(0), 0);
    let evaluation = lab.evaluator().evaluate(&allowed.caller, &request).expect("a modelled request");
    assert!(matches!(evaluation.outcomes[0].verdict, Verdict::Delivered(_)), "it goes all the way: {evaluation:?}");
    let mut group = c.benchmark_group("evaluator");
    group.throughput(Throughput::Elements(1));
    group.bench_function("request", |b| {
        b.iter(|| lab.evaluator().evaluate(black_box(&allowed.caller), black_box(&request)));
    });
    group.finish();
}

/// From nothing to a pod whose Envoy has acknowledged its configuration and serves; the control plane included.
fn sidecar_start(c: &mut Criterion) {
    let tokio = Tokio::new().expect("a runtime");
    let wish = Wish { preference: Preference::Process, ..Wish::default() };
    let Ok(Backend::Process { envoy, .. }) = tokio.block_on(choose(&wish)).map(|choice| choice.backend) else {
        eprintln!("sidecar_start: no Envoy");
        return;
    };
    let one = Scenario::new("bench.one").title("One pod").workload("one", |w| w.service("one").port("http", 8080));
    let mut group = c.benchmark_group("sidecar");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function("start to first ACK", |b| {
        b.to_async(&tokio).iter_custom(|rounds| {
            let (one, envoy) = (one.clone(), envoy.clone());
            async move {
                let mut took = Duration::ZERO;
                for _ in 0..rounds {
                    let dir = std::env::temp_dir().join(format!("smi-bench-{}", std::process::id()));
                    let options = options(Some(Runtime::Process { envoy: envoy.clone() }), &dir);
                    let started = std::time::Instant::now();
                    let lab = Lab::start(&one, Path::new("one.yaml"), &options).await.expect("a lab");
                    took += started.elapsed();
                    lab.stop().await.expect("an end");
                }
                took
            }
        });
    });
    group.finish();
}

/// Every scenario of the suite, without Envoy.
fn suite(c: &mut Criterion) {
    let tokio = Tokio::new().expect("a runtime");
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let selection = Selection { paths: vec![scenarios], only: Vec::new() };
    let tasks: Vec<_> = load(&selection)
        .expect("sound scenarios")
        .into_iter()
        .map(|one| Task { file: one.file, scenario: one.expanded.scenario })
        .collect();
    let mut group = c.benchmark_group("suite");
    group.sample_size(10);
    group.bench_function("evaluator", |b| {
        b.to_async(&tokio)
            .iter(|| run(tasks.clone(), Settings { jobs: 2, ..Settings::evaluator(1) }, mpsc::unbounded_channel().0));
    });
    group.finish();
}

criterion_group!(benches, evaluated_requests, sidecar_start, suite);
criterion_main!(benches);
