//! The driver of [`Succession`]: opens issuers, waits for proxies, takes steps, and tells what became of it.

use std::{collections::BTreeMap, fmt, sync::Arc};

use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use super::{MrcStatus, Objects, Spread, Step, Succession};
use crate::{
    ca::{
        Authority, Clock, IssueError, Issuer, LeafPolicy, RootStep, Roots,
        provider::{Open, OpenError},
    },
    model::{ObjectName, TrustDomain},
    world::Change,
};

/// Who hears of certificates and roots, and knows how far they have spread.
pub trait Mesh: Send + Sync {
    /// Takes changes in. Returns when they are published to the proxies.
    fn apply(&self, changes: Vec<Change>) -> BoxFuture<'_, ()>;

    /// Returns when every proxy, of all replicas, has acknowledged what was applied so far; not before. Cancel safe.
    fn acknowledged(&self) -> BoxFuture<'_, ()>;

    /// Returns when all that is apart from proxies, such as the ingress gateway's Secret, has followed these roots.
    fn followed<'a>(&'a self, roots: &'a Roots<Arc<dyn Issuer>>) -> BoxFuture<'a, ()>;
}

/// What the driver works with.
pub struct Parts {
    /// Opens issuers.
    pub open: Arc<dyn Open>,
    /// Hears of certificates and roots.
    pub mesh: Arc<dyn Mesh>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// How leaves are made. The trust domain is that of the MeshRootCertificate.
    pub policy: watch::Receiver<LeafPolicy>,
    /// All MeshRootCertificates, now and from now on. Nothing is done while it is `None`.
    pub objects: watch::Receiver<Option<Objects>>,
    /// Whether the ingress gateway has a certificate; for status.
    pub gateway: bool,
}

/// The running succession. It ends when the sender of objects is dropped.
#[derive(Clone, Debug)]
pub struct Running {
    /// The authority; `None` until the first root is open.
    pub authority: watch::Receiver<Option<Authority>>,
    /// The roots in force, with their issuers.
    pub roots: watch::Receiver<Option<Roots<Arc<dyn Issuer>>>>,
    /// The domain of all identities, of the root that signs. It does not change once it is known.
    pub trust_domain: watch::Receiver<Option<TrustDomain>>,
    /// What each object is to be told.
    pub status: watch::Receiver<BTreeMap<ObjectName, MrcStatus>>,
}

/// Wait before a step that failed is tried again, in seconds.
const RETRY: i64 = 5;

/// Changes handed on at a time.
const AT_A_TIME: usize = 1024;

struct Driver {
    parts: Parts,
    succession: Succession,
    changes: (mpsc::UnboundedSender<Change>, mpsc::UnboundedReceiver<Change>),
    authority: watch::Sender<Option<Authority>>,
    roots: watch::Sender<Option<Roots<Arc<dyn Issuer>>>>,
    trust_domain: watch::Sender<Option<TrustDomain>>,
    status: watch::Sender<BTreeMap<ObjectName, MrcStatus>>,
    retry_at: Option<i64>,
}

/// Starts the succession. Call inside a Tokio runtime.
pub fn start(parts: Parts) -> Running {
    let (authority, authority_out) = watch::channel(None);
    let (roots, roots_out) = watch::channel(None);
    let (trust_domain, domain_out) = watch::channel(None);
    let (status, status_out) = watch::channel(BTreeMap::new());
    let (succession, changes) = (Succession::default(), mpsc::unbounded_channel());
    let driver = Driver { parts, succession, changes, authority, roots, trust_domain, status, retry_at: None };
    tokio::spawn(driver.run());
    Running { authority: authority_out, roots: roots_out, trust_domain: domain_out, status: status_out }
}

/// What woke the driver.
enum Woken {
    Objects,
    Policy,
    Changes(Vec<Change>),
    /// The next step's time has come.
    Step,
    /// A step that failed may be tried again.
    Retry,
    /// The last certificate of the previous root is replaced.
    Retell,
    /// Nobody will ask for anything any more.
    End,
}

