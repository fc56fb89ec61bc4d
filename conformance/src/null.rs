//! The null mesh: Kubernetes without any mesh.
//!
//! No workload has a sidecar, so policies have no effect and services share requests evenly among ready pods. Whatever passes
//! here proves nothing about a mesh, unless it is meant to (tag [`BASELINE`]).

use simulator::{run::Task, scenario::model::Workload};

/// The tag of scenarios that pass without any mesh, by intent.
pub const BASELINE: &str = "baseline";

/// The same scenario without any mesh.
#[must_use]
pub fn without_mesh(task: &Task) -> Task {
    let mut bare = task.clone();
    for workload in bare.scenario.workloads.values_mut() {
        *workload = Workload { mesh: false, ..workload.clone() };
    }
    bare
}
