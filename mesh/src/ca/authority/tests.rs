use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use futures::future::BoxFuture;

use super::*;
use crate::{
    ca::{
        BuiltinCa, CertificateRequest, Credential, ManualClock, SystemClock,
        testing::{End, account, handshake, issuer},
    },
    model::{PrivateKey, TrustBundle},
};

fn root() -> Arc<dyn Issuer> {
    issuer(SystemClock.now())
}

/// An authority, its clock, and what the world has heard.
struct Mesh {
    clock: ManualClock,
    authority: Authority,
    changes: mpsc::UnboundedReceiver<Change>,
    trust: TrustBundle,
    leaves: BTreeMap<ServiceAccount, Arc<Leaf>>,
}

impl Mesh {
    fn new(roots: Roots<Arc<dyn Issuer>>) -> Self {
        Self::at(ManualClock::at_system_time(), roots)
    }

    fn at(clock: ManualClock, roots: Roots<Arc<dyn Issuer>>) -> Self {
        let (sender, changes) = mpsc::unbounded_channel();
        let authority = Authority::start(LeafPolicy::default(), roots, Arc::new(clock.clone()), sender);
        Self { clock, authority, changes, trust: TrustBundle::default(), leaves: BTreeMap::new() }
    }

    async fn want(&self, names: &[&str]) {
        for name in names {
            self.authority.want(account(name)).await.unwrap();
        }
    }

    /// Waits until all is issued, and listens.
    async fn settle(&mut self) {
        let mut status = self.authority.status();
        let status = status.wait_for(|status| status.is_settled() || !status.failing.is_empty()).await.unwrap().clone();
        assert_eq!(status.failing, BTreeMap::new());
        self.listen();
    }

    fn listen(&mut self) {
        while let Ok(change) = self.changes.try_recv() {
            match change {
                Change::Trust(bundle) => self.trust = bundle,
                Change::Certificate(leaf) => drop(self.leaves.insert(leaf.account.clone(), leaf)),
                Change::CertificateGone(account) => drop(self.leaves.remove(&account)),
                other => panic!("{other:?}"),
            }
        }
    }

    fn leaf(&self, name: &str) -> Arc<Leaf> {
        self.leaves[&account(name)].clone()
    }
}

/// Both directions, with what each end has at its moment.
async fn talk(a: (&Leaf, &TrustBundle), b: (&Leaf, &TrustBundle)) -> Result<(), String> {
    let ends = [End::of(a.0, &a.1.roots_pem), End::of(b.0, &b.1.roots_pem)];
    let name = |leaf: &Leaf| leaf.account.principal(&crate::model::TrustDomain::default());
    handshake(ends[0], ends[1], &name(b.0)).await?;
    handshake(ends[1], ends[0], &name(a.0)).await
}

#[tokio::test]
async fn wanted_accounts_get_leaves_and_keep_fresh_ones() {
    let mut mesh = Mesh::new(Roots::Stable(root()));
    let names: Vec<_> = (0..100).map(|i| format!("a{i}")).collect();
    for name in &names {
        mesh.authority.want(account(name)).await.unwrap();
    }
    mesh.settle().await;
    assert_eq!(mesh.leaves.len(), 100);
    let first = mesh.leaves.clone();
    mesh.clock.advance(Duration::from_secs(16 * 3600));
    let mut status = mesh.authority.status();
    while mesh.leaves.values().any(|leaf| leaf == &first[&leaf.account]) {
        status.changed().await.unwrap();
        mesh.listen();
    }
    assert!(mesh.leaves.values().all(|leaf| leaf.not_after == first[&leaf.account].not_after + 16 * 3600));
    mesh.authority.unwant(account("a0")).await.unwrap();
    mesh.settle().await;
    assert_eq!(mesh.leaves.len(), 99);
}

#[tokio::test]
async fn two_workloads_talk_through_every_phase_of_a_root_rotation() {
    let mut mesh = Mesh::new(Roots::Stable(root()));
    mesh.want(&["buyer", "store"]).await;
    mesh.settle().await;
    // Each phase: one end is up to date, the other still has what the phase before gave it.
    let mut before = (mesh.leaf("buyer"), mesh.leaf("store"), mesh.trust.clone());
    let first = before.clone();
    for step in [RootStep::Introduce(root()), RootStep::SignWithNext, RootStep::DropPrevious] {
        mesh.authority.step_root(step).await.unwrap();
        mesh.settle().await;
        let (buyer, store) = (mesh.leaf("buyer"), mesh.leaf("store"));
        talk((&buyer, &mesh.trust), (&store, &mesh.trust)).await.unwrap();
        talk((&buyer, &mesh.trust), (&before.1, &before.2)).await.unwrap();
        talk((&before.0, &before.2), (&store, &mesh.trust)).await.unwrap();
        // A proxy takes certificate and roots one after the other: neither order may cut it off.
        talk((&before.0, &mesh.trust), (&before.1, &before.2)).await.unwrap();
        talk((&buyer, &before.2), (&before.1, &before.2)).await.unwrap();
        before = (buyer, store, mesh.trust.clone());
    }
    assert_ne!(before.0, first.0);
    let refused = talk((&first.0, &mesh.trust), (&before.1, &mesh.trust)).await.unwrap_err();
    assert!(refused.starts_with("server: invalid peer certificate"), "{refused}");
    talk((&before.0, &mesh.trust), (&first.1, &first.2)).await.unwrap_err();
}

