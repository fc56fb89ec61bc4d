//! Checks of the steps that look at what sidecars told.

use super::{Findings, Names, traffic};
use crate::scenario::{
    address::PodRef,
    model::{Logged, Signal, Step},
    tree::FieldPath,
};

/// Checks them; returns whether the step is one.
pub(super) fn check(step: &Step, names: &Names<'_>, path: &FieldPath, found: &mut Findings) -> bool {
    if let Some(collected) = &step.collected {
        let path = path.key("collected");
        if !names.collectors.contains(collected.by.as_str()) {
            let known = names.collectors.iter().copied();
            found.unknown(path.key("by"), ("unknown-collector", "collector"), &collected.by, known);
        }
        if collected.linked && collected.what == Signal::Logs {
            found.error(path.key("linked"), "contradiction", "log entries have no parents: only spans are linked");
        }
        found.duration(collected.within.as_ref(), path.key("within"));
    }
    if let Some(wanted) = &step.logged {
        logged(wanted, names, &path.key("logged"), found);
    }
    if let Some(metrics) = &step.metrics {
        let path = path.key("metrics");
        traffic::check_pod(metrics.of.parse::<PodRef>(), names, &path.key("of"), found);
        if metrics.rows.is_empty() {
            found.error(path.key("rows"), "empty", "the list is empty");
        }
        found.duration(metrics.within.as_ref(), path.key("within"));
    }
    step.collected.is_some() || step.logged.is_some() || step.metrics.is_some()
}

fn logged(wanted: &Logged, names: &Names<'_>, path: &FieldPath, found: &mut Findings) {
    traffic::check_pod(wanted.by.parse::<PodRef>(), names, &path.key("by"), found);
    let by_fields = !wanted.fields.is_empty() || !wanted.without.is_empty();
    match (&wanted.line, by_fields) {
        (None, false) => found.error(path.clone(), "missing", "neither `line` nor `fields` says which lines are meant"),
        (Some(_), true) => {
            found.error(path.key("line"), "contradiction", "`line` is the whole line: there is nothing to add");
        }
        _ => {}
    }
    found.duration(wanted.within.as_ref(), path.key("within"));
}
