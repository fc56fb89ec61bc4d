use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::ca::{
    BuiltinCa, Clock as _, ManualClock,
    testing::{DAY, START, account, issuer},
};

mod month;

fn stable(root: &Arc<dyn Issuer>) -> Rotation {
    Rotation::new(LeafPolicy::default(), Roots::Stable(root.clone()))
}

/// The leaf that was ordered. Its chain is the root that signed it: all that these tests look at.
fn fulfil(order: &Order) -> Leaf {
    Leaf {
        account: order.request.account.clone(),
        chain_pem: order.issuer.root_pem().clone(),
        key: crate::model::PrivateKey::new("key"),
        not_before: order.request.validity.not_before,
        not_after: order.request.validity.not_after,
    }
}

/// Fulfils all orders, and those that follow from them, and returns the changes.
fn settle(rotation: &mut Rotation, now: i64, work: Work) -> Vec<Change> {
    let mut changes = work.changes;
    let mut orders = work.orders;
    while let Some(order) = orders.pop() {
        let leaf = fulfil(&order);
        let work = rotation.step(now, Event::Issued(order, leaf));
        changes.extend(work.changes);
        orders.extend(work.orders);
    }
    changes
}

fn want(rotation: &mut Rotation, now: i64, name: &str) {
    let work = rotation.step(now, Event::Wanted(account(name)));
    settle(rotation, now, work);
}

fn broken() -> IssueError {
    IssueError::Failed("out of order".to_owned())
}

#[test]
fn an_account_is_served_once_and_forgotten_when_unwanted() {
    let mut rotation = stable(&issuer(START));
    let work = rotation.step(START, Event::Wanted(account("a")));
    assert_eq!(work.orders.len(), 1);
    assert!(rotation.step(START, Event::Wanted(account("a"))).orders.is_empty(), "one order is enough");
    let changes = settle(&mut rotation, START, work);
    assert!(matches!(&changes[..], [Change::Certificate(leaf)] if leaf.account == account("a")));
    assert!(rotation.step(START, Event::Wanted(account("a"))).orders.is_empty(), "it has a leaf");
    let work = rotation.step(START, Event::Unwanted(account("a")));
    assert_eq!(work.changes, [Change::CertificateGone(account("a"))]);
    assert_eq!(rotation.next_deadline(), None);
    assert!(rotation.step(START, Event::Unwanted(account("a"))).changes.is_empty());
}

#[test]
fn a_leaf_for_a_forgotten_account_goes_nowhere() {
    let mut rotation = stable(&issuer(START));
    let Work { mut orders, .. } = rotation.step(START, Event::Wanted(account("a")));
    let order = orders.pop().unwrap();
    let work = rotation.step(START, Event::Unwanted(account("a")));
    assert!(work.changes.is_empty(), "the world never heard of it");
    assert!(!rotation.awaits(&order));
    let leaf = fulfil(&order);
    assert!(rotation.step(START, Event::Issued(order, leaf)).changes.is_empty());
    assert_eq!(rotation.held(), 0);
}

#[test]
fn leaves_made_together_are_renewed_apart_and_never_late() {
    let deadlines = |seed| {
        let policy = LeafPolicy { jitter_seed: seed, ..LeafPolicy::default() };
        let mut rotation = Rotation::new(policy, Roots::Stable(issuer(START)));
        for i in 0..500 {
            want(&mut rotation, START, &format!("a{i}"));
        }
        rotation.due.iter().map(|(due, _)| *due).collect::<Vec<_>>()
    };
    let times = deadlines(1);
    let third = DAY / 3;
    let latest = START + DAY - third;
    assert!(times.iter().all(|due| (latest - third / 10..=latest).contains(due)));
    assert!(times.iter().collect::<BTreeSet<_>>().len() > 300, "spread over 2880 seconds");
    assert!(times[499] - times[0] > third / 20);
    assert_eq!(times, deadlines(1), "the same seed gives the same times");
    assert_ne!(times, deadlines(2));
}

