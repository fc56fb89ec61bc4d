//! The state machine that keeps certificates fresh. No IO, no clock: time comes in, work comes out.

mod timing;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub use timing::{LeafPolicy, SHORTEST_VALIDITY};

use super::{
    issuer::{IssueError, Issuer, LeafRequest},
    roots::{Phase, Roots},
};
use crate::{
    model::{Leaf, ServiceAccount, TrustBundle},
    world::Change,
};

/// Which accounts need a leaf, the leaves they hold, and the roots.
///
/// Every account has either an order in flight or a time when the next one is due.
#[derive(Debug)]
pub struct Rotation {
    policy: LeafPolicy,
    roots: Roots<Arc<dyn Issuer>>,
    accounts: BTreeMap<ServiceAccount, Entry>,
    /// The accounts without an order, by the time when the next one is due.
    due: BTreeSet<(i64, ServiceAccount)>,
    next_order: u64,
    /// Leaves held that the previous root signed.
    previous_leaves: usize,
    /// Accounts that hold a leaf.
    held: usize,
    /// The latest time seen, to notice a clock that was set back.
    seen: i64,
}

/// Something that happened. Root steps are apart ([`Rotation::step_root`]), because they can be refused.
#[derive(Clone, Debug)]
pub enum Event {
    /// The account has workloads. Telling twice is harmless.
    Wanted(ServiceAccount),
    /// The account has no workload any more.
    Unwanted(ServiceAccount),
    /// Time has passed.
    Tick,
    /// Every leaf is to be replaced now.
    RenewAll,
    /// Leaves are now to be made like this; all are replaced.
    Policy(LeafPolicy),
    /// An order was fulfilled.
    Issued(Order, Leaf),
    /// An order failed.
    Failed(Order, IssueError),
}

/// A step of the rotation of the root.
#[derive(Clone, Debug)]
pub enum RootStep {
    /// Trust this root too.
    Introduce(Arc<dyn Issuer>),
    /// Sign with the root that was introduced, and issue every leaf again.
    SignWithNext,
    /// Trust the previous root no more.
    DropPrevious,
    /// Trust the root that was introduced no more. It has signed nothing yet, so nobody is cut off.
    Withdraw,
    /// Sign with the previous root again, and issue every leaf again. All trust both, so nobody is cut off.
    SignWithPrevious,
}

/// What is to be done next.
#[derive(Debug, Default)]
#[must_use = "work that is not done leaves accounts without certificates"]
pub struct Work {
    /// Leaves to have issued. Each is answered with [`Event::Issued`] or [`Event::Failed`], in any order.
    pub orders: Vec<Order>,
    /// What the world must hear, in this order.
    pub changes: Vec<Change>,
    /// Orders that failed. The account keeps the leaf that it has, even an expired one, and is tried again.
    pub failures: Vec<Failure>,
}

/// A leaf to have issued.
#[derive(Clone, Debug)]
pub struct Order {
    id: u64,
    placed: i64,
    /// Who is to sign it.
    pub issuer: Arc<dyn Issuer>,
    /// What it is to say.
    pub request: LeafRequest,
}

/// An order that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whose leaf it was.
    pub account: ServiceAccount,
    /// Why.
    pub error: IssueError,
    /// How many times in a row, from 1.
    pub attempts: u32,
    /// When it is tried again, in seconds since the Unix epoch.
    pub retry_at: i64,
    /// Last second of the leaf that the account holds meanwhile, if any.
    pub holds_until: Option<i64>,
}

/// Why a root step was refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// Steps come in order.
    #[error("this step cannot follow phase {0:?}: introduce the next root, sign with it, drop the previous one")]
    Phase(Phase),
    /// The root is already trusted.
    #[error("this root is already in use: generate another")]
    SameRoot,
    /// Someone would be cut off.
    #[error("{0} leaves are still signed by the previous root: wait until they are replaced")]
    LeavesOfPreviousRoot(usize),
}

#[derive(Debug, Default)]
struct Entry {
    held: Option<Held>,
    order: Option<u64>,
    due: Option<i64>,
    /// Counts the leaves issued, so that each gets another jitter.
    generation: u64,
    failures: u32,
}

#[derive(Debug)]
struct Held {
    leaf: Arc<Leaf>,
    of_previous: bool,
}