impl Driver {
    async fn run(mut self) {
        self.parts.objects.mark_changed();
        loop {
            self.tell();
            match self.wait().await {
                Woken::Objects => {
                    let objects = self.parts.objects.borrow_and_update().clone();
                    if let Some(objects) = objects {
                        self.succession.set(objects);
                        self.retry_at = None;
                    }
                }
                Woken::Policy => self.follow_policy().await,
                Woken::Changes(changes) => self.parts.mesh.apply(changes).await,
                Woken::Step => self.step().await,
                Woken::Retell => {}
                Woken::Retry => self.retry_at = None,
                Woken::End => return,
            }
        }
    }

    async fn wait(&mut self) -> Woken {
        let ready = ready(&self.succession, &self.parts, &self.authority, &self.roots, self.retry_at);
        let (clock, retry_at) = (&self.parts.clock, self.retry_at);
        let retry = async {
            match retry_at {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let (objects, policy) = (&mut self.parts.objects.clone(), &mut self.parts.policy.clone());
        let mut changes = Vec::new();
        let replaced = replaced(self.authority.borrow().clone());
        tokio::select! {
            // What has been sent is applied before anyone asks whether it was acknowledged.
            biased;
            seen = objects.changed() => if seen.is_ok() { Woken::Objects } else { Woken::End },
            _ = self.changes.1.recv_many(&mut changes, AT_A_TIME) => Woken::Changes(changes),
            Ok(()) = policy.changed() => Woken::Policy,
            () = ready => Woken::Step,
            () = replaced => Woken::Retell,
            () = retry => Woken::Retry,
        }
    }

    async fn step(&mut self) {
        let Some(step) = self.succession.next() else { return };
        match self.take(&step).await {
            Ok(()) => {
                tracing::info!(?step, "the roots have moved on");
                // It was the turn of this step: the authority has just taken it.
                if let Err(error) = self.succession.taken(&step) {
                    tracing::error!(%error, ?step, "a step came out of turn");
                }
            }
            Err(why) => {
                tracing::warn!(?step, why, "the roots could not move on");
                self.succession.failed(step, why);
                self.retry_at = Some(self.parts.clock.now().saturating_add(RETRY));
            }
        }
    }

    async fn take(&mut self, step: &Step) -> Result<(), String> {
        let root_step = match step {
            Step::Start(names) => return self.start(names).await,
            Step::Introduce(name) => RootStep::Introduce(self.open(name).await.map_err(|error| error.to_string())?),
            Step::SignWithNext => RootStep::SignWithNext,
            Step::SignWithPrevious => RootStep::SignWithPrevious,
            Step::Withdraw => RootStep::Withdraw,
            Step::DropPrevious => RootStep::DropPrevious,
        };
        let authority = self.authority.borrow().clone().ok_or("the authority has not started")?;
        authority.step_root(root_step).await.map_err(|error| error.to_string())?;
        self.roots.send_replace(authority.roots().await.ok());
        Ok(())
    }

    async fn start(&mut self, names: &Roots<ObjectName>) -> Result<(), String> {
        let told = |name: &ObjectName, error: OpenError| format!("{name}: {error}");
        let mut open = BTreeMap::new();
        for name in names.trusted() {
            open.insert(name.clone(), self.open(name).await.map_err(|error| told(name, error))?);
        }
        let issuer = |name: &ObjectName| open.get(name).cloned().ok_or("an issuer is missing");
        let roots = match names {
            Roots::Stable(current) => Roots::Stable(issuer(current)?),
            Roots::Introduced { current, next } => Roots::Introduced { current: issuer(current)?, next: issuer(next)? },
            Roots::Replacing { previous, current } => {
                Roots::Replacing { previous: issuer(previous)?, current: issuer(current)? }
            }
        };
        let (clock, changes) = (self.parts.clock.clone(), self.changes.0.clone());
        let policy = self.policy(names.signing());
        self.trust_domain.send_replace(Some(policy.trust_domain.clone()));
        let authority = Authority::start(policy, roots.clone(), clock, changes);
        self.roots.send_replace(Some(roots));
        self.authority.send_replace(Some(authority));
        Ok(())
    }

    /// Opens an issuer. That may take a minute; certificates that are renewed meanwhile go on their way.
    async fn open(&mut self, name: &ObjectName) -> Result<Arc<dyn Issuer>, OpenError> {
        let gone = || IssueError::Failed(format!("{name} is gone"));
        let spec = self.succession.spec(name).cloned().ok_or_else(gone)?;
        let (open, mesh) = (self.parts.open.clone(), self.parts.mesh.clone());
        let mut opening = open.open(&spec);
        let mut changes = Vec::new();
        loop {
            tokio::select! {
                opened = &mut opening => return opened,
                _ = self.changes.1.recv_many(&mut changes, AT_A_TIME) => {
                    mesh.apply(std::mem::take(&mut changes)).await;
                }
            }
        }
    }

    fn policy(&self, signing: &ObjectName) -> LeafPolicy {
        let policy = self.parts.policy.borrow().clone();
        match self.succession.spec(signing) {
            Some(spec) => LeafPolicy { trust_domain: spec.trust_domain(), ..policy },
            None => policy,
        }
    }

    async fn follow_policy(&mut self) {
        self.parts.policy.borrow_and_update();
        let authority = self.authority.borrow().clone();
        if let (Some(authority), Some(roots)) = (authority, self.succession.roots()) {
            let policy = self.policy(roots.signing());
            if let Err(error) = authority.set_policy(policy).await {
                tracing::error!(%error, "the validity of certificates has not changed");
            }
        }
    }

    /// Publishes status, if it differs.
    fn tell(&self) {
        let authority = self.authority.borrow().clone();
        let leaves_of_previous = authority.map_or(0, |authority| authority.status().borrow().previous_leaves);
        let waiting = match self.succession.next() {
            None => None,
            Some(Step::DropPrevious) => Some("every proxy to have acknowledged its new certificate"),
            Some(_) => Some("every proxy to have acknowledged the roots"),
        };
        let spread = Spread { leaves_of_previous, waiting, gateway: self.parts.gateway };
        let report = self.succession.report(&spread);
        self.status.send_if_modified(|told| {
            *told != report && {
                *told = report;
                true
            }
        });
    }
}

/// Returns when the next step may be taken: what the one before has brought has reached every proxy.
fn ready<'a>(
    succession: &Succession,
    parts: &'a Parts,
    authority: &watch::Sender<Option<Authority>>,
    roots: &watch::Sender<Option<Roots<Arc<dyn Issuer>>>>,
    retry_at: Option<i64>,
) -> BoxFuture<'a, ()> {
    let step = succession.next().filter(|_| retry_at.is_none());
    let authority = authority.borrow().clone();
    let roots = roots.borrow().clone();
    let mesh = parts.mesh.clone();
    Box::pin(async move {
        match (step, authority) {
            (None, _) => std::future::pending().await,
            // Nobody is cut off by these, whatever has arrived.
            (Some(Step::Start(_) | Step::Withdraw | Step::SignWithPrevious), _) | (_, None) => {}
            (Some(Step::DropPrevious), Some(authority)) => {
                // An authority that has ended takes no step either.
                let mut status = authority.status();
                let _ = status.wait_for(|status| status.previous_leaves == 0).await;
                settle(&*mesh, roots.as_ref()).await;
            }
            (Some(Step::Introduce(_) | Step::SignWithNext), Some(_)) => settle(&*mesh, roots.as_ref()).await,
        }
    })
}

/// Returns when the last certificate of the previous root is replaced; never, if there is none.
async fn replaced(authority: Option<Authority>) {
    let Some(authority) = authority else { return std::future::pending().await };
    let mut status = authority.status();
    if status.borrow().previous_leaves == 0 || status.wait_for(|status| status.previous_leaves == 0).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn settle(mesh: &dyn Mesh, roots: Option<&Roots<Arc<dyn Issuer>>>) {
    // The changes behind what we wait for may still be on their way to us: let the others be looked at first.
    tokio::task::yield_now().await;
    if let Some(roots) = roots {
        mesh.followed(roots).await;
    }
    mesh.acknowledged().await;
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("clock", &self.clock).finish_non_exhaustive()
    }
}
