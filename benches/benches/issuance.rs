//! Issuing workload certificates: a new P-256 key each, and a signature by the root.

use std::hint::black_box;

use benches::{NOW, account, cpu::CpuTime, leaf_request};
use criterion::{Criterion, Throughput};
use mesh::ca::BuiltinCa;

fn issuance(criterion: &mut Criterion<CpuTime>) {
    let ca = BuiltinCa::generate(NOW).expect("a root can be made");
    let mut group = criterion.benchmark_group("issuance");
    group.throughput(Throughput::Elements(1));
    let request = leaf_request(account(0));
    group.bench_function("p256", |b| b.iter(|| ca.sign(black_box(&request)).expect("the request is sound")));
}

fn main() {
    let mut criterion = Criterion::default().with_measurement(CpuTime).configure_from_args();
    issuance(&mut criterion);
    criterion.final_summary();
}
