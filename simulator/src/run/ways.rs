//! The decision traces of several outcomes as one text: what they share once, then where they part.

use super::predict::Predicted;
use crate::evaluator::Verdict;

/// More ways would bury the point; `explain` shows all.
const SHOWN: usize = 3;

/// The lines of a report. The outcomes that speak against an expectation come first: deliveries where a denial was expected,
/// denials elsewhere.
pub(super) fn ways(outcomes: &[Predicted], denial_expected: bool) -> Vec<String> {
    let against = |o: &&Predicted| matches!(o.verdict, Verdict::Delivered(_)) == denial_expected;
    let (first, last): (Vec<_>, Vec<_>) = outcomes.iter().partition(against);
    let ordered: Vec<_> = first.into_iter().chain(last).collect();
    let [only] = ordered.as_slice() else { return several(&ordered) };
    only.trace.clone()
}

fn several(outcomes: &[&Predicted]) -> Vec<String> {
    let Some(first) = outcomes.first() else { return Vec::new() };
    let alike = |i: usize, line: &String| outcomes.iter().all(|o| o.trace.get(i) == Some(line));
    let shared = first.trace.iter().enumerate().take_while(|(i, line)| alike(*i, line)).count();
    let mut lines = first.trace[..shared].to_vec();
    for (i, outcome) in outcomes.iter().take(SHOWN).enumerate() {
        lines.push(format!("way {} of {}, for {} of the requests:", i + 1, outcomes.len(), outcome.share));
        let own = &outcome.trace[shared..];
        // One way tells how; of the others the end is enough.
        let told = if i == 0 { own } else { &own[own.len().saturating_sub(1)..] };
        lines.extend(told.iter().map(|line| format!("  {line}")));
    }
    if outcomes.len() > SHOWN {
        lines.push(format!("and {} ways more; `simulator explain` shows them", outcomes.len() - SHOWN));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evaluator::{Denial, Stage},
        judge::exact::Fraction,
        scenario::model::Because,
    };

    fn denied(share: (u64, u64), trace: &[&str]) -> Predicted {
        let denial = Denial {
            pod: "web-0".into(),
            layer: Stage::Route,
            because: Because::RouteNotAllowed,
            near: Vec::new(),
            shape: None,
            status: Some(404),
        };
        Predicted {
            share: Fraction::new(share.0, share.1).unwrap(),
            verdict: Verdict::Denied(denial),
            trace: trace.iter().map(|&line| line.to_owned()).collect(),
            granted: Vec::new(),
        }
    }

    #[test]
    fn one_way_is_told_as_it_is() {
        assert_eq!(ways(&[denied((1, 1), &["a", "b"])], false), ["a", "b"]);
    }

    #[test]
    fn a_common_beginning_is_told_once() {
        let outcomes = [denied((7, 10), &["a", "b", "c"]), denied((3, 10), &["a", "d", "e"])];
        let expected = [
            "a",
            "way 1 of 2, for 7/10 of the requests:",
            "  b",
            "  c",
            "way 2 of 2, for 3/10 of the requests:",
            "  e",
        ];
        assert_eq!(ways(&outcomes, false), expected);
    }

    #[test]
    fn many_ways_are_cut_short() {
        let outcomes: Vec<_> = ["a", "b", "c", "d", "e"].iter().map(|line| denied((1, 5), &[line])).collect();
        let lines = ways(&outcomes, true);
        assert_eq!(lines.len(), 7);
        assert_eq!(lines[6], "and 2 ways more; `simulator explain` shows them");
    }
}
