//! Requests through hand-made configurations.

mod access;
mod fixture;
mod identity;
mod matching;
mod odd;
mod real;
mod split;

use super::{Caller, Denial, Evaluator, Verdict};
use crate::{exchange::Request, scenario::model::Shape};

/// The only verdict.
fn verdict(evaluator: &Evaluator, caller: &Caller, request: &Request) -> Verdict {
    let mut evaluation = evaluator.evaluate(caller, request).expect("modelled");
    assert_eq!(evaluation.total, evaluation.outcomes.iter().map(|outcome| outcome.weight).sum::<u64>());
    let outcome = evaluation.outcomes.pop().expect("an outcome");
    for other in &evaluation.outcomes {
        match (&other.verdict, &outcome.verdict) {
            (Verdict::Delivered(_), Verdict::Delivered(_)) => {}
            (Verdict::Denied(a), Verdict::Denied(b)) => assert_eq!((a.layer, a.shape), (b.layer, b.shape)),
            (a, b) => panic!("{a:?} and {b:?}"),
        }
    }
    outcome.verdict
}

fn allowed(evaluator: &Evaluator, caller: &Caller, request: &Request) -> bool {
    matches!(verdict(evaluator, caller, request), Verdict::Delivered(_))
}

#[track_caller]
fn denied(evaluator: &Evaluator, caller: &Caller, request: &Request) -> Denial {
    match verdict(evaluator, caller, request) {
        Verdict::Denied(denial) => denial,
        Verdict::Delivered(delivered) => panic!("delivered: {delivered:?}"),
    }
}

#[track_caller]
fn shape(evaluator: &Evaluator, caller: &Caller, request: &Request) -> Shape {
    denied(evaluator, caller, request).shape.expect("a shape")
}
