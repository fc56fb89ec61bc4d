//! The driver of [`Rotation`]: sleeps on the clock, lets issuers work, and sends what changed.

use std::{
    collections::{BTreeMap, VecDeque},
    panic::AssertUnwindSafe,
    sync::Arc,
};

use futures::FutureExt as _;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

use super::{
    clock::Clock,
    issuer::{IssueError, Issuer},
    roots::{Phase, Roots},
    rotation::{Event, Failure, LeafPolicy, Order, RootStep, Rotation, RotationError, Work},
};
use crate::{
    model::{Leaf, ServiceAccount},
    world::Change,
};

/// The running certificate authority of a mesh. Clones steer the same one; it ends when the last is dropped.
///
/// Every method returns once the authority has taken the matter up, not once leaves are issued: for that, wait on
/// [`Authority::status`].
#[derive(Clone, Debug)]
pub struct Authority {
    commands: mpsc::UnboundedSender<Command>,
    status: watch::Receiver<Status>,
}

/// Where the authority stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// How far the rotation of the root has come.
    pub phase: Phase,
    /// Accounts that need a leaf.
    pub wanted: usize,
    /// Accounts that hold one.
    pub held: usize,
    /// Leaves being issued.
    pub in_flight: usize,
    /// Leaves that the previous root signed.
    pub previous_leaves: usize,
    /// When the next leaf is due, in seconds since the Unix epoch.
    pub due: Option<i64>,
    /// Accounts whose last order failed. They keep the leaf that they have and are tried again.
    pub failing: BTreeMap<ServiceAccount, Failure>,
}

/// The authority has ended: nobody takes its changes any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the certificate authority has ended")]
pub struct AuthorityGone;

/// Why a root step was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// It was refused; nothing has changed.
    #[error(transparent)]
    Refused(#[from] RotationError),
    /// Nobody was there to take it.
    #[error(transparent)]
    Gone(#[from] AuthorityGone),
}

#[derive(Debug)]
enum Command {
    Event(Event, oneshot::Sender<()>),
    Root(RootStep, oneshot::Sender<Result<(), RotationError>>),
    Roots(oneshot::Sender<Roots<Arc<dyn Issuer>>>),
}

struct Driver {
    clock: Arc<dyn Clock>,
    rotation: Rotation,
    waiting: VecDeque<Order>,
    running: JoinSet<(Order, Result<Leaf, IssueError>)>,
    changes: mpsc::UnboundedSender<Change>,
    status: watch::Sender<Status>,
}

/// Orders worked on at a time: keeps every core busy, and a remote issuer alive.
const AT_A_TIME: usize = 32;

impl Authority {
    /// Starts with these roots, without accounts. The first change sent is the trust bundle. Call inside a Tokio
    /// runtime.
    pub fn start(
        policy: LeafPolicy,
        roots: Roots<Arc<dyn Issuer>>,
        clock: Arc<dyn Clock>,
        changes: mpsc::UnboundedSender<Change>,
    ) -> Self {
        let rotation = Rotation::new(policy, roots);
        // A receiver that is gone already is noticed with the next change.
        let _ = changes.send(Change::Trust(rotation.bundle()));
        let (commands, inbox) = mpsc::unbounded_channel();
        let (sender, status) = watch::channel(Status::of(&rotation));
        let (waiting, running) = (VecDeque::new(), JoinSet::new());
        tokio::spawn(Driver { clock, rotation, waiting, running, changes, status: sender }.run(inbox));
        Self { commands, status }
    }

    /// The account has workloads: it gets a leaf and keeps a fresh one. Telling twice is harmless.
    ///
    /// # Errors
    /// [`AuthorityGone`].
    pub async fn want(&self, account: ServiceAccount) -> Result<(), AuthorityGone> {
        self.event(Event::Wanted(account)).await
    }

    /// The account has no workload any more.
    ///
    /// # Errors
    /// [`AuthorityGone`].
    pub async fn unwant(&self, account: ServiceAccount) -> Result<(), AuthorityGone> {
        self.event(Event::Unwanted(account)).await
    }

    /// Replaces every leaf now.
    ///
    /// # Errors
    /// [`AuthorityGone`].
    pub async fn renew_all(&self) -> Result<(), AuthorityGone> {
        self.event(Event::RenewAll).await
    }

    /// Makes leaves in another way from now on, and replaces all.
    ///
    /// # Errors
    /// [`AuthorityGone`].
    pub async fn set_policy(&self, policy: LeafPolicy) -> Result<(), AuthorityGone> {
        self.event(Event::Policy(policy)).await
    }

    /// Takes a step of the root's rotation. Call it when every proxy has acknowledged the step before.
    ///
    /// # Errors
    /// [`RootError`] if the step is refused, or the authority has ended.
    pub async fn step_root(&self, step: RootStep) -> Result<(), RootError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Root(step, reply))?;
        Ok(answer.await.map_err(|_| AuthorityGone)??)
    }

    /// The roots in force, to be stored with [`Roots::to_pem`].
    ///
    /// # Errors
    /// [`AuthorityGone`].
    pub async fn roots(&self) -> Result<Roots<Arc<dyn Issuer>>, AuthorityGone> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Roots(reply))?;
        answer.await.map_err(|_| AuthorityGone)
    }

    /// Where the authority stands, now and from now on.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    async fn event(&self, event: Event) -> Result<(), AuthorityGone> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Event(event, reply))?;
        answer.await.map_err(|_| AuthorityGone)
    }

    fn send(&self, command: Command) -> Result<(), AuthorityGone> {
        self.commands.send(command).map_err(|_| AuthorityGone)
    }
}

