//! Matches read wrongly.

use std::collections::BTreeMap;

use mesh::{
    model::{HttpMatch, Methods},
    policy::regex::check,
};
use simulator::lab::mutation::Known;

use crate::mutant::known::groups;

/// Changes every match of every group.
pub(super) fn each(known: &mut Known, wrong: fn(&mut HttpMatch)) {
    groups(known).flat_map(|group| &mut group.matches).for_each(wrong);
}

/// Changes every path that can be used.
pub(super) fn each_path(known: &mut Known, wrong: fn(&str) -> String) {
    for m in groups(known).flat_map(|group| &mut group.matches) {
        if let Some(path) = &mut m.path
            && check(path).is_ok()
        {
            *path = wrong(path).into();
        }
    }
}

/// Puts several matches in the place of one, under its name.
pub(super) fn divide(known: &mut Known, into: fn(&HttpMatch) -> Vec<HttpMatch>) {
    for group in groups(known) {
        group.matches = group.matches.iter().flat_map(into).collect();
    }
}

pub(super) fn by_header(m: &HttpMatch) -> Vec<HttpMatch> {
    if m.headers.len() < 2 {
        return vec![m.clone()];
    }
    let one = |(name, value): (&std::sync::Arc<str>, &std::sync::Arc<str>)| HttpMatch {
        headers: BTreeMap::from([(name.clone(), value.clone())]),
        ..m.clone()
    };
    m.headers.iter().map(one).collect()
}

pub(super) fn by_method_and_path(m: &HttpMatch) -> Vec<HttpMatch> {
    match (&m.methods, &m.path) {
        (Methods::Only(_), Some(_)) => {
            vec![HttpMatch { path: None, ..m.clone() }, HttpMatch { methods: Methods::Any, ..m.clone() }]
        }
        _ => vec![m.clone()],
    }
}

pub(super) fn invalid_allows(known: &mut Known) {
    each(known, |m| m.path = m.path.take().filter(|path| check(path).is_ok()));
}
