//! One pod turns unready, or ready again: the world takes it in, and the configuration of every proxy that it may concern is
//! built anew, on one thread.

use std::hint::black_box;

use benches::{PODS_PER_SERVICE, SIZES, cpu::CpuTime, pod, world};
use criterion::{BenchmarkId, Criterion};
use mesh::{
    snapshot::build,
    world::{Affected, Change, Object, World},
};

fn endpoint_change(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("endpoint_change");
    for pods in SIZES {
        let mut world = world(pods);
        // A pod that is called, through a split.
        let mut changed = pod((2 * PODS_PER_SERVICE).min(pods - 1));
        let mut affected = 0;
        group.bench_function(BenchmarkId::new("apply-and-build", pods), |b| {
            b.iter(|| {
                changed.ready = !changed.ready;
                affected = rebuild(&mut world, Change::Put(Object::Workload(changed.clone())));
            });
        });
        group.bench_function(BenchmarkId::new("apply", pods), |b| {
            b.iter(|| {
                changed.ready = !changed.ready;
                // Readers still hold the world as it was, as in the control plane.
                let _readers = world.clone();
                black_box(world.apply(Change::Put(Object::Workload(changed.clone()))))
            });
        });
        println!("endpoint_change: {affected} of {pods} proxies are concerned");
    }
}

/// Takes a change in and builds what it concerns; how many proxies that were.
fn rebuild(world: &mut World, change: Change) -> usize {
    let _readers = world.clone();
    match world.apply(change) {
        Affected::All => world.workloads().map(|pod| drop(black_box(build(world, &pod.name)))).count(),
        Affected::Pods(pods) => pods.iter().map(|pod| drop(black_box(build(world, pod)))).count(),
    }
}

fn main() {
    let mut criterion = Criterion::default().with_measurement(CpuTime).configure_from_args();
    endpoint_change(&mut criterion);
    criterion.final_summary();
}
