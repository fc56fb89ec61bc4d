//! A simulated month: accounts come and go, issuers are slow and fail, roots are rotated, and nobody is cut off.

use super::*;

#[derive(Clone, Copy, Debug)]
enum Action {
    Want(u8),
    Unwant(u8),
    RenewAll,
    /// The next step of the root's rotation, if it is allowed.
    Root,
    /// Let so many seconds pass.
    Wait(i64),
    /// From now on answers take so many seconds, and every n-th fails.
    Issuer(i64, usize),
}

/// A driver that does as [`crate::ca::Authority`] does, and the world that listens.
struct Month {
    clock: ManualClock,
    rotation: Rotation,
    spare: Vec<Arc<dyn Issuer>>,
    /// Orders, by when they are answered.
    in_flight: Vec<(i64, Order)>,
    delay: i64,
    every: usize,
    answered: usize,
    world: BTreeMap<ServiceAccount, Arc<Leaf>>,
    trusted: TrustBundle,
    trusted_before: TrustBundle,
}

impl Month {
    fn new(validity: u64, seed: u64) -> Self {
        let policy = LeafPolicy { validity: Duration::from_secs(validity), jitter_seed: seed, ..LeafPolicy::default() };
        let root = |_| Arc::new(BuiltinCa::generate(START).unwrap()) as Arc<dyn Issuer>;
        let mut spare: Vec<_> = (0..4).map(root).collect();
        let rotation = Rotation::new(policy, Roots::Stable(spare.pop().unwrap()));
        let trusted = rotation.bundle();
        Self {
            clock: ManualClock::new(START),
            rotation,
            spare,
            in_flight: Vec::new(),
            delay: 0,
            every: usize::MAX,
            answered: 0,
            world: BTreeMap::new(),
            trusted_before: trusted.clone(),
            trusted,
        }
    }

    fn act(&mut self, action: Action) {
        let now = self.clock.now();
        match action {
            Action::Want(i) => self.step(Event::Wanted(account(&format!("a{i}")))),
            Action::Unwant(i) => self.step(Event::Unwanted(account(&format!("a{i}")))),
            Action::RenewAll => self.step(Event::RenewAll),
            Action::Root => {
                let before = self.trusted.clone();
                let step = match self.rotation.roots().phase() {
                    Phase::Stable => self.spare.pop().map(RootStep::Introduce),
                    Phase::Introduced => Some(RootStep::SignWithNext),
                    Phase::Replacing => Some(RootStep::DropPrevious),
                };
                if let Some(work) = step.and_then(|step| self.rotation.step_root(now, step).ok()) {
                    self.trusted_before = before;
                    self.carry_out(work);
                }
            }
            Action::Wait(seconds) => self.wait(now + seconds),
            Action::Issuer(delay, every) => (self.delay, self.every) = (delay, every),
        }
    }

    fn step(&mut self, event: Event) {
        let work = self.rotation.step(self.clock.now(), event);
        self.carry_out(work);
    }

    fn carry_out(&mut self, work: Work) {
        let now = self.clock.now();
        self.in_flight.extend(work.orders.into_iter().map(|order| (now + self.delay, order)));
        for change in work.changes {
            match change {
                Change::Trust(bundle) => self.trusted = bundle,
                Change::Certificate(leaf) => {
                    // Whoever has not heard of the present phase yet must trust it too.
                    assert!(self.trusted_before.roots_pem.contains(&*leaf.chain_pem), "trusted a phase ago");
                    self.world.insert(leaf.account.clone(), leaf);
                }
                Change::CertificateGone(account) => assert!(self.world.remove(&account).is_some()),
                other => panic!("{other:?}"),
            }
        }
        self.check();
    }

    /// Time passes from one thing that is due to the next.
    fn wait(&mut self, until: i64) {
        loop {
            let answer = self.in_flight.iter().map(|(at, _)| *at).min();
            let next = answer.into_iter().chain(self.rotation.next_deadline()).min().unwrap_or(until).min(until);
            let step = u64::try_from(next - self.clock.now()).unwrap_or(0);
            self.clock.advance(Duration::from_secs(step));
            let now = self.clock.now();
            if let Some(at) = self.in_flight.iter().position(|(at, _)| *at <= now) {
                let (_, order) = self.in_flight.swap_remove(at);
                self.answered += 1;
                let fails = self.answered.is_multiple_of(self.every);
                let leaf = fulfil(&order);
                self.step(if fails { Event::Failed(order, broken()) } else { Event::Issued(order, leaf) });
            } else if self.rotation.next_deadline().is_some_and(|due| due <= now) {
                self.step(Event::Tick);
            } else if now >= until {
                return self.check();
            }
        }
    }

    fn check(&self) {
        let now = self.clock.now();
        let signing = self.rotation.roots().signing().root_pem();
        for (account, leaf) in &self.world {
            assert!(leaf.not_before <= now && now < leaf.not_after, "{account} holds an expired leaf at {now}");
            assert!(self.trusted.roots_pem.contains(&*leaf.chain_pem), "{account} holds a leaf that nobody trusts");
            assert_eq!(self.rotation.leaf(account), Some(leaf));
        }
        assert_eq!(self.rotation.held(), self.world.len());
        let previous = self.world.values().filter(|leaf| leaf.chain_pem != *signing).count();
        assert_eq!(self.rotation.previous_leaves(), previous);
        assert_eq!(self.rotation.bundle(), self.trusted);
        let orders = self.rotation.accounts.values().filter(|entry| entry.order.is_some()).count();
        assert_eq!(self.rotation.in_flight(), orders);
    }
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => (0..6u8).prop_map(Action::Want),
        1 => (0..6u8).prop_map(Action::Unwant),
        1 => Just(Action::RenewAll),
        2 => Just(Action::Root),
        4 => (1..2 * DAY).prop_map(Action::Wait),
        2 => (1..100i64).prop_map(Action::Wait),
        // Up to ten minutes, and up to every second one fails.
        1 => (0..600i64, 2..10usize).prop_map(|(delay, every)| Action::Issuer(delay, every)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_is_cut_off(
        actions in prop::collection::vec(action(), 20..60),
        hours in 12..72u64,
        seed: u64,
    ) {
        let mut month = Month::new(hours * 3600, seed);
        for action in actions {
            month.act(action);
        }
        month.wait(START + 30 * DAY);
        // Issuers recover; then the rotation can always be finished.
        month.act(Action::Issuer(0, usize::MAX));
        month.act(Action::Wait(2 * DAY));
        while month.rotation.roots().phase() != Phase::Stable {
            month.act(Action::Root);
            month.act(Action::Wait(1));
        }
        prop_assert_eq!(month.world.len(), month.rotation.wanted());
    }
}
