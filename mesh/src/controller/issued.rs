//! What the authority has for the control plane, and what it wants to know of it.

use std::{sync::Weak, time::Duration};

use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use crate::{
    ca::{Issuer, Roots, gateway::Gateway, mrc::drive},
    run::ControlPlane,
    world::Change,
};

/// Certificates and roots, or a question about them.
#[derive(Debug)]
pub enum Issued {
    /// To be taken in; answered when it is published.
    Changes(Vec<Change>, Option<oneshot::Sender<()>>),
    /// To be answered when every proxy holds all that was published before.
    Acknowledged(oneshot::Sender<()>),
}

impl From<Change> for Issued {
    fn from(change: Change) -> Self {
        Self::Changes(vec![change], None)
    }
}

/// Between two looks at proxies that do not acknowledge.
const PATIENCE: Duration = Duration::from_secs(60);

/// Answers when every connected proxy holds its newest snapshot, or the control plane is gone.
pub(super) async fn answer_when_synced(plane: Weak<ControlPlane>, answer: oneshot::Sender<()>) {
    while let Some(plane) = plane.upgrade() {
        if let Err(lagging) = plane.synced(PATIENCE).await {
            tracing::warn!(%lagging, "a root rotation waits for proxies");
        } else {
            // Who asked may have given up.
            let _ = answer.send(());
            return;
        }
    }
}

/// The control plane, as the succession of roots sees it.
pub(super) struct Seam {
    pub(super) issued: mpsc::UnboundedSender<Issued>,
    pub(super) gateway: Gateway,
    /// What the proxies of other replicas are given, once ours have acknowledged. Replicas do not know each other's proxies.
    pub(super) others: Duration,
}

impl Seam {
    async fn ask(&self, question: impl FnOnce(oneshot::Sender<()>) -> Issued + Send) {
        let (answer, answered) = oneshot::channel();
        // A control plane that has ended answers nothing: nobody is left to wait for.
        if self.issued.send(question(answer)).is_ok() {
            let _ = answered.await;
        }
    }
}

impl drive::Mesh for Seam {
    fn apply(&self, changes: Vec<Change>) -> BoxFuture<'_, ()> {
        Box::pin(self.ask(|answer| Issued::Changes(changes, Some(answer))))
    }

    fn acknowledged(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.ask(Issued::Acknowledged).await;
            tokio::time::sleep(self.others).await;
        })
    }

    fn followed<'a>(&'a self, roots: &'a Roots<std::sync::Arc<dyn Issuer>>) -> BoxFuture<'a, ()> {
        Box::pin(self.gateway.followed(roots))
    }
}