impl Rotation {
    /// Starts with these roots and without accounts. Tell the world of [`Rotation::bundle`] first.
    pub fn new(policy: LeafPolicy, roots: Roots<Arc<dyn Issuer>>) -> Self {
        Self {
            policy,
            roots,
            accounts: BTreeMap::new(),
            due: BTreeSet::new(),
            next_order: 0,
            previous_leaves: 0,
            held: 0,
            seen: i64::MIN,
        }
    }

    /// What workloads trust now.
    pub fn bundle(&self) -> TrustBundle {
        self.roots.bundle()
    }

    /// The roots in force.
    pub fn roots(&self) -> &Roots<Arc<dyn Issuer>> {
        &self.roots
    }

    /// When the next [`Event::Tick`] is needed at the latest, in seconds since the Unix epoch.
    pub fn next_deadline(&self) -> Option<i64> {
        self.due.first().map(|(due, _)| *due)
    }

    /// The leaf that the account holds.
    pub fn leaf(&self, account: &ServiceAccount) -> Option<&Arc<Leaf>> {
        self.accounts.get(account)?.held.as_ref().map(|held| &held.leaf)
    }

    /// How many accounts are wanted.
    pub fn wanted(&self) -> usize {
        self.accounts.len()
    }

    /// How many accounts hold a leaf.
    pub fn held(&self) -> usize {
        self.held
    }

    /// How many orders are in flight.
    pub fn in_flight(&self) -> usize {
        self.accounts.len() - self.due.len()
    }

    /// How many leaves are still signed by the previous root.
    pub fn previous_leaves(&self) -> usize {
        self.previous_leaves
    }

    /// Whether the answer to this order still matters: it does not if the account is gone or the order was placed again.
    pub fn awaits(&self, order: &Order) -> bool {
        self.accounts.get(&order.request.account).is_some_and(|entry| entry.order == Some(order.id))
    }

    /// Takes an event in at `now` (seconds since the Unix epoch) and says what is to be done.
    pub fn step(&mut self, now: i64, event: Event) -> Work {
        let mut work = Work::default();
        match event {
            Event::Wanted(account) => {
                if !self.accounts.contains_key(&account) {
                    self.accounts.insert(account.clone(), Entry::default());
                    self.place(now, &account, &mut work);
                }
            }
            Event::Unwanted(account) => self.forget(&account, &mut work),
            Event::Tick => {}
            Event::RenewAll => self.place_all(now, |entry| entry.order.is_none(), &mut work),
            Event::Policy(policy) => {
                self.policy = policy;
                self.place_all(now, |_| true, &mut work);
            }
            Event::Issued(order, leaf) => self.take(now, order, leaf, &mut work),
            Event::Failed(order, error) => self.fail(now, &order, error, &mut work),
        }
        self.place_due(now, &mut work);
        work
    }

    /// Takes a step of the root's rotation at `now` (seconds since the Unix epoch).
    ///
    /// # Errors
    /// [`RotationError`] if it is not the turn of this step, or a workload would be cut off.
    pub fn step_root(&mut self, now: i64, step: RootStep) -> Result<Work, RotationError> {
        let mut work = Work::default();
        match step {
            RootStep::Introduce(next) => {
                if self.roots.trusted().any(|root| root.root_pem() == next.root_pem()) {
                    return Err(RotationError::SameRoot);
                }
                self.roots = self.roots.introduce(next)?;
                work.changes.push(Change::Trust(self.bundle()));
            }
            RootStep::SignWithNext => {
                self.roots = self.roots.sign_with_next()?;
                self.replace_all(now, |_| true, &mut work);
            }
            RootStep::SignWithPrevious => {
                self.roots = self.roots.sign_with_previous()?;
                self.replace_all(now, |of_previous| !of_previous, &mut work);
                work.changes.push(Change::Trust(self.bundle()));
            }
            RootStep::Withdraw => {
                self.roots = self.roots.withdraw_next()?;
                work.changes.push(Change::Trust(self.bundle()));
            }
            RootStep::DropPrevious => {
                let roots = self.roots.drop_previous()?;
                if self.previous_leaves > 0 {
                    return Err(RotationError::LeavesOfPreviousRoot(self.previous_leaves));
                }
                self.roots = roots;
                work.changes.push(Change::Trust(self.bundle()));
            }
        }
        self.place_due(now, &mut work);
        Ok(work)
    }

