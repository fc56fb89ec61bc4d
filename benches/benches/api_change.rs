//! One pod turns unready, or ready again: from the event's bytes, as the API server sends them, until each of a hundred connected
//! proxies has acknowledged its new endpoints. The aim is less than 50 ms for 99 of 100 changes.
//!
//! The world has 1,000 services and 10,000 pods. The clients are in this process and speak incremental
//! ADS over mutual TLS, each on a connection of its own. What a watch waits so that events coalesce is not included.

use std::time::{Duration, Instant};

use benches::{
    PODS_PER_SERVICE,
    ads::{Fleet, Pki, control_plane},
    certificates, cluster, cpu, memory, target,
};
use mesh::{
    k8s::{Intake, event::Event, told},
    model::{ObjectName, ServiceAccount},
    run::ControlPlane,
    world::Change,
};
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

const PODS: usize = 10_000;
const CLIENTS: usize = 100;
/// The pod that changes. It belongs to the service that all clients may call.
const CHANGED: usize = PODS / 2;
const CHANGES: usize = 1_000;
/// How long anything may take before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(60);

fn account(service: usize) -> ServiceAccount {
    ServiceAccount::new("bench", format!("service-{service}"))
}

/// Tells the services and pods one by one, so that nothing large is held but what is kept of them; then what lets the clients
/// call one service, and everyone's certificate.
fn world(intake: &mut Intake) -> Vec<Change> {
    intake.take(told::services(Event::Listed(Vec::new())));
    intake.take(told::pods(Event::Listed(Vec::new())));
    for index in 0..PODS / PODS_PER_SERVICE {
        intake.take(told::services(Event::Put(read(&cluster::service(index).to_string()))));
    }
    for index in 0..PODS {
        intake.take(told::pods(Event::Put(read(&cluster::pod(index, true).to_string()))));
    }
    let mut changes = intake.batch().changes;
    let policy = target(&account(CHANGED / PODS_PER_SERVICE), (0..CLIENTS / PODS_PER_SERVICE).map(account));
    changes.extend(policy.into_iter().map(Change::Put));
    changes.extend(certificates((0..PODS / PODS_PER_SERVICE).map(account)));
    changes
}

fn read<T: DeserializeOwned>(event: &str) -> T {
    serde_json::from_str(event).expect("an object")
}

/// One change; how long it takes until everyone has acknowledged it.
async fn change(plane: &ControlPlane, intake: &mut Intake, event: &str) -> Duration {
    let start = Instant::now();
    intake.take(told::pods(Event::Put(read(event))));
    plane.apply(intake.batch().changes).await.expect("the control plane runs");
    plane.synced(PATIENCE).await.expect("every client acknowledges");
    start.elapsed()
}

async fn api_change() {
    let (pki, before) = (Pki::new(), memory::resident());
    let plane = control_plane(&pki).await;
    let mut intake = cluster::intake();
    plane.apply(world(&mut intake)).await.expect("the control plane runs");
    let grown = memory::resident() - before;
    println!("api_change: {} KiB per pod: watches, world and writer", grown as f64 / PODS as f64);
    let names: Vec<_> = (0..CLIENTS).map(|index| ObjectName::new("bench", format!("pod-{index}"))).collect();
    let fleet = Fleet::connect(plane.address(), &pki, &names, |pod| plane.snapshot(pod)).await;
    plane.synced(PATIENCE).await.expect("every client gets its configuration");
    let events = [false, true].map(|ready| cluster::pod(CHANGED, ready).to_string());
    let (answers, processor) = (fleet.responses(), cpu::of_process());
    let mut took = Vec::with_capacity(CHANGES);
    for number in 0..CHANGES {
        took.push(change(&plane, &mut intake, &events[number % 2]).await);
    }
    let answers = (fleet.responses() - answers) as f64 / CHANGES as f64;
    let processor = (cpu::of_process() - processor) / u32::try_from(CHANGES).expect("a small number");
    took.sort();
    let share = |percent: usize| took[(CHANGES * percent / 100).min(CHANGES - 1)];
    println!("api_change: p50 {:?}, p99 {:?}, longest {:?}", share(50), share(99), share(100));
    println!("api_change: {answers} responses and {processor:?} of processor time for one change, clients included");
    drop(fleet);
    plane.shutdown().await;
}

fn main() {
    Runtime::new().expect("a runtime can be started").block_on(api_change());
}
