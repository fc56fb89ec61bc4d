//! Meshes that split traffic wrongly.

mod backends;
mod scope;
mod weights;

use mesh::model::Kind;

use super::{
    Mutant,
    known::{keep_holding, keep_old, splits, take},
    sidecar,
};

/// The mutants of TrafficSplit.
pub(super) const MUTANTS: &[Mutant] = &[
    Mutant::believing("split-ignored", "TrafficSplits have no effect.", |known, _| {
        take(known, Kind::TrafficSplit);
    }),
    Mutant::believing("split-weights-equal", "Every backend with a weight gets the same share.", |known, _| {
        weights::change(known, weights::equal);
    }),
    Mutant::believing(
        "split-weights-swapped",
        "The first backend gets the share of the last, the second that of the last but one, and so on.",
        |known, _| {
            weights::change(known, weights::swapped);
        },
    ),
    Mutant::believing(
        "split-off-by-ten",
        "Ten points of all traffic go to the second backend with a weight instead of the first.",
        |known, _| {
            weights::change(known, weights::off_by_ten);
        },
    ),
    Mutant::believing("split-zero-leak", "A backend of weight zero gets two percent.", |known, _| {
        weights::change(known, weights::zero_leak);
    }),
    Mutant::believing("split-heaviest-only", "The heaviest backend gets everything.", |known, _| {
        weights::change(known, weights::heaviest_only);
    }),
    Mutant::believing(
        "split-percent",
        "Weights are percents: what is missing to a hundred goes to the root's own pods.",
        |known, _| {
            weights::percent(known);
        },
    ),
    Mutant::believing("split-matches-ignored", "A split with matches applies to all requests.", |known, _| {
        splits(known).for_each(|split| split.matches.clear());
    }),
    Mutant::believing(
        "split-matches-and",
        "Of several route groups in a split a request must match every one.",
        |known, _| {
            scope::matches_and(known);
        },
    ),
    Mutant::delivering(
        "split-unmatched-to-backends",
        "Requests that no match of a split selects go evenly to its backends.",
        |_, _, snapshot| sidecar::unmatched(snapshot, sidecar::Unmatched::ToBackends),
    ),
    Mutant::delivering(
        "split-unmatched-dropped",
        "Requests that no match of a split selects are answered with 404.",
        |_, _, snapshot| sidecar::unmatched(snapshot, sidecar::Unmatched::Dropped),
    ),
    Mutant::believing("split-nested", "A backend that is itself the root of a split is split again.", |known, _| {
        backends::nested(known);
    }),
    Mutant::believing(
        "split-captures-leaf",
        "Direct calls to a backend are split as those to its root.",
        |known, _| {
            backends::captured(known);
        },
    ),
    Mutant::believing("split-stale-update", "Edits of a split are ignored.", |known, past| {
        keep_old(known, past, Kind::TrafficSplit);
    }),
    Mutant::believing("split-stale-delete", "A deleted split still holds.", |known, past| {
        keep_holding(known, past, Kind::TrafficSplit);
    }),
    Mutant::believing(
        "split-port-mismatch",
        "A backend without the root's port gets traffic, on its first port.",
        |known, _| {
            backends::port_mismatch(known);
        },
    ),
    Mutant::believing(
        "split-first-port-only",
        "A split holds on the root's lowest port alone; the others lead to the root's own pods.",
        |known, _| {
            backends::first_port_only(known);
        },
    ),
    Mutant::believing(
        "split-missing-breaks-root",
        "As long as a backend does not exist, all that the split selects fails.",
        |known, _| {
            backends::missing_breaks_root(known);
        },
    ),
    Mutant::believing("split-grants-access", "Whatever is a backend of a split, everybody may call.", |known, _| {
        scope::grants_access(known);
    }),
    Mutant::believing(
        "split-foreign-namespace",
        "A split holds for services of its root's name in every namespace that has no split of its own for it.",
        |known, _| {
            scope::foreign_namespace(known);
        },
    ),
    Mutant::believing(
        "split-root-target-port",
        "Backends are called on the container port that the root's port has.",
        |known, _| {
            backends::root_target_port(known);
        },
    ),
];
