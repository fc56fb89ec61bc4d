//! Whether an answer agrees with what a scenario expects.

use std::collections::BTreeSet;

use simulator::scenario::model::{Denied, Expect};

use super::{Answer, Share};

/// What the expectation says that the answer can tell.
pub(super) struct Comparison {
    /// Whether there is anything that could be compared.
    pub(super) judged: bool,
    /// It says more, which is not for the oracle.
    pub(super) partial: bool,
    /// It is about each request by itself, not about all of them together.
    pub(super) each: bool,
    /// What does not agree, each as the expectation puts it.
    pub(super) wrong: Vec<String>,
}

/// Compares all that an expectation says about who gets what. What else it says (status, headers, who calls) is not for the oracle.
pub(super) fn compare(answer: &Answer, expect: &Expect) -> Comparison {
    let mut parts: Vec<(bool, String)> = Vec::new();
    let denied = answer.denied();
    let reached: BTreeSet<&str> = answer.reached().collect();
    if let Some(allowed) = expect.allowed {
        let words = if allowed { "every request is allowed" } else { "not every request is allowed" };
        parts.push(((denied == Share::NONE) == allowed, words.to_owned()));
    }
    if !matches!(expect.denied, None | Some(Denied::Plain(false))) {
        parts.push((denied == Share::ALL, "every request is denied".to_owned()));
    }
    if !expect.backend.is_empty() {
        let among = reached.iter().all(|name| expect.backend.iter().any(|wanted| wanted == name));
        parts.push((among && !reached.is_empty(), format!("nobody but {} gets any", expect.backend.join(", "))));
    }
    if !expect.reaches.is_empty() {
        let wanted: BTreeSet<&str> = expect.reaches.iter().map(String::as_str).collect();
        parts.push((reached == wanted, format!("exactly {} get some", expect.reaches.join(", "))));
    }
    if let Some(split) = &expect.split {
        let failed = split.failed.unwrap_or_default();
        let whole: u64 = split.shares.values().sum::<u64>() + failed;
        let equal = |(name, weight): (&String, &u64)| answer.share(name) == Share::new(*weight, whole);
        let named = reached.iter().all(|name| split.shares.contains_key(*name));
        let holds = named && split.shares.iter().all(equal) && denied == Share::new(failed, whole);
        let shares: Vec<_> = split.shares.iter().map(|(name, weight)| format!("{name} {weight}")).collect();
        parts.push((holds, format!("the shares are {}, and {failed} denied", shares.join(", "))));
    }
    let partial = expect.status.is_some()
        || expect.echo.is_some()
        || expect.peer.is_some()
        || expect.tries.is_some()
        || !expect.headers.is_empty()
        || !expect.absent.is_empty();
    let each = expect.allowed != Some(false) && expect.reaches.is_empty() && expect.split.is_none();
    let judged = !parts.is_empty();
    Comparison {
        judged,
        partial,
        each,
        wrong: parts.into_iter().filter(|(holds, _)| !holds).map(|(_, words)| words).collect(),
    }
}
