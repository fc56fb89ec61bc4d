//! Expectations, judged on the evaluator's exact prediction: no tolerance.

use std::collections::BTreeSet;

use super::{Case, SplitPlan, denial, expected_peer, kebab, workload};
use crate::{
    evaluator::{Delivered, Denial},
    judge::{Judgement, Verdict, exact},
    run::{
        because::because,
        predict::{Predicted, Prediction, words},
    },
    scenario::model::{Echo, Proto},
};

/// One judgement for each aspect that the expectation names.
pub fn judge(case: Case<'_>, prediction: &Prediction) -> Vec<Judgement> {
    let expect = case.expect;
    let mut parts = Vec::new();
    if expect.predicted {
        parts.push(Judgement::pass());
    }
    if expect.allowed == Some(true) {
        parts.push(allowed(prediction));
    }
    if expect.allowed == Some(false) {
        parts.push(holds(!prediction.is_allowed(), || "every request is allowed".into()));
    }
    if denial(expect).is_some() {
        parts.push(denied(case, prediction));
    }
    if let Some(status) = expect.status {
        parts.extend(prediction.outcomes.iter().map(|outcome| match &outcome.verdict {
            crate::evaluator::Verdict::Denied(denial) => {
                holds(denial.status == Some(status), || words(&outcome.verdict))
            }
            crate::evaluator::Verdict::Delivered(delivered) => answered(case, delivered, status),
        }));
    }
    if let Some(tries) = expect.tries {
        // What is modelled is tried once; retries are not.
        parts.extend(prediction.outcomes.iter().map(|outcome| {
            let once = matches!(outcome.verdict, crate::evaluator::Verdict::Delivered(_));
            holds(tries == u32::from(once), || words(&outcome.verdict))
        }));
    }
    if !expect.headers.is_empty() || !expect.absent.is_empty() {
        parts.push(Judgement::of(Verdict::Unobservable, "the evaluator does not know headers of responses"));
    }
    if !expect.backend.is_empty() {
        let strangers = delivered_to(case, prediction).into_iter().filter(|w| !expect.backend.contains(w));
        parts.push(none("delivered to", &strangers.collect::<Vec<_>>()));
        parts.push(holds(prediction.delivered().next().is_some(), || "nothing is delivered".into()));
    }
    if !expect.reaches.is_empty() {
        let wanted: BTreeSet<_> = expect.reaches.iter().cloned().collect();
        let reached = delivered_to(case, prediction);
        parts.push(holds(reached == wanted, || format!("reaches {reached:?}")));
    }
    if let Some(split) = &expect.split {
        parts.push(match prediction.by_workload(case.lab) {
            Ok(shares) => exact::judge(&shares, &SplitPlan::new(split).declared()),
            Err(why) => Judgement::of(Verdict::Unobservable, why),
        });
    }
    if let Some(echo) = &expect.echo {
        parts.extend(prediction.delivered().map(|(_, delivered)| seen(case, delivered, echo)));
    }
    if let Some(peer) = &expect.peer {
        let wanted = expected_peer(case.lab, &case.aim.sender, peer);
        parts.extend(prediction.delivered().map(|(_, delivered)| {
            holds(delivered.peer.as_ref() == Some(&wanted), || {
                format!("the server sees {:?} as caller", delivered.peer)
            })
        }));
    }
    parts
}

fn holds(ok: bool, otherwise: impl FnOnce() -> String) -> Judgement {
    if ok { Judgement::pass() } else { Judgement::fail(otherwise()) }
}

fn none(what: &str, names: &[String]) -> Judgement {
    holds(names.is_empty(), || format!("{what} {}", names.join(", ")))
}

fn allowed(prediction: &Prediction) -> Judgement {
    let refused: Vec<_> = prediction.denied().map(|(outcome, _)| words(&outcome.verdict)).collect();
    let leaks = prediction.delivered().any(|(_, delivered)| delivered.banner_only);
    holds(refused.is_empty() && !leaks, || refused.join("; "))
}

fn denied(case: Case<'_>, prediction: &Prediction) -> Judgement {
    let Some((shapes, reason)) = denial(case.expect) else { return Judgement::pass() };
    let mut parts: Vec<_> = prediction.delivered().map(|(outcome, _)| Judgement::fail(let_through(outcome))).collect();
    for (outcome, denial) in prediction.denied() {
        let fits = shapes.is_empty() || denial.shape.is_some_and(|shape| shapes.contains(&shape));
        parts.push(holds(fits, || words(&outcome.verdict)));
        if let Some(expected) = reason {
            let actual = because(case.lab, case.aim, denial);
            parts.push(holds(actual == expected, || format!("denied because of {}", kebab(&actual))));
        }
    }
    Judgement::all(parts)
}

/// Who got what nobody should have got, and by whose leave.
fn let_through(outcome: &Predicted) -> String {
    let words = words(&outcome.verdict);
    match outcome.granted.as_slice() {
        [] => format!("{words}, and no TrafficTarget was asked"),
        targets => format!("{words}, let through by TrafficTarget {}", targets.join(" and ")),
    }
}

/// Why a denial happened, for reports: the first one predicted.
pub fn first_denial(prediction: &Prediction) -> Option<&Denial> {
    prediction.denied().next().map(|(_, denial)| denial)
}

fn delivered_to(case: Case<'_>, prediction: &Prediction) -> BTreeSet<String> {
    prediction.delivered().map(|(_, delivered)| workload(case.lab, &delivered.pod).to_owned()).collect()
}

fn answered(case: Case<'_>, delivered: &Delivered, status: u16) -> Judgement {
    let pod = case.lab.topology.pods.values().find(|pod| pod.object.name.name == delivered.pod);
    let respond = pod.map(|pod| pod.respond.clone()).unwrap_or_default();
    if respond.fail_percent.is_some_and(|percent| percent > 0) || respond.fail_first.is_some_and(|n| n > 0) {
        return Judgement::of(Verdict::Unobservable, "the evaluator does not know which answers fail");
    }
    let usual = if case.aim.proto() == Proto::Websocket { 101 } else { respond.status.unwrap_or(200) };
    holds(usual == status, || format!("{} answers {usual}", delivered.pod))
}

fn seen(case: Case<'_>, delivered: &Delivered, echo: &Echo) -> Judgement {
    let sent = case.aim.request(crate::exchange::RequestId(0), 0);
    let mut parts = vec![
        holds(echo.path.as_ref().is_none_or(|p| *p == delivered.path), || {
            format!("the server sees path {}", delivered.path)
        }),
        holds(echo.method.as_ref().is_none_or(|m| *m == sent.method), || {
            format!("the server sees method {}", sent.method)
        }),
        holds(echo.host.as_ref().is_none_or(|h| *h == delivered.authority), || {
            format!("the server sees host {}", delivered.authority)
        }),
        holds(echo.port.is_none_or(|p| p == delivered.port), || format!("it comes in on port {}", delivered.port)),
    ];
    for (name, value) in &echo.headers {
        parts.push(match sent.headers.get(&name.to_ascii_lowercase()) {
            Some(actual) => holds(actual == value, || format!("the server sees {name}: {actual}")),
            None => Judgement::of(Verdict::Unobservable, format!("header {name} is not the client's own")),
        });
    }
    if !echo.absent.is_empty() {
        parts.push(Judgement::of(Verdict::Unobservable, "the evaluator does not know which headers proxies take away"));
    }
    super::together(parts)
}