#[test]
fn renewal_happens_at_the_deadline_and_not_before() {
    let mut rotation = stable(&issuer(START));
    want(&mut rotation, START, "a");
    let due = rotation.next_deadline().unwrap();
    assert!(rotation.step(due - 1, Event::Tick).orders.is_empty());
    let work = rotation.step(due, Event::Tick);
    assert_eq!(work.orders.len(), 1);
    settle(&mut rotation, due, work);
    assert_eq!(rotation.leaf(&account("a")).unwrap().not_after, due + DAY);
}

#[test]
fn a_failing_issuer_is_asked_ever_less_often_and_the_leaf_is_kept() {
    let mut rotation = stable(&issuer(START));
    want(&mut rotation, START, "a");
    let mut now = rotation.next_deadline().unwrap();
    let mut orders = rotation.step(now, Event::Tick).orders;
    let mut waits = Vec::new();
    for attempt in 1..=9 {
        let work = rotation.step(now, Event::Failed(orders.pop().unwrap(), broken()));
        assert!(work.changes.is_empty() && work.orders.is_empty());
        let [failure] = &work.failures[..] else { panic!("{work:?}") };
        assert_eq!((failure.attempts, failure.holds_until), (attempt, Some(START + DAY)));
        assert_eq!(rotation.next_deadline(), Some(failure.retry_at));
        waits.push(failure.retry_at - now);
        now = failure.retry_at;
        orders = rotation.step(now, Event::Tick).orders;
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    // Kept even when it has expired: the account is no better off without.
    let expired = START + 2 * DAY;
    let work = rotation.step(expired, Event::Failed(orders.pop().unwrap(), broken()));
    assert!(work.changes.is_empty());
    let work = rotation.step(expired + 60, Event::Tick);
    settle(&mut rotation, expired + 60, work);
    assert_eq!(rotation.leaf(&account("a")).unwrap().not_after, expired + 60 + DAY);
    let orders = rotation.step(expired + 60, Event::RenewAll).orders;
    let work = rotation.step(expired + 60, Event::Failed(orders[0].clone(), broken()));
    assert_eq!(work.failures[0].attempts, 1, "a success starts the count again");
}

#[test]
fn answers_that_do_not_fit_are_failures() {
    let mut rotation = stable(&issuer(START));
    for spoil in [(|leaf: &mut Leaf| leaf.account = account("b")) as fn(&mut Leaf), |leaf| leaf.not_after = START - 1] {
        let order = rotation.step(START, Event::Wanted(account("a"))).orders.remove(0);
        let mut leaf = fulfil(&order);
        spoil(&mut leaf);
        let work = rotation.step(START, Event::Issued(order, leaf));
        assert!(matches!(work.failures[..], [Failure { error: IssueError::Unusable(_), .. }]));
        assert!(work.changes.is_empty() && work.orders.is_empty(), "no busy loop");
        let _ = rotation.step(START, Event::Unwanted(account("a")));
    }
}

#[test]
fn a_clock_that_jumps_ahead_by_days_renews_all_at_once() {
    let mut rotation = stable(&issuer(START));
    ["a", "b", "c"].iter().for_each(|name| want(&mut rotation, START, name));
    let later = START + 12 * DAY;
    // Any event will do.
    let work = rotation.step(later, Event::Unwanted(account("nobody")));
    assert_eq!(work.orders.len(), 3);
    assert_eq!(settle(&mut rotation, later, work).len(), 3);
    assert!(rotation.accounts.values().all(|entry| entry.held.as_ref().unwrap().leaf.not_after == later + DAY));
}

#[test]
fn a_clock_that_is_set_back_replaces_leaves_of_the_future() {
    let mut rotation = stable(&issuer(START));
    want(&mut rotation, START, "old");
    want(&mut rotation, START + 30, "a");
    let order = rotation.step(START + 3_000, Event::Wanted(account("late"))).orders.remove(0);
    want(&mut rotation, START + 3_000, "b");
    let work = rotation.step(START + 10, Event::Tick);
    assert_eq!(work.orders.iter().map(|order| &*order.request.account.name).collect::<Vec<_>>(), ["b"]);
    settle(&mut rotation, START + 10, work);
    assert_eq!(rotation.leaf(&account("b")).unwrap().not_before, START - 50);
    // An answer to an order that was placed in the future comes too early; another is ordered.
    let leaf = fulfil(&order);
    let work = rotation.step(START + 10, Event::Issued(order, leaf));
    assert!(work.changes.is_empty() && work.failures.is_empty());
    settle(&mut rotation, START + 10, work);
    assert_eq!(rotation.leaf(&account("late")).unwrap().not_before, START - 50);
}

#[test]
fn renewing_all_and_a_new_policy_replace_every_leaf() {
    let mut rotation = stable(&issuer(START));
    ["a", "b"].iter().for_each(|name| want(&mut rotation, START, name));
    let work = rotation.step(START + 5, Event::RenewAll);
    assert_eq!(work.orders.len(), 2);
    assert!(rotation.step(START + 5, Event::RenewAll).orders.is_empty(), "they are on their way");
    let policy = LeafPolicy { validity: Duration::from_secs(600), ..LeafPolicy::default() };
    let newer = rotation.step(START + 5, Event::Policy(policy));
    assert!(settle(&mut rotation, START + 5, work).is_empty(), "made under the old policy");
    settle(&mut rotation, START + 5, newer);
    assert_eq!(rotation.leaf(&account("b")).unwrap().not_after, START + 605);
}

#[test]
fn root_steps_come_in_order_and_cut_nobody_off() {
    let (old, new) = (issuer(START), issuer(START));
    let mut rotation = stable(&old);
    want(&mut rotation, START, "a");
    let refused = |rotation: &mut Rotation, step| rotation.step_root(START, step).unwrap_err();
    let same = refused(&mut rotation, RootStep::Introduce(old.clone()));
    assert_eq!(same, RotationError::SameRoot);
    assert_eq!(refused(&mut rotation, RootStep::SignWithNext), RotationError::Phase(Phase::Stable));
    assert_eq!(refused(&mut rotation, RootStep::DropPrevious), RotationError::Phase(Phase::Stable));

    let work = rotation.step_root(START, RootStep::Introduce(new.clone())).unwrap();
    assert!(work.orders.is_empty(), "the old root goes on signing");
    let both = TrustBundle { roots_pem: format!("{}{}", old.root_pem(), new.root_pem()).into() };
    assert_eq!(work.changes, [Change::Trust(both)]);
    assert_eq!(refused(&mut rotation, RootStep::Introduce(issuer(START))), RotationError::Phase(Phase::Introduced));
    assert_eq!(refused(&mut rotation, RootStep::DropPrevious), RotationError::Phase(Phase::Introduced));
    let in_flight = rotation.step(START, Event::Wanted(account("b")));

    let work = rotation.step_root(START, RootStep::SignWithNext).unwrap();
    assert!(work.changes.is_empty(), "the bundle stays");
    assert_eq!(work.orders.len(), 2);
    assert_eq!(refused(&mut rotation, RootStep::SignWithNext), RotationError::Phase(Phase::Replacing));
    assert!(settle(&mut rotation, START, in_flight).is_empty(), "no new leaf of the old root");
    assert_eq!(refused(&mut rotation, RootStep::DropPrevious), RotationError::LeavesOfPreviousRoot(1));
    assert_eq!(settle(&mut rotation, START, work).len(), 2);
    assert_eq!(rotation.leaf(&account("b")).unwrap().chain_pem, *new.root_pem());

    let work = rotation.step_root(START, RootStep::DropPrevious).unwrap();
    assert_eq!(work.changes, [Change::Trust(TrustBundle { roots_pem: new.root_pem().clone() })]);
    assert!(work.orders.is_empty());
}

#[test]
fn an_unwanted_account_does_not_hold_the_old_root() {
    let mut rotation = stable(&issuer(START));
    want(&mut rotation, START, "a");
    let _ = rotation.step_root(START, RootStep::Introduce(issuer(START))).unwrap();
    let _ = rotation.step_root(START, RootStep::SignWithNext).unwrap();
    let _ = rotation.step(START, Event::Unwanted(account("a")));
    assert!(rotation.step_root(START, RootStep::DropPrevious).is_ok());
}

#[test]
fn stored_roots_come_back_in_the_same_phase() {
    let (old, new) = (issuer(START), issuer(START));
    let mut roots = Roots::Stable(old.clone());
    for step in 0..3 {
        let text = roots.to_pem().unwrap();
        let again = Roots::from_pem(text.expose()).unwrap();
        assert_eq!(again.phase(), roots.phase());
        assert_eq!(again.bundle(), roots.bundle());
        assert_eq!(again.signing().root_pem(), roots.signing().root_pem());
        assert_eq!(again.to_pem().unwrap(), text);
        roots = if step == 0 { roots.introduce(new.clone()) } else { roots.sign_with_next() }.unwrap_or(roots);
    }
    assert_eq!(roots.phase(), Phase::Replacing);
    let text = roots.to_pem().unwrap();
    for (from, to) in [("replacing", "stable"), ("replacing", "elsewhere"), ("root-rotation: ", "")] {
        let spoiled = text.expose().replacen(from, to, 1);
        assert_eq!(Roots::from_pem(&spoiled).unwrap_err(), crate::ca::StoreError::Phase);
    }
}

#[test]
fn the_validity_of_a_mesh_config_has_a_floor() {
    let validity = |written: Option<&str>| {
        let span = written.map(|text| crate::api::duration::Span::parse(text).unwrap());
        let spec =
            crate::api::mesh_config::CertificateSpec { service_cert_validity_duration: span, ..Default::default() };
        LeafPolicy::of(&spec).validity.as_secs()
    };
    assert_eq!([validity(None), validity(Some("1m")), validity(Some("1h"))], [86_400, 600, 3600]);
}

#[test]
fn a_root_that_was_introduced_can_be_withdrawn_and_the_previous_one_can_sign_again() {
    let (old, new) = (issuer(START), issuer(START));
    let mut rotation = stable(&old);
    ["a", "b"].iter().for_each(|name| want(&mut rotation, START, name));
    let _ = rotation.step_root(START, RootStep::Introduce(new.clone())).unwrap();
    let work = rotation.step_root(START, RootStep::Withdraw).unwrap();
    assert_eq!(work.changes, [Change::Trust(TrustBundle { roots_pem: old.root_pem().clone() })]);
    assert!(work.orders.is_empty());
    assert!(rotation.step_root(START, RootStep::Withdraw).is_err());
    assert!(rotation.step_root(START, RootStep::SignWithPrevious).is_err());

    let _ = rotation.step_root(START, RootStep::Introduce(new.clone())).unwrap();
    let mut work = rotation.step_root(START, RootStep::SignWithNext).unwrap();
    let (done, late) = (work.orders.remove(0), work.orders.remove(0));
    let leaf = fulfil(&done);
    let _ = rotation.step(START, Event::Issued(done, leaf));
    // One leaf is of the new root, one still of the old one.
    assert_eq!(rotation.previous_leaves(), 1);
    let work = rotation.step_root(START, RootStep::SignWithPrevious).unwrap();
    assert_eq!((rotation.previous_leaves(), work.orders.len()), (1, 2));
    assert!(!rotation.awaits(&late), "no new leaf of the root that signs no more");
    settle(&mut rotation, START, work);
    assert_eq!(rotation.previous_leaves(), 0);
    assert_eq!(rotation.leaf(&account("a")).unwrap().chain_pem, *old.root_pem());
    let work = rotation.step_root(START, RootStep::DropPrevious).unwrap();
    assert_eq!(work.changes, [Change::Trust(TrustBundle { roots_pem: old.root_pem().clone() })]);
}
