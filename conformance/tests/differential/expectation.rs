//! What a scenario that follows the oracle expects.

use conformance::oracle::{Answer, Share};
use simulator::scenario::model::{Denied, Expect, Split as Shares};

/// The answer as an expectation.
pub(crate) fn expectation(answer: &Answer) -> Expect {
    let mut expect = Expect::default();
    let reached: Vec<String> = answer.reached().map(str::to_owned).collect();
    if answer.denied() == Share::ALL {
        expect.denied = Some(Denied::Plain(true));
    } else if reached.len() == 1 && answer.denied() == Share::NONE {
        expect.allowed = Some(true);
        expect.backend = reached;
    } else {
        let parts: Vec<(u64, u64)> = reached.iter().map(|name| answer.share(name).parts()).collect();
        let whole = parts.iter().fold(answer.denied().parts().1, |all, (_, whole)| lcm(all, *whole));
        let weight = |(part, of): (u64, u64)| part * (whole / of);
        expect.split = Some(Shares {
            shares: reached.iter().cloned().zip(parts.iter().copied().map(weight)).collect(),
            failed: Some(weight(answer.denied().parts())).filter(|failed| *failed > 0),
            delta: Some(0.15),
            ..Shares::default()
        });
    }
    expect
}

fn lcm(a: u64, b: u64) -> u64 {
    let gcd = |mut a: u64, mut b: u64| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    a / gcd(a, b) * b
}
