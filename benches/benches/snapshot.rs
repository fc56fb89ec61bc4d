//! Building configurations: of one proxy, and of all.

use std::hint::black_box;

use benches::{PODS_PER_SERVICE, SIZES, cpu::CpuTime, pod_name, world};
use criterion::{BenchmarkId, Criterion, Throughput};
use mesh::{model::ObjectName, snapshot::build, world::World};

fn one(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("snapshot/one");
    for pods in SIZES {
        let world = world(pods);
        // The proxy of a service that calls another through a split, if there is a second service, and one that is called.
        let caller = pod_name(PODS_PER_SERVICE.min(pods - 1));
        group.bench_function(BenchmarkId::new("caller", pods), |b| b.iter(|| build(black_box(&world), &caller)));
        let called = pod_name(0);
        group.bench_function(BenchmarkId::new("called", pods), |b| b.iter(|| build(black_box(&world), &called)));
    }
}

fn all(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("snapshot/all");
    group.sample_size(10);
    for pods in SIZES {
        let world = world(pods);
        let names: Vec<_> = (0..pods).map(pod_name).collect();
        group.throughput(Throughput::Elements(pods as u64));
        group.bench_function(BenchmarkId::new("one-thread", pods), |b| {
            b.iter(|| build_all(&world, &names));
        });
    }
}

fn build_all(world: &World, names: &[ObjectName]) {
    names.iter().for_each(|name| drop(black_box(build(black_box(world), name))));
}

fn main() {
    let mut criterion = Criterion::default().with_measurement(CpuTime).configure_from_args();
    one(&mut criterion);
    all(&mut criterion);
    criterion.final_summary();
}
