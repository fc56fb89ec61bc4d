//! Expectations, judged on what both ends of real traffic saw.

use std::collections::{BTreeMap, BTreeSet};

use super::{Scene, SplitPlan, denial, kebab};
use crate::{
    exchange::{ClientResult, Sighting},
    judge::{
        Judgement, Verdict,
        sequential::{Decision, Failure, SplitTest},
    },
    run::measure::Sample,
    scenario::model::{Echo, Expect},
};

/// One judgement for each aspect that the expectation names. A denial's reason is judged on the prediction, its evidence by the
/// control request.
pub fn judge(scene: Scene<'_>, samples: &[Sample], split: Option<(&SplitPlan, &SplitTest)>) -> Vec<Judgement> {
    let expect = scene.expect;
    if samples.is_empty() {
        return vec![Judgement::of(Verdict::Infrastructure, "no request was sent")];
    }
    let mut parts = Vec::new();
    if expect.allowed == Some(true) {
        parts.push(all(samples, "was not answered, or not seen exactly once", |s| {
            answered(s) && s.sightings.len() == 1
        }));
    }
    if expect.allowed == Some(false) {
        let refused = samples.iter().any(|s| !s.is_delivered());
        parts.push(if refused { Judgement::pass() } else { Judgement::fail("every request was allowed") });
    }
    if let Some((shapes, _)) = denial(expect) {
        parts.push(all(samples, "reached an application", |s| !s.is_delivered()));
        parts.push(all(samples, "did not end in a denial of the expected shape", |s| match &s.view.result {
            ClientResult::Failed { shape: Some(shape), .. } => shapes.is_empty() || shapes.contains(shape),
            // Told already.
            _ => s.is_delivered(),
        }));
    }
    if let Some(status) = expect.status {
        parts.push(all(samples, "had another status", |s| status_of(s) == Some(status)));
    }
    parts.extend(responses(expect, samples));
    let reached: BTreeSet<String> =
        samples.iter().flat_map(|s| &s.sightings).map(|s| scene.names.workload(&s.pod).to_owned()).collect();
    if !expect.backend.is_empty() {
        let inside = !reached.is_empty() && reached.iter().all(|w| expect.backend.contains(w));
        parts.push(if inside { Judgement::pass() } else { Judgement::fail(format!("served by {reached:?}")) });
    }
    if !expect.reaches.is_empty() {
        let wanted: BTreeSet<_> = expect.reaches.iter().cloned().collect();
        parts.push(if reached == wanted { Judgement::pass() } else { Judgement::fail(format!("reaches {reached:?}")) });
    }
    if let Some((plan, test)) = split {
        parts.push(shares(plan, test));
    }
    if let Some(echo) = &expect.echo {
        let sightings = || samples.iter().flat_map(|s| &s.sightings);
        parts.extend(sightings().map(|sighting| seen(sighting, echo)));
        parts.push(all(samples, "reached no application", Sample::is_delivered));
    }
    if let Some(wanted) = scene.peer {
        let saw = |s: &Sample| s.is_delivered() && s.sightings.iter().all(|seen| seen.peer.as_deref() == Some(wanted));
        parts.push(all(samples, &format!("was not seen to come from {wanted}"), saw));
    }
    parts
}

/// Headers of responses, and how often requests arrived.
fn responses(expect: &Expect, samples: &[Sample]) -> Vec<Judgement> {
    let header = |sample: &Sample, name: &String| headers_of(sample).get(&name.to_ascii_lowercase()).cloned();
    let mut parts = Vec::new();
    for (name, value) in &expect.headers {
        let otherwise = format!("were answered without {name}: {value}");
        parts.push(all(samples, &otherwise, |s| header(s, name).as_ref() == Some(value)));
    }
    for name in &expect.absent {
        parts.push(all(samples, &format!("were answered with {name}"), |s| header(s, name).is_none()));
    }
    if let Some(tries) = expect.tries {
        let seen: BTreeSet<usize> = samples.iter().map(|s| s.sightings.len()).collect();
        let otherwise = format!("were not seen {tries} times, but {seen:?} times");
        parts.push(all(samples, &otherwise, |s| s.sightings.len() == tries as usize));
    }
    parts
}

fn headers_of(sample: &Sample) -> &BTreeMap<String, String> {
    match &sample.view.result {
        ClientResult::Answered { headers, .. } | ClientResult::Failed { headers, .. } => headers,
    }
}

fn all(samples: &[Sample], otherwise: &str, holds: impl Fn(&Sample) -> bool) -> Judgement {
    let failed = samples.iter().filter(|s| !holds(s)).count();
    if failed == 0 {
        return Judgement::pass();
    }
    Judgement::fail(format!("{failed} of {} requests: {otherwise}", samples.len()))
}

