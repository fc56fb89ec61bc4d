//! Meshes that are wrong in one way each: what shows that the suite can tell.
//!
//! Every mutant is our own control plane with one fault. Most faults lie in what it takes for true (see [`Mutation`]): the rest of
//! it is then as right as ever, so a scenario that fails does so for the fault's reason.

mod access;
mod known;
mod route;
mod sidecar;
mod split;
mod tcp;
mod time;

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use mesh::{model::ObjectName, snapshot::Snapshot, world::World};
use simulator::lab::mutation::{Known, Mutation, Past};

/// A broken mesh.
#[derive(Clone, Copy)]
pub struct Mutant {
    /// What scenarios call it in `kills`.
    pub name: &'static str,
    /// What it does wrong, in a sentence.
    pub text: &'static str,
    fault: Fault,
}

/// Where the fault lies.
#[derive(Clone, Copy)]
enum Fault {
    /// In how manifests are read.
    Read(fn(&str) -> Option<String>),
    /// In what the control plane takes for true.
    Believe(fn(&mut Known, &Past)),
    /// In what the sidecars get.
    Deliver(fn(&World, &ObjectName, Snapshot) -> Snapshot),
}

static ALL: LazyLock<Vec<Mutant>> =
    LazyLock::new(|| [split::MUTANTS, access::MUTANTS, route::MUTANTS, tcp::MUTANTS, time::MUTANTS].concat());

/// How the names of the broken meshes begin that no traffic shows: their faults lie in the metrics API, where they are made and
/// tried.
pub const ELSEWHERE: &str = "metrics-";

/// All broken meshes, by API.
#[must_use]
pub fn mutants() -> &'static [Mutant] {
    &ALL
}

/// The broken mesh called `name`.
#[must_use]
pub fn mutant(name: &str) -> Option<&'static Mutant> {
    ALL.iter().find(|mutant| mutant.name == name)
}

impl Mutant {
    const fn believing(name: &'static str, text: &'static str, fault: fn(&mut Known, &Past)) -> Self {
        Self { name, text, fault: Fault::Believe(fault) }
    }

    const fn delivering(
        name: &'static str,
        text: &'static str,
        fault: fn(&World, &ObjectName, Snapshot) -> Snapshot,
    ) -> Self {
        Self { name, text, fault: Fault::Deliver(fault) }
    }

    const fn reading(name: &'static str, text: &'static str, fault: fn(&str) -> Option<String>) -> Self {
        Self { name, text, fault: Fault::Read(fault) }
    }

    /// The fault, for a run.
    #[must_use]
    pub fn mutation(&self) -> Arc<dyn Mutation> {
        Arc::new(*self)
    }
}

impl fmt::Debug for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Mutation for Mutant {
    fn read(&self, manifest: String) -> String {
        match self.fault {
            Fault::Read(fault) => fault(&manifest).unwrap_or(manifest),
            _ => manifest,
        }
    }

    fn believe(&self, mut truth: Known, past: &Past) -> Known {
        if let Fault::Believe(fault) = self.fault {
            fault(&mut truth, past);
        }
        truth
    }

    fn deliver(&self, world: &World, pod: &ObjectName, snapshot: Snapshot) -> Snapshot {
        match self.fault {
            Fault::Deliver(fault) => fault(world, pod, snapshot),
            _ => snapshot,
        }
    }
}

#[cfg(test)]
mod tests;