impl Status {
    /// Whether every wanted account holds a leaf of the signing root and no other is on its way.
    pub fn is_settled(&self) -> bool {
        self.held == self.wanted && self.in_flight == 0 && self.previous_leaves == 0
    }

    fn of(rotation: &Rotation) -> Self {
        Self {
            phase: rotation.roots().phase(),
            wanted: rotation.wanted(),
            held: rotation.held(),
            in_flight: rotation.in_flight(),
            previous_leaves: rotation.previous_leaves(),
            due: rotation.next_deadline(),
            failing: BTreeMap::new(),
        }
    }
}

impl Driver {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Command>) {
        loop {
            while self.running.len() < AT_A_TIME
                && let Some(order) = self.waiting.pop_front()
            {
                if self.rotation.awaits(&order) {
                    self.running.spawn(fulfil(order));
                }
            }
            let (clock, deadline) = (self.clock.clone(), self.rotation.next_deadline());
            let sleep = async {
                match deadline {
                    Some(deadline) => clock.sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return,
                },
                Some(done) = self.running.join_next() => self.finish(done),
                () = sleep => self.step(Event::Tick),
                () = self.changes.closed() => return,
            }
        }
    }

    /// Replies come last: whoever hears one sees its effects in the status.
    fn obey(&mut self, command: Command) {
        match command {
            Command::Event(event, reply) => {
                self.step(event);
                let _ = reply.send(());
            }
            Command::Root(step, reply) => {
                let answer = self.rotation.step_root(self.clock.now(), step).map(|work| self.carry_out(None, work));
                let _ = reply.send(answer);
            }
            Command::Roots(reply) => {
                let _ = reply.send(self.rotation.roots().clone());
            }
        }
    }

    fn finish(&mut self, done: Result<(Order, Result<Leaf, IssueError>), tokio::task::JoinError>) {
        match done {
            Ok((order, Ok(leaf))) => self.step(Event::Issued(order, leaf)),
            Ok((order, Err(error))) => self.step(Event::Failed(order, error)),
            // Panics are caught in `fulfil`; only the end of the runtime comes here.
            Err(error) => tracing::error!(%error, "issuing was cancelled"),
        }
    }

    fn step(&mut self, event: Event) {
        let about = match &event {
            Event::Issued(order, _) => Some(order.request.account.clone()),
            Event::Unwanted(account) => Some(account.clone()),
            _ => None,
        };
        let work = self.rotation.step(self.clock.now(), event);
        self.carry_out(about, work);
    }

    /// `recovered`: an account that fails no more, unless `work` says that it does.
    fn carry_out(&mut self, recovered: Option<ServiceAccount>, work: Work) {
        let Work { orders, changes, failures } = work;
        self.waiting.extend(orders);
        for change in changes {
            // A closed channel ends the loop in `run`.
            let _ = self.changes.send(change);
        }
        for Failure { account, error, attempts, retry_at, holds_until } in &failures {
            tracing::warn!(%account, %error, attempts, retry_at, holds_until, "no certificate was issued");
        }
        let rotation = &self.rotation;
        self.status.send_modify(|status| {
            let mut failing = std::mem::take(&mut status.failing);
            if let Some(account) = recovered {
                failing.remove(&account);
            }
            failing.extend(failures.into_iter().map(|failure| (failure.account.clone(), failure)));
            *status = Status { failing, ..Status::of(rotation) };
        });
    }
}

/// Lets the issuer work. Its panic is a failure of this order, and of no other.
async fn fulfil(order: Order) -> (Order, Result<Leaf, IssueError>) {
    let issuing = AssertUnwindSafe(order.issuer.issue(&order.request)).catch_unwind().await;
    let result = issuing.unwrap_or_else(|_| Err(IssueError::Failed("the issuer panicked".to_owned())));
    (order, result)
}

#[cfg(test)]
mod tests;