#[tokio::test]
async fn a_restart_goes_on_in_the_phase_where_it_was() {
    let mut mesh = Mesh::new(Roots::Stable(root()));
    mesh.want(&["buyer", "store"]).await;
    mesh.settle().await;
    mesh.authority.step_root(RootStep::Introduce(root())).await.unwrap();
    mesh.settle().await;
    let old = (mesh.leaf("buyer"), mesh.trust.clone());
    mesh.authority.step_root(RootStep::SignWithNext).await.unwrap();
    let stored = mesh.authority.roots().await.unwrap().to_pem().unwrap();

    let mut again = Mesh::at(mesh.clock.clone(), Roots::from_pem(stored.expose()).unwrap());
    drop(mesh);
    again.want(&["buyer", "store"]).await;
    again.settle().await;
    assert_eq!(again.trust, old.1, "the same roots, byte for byte");
    assert_eq!(again.authority.status().borrow().phase, Phase::Replacing);
    talk((&old.0, &old.1), (&again.leaf("store"), &again.trust)).await.unwrap();
    again.authority.step_root(RootStep::DropPrevious).await.unwrap();
    again.settle().await;
    talk((&old.0, &old.1), (&again.leaf("store"), &again.trust)).await.unwrap_err();
}

/// A real authority behind an unreliable door.
#[derive(Debug)]
struct Unreliable {
    ca: BuiltinCa,
    calls: AtomicU32,
}

impl Issuer for Unreliable {
    fn certify<'a>(&'a self, request: &'a CertificateRequest) -> BoxFuture<'a, Result<Credential, IssueError>> {
        Box::pin(async move {
            match self.calls.fetch_add(1, Ordering::SeqCst) {
                0 => Err(IssueError::Failed("the vault is sealed".to_owned())),
                1 => panic!("a bug in the provider"),
                _ => self.ca.certify(request).await,
            }
        })
    }

    fn root_pem(&self) -> &Arc<str> {
        self.ca.root_pem()
    }

    fn stored_pem(&self) -> Option<PrivateKey> {
        None
    }
}

#[tokio::test]
async fn failures_are_shown_and_retried_on_the_clock() {
    let ca = BuiltinCa::generate(SystemClock.now()).unwrap();
    let mut mesh = Mesh::new(Roots::Stable(Arc::new(Unreliable { ca, calls: AtomicU32::new(0) })));
    let mut status = mesh.authority.status();
    mesh.want(&["a"]).await;
    for attempt in 1..=2 {
        let failing = status.wait_for(|status| status.failing.values().any(|f| f.attempts == attempt)).await;
        let failure = failing.unwrap().failing[&account("a")].clone();
        assert_eq!(failure.holds_until, None);
        let expected = if attempt == 1 { "the vault is sealed" } else { "the issuer panicked" };
        assert!(failure.error.to_string().contains(expected), "{failure:?}");
        mesh.clock.set(failure.retry_at);
    }
    status.wait_for(|status| status.is_settled() && status.failing.is_empty()).await.unwrap();
    mesh.listen();
    assert_eq!(mesh.leaves.len(), 1);
    let roots = mesh.authority.roots().await.unwrap();
    assert_eq!(roots.to_pem(), Err(crate::ca::StoreError::KeptElsewhere));
}

#[tokio::test]
async fn refusals_reach_the_caller() {
    let root = root();
    let mesh = Mesh::new(Roots::Stable(root.clone()));
    let refused = mesh.authority.step_root(RootStep::Introduce(root)).await;
    assert_eq!(refused, Err(RootError::Refused(RotationError::SameRoot)));
}

#[tokio::test]
async fn it_ends_when_nobody_listens() {
    let Mesh { authority, changes, .. } = Mesh::new(Roots::Stable(root()));
    let mut status = authority.status();
    drop(changes);
    while status.changed().await.is_ok() {}
    assert_eq!(authority.want(account("a")).await, Err(AuthorityGone));
}
