use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

fn test(weights: &[u64], tolerance: Tolerance) -> SplitTest {
    SplitTest::new(weights, tolerance).unwrap()
}

/// Draws independent outcomes by weight until the test decides.
fn run(mut test: SplitTest, actual: &[u32], rng: &mut ChaCha8Rng) -> (Decision, u64) {
    let sum: u32 = actual.iter().sum();
    while test.decision() == Decision::Undecided {
        let mut draw = rng.random_range(0..sum);
        let category = actual.iter().position(|weight| {
            let hit = draw < *weight;
            draw = draw.saturating_sub(*weight);
            hit
        });
        test.observe(category.map_or(Outcome::Elsewhere, Outcome::Category));
    }
    (test.decision(), test.n)
}

/// The share of 2,000 runs that end as `wanted` says. With error probability 0.05 its standard deviation is 0.005.
fn rate(declared: &[u64], actual: &[u32], tolerance: Tolerance, wanted: fn(Decision) -> bool) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let fresh = test(declared, tolerance);
    let hits = (0..2_000).filter(|_| wanted(run(fresh.clone(), actual, &mut rng).0)).count();
    f64::from(u32::try_from(hits).unwrap()) / 2_000.0
}

/// Weak on purpose, so that errors are frequent enough to be counted.
const WEAK: Tolerance = Tolerance { delta: 0.1, alpha: 0.05, beta: 0.05 };

#[test]
fn a_correct_mesh_passes_but_for_beta() {
    for weights in [&[50, 50][..], &[70, 30], &[97, 3], &[80, 10, 10], &[1, 1, 1, 1, 1], &[10, 0]] {
        let actual: Vec<u32> = weights.iter().map(|weight| u32::try_from(*weight).unwrap()).collect();
        let missed = rate(weights, &actual, WEAK, |decision| decision != Decision::Pass);
        assert!(missed <= 0.05 + 0.015, "{weights:?}: {missed}");
    }
}

#[test]
fn a_mesh_that_is_off_by_delta_passes_at_most_with_alpha() {
    for (declared, actual) in [
        (&[50, 50][..], &[60, 40][..]),
        (&[70, 30], &[80, 20]),
        (&[70, 30], &[60, 40]),
        (&[90, 10], &[100, 0]),
        (&[80, 10, 10], &[70, 20, 10]),
        (&[40, 30, 30], &[30, 30, 40]),
        // One share alone is off by δ.
        (&[40, 30, 30], &[30, 35, 35]),
        (&[40, 30, 30], &[50, 25, 25]),
    ] {
        let passed = rate(declared, actual, WEAK, |decision| decision == Decision::Pass);
        assert!(passed <= 0.05 + 0.015, "{declared:?} {actual:?}: {passed}");
    }
}

#[test]
fn round_robin_passes() {
    for weights in [&[1, 1][..], &[7, 3], &[50, 30, 20], &[99, 1], &[2, 1, 0]] {
        let mut test = test(weights, Tolerance::default());
        // In blocks: as uneven as a weighted round robin can be.
        let turn: Vec<usize> =
            weights.iter().enumerate().flat_map(|(i, w)| vec![i; usize::try_from(*w).unwrap()]).collect();
        let mut turns = turn.iter().cycle();
        while test.observe(Outcome::Category(*turns.next().unwrap())) == Decision::Undecided {}
        assert_eq!(test.decision(), Decision::Pass, "{weights:?} {:?}", test.report());
    }
}

#[test]
fn wrong_weights_fail_quickly() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for (actual, at_most) in
        [(&[75, 25][..], 6_000), (&[65, 35], 6_000), (&[60, 40], 1_500), (&[30, 70], 200), (&[100, 0], 200)]
    {
        let (decision, n) = run(test(&[70, 30], Tolerance::default()), actual, &mut rng);
        assert!(matches!(decision, Decision::Fail(_)), "{actual:?}: {decision:?}");
        assert!(n <= at_most, "{actual:?}: {n}");
    }
}

#[test]
fn what_must_never_happen_fails_at_once_and_even_late() {
    let mut zero = test(&[1, 0], Tolerance::default());
    assert_eq!(zero.observe(Outcome::Category(1)), Decision::Fail(Failure::ZeroWeight(1)));
    let mut other = test(&[1, 1], Tolerance::default());
    assert_eq!(other.observe(Outcome::Elsewhere), Decision::Fail(Failure::Elsewhere));
    let mut late = test(&[1, 0], Tolerance::default());
    while late.observe(Outcome::Category(0)) == Decision::Undecided {}
    assert_eq!(late.decision(), Decision::Pass);
    assert_eq!(late.observe(Outcome::Category(1)), Decision::Fail(Failure::ZeroWeight(1)));
    assert_eq!(late.observe(Outcome::Category(9)), Decision::Fail(Failure::ZeroWeight(1)));
}

#[test]
fn a_small_weight_that_gets_nothing_never_passes() {
    let mut starved = test(&[999, 1], Tolerance::default());
    while starved.observe(Outcome::Category(0)) == Decision::Undecided {}
    assert_eq!(starved.decision(), Decision::Fail(Failure::TooMany(0)));
}

#[test]
fn the_test_ends_where_its_cap_says() {
    // Half of δ beside the declared share: neither is much likelier, so some runs stay undecided; none runs for ever.
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let fresh = test(&[50, 50], WEAK);
    for _ in 0..200 {
        let (decision, n) = run(fresh.clone(), &[55, 45], &mut rng);
        assert!(decision != Decision::Undecided && n <= fresh.max_samples());
    }
}

#[test]
fn expected_samples_are_near_what_is_needed() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let fresh = test(&[70, 30], Tolerance::default());
    let total: u64 = (0..100).map(|_| run(fresh.clone(), &[70, 30], &mut rng).1).sum();
    let (mean, expected) = (total / 100, fresh.expected_samples());
    assert!((expected..expected * 2).contains(&mean), "expected {expected}, needed {mean}");
    assert!(expected > 1_000 && fresh.max_samples() < 20_000, "{expected} {}", fresh.max_samples());
}

#[test]
fn the_report_has_all_figures() {
    let mut test = test(&[3, 1, 0], Tolerance::default());
    for category in [0, 0, 1, 0] {
        test.observe(Outcome::Category(category));
    }
    let report = serde_json::to_value(test.report()).unwrap();
    assert_eq!((&report["n"], &report["alpha"], &report["decision"]), (&4.into(), &0.001.into(), &"undecided".into()));
    assert_eq!(report["categories"][0]["count"], 3);
    assert!(report["categories"][2]["excludedLeak"].as_f64().unwrap() > 0.8);
    assert!(report["categories"][0]["more"].is_number() && report["categories"][0]["less"].is_number());
}

#[test]
fn a_test_without_a_question_is_refused() {
    assert_eq!(SplitTest::new(&[0, 0], Tolerance::default()).unwrap_err(), DesignError::NoWeight);
    assert_eq!(SplitTest::new(&[], Tolerance::default()).unwrap_err(), DesignError::NoWeight);
    for bad in [0.0, 0.5, f64::NAN, -0.1] {
        let tolerance = Tolerance { delta: bad, ..Tolerance::default() };
        assert_eq!(SplitTest::new(&[1], tolerance).unwrap_err(), DesignError::Tolerance);
    }
}
