//! What the steps of a scenario say, without what comes of them.

use simulator::scenario::model::Step;

/// Whether it changes what is in force.
pub(super) fn changes(step: &Step) -> bool {
    let inner = step.parallel.iter().flatten().flatten().chain(step.repeat.iter().flat_map(|repeat| &repeat.steps));
    step.apply.is_some() || step.delete.is_some() || step.fault.is_some() || inner.into_iter().any(changes)
}
