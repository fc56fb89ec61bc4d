//! What happens to a lab beyond manifests: faults, rotation, pods that come and go.

use std::time::{Duration, Instant};

use mesh::{
    model::Workload,
    snapshot::ResourceType,
    world::{Object, World},
};

use super::{
    CONVERGENCE, Lab, LabError,
    certificates::{CertificateError, RootPhase},
    poison::spoiled,
    resolve,
    topology::Pod,
};
use crate::scenario::model::Respond;

/// A handshake goes on with the certificate and the roots that its ends had when it began. Those that began before a step of the
/// root's rotation was acknowledged must be over before the next: Envoy tells when it has new secrets, not when the last
/// handshake with the old ones is done.
const HANDSHAKES: Duration = Duration::from_secs(1);

impl Lab {
    /// The control plane stops at once; what the API and the CA's Secret know remains.
    pub async fn kill_control_plane(&mut self) {
        self.up = false;
        self.certificates.stop();
        if let Some(live) = &mut self.live {
            live.kill_control_plane().await;
        }
    }

    /// The control plane comes back and hears everything anew.
    ///
    /// # Errors
    /// [`LabError`].
    pub async fn start_control_plane(&mut self) -> Result<Duration, LabError> {
        let started = Instant::now();
        self.certificates.restart()?;
        // Everything is known before the first proxy is served: an empty world would take away what they have.
        let mut changes = self.store.everything();
        changes.extend(self.certificates.want(self.accounts()).await?);
        if let Some(mind) = &mut self.mind {
            changes = mind.restart(changes);
        }
        self.world = World::default();
        self.learn(&changes);
        if let Some(live) = &mut self.live {
            live.start_control_plane(changes).await?;
        }
        self.up = true;
        self.publish()?;
        self.converged(CONVERGENCE).await?;
        Ok(started.elapsed())
    }

    /// Issues every leaf anew, and waits until every sidecar has its own.
    ///
    /// # Errors
    /// [`LabError`].
    pub async fn rotate_leaves(&mut self) -> Result<Duration, LabError> {
        let before = self.world.clone();
        let changes = self.certificates.renew_all().await?;
        let took = self.feed_and_converge(changes).await?;
        match self.accounts().into_iter().find(|a| before.certificate(a) == self.world.certificate(a)) {
            Some(account) => Err(CertificateError::NotRenewed(account).into()),
            None => Ok(took),
        }
    }

    /// Replaces the root in three steps, each taken when every sidecar has the one before, and handshakes under way are over.
    ///
    /// # Errors
    /// [`LabError`].
    pub async fn rotate_root(&mut self) -> Result<Duration, LabError> {
        let mut took = Duration::ZERO;
        for phase in [RootPhase::TrustBoth, RootPhase::SignWithNew, RootPhase::DropOld] {
            if phase != RootPhase::TrustBoth && self.live.is_some() {
                tokio::time::sleep(HANDSHAKES).await;
            }
            let changes = self.certificates.step_root(phase).await?;
            took += self.feed_and_converge(changes).await?;
        }
        Ok(took)
    }

    /// Lets time pass for the certificate authority.
    ///
    /// # Errors
    /// [`LabError`].
    pub async fn advance_clock(&mut self, by: Duration) -> Result<Duration, LabError> {
        let changes = self.certificates.advance(by).await?;
        if self.up {
            // Clocks of real proxies stand still. The evaluator's does not, and says what a certificate kept too long would do.
            self.evaluator.set_now(self.certificates.now());
        }
        self.feed_and_converge(changes).await
    }

    /// Makes pods ready or unready.
    ///
    /// # Errors
    /// [`LabError`].
    pub async fn set_ready(&mut self, pods: &[Pod], ready: bool) -> Result<Duration, LabError> {
        let stored = pods.iter().filter_map(|pod| resolve::pod(&pod.object.name, &self.store));
        let objects = stored.map(|pod| Object::Workload(Workload { ready, ..pod.clone() })).collect();
        self.put(objects).await
    }

    /// Takes pods away: first out of the API, and when nobody is sent there any more, for real.
    ///
    /// # Errors
    /// [`LabError`].
    pub async fn remove(&mut self, pods: &[Pod]) -> Result<Duration, LabError> {
        let references: Vec<_> = pods.iter().map(|pod| Object::Workload(pod.object.clone()).reference()).collect();
        let changes = self.store.delete(&references);
        for pod in pods {
            self.topology.pods.remove(&pod.object.name);
            self.snapshots.remove(&pod.object.name);
            self.evaluator.remove(pod.object.address);
            if let Some(live) = &mut self.live {
                live.release(&pod.object.name);
            }
        }
        let took = self.feed_and_converge(changes).await?;
        if let Some(live) = &mut self.live {
            for pod in pods {
                live.remove(&pod.object.name).await?;
            }
        }
        Ok(took)
    }

    /// Sends the sidecars of pods a listener that they must refuse, until [`Lab::heal`].
    ///
    /// # Errors
    /// [`LabError`].
    pub async fn poison(&mut self, pods: &[Pod]) -> Result<(), LabError> {
        for pod in pods {
            let name = &pod.object.name;
            let Some((listener, good, bad)) = self.snapshots.get(name).and_then(|s| spoiled(s)) else {
                return Err(LabError::Unknown(format!("{name} has no sidecar to poison")));
            };
            self.kept.insert(name.clone(), (listener.clone(), good));
            if let Some(live) = &mut self.live {
                live.poison(name, vec![(ResourceType::Listener, listener, bad)]).await?;
            }
        }
        self.converged(CONVERGENCE).await
    }

    /// Takes the poison back.
    ///
    /// # Errors
    /// [`LabError`].
    pub async fn heal(&mut self, pods: &[Pod]) -> Result<Duration, LabError> {
        let started = Instant::now();
        for pod in pods {
            self.kept.remove(&pod.object.name);
            if let Some(live) = &mut self.live {
                live.poison(&pod.object.name, Vec::new()).await?;
            }
        }
        self.publish()?;
        self.converged(CONVERGENCE).await?;
        Ok(started.elapsed())
    }

    /// Kills the sidecars of pods and starts them again.
    ///
    /// # Errors
    /// [`LabError`].
    pub async fn restart_sidecars(&mut self, pods: &[Pod]) -> Result<Duration, LabError> {
        let started = Instant::now();
        if let Some(live) = &mut self.live {
            for pod in pods {
                live.restart_sidecar(&pod.object.name).await?;
            }
        }
        self.converged(CONVERGENCE).await?;
        Ok(started.elapsed())
    }

    /// Lets the applications of pods answer differently from now on.
    ///
    /// # Errors
    /// The behaviour cannot be read.
    pub fn respond(&mut self, pods: &[Pod], respond: &Respond) -> Result<(), LabError> {
        for pod in pods {
            if let Some(known) = self.topology.pods.get_mut(&pod.object.name) {
                known.respond = respond.clone();
            }
            if let Some(live) = &self.live {
                live.respond(&pod.object.name, respond)?;
            }
        }
        Ok(())
    }
}
