//! Checks of the steps that look at what sidecars told.

use super::{Findings, Names, traffic};
use crate::scenario::{
    address::PodRef,
    model::{Logged, MeasuredKind, Signal, Step, TrafficMetrics, TrafficRow},
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
    if let Some(wanted) = &step.traffic_metrics {
        traffic_metrics(wanted, names, &path.key("trafficMetrics"), found);
    }
    let told = step.collected.is_some() || step.logged.is_some() || step.metrics.is_some();
    told || step.traffic_metrics.is_some()
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

fn traffic_metrics(wanted: &TrafficMetrics, names: &Names<'_>, path: &FieldPath, found: &mut Findings) {
    if wanted.kind.is_some() != wanted.discovery.is_empty() {
        found.error(path.clone(), "contradiction", "say either `kind`, or in place of all else `discovery`");
    }
    if wanted.edges && wanted.name.is_none() {
        found.error(path.key("edges"), "missing", "edges are those of one resource: add `name`");
    }
    let reads = wanted.method.as_ref().is_none_or(|method| method == "GET");
    if !reads && wanted.refused.is_empty() {
        found.error(path.key("method"), "missing", "say with `refused` what must come of it: metrics can only be read");
    }
    let looks = !wanted.rows.is_empty() || !wanted.absent.is_empty() || wanted.only || wanted.total.is_some();
    if looks && !wanted.refused.is_empty() {
        found.error(path.key("refused"), "contradiction", "a refusal has no items");
    }
    if !looks && wanted.refused.is_empty() && wanted.discovery.is_empty() {
        found.error(
            path.clone(),
            "no-expectation",
            "a question without `rows`, `absent`, `only`, `total` or `refused` proves nothing",
        );
    }
    let mut named = |name: Option<&String>, path: FieldPath| {
        // Names that must be unknown to the API may be unknown here.
        let known = wanted.refused.is_empty() && wanted.kind.is_some_and(is_workload);
        if let Some(name) = name.filter(|_| known) {
            traffic::check_pod(name.parse::<PodRef>(), names, &path, found);
        }
    };
    named(wanted.name.as_ref(), path.key("name"));
    for (list, rows) in [("rows", &wanted.rows), ("absent", &wanted.absent)] {
        for (index, row) in rows.iter().enumerate() {
            let path = path.key(list).index(index);
            named(row.name.as_ref(), path.key("name"));
            named(row.peer.as_ref(), path.key("peer"));
        }
    }
    let bounds = wanted.rows.iter().enumerate().filter_map(|(index, row)| Some((index, row.latency.as_ref()?)));
    for (index, latency) in bounds {
        for (name, bound) in latency.bounds() {
            found.duration(Some(bound), path.key("rows").index(index).key("latency").key(name));
        }
    }
    for (index, _) in wanted.rows.iter().enumerate().filter(|(_, row)| **row == TrafficRow::default()) {
        found.error(path.key("rows").index(index), "empty", "the row demands nothing");
    }
    found.duration(wanted.within.as_ref(), path.key("within"));
}

/// Whether objects of the kind are workloads of the scenario, or pods of them.
fn is_workload(kind: MeasuredKind) -> bool {
    matches!(kind, MeasuredKind::Pod | MeasuredKind::Deployment)
}