/// Whether the client got an application's answer.
pub fn answered(sample: &Sample) -> bool {
    matches!(sample.view.result, ClientResult::Answered { .. })
}

fn status_of(sample: &Sample) -> Option<u16> {
    match &sample.view.result {
        ClientResult::Answered { status, .. } | ClientResult::Failed { status, .. } => *status,
    }
}

fn shares(plan: &SplitPlan, test: &SplitTest) -> Judgement {
    let report = test.report();
    let counts: Vec<_> = plan.names.iter().zip(&report.categories).map(|(n, c)| format!("{n} {}", c.count)).collect();
    let counts = format!("{} of {} requests, {} elsewhere", counts.join(", "), report.n, report.elsewhere);
    let name = |category: usize| plan.names.get(category).map_or("", String::as_str).to_owned();
    match test.decision() {
        Decision::Pass => Judgement::pass(),
        Decision::Undecided | Decision::Inconclusive => {
            Judgement::of(Verdict::Inconclusive, format!("{counts}: too near the margin to tell"))
        }
        Decision::Fail(Failure::TooMany(c)) => Judgement::fail(format!("{} gets too much: {counts}", name(c))),
        Decision::Fail(Failure::TooFew(c)) => Judgement::fail(format!("{} gets too little: {counts}", name(c))),
        Decision::Fail(Failure::ZeroWeight(c)) => {
            Judgement::fail(format!("{} has weight zero and was hit: {counts}", name(c)))
        }
        Decision::Fail(Failure::Elsewhere) => Judgement::fail(format!("a request ended elsewhere: {counts}")),
    }
}

fn seen(sighting: &Sighting, echo: &Echo) -> Judgement {
    let mut wrong = Vec::new();
    let mut compare = |what: &str, wanted: Option<&String>, actual: &str| {
        if wanted.is_some_and(|w| w != actual) {
            wrong.push(format!("{what} {actual}"));
        }
    };
    compare("path", echo.path.as_ref(), &sighting.path);
    compare("method", echo.method.as_ref(), &sighting.method);
    compare("host", echo.host.as_ref(), &sighting.authority);
    compare("port", echo.port.map(|p| p.to_string()).as_ref(), &sighting.port.to_string());
    for (name, value) in &echo.headers {
        let actual = sighting.headers.get(&name.to_ascii_lowercase()).map_or("(absent)", String::as_str);
        compare(name, Some(value), actual);
    }
    for name in &echo.absent {
        if let Some(value) = sighting.headers.get(&name.to_ascii_lowercase()) {
            wrong.push(format!("{name} {value}"));
        }
    }
    if wrong.is_empty() { Judgement::pass() } else { Judgement::fail(format!("the server saw {}", wrong.join(", "))) }
}

/// What clients saw: distinct outcomes with their counts, most frequent first.
pub fn client_saw(samples: &[Sample]) -> Vec<String> {
    tally(samples.iter().map(|sample| match &sample.view.result {
        ClientResult::Answered { status, pod, .. } => {
            let status = status.map_or_else(String::new, |s| format!("status {s} "));
            format!("an answer: {status}from {}", pod.as_deref().unwrap_or("an application"))
        }
        ClientResult::Failed { shape, status, detail, .. } => {
            let shape = shape.as_ref().map_or_else(|| "failure".into(), kebab);
            let status = status.map_or_else(String::new, |s| format!(" status {s}"));
            format!("{shape}{status}: {detail}")
        }
    }))
}

/// What applications saw: distinct sightings with their counts.
pub fn server_saw(samples: &[Sample]) -> Vec<String> {
    tally(samples.iter().flat_map(|sample| {
        let nothing = sample.sightings.is_empty().then(|| "nothing".to_owned());
        let seen = sample.sightings.iter().map(|s| {
            let peer = s.peer.as_deref().map_or_else(String::new, |p| format!(" by {p}"));
            if s.method.is_empty() {
                format!("{}:{} a connection", s.pod, s.port)
            } else {
                format!("{}:{} {} {}{}{peer}", s.pod, s.port, s.method, s.authority, s.path)
            }
        });
        nothing.into_iter().chain(seen)
    }))
}

fn tally(lines: impl Iterator<Item = String>) -> Vec<String> {
    const SHOWN: usize = 8;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines {
        *counts.entry(line).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let more = counts.len().saturating_sub(SHOWN);
    let mut lines: Vec<_> = counts.into_iter().take(SHOWN).map(|(line, count)| format!("{count} × {line}")).collect();
    if more > 0 {
        lines.push(format!("and {more} more kinds"));
    }
    lines
}
