//! What the API server says becomes the world: 1,000 services with 10,000 pods as lists, then one pod's event. From bytes on;
//! no API server is involved.

use std::hint::black_box;

use benches::{
    PODS_PER_SERVICE,
    cluster::{intake, pages, pod, read, service},
    cpu::CpuTime,
    memory::resident,
};
use criterion::{BatchSize, Criterion};
use kube::core::DeserializeGuard;
use mesh::{
    k8s::{Intake, event::Event, told},
    world::World,
};

const PODS: usize = 10_000;

/// From lists to the world.
fn start(services: &[Vec<u8>], pods: &[Vec<u8>]) -> (Intake, World) {
    let (mut intake, mut world) = (intake(), World::default());
    intake.take(told::services(Event::Listed(read::<DeserializeGuard<_>>(services))));
    intake.take(told::pods(Event::Listed(read::<DeserializeGuard<_>>(pods))));
    hand_over(&mut intake, &mut world);
    (intake, world)
}

fn hand_over(intake: &mut Intake, world: &mut World) {
    for change in intake.batch().changes {
        black_box(world.apply(change));
    }
}

fn watch(criterion: &mut Criterion<CpuTime>) {
    let services = pages("ServiceList", (0..PODS / PODS_PER_SERVICE).map(service));
    let pods = pages("PodList", (0..PODS).map(|index| pod(index, true)));
    let before = resident();
    let (mut intake, mut world) = start(&services, &pods);
    println!(
        "watch: {} KiB per pod, with what the allocator keeps from reading",
        (resident() - before) as f64 / PODS as f64
    );
    let mut group = criterion.benchmark_group("watch");
    group.sample_size(10);
    group.bench_function("list/10000", |b| {
        b.iter_batched(|| (), |()| start(&services, &pods), BatchSize::PerIteration);
    });
    let events = [false, true].map(|ready| pod(PODS / 2, ready).to_string());
    let mut turn = 0;
    group.bench_function("event/10000", |b| {
        b.iter(|| {
            turn += 1;
            // Readers still hold the world as it was, as in the control plane.
            let _readers = world.clone();
            let one = serde_json::from_str(&events[turn % 2]).expect("a pod");
            intake.take(told::pods(Event::Put(one)));
            hand_over(&mut intake, &mut world);
        });
    });
}

fn main() {
    let mut criterion = Criterion::default().with_measurement(CpuTime).configure_from_args();
    watch(&mut criterion);
    criterion.final_summary();
}
