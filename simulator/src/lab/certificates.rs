//! The certificate authorities of one scenario, on a clock that only moves when a step says so.

use std::{sync::Arc, time::Duration};

use mesh::{
    ca::{
        Authority, AuthorityGone, BuiltinCa, Issuer, KeyType, LeafPolicy, LeafRequest, ManualClock, Phase, RootError,
        RootStep, Roots, StoreError, Validity,
    },
    model::{Leaf, PrivateKey, ServiceAccount, TrustDomain},
    world::Change,
};
use tokio::sync::mpsc;

use crate::scenario::model::Credentials;

/// Issues every certificate of the scenario.
#[derive(Debug)]
pub struct Certificates {
    clock: Arc<ManualClock>,
    policy: LeafPolicy,
    /// `None` while the control plane is down.
    running: Option<Running>,
    /// The roots as the control plane stores them in a Secret.
    stored: PrivateKey,
    /// The same from before the root was replaced last.
    retired: Option<PrivateKey>,
}

#[derive(Debug)]
struct Running {
    authority: Authority,
    changes: mpsc::UnboundedReceiver<Change>,
}

/// An authority does not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A certificate cannot be made.
    #[error("cannot issue a certificate: {0}")]
    Issue(#[from] mesh::ca::IssueError),
    /// The authority has ended.
    #[error(transparent)]
    Gone(#[from] AuthorityGone),
    /// A step of the root's rotation was refused.
    #[error("the root cannot be rotated: {0}")]
    Root(#[from] RootError),
    /// The stored roots cannot be read, or written.
    #[error("the roots' Secret: {0}")]
    Store(#[from] StoreError),
    /// Certificates are not there in time.
    #[error("certificates are not issued after {0:?}: {1}")]
    Late(Duration, String),
    /// A certificate of the root before was asked for, and the root has never been replaced.
    #[error("no root was replaced yet: `retiredRoot` needs `rotateCertificates: root` before it")]
    NoRetiredRoot,
    /// A renewal left a certificate as it was.
    #[error("{0} still has the certificate from before the renewal")]
    NotRenewed(ServiceAccount),
    /// The control plane is down.
    #[error("the control plane is down, and the certificate authority with it")]
    Down,
}

/// The clock of the proxies stands still at real time while the authority's runs ahead; a certificate dated back by this much is
/// valid on both.
const BACKDATE: Duration = Duration::from_secs(400 * 86_400);
const PATIENCE: Duration = Duration::from_secs(10);
const ROOT_VALIDITY: Duration = Duration::from_secs(10 * 365 * 86_400);

impl Certificates {
    /// Starts an authority with a new root.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn start(trust_domain: TrustDomain, seed: u64) -> Result<Self, CertificateError> {
        let clock = Arc::new(ManualClock::at_system_time());
        let policy = LeafPolicy { trust_domain, backdate: BACKDATE, jitter_seed: seed, ..LeafPolicy::default() };
        let roots = Roots::Stable(new_root(&clock)?);
        let stored = roots.to_pem()?;
        let mut certificates = Self { clock, policy, running: None, stored, retired: None };
        certificates.restart()?;
        Ok(certificates)
    }

    /// Starts again from what is stored: the same roots, no leaves.
    ///
    /// # Errors
    /// [`CertificateError::Store`].
    pub fn restart(&mut self) -> Result<(), CertificateError> {
        let roots = Roots::from_pem(self.stored.expose())?;
        let (sender, changes) = mpsc::unbounded_channel();
        let authority = Authority::start(self.policy.clone(), roots, self.clock.clone(), sender);
        self.running = Some(Running { authority, changes });
        Ok(())
    }

    /// Stops, together with the control plane.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Makes sure that these accounts have a leaf; returns what changed since the last call.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub async fn want(
        &mut self,
        accounts: impl IntoIterator<Item = ServiceAccount>,
    ) -> Result<Vec<Change>, CertificateError> {
        let running = self.running.as_ref().ok_or(CertificateError::Down)?;
        for account in accounts {
            running.authority.want(account).await?;
        }
        self.settle().await
    }

    /// Issues every leaf anew.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub async fn renew_all(&mut self) -> Result<Vec<Change>, CertificateError> {
        self.running.as_ref().ok_or(CertificateError::Down)?.authority.renew_all().await?;
        self.settle().await
    }

    /// Lets time pass for the authority.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub async fn advance(&mut self, by: Duration) -> Result<Vec<Change>, CertificateError> {
        self.clock.advance(by);
        if self.running.is_none() {
            return Ok(Vec::new());
        }
        self.settle().await
    }

    /// Takes one step of the root's rotation.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub async fn step_root(&mut self, step: RootPhase) -> Result<Vec<Change>, CertificateError> {
        let before = matches!(step, RootPhase::TrustBoth).then(|| self.stored.clone());
        let step = match step {
            RootPhase::TrustBoth => RootStep::Introduce(new_root(&self.clock)?),
            RootPhase::SignWithNew => RootStep::SignWithNext,
            RootPhase::DropOld => RootStep::DropPrevious,
        };
        let authority = &self.running.as_ref().ok_or(CertificateError::Down)?.authority;
        authority.step_root(step).await?;
        self.retired = before.or_else(|| self.retired.take());
        self.stored = authority.roots().await?.to_pem()?;
        self.settle().await
    }

    /// How far the rotation of the root is.
    pub fn phase(&self) -> Option<Phase> {
        self.running.as_ref().map(|r| r.authority.status().borrow().phase)
    }

    /// A leaf as an attacker would present it.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn forge(&self, credentials: &Credentials, account: ServiceAccount) -> Result<Leaf, CertificateError> {
        let now = self.system_now();
        let hour = Duration::from_secs(3600);
        let validity = if credentials.expired {
            Validity { not_before: now - 7200, not_after: now - 3600 }
        } else {
            // Valid for proxies, whose clock stands still, and for the authority, whose clock may be ahead; and long since, for the
            // evaluator's clock moves in steps.
            Validity::backdated(self.now(), hour, BACKDATE)
        };
        let trust_domain =
            credentials.trust_domain.as_deref().map_or(self.policy.trust_domain.clone(), TrustDomain::new);
        let request = LeafRequest { account, trust_domain, key: KeyType::default(), validity };
        let issuer = match &self.retired {
            _ if credentials.foreign_ca => foreign(now)?,
            Some(retired) if credentials.retired_root => signing(retired)?,
            None if credentials.retired_root => return Err(CertificateError::NoRetiredRoot),
            _ => signing(&self.stored)?,
        };
        Ok(issuer.sign(&request)?)
    }

    /// The authority's time, in seconds since the Unix epoch.
    pub fn now(&self) -> i64 {
        use mesh::ca::Clock as _;
        self.clock.now()
    }

    fn system_now(&self) -> i64 {
        use mesh::ca::{Clock as _, SystemClock};
        SystemClock.now()
    }

    /// Waits until the authority has done what is due, and takes what it has changed.
    async fn settle(&mut self) -> Result<Vec<Change>, CertificateError> {
        let running = self.running.as_mut().ok_or(CertificateError::Down)?;
        let mut status = running.authority.status();
        let now = mesh::ca::Clock::now(&*self.clock);
        // An authority that has not looked at the clock yet seems settled too.
        let is_settled = |s: &mesh::ca::Status| s.is_settled() && s.due.is_none_or(|due| due > now);
        let settled = tokio::time::timeout(PATIENCE, status.wait_for(is_settled)).await;
        match settled {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return Err(AuthorityGone.into()),
            Err(_) => {
                return Err(CertificateError::Late(PATIENCE, format!("{:?}", *running.authority.status().borrow())));
            }
        }
        let mut changes = Vec::new();
        while let Ok(change) = running.changes.try_recv() {
            changes.push(change);
        }
        Ok(changes)
    }
}

/// A step in the rotation of the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootPhase {
    /// Old and new are trusted.
    TrustBoth,
    /// The new one signs.
    SignWithNew,
    /// Only the new one is trusted.
    DropOld,
}

fn new_root(clock: &ManualClock) -> Result<Arc<dyn Issuer>, CertificateError> {
    use mesh::ca::Clock as _;
    let validity = Validity::backdated(clock.now(), ROOT_VALIDITY, BACKDATE);
    Ok(Arc::new(BuiltinCa::generate_with(KeyType::default(), validity)?))
}

/// The root that signs among those stored.
fn signing(stored: &PrivateKey) -> Result<BuiltinCa, CertificateError> {
    let roots = Roots::<Arc<dyn Issuer>>::from_pem(stored.expose())?;
    let pem = roots.signing().stored_pem().ok_or(CertificateError::Down)?;
    Ok(BuiltinCa::from_pem(pem.expose())?)
}

fn foreign(now: i64) -> Result<BuiltinCa, CertificateError> {
    Ok(BuiltinCa::generate_with(KeyType::default(), Validity::backdated(now, ROOT_VALIDITY, BACKDATE))?)
}
