//! One endpoint change, from `ControlPlane::apply` until every one of a thousand connected clients has acknowledged it; beside
//! it, the same response over bare tonic streams, from the first send until the last acknowledgement is read.
//!
//! Both servers run in this process together with their clients, over loopback and mutual TLS, with one connection a client.

use std::time::{Duration, Instant};

use benches::{
    PODS_PER_SERVICE, account,
    ads::{Bare, Fleet, Pki, control_plane},
    certificates, changes, cpu, pod, pod_name, selecting, target,
};
use criterion::{Criterion, Throughput};
use mesh::{
    model::{ObjectName, ServiceAccount, Workload},
    run::ControlPlane,
    world::{Change, Object},
};
use tokio::{runtime::Runtime, sync::Mutex};

const CLIENTS: usize = 1_000;
/// How long anything may take before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A service that all clients may call, after the world of the clients.
fn shared() -> (Vec<Change>, Workload) {
    let called = ServiceAccount::new("shared", "shared");
    let name = ObjectName::new("shared", "shared");
    let pods = (0..PODS_PER_SERVICE).map(|index| Workload {
        name: name.sibling(format!("shared-{index}")),
        account: called.clone(),
        labels: [("app".into(), "shared".into())].into(),
        ..pod(CLIENTS + index)
    });
    let service = selecting(name.clone(), [172, 31, 0, 1].into(), &[("app", "shared")]);
    let policy = target(&called, (0..CLIENTS / PODS_PER_SERVICE).map(account));
    let pods: Vec<Workload> = pods.collect();
    let objects = policy.into_iter().chain([Object::Service(service)]);
    let objects = objects.chain(pods.iter().cloned().map(Object::Workload));
    let mut changes: Vec<Change> = objects.map(Change::Put).collect();
    // The root is one for all: certificates() makes a new one each time.
    changes.extend(certificates((0..CLIENTS / PODS_PER_SERVICE).map(account).chain([called])));
    (changes, pods.into_iter().next().expect("the service has pods"))
}

/// Turns the pod ready or unready, and waits until all clients have acknowledged.
async fn change(plane: &ControlPlane, pod: &mut Workload) -> Duration {
    pod.ready = !pod.ready;
    let start = Instant::now();
    plane.apply(vec![Change::Put(Object::Workload(pod.clone()))]).await.expect("the control plane runs");
    plane.synced(PATIENCE).await.expect("every client acknowledges");
    start.elapsed()
}

fn fanout(criterion: &mut Criterion, runtime: &Runtime) {
    let pki = Pki::new();
    let names: Vec<_> = (0..CLIENTS).map(pod_name).collect();
    let mut group = criterion.benchmark_group("xds_fanout");
    group.sample_size(20).throughput(Throughput::Elements(CLIENTS as u64)).measurement_time(Duration::from_secs(15));

    let (shared, mut changed) = shared();
    let plane = runtime.block_on(control_plane(&pki));
    let (plane, fleet) = runtime.block_on(async {
        plane.apply(changes(CLIENTS).into_iter().chain(shared).collect()).await.expect("the control plane runs");
        let fleet = Fleet::connect(plane.address(), &pki, &names, |pod| plane.snapshot(pod)).await;
        plane.synced(PATIENCE).await.expect("every client gets its configuration");
        (plane, fleet)
    });
    let before = fleet.responses();
    runtime.block_on(change(&plane, &mut changed));
    let response = fleet.last_response();
    println!("xds_fanout: {} responses for one change, {} bytes each", fleet.responses() - before, response.1);
    group.bench_function("control-plane", |b| {
        b.iter_custom(|times| {
            runtime.block_on(async {
                let mut total = Duration::ZERO;
                for _ in 0..times {
                    total += change(&plane, &mut changed).await;
                }
                total
            })
        });
    });
    let changed = Mutex::new(changed);
    print_cpu(runtime, "control-plane", || async { change(&plane, &mut *changed.lock().await).await });
    runtime.block_on(async {
        drop(fleet);
        plane.shutdown().await;
    });

    let (bare, _fleet) = runtime.block_on(async {
        let bare = Bare::start(&pki).await;
        let fleet = Fleet::connect(bare.address(), &pki, &names, |_| None).await;
        bare.connected(CLIENTS).await;
        (bare, fleet)
    });
    print_cpu(runtime, "bare-streams", || bare.send_to_all(&response.0));
    group.bench_function("bare-streams", |b| {
        b.iter_custom(|times| {
            runtime.block_on(async {
                let mut total = Duration::ZERO;
                for _ in 0..times {
                    let start = Instant::now();
                    bare.send_to_all(&response.0).await;
                    total += start.elapsed();
                }
                total
            })
        });
    });
    group.finish();
}

/// Runs something often and prints what it takes of all processors, clients and servers together.
fn print_cpu<F: Future>(runtime: &Runtime, what: &str, mut once: impl FnMut() -> F) {
    const TIMES: u32 = 30;
    let before = cpu::of_process();
    for _ in 0..TIMES {
        runtime.block_on(once());
    }
    println!("xds_fanout/{what}: {:?} of processor time for one change", (cpu::of_process() - before) / TIMES);
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = Runtime::new().expect("a runtime can be started");
    fanout(&mut criterion, &runtime);
    criterion.final_summary();
}
