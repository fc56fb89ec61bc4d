//! Checks of expectations.

use super::{Findings, Names};
use crate::scenario::{
    model::{Denied, Expect, Proto, Split},
    nearest::list,
    tree::FieldPath,
};

pub(super) fn check(expect: &Expect, proto: Option<Proto>, names: &Names<'_>, path: &FieldPath, found: &mut Findings) {
    if *expect == (Expect { within: expect.within.clone(), ..Expect::default() }) {
        found.error(path.clone(), "no-expectation", "the expectation is empty: everything would pass");
    }
    check_outcome(expect, path, found);
    if let Some(status) = expect.status
        && !(100..=599).contains(&status)
    {
        found.error(path.key("status"), "range", format!("{status} is no HTTP status: 100 to 599"));
    }
    if matches!(proto, Some(Proto::Tcp | Proto::TcpServerFirst)) {
        check_tcp(expect, path, found);
    }
    for (field, workloads) in [("backend", &expect.backend), ("reaches", &expect.reaches)] {
        for (index, workload) in workloads.iter().enumerate() {
            check_workload(workload, &path.key(field).index(index), names, found);
        }
    }
    if let Some(peer) = &expect.peer
        && !names.has_account(peer)
    {
        let known = names.workloads.iter().map(|(name, w)| w.account.as_deref().unwrap_or(name));
        found.unknown(path.key("peer"), ("unknown-account", "workload with the account"), peer, known);
    }
    found.duration(expect.within.as_ref(), path.key("within"));
    if let Some(split) = &expect.split {
        check_split(split, names, &path.key("split"), found);
        if expect.within.is_some() {
            let message = "a split is measured once: trying until it fits would let wrong weights pass";
            found.hinted(path.key("within"), "contradiction", message, "put a `wait: {until: converged}` before it");
        }
    }
}

/// `allowed` and `denied` exclude each other, and a denied request has no answer whose details could be judged.
fn check_outcome(expect: &Expect, path: &FieldPath, found: &mut Findings) {
    if expect.allowed == Some(false) {
        found.hinted(
            path.key("allowed"),
            "contradiction",
            "`allowed: false` leaves open what is meant",
            "write `denied: true`",
        );
    }
    let Some(denied) = &expect.denied else { return };
    if matches!(denied, Denied::Plain(false)) {
        found.hinted(
            path.key("denied"),
            "contradiction",
            "`denied: false` leaves open what is meant",
            "write `allowed: true`",
        );
        return;
    }
    let answered: Vec<&str> = [
        ("allowed", expect.allowed.is_some()),
        ("status", expect.status.is_some()),
        ("tries", expect.tries.is_some()),
        ("backend", !expect.backend.is_empty()),
        ("reaches", !expect.reaches.is_empty()),
        ("split", expect.split.is_some()),
        ("echo", expect.echo.is_some()),
        ("peer", expect.peer.is_some()),
    ]
    .into_iter()
    .filter_map(|(field, given)| given.then_some(field))
    .collect();
    if let Some(first) = answered.first() {
        let message = format!("what is denied reaches no application, so it has no {}", list(&answered));
        let hint = if answered == ["status"] { "write `denied: {as: [http-403]}`" } else { "make two steps of it" };
        found.hinted(path.key(*first), "contradiction", message, hint);
    }
}

fn check_tcp(expect: &Expect, path: &FieldPath, found: &mut Findings) {
    let echo = expect.echo.as_ref();
    let http = echo.is_some_and(|e| {
        e.path.is_some() || e.method.is_some() || e.host.is_some() || !e.headers.is_empty() || !e.absent.is_empty()
    });
    let headers = !expect.headers.is_empty() || !expect.absent.is_empty();
    let fields =
        [("status", expect.status.is_some()), ("headers", headers), ("echo", http), ("peer", expect.peer.is_some())];
    for (field, given) in fields {
        if given {
            let message = format!("TCP has no HTTP, so nothing can be seen of `{field}`");
            found.error(path.key(field), "unobservable", message);
        }
    }
}

fn check_split(split: &Split, names: &Names<'_>, path: &FieldPath, found: &mut Findings) {
    for workload in split.shares.keys() {
        check_workload(workload, &path.key("shares").key(workload), names, found);
    }
    let weights = split.shares.values().chain(&split.failed).map(|weight| u128::from(*weight));
    let sum: u128 = weights.sum();
    if sum == 0 {
        let message = "all weights are zero: no request could be expected anywhere";
        found.hinted(path.key("shares"), "range", message, "write `denied: {because: no-backend}`");
    } else if sum > u128::from(u32::MAX) {
        found.error(path.key("shares"), "range", "the sum of the weights exceeds 4294967295, which Envoy refuses");
    }
    for (field, value) in [("delta", split.delta), ("alpha", split.alpha), ("beta", split.beta)] {
        if value.is_some_and(|value| !(value > 0.0 && value < 0.5)) {
            found.error(path.key(field), "range", format!("`{field}` lies between 0 and 0.5, both excluded"));
        }
    }
}

fn check_workload(workload: &str, path: &FieldPath, names: &Names<'_>, found: &mut Findings) {
    if !names.workloads.contains_key(workload) {
        found.unknown(path.clone(), ("unknown-workload", "workload"), workload, names.workload_names());
    }
}