    /// Another root signs from now on. `of_previous` tells whether the root that is now the previous one has signed a leaf,
    /// by whether the one before had.
    fn replace_all(&mut self, now: i64, of_previous: fn(bool) -> bool, work: &mut Work) {
        self.previous_leaves = 0;
        for held in self.accounts.values_mut().filter_map(|entry| entry.held.as_mut()) {
            held.of_previous = of_previous(held.of_previous);
            self.previous_leaves += usize::from(held.of_previous);
        }
        // Orders in flight are placed again: their leaves would come from the previous root.
        self.place_all(now, |_| true, work);
    }

    fn place_due(&mut self, now: i64, work: &mut Work) {
        if now < self.seen {
            // The clock was set back: leaves that start in the future are worth nothing now, and retries may lie far off.
            let unusable = |entry: &Entry| {
                entry.order.is_none() && entry.held.as_ref().is_none_or(|held| held.leaf.not_before > now)
            };
            self.place_all(now, unusable, work);
        }
        self.seen = now;
        while let Some((_, account)) = self.due.first().filter(|(due, _)| *due <= now).cloned() {
            self.place(now, &account, work);
        }
    }

    fn place_all(&mut self, now: i64, which: impl Fn(&Entry) -> bool, work: &mut Work) {
        let accounts: Vec<_> =
            self.accounts.iter().filter(|(_, entry)| which(entry)).map(|(account, _)| account.clone()).collect();
        for account in accounts {
            self.place(now, &account, work);
        }
    }

    fn place(&mut self, now: i64, account: &ServiceAccount, work: &mut Work) {
        let Some(entry) = self.accounts.get_mut(account) else { return };
        if let Some(due) = entry.due.take() {
            self.due.remove(&(due, account.clone()));
        }
        let id = self.next_order;
        self.next_order += 1;
        entry.order = Some(id);
        let request = self.policy.request(account.clone(), now);
        work.orders.push(Order { id, placed: now, issuer: self.roots.signing().clone(), request });
    }

    /// The entry that waits for this order, if any does.
    fn awaiting(&mut self, order: &Order) -> Option<&mut Entry> {
        self.accounts.get_mut(&order.request.account).filter(|entry| entry.order == Some(order.id))
    }

    fn take(&mut self, now: i64, order: Order, leaf: Leaf, work: &mut Work) {
        if leaf.account != order.request.account || leaf.not_after <= now {
            let reason = format!("a leaf of {} that ends at {} (Unix time)", leaf.account, leaf.not_after);
            return self.fail(now, &order, IssueError::Unusable(reason), work);
        }
        if order.placed > now && leaf.not_before > now && self.awaits(&order) {
            // The clock was set back meanwhile: nobody would accept this leaf yet.
            return self.place(now, &leaf.account, work);
        }
        let policy = self.policy.clone();
        let Some(entry) = self.awaiting(&order) else { return };
        entry.generation += 1;
        entry.failures = 0;
        let due = policy.renew_at(&leaf, order.placed, entry.generation);
        let leaf = Arc::new(leaf);
        work.changes.push(Change::Certificate(leaf.clone()));
        let old = entry.held.replace(Held { leaf, of_previous: false });
        self.held += usize::from(old.is_none());
        self.previous_leaves -= usize::from(old.is_some_and(|old| old.of_previous));
        // At least a second from now: no issuer of very short leaves can keep us busy.
        self.schedule(order.request.account, due.max(now + 1));
    }

    fn fail(&mut self, now: i64, order: &Order, error: IssueError, work: &mut Work) {
        let policy = self.policy.clone();
        let Some(entry) = self.awaiting(order) else { return };
        entry.failures = entry.failures.saturating_add(1);
        let retry_at = now.saturating_add(policy.backoff(entry.failures));
        let account = order.request.account.clone();
        work.failures.push(Failure {
            account: account.clone(),
            error,
            attempts: entry.failures,
            retry_at,
            holds_until: entry.held.as_ref().map(|held| held.leaf.not_after),
        });
        self.schedule(account, retry_at);
    }

    fn schedule(&mut self, account: ServiceAccount, due: i64) {
        if let Some(entry) = self.accounts.get_mut(&account) {
            entry.order = None;
            entry.due = Some(due);
            self.due.insert((due, account));
        }
    }

    fn forget(&mut self, account: &ServiceAccount, work: &mut Work) {
        let Some(entry) = self.accounts.remove(account) else { return };
        if let Some(due) = entry.due {
            self.due.remove(&(due, account.clone()));
        }
        if let Some(held) = entry.held {
            self.held -= 1;
            self.previous_leaves -= usize::from(held.of_previous);
            work.changes.push(Change::CertificateGone(account.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
