//! Wrong shares.

use simulator::lab::mutation::Known;

use crate::mutant::known::{backend, put, service, shadow, splits, take_splits};
use mesh::world::Object;

/// Changes the weights of every split, in the order of its backends.
pub(super) fn change(known: &mut Known, wrong: fn(&mut [u64])) {
    for split in splits(known) {
        let mut weights: Vec<u64> = split.backends.iter().map(|backend| backend.weight).collect();
        wrong(&mut weights);
        split.backends.iter_mut().zip(weights).for_each(|(backend, weight)| backend.weight = weight);
    }
}

pub(super) fn equal(weights: &mut [u64]) {
    weights.iter_mut().for_each(|weight| *weight = (*weight).min(1));
}

pub(super) fn swapped(weights: &mut [u64]) {
    weights.reverse();
}

pub(super) fn heaviest_only(weights: &mut [u64]) {
    let Some(heaviest) = weights.iter().copied().max() else { return };
    let first = weights.iter().position(|weight| *weight == heaviest);
    for (i, weight) in weights.iter_mut().enumerate() {
        *weight = if Some(i) == first { heaviest } else { 0 };
    }
}

/// Of a backend that has less than ten points, all that it has but a trace, so that it is not taken for one of weight zero.
pub(super) fn off_by_ten(weights: &mut [u64]) {
    const TENTHS: u64 = 10;
    let total = weights.iter().fold(0, |sum: u64, weight| sum.saturating_add(*weight));
    let heavy: Vec<usize> = (0..weights.len()).filter(|i| weights[*i] > 0).collect();
    let [first, second, ..] = heavy[..] else { return };
    weights.iter_mut().for_each(|weight| *weight = weight.saturating_mul(TENTHS));
    let moved = total.min(weights[first] - 1);
    weights[first] -= moved;
    weights[second] = weights[second].saturating_add(moved);
}

pub(super) fn zero_leak(weights: &mut [u64]) {
    const LEAK: u64 = 2;
    let total = weights.iter().fold(0, |sum: u64, weight| sum.saturating_add(*weight));
    let leaks = weights.iter().filter(|weight| **weight == 0).count() as u64 * LEAK;
    for weight in weights {
        let share = if *weight == 0 { total.saturating_mul(LEAK) } else { weight.saturating_mul(100 - leaks.min(99)) };
        *weight = share;
    }
}

/// The rest goes to a service that selects what the root selects.
pub(super) fn percent(known: &mut Known) {
    for mut split in take_splits(known) {
        let total = split.backends.iter().fold(0, |sum: u64, backend| sum.saturating_add(backend.weight));
        let root = split.service_named(&split.service).and_then(|root| service(known, &root));
        if let (Some(root), Some(missing @ 1..)) = (root, 100u64.checked_sub(total)) {
            let rest = shadow(known, &root, "itself", root.ports.clone());
            split.backends.push(backend(&rest, missing));
        }
        put(known, Object::TrafficSplit(split));
    }
}
