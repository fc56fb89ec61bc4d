//! From a change of the world to what every sidecar uses.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mesh::{
    snapshot::{self, ResourceType},
    world::Change,
};

use super::{CONVERGENCE, Lab, LabError, evaluated};

impl Lab {
    pub(super) async fn feed_and_converge(&mut self, changes: Vec<Change>) -> Result<Duration, LabError> {
        let started = Instant::now();
        self.feed(changes).await?;
        self.converged(CONVERGENCE).await?;
        Ok(started.elapsed())
    }

    /// Tells the control plane. One that is down hears nothing.
    pub(super) async fn feed(&mut self, changes: Vec<Change>) -> Result<(), LabError> {
        if !self.up {
            return Ok(());
        }
        let changes = match &mut self.mind {
            Some(mind) => mind.hear(changes),
            None => changes,
        };
        self.learn(&changes);
        if let Some(live) = &self.live {
            live.apply(changes).await?;
        }
        self.publish()
    }

    pub(super) fn learn(&mut self, changes: &[Change]) {
        for change in changes {
            self.world.apply(change.clone());
        }
        self.delivery.iter().for_each(|delivery| delivery.know(&self.world));
    }

    /// Works out what each sidecar now uses.
    pub(super) fn publish(&mut self) -> Result<(), LabError> {
        self.before = self.snapshots.clone();
        for pod in self.topology.pods.values().filter(|pod| pod.meshed) {
            let name = &pod.object.name;
            let snapshot = snapshot::build(&self.world, name);
            let mut snapshot = match &self.delivery {
                Some(delivery) => delivery.of(name, snapshot),
                None => snapshot,
            };
            if let Some((listener, last_good)) = self.kept.get(name) {
                snapshot.insert(ResourceType::Listener, listener.clone(), last_good.clone());
            }
            if self.snapshots.get(name).is_some_and(|known| **known == snapshot) {
                continue;
            }
            let snapshot = Arc::new(snapshot);
            self.evaluator.insert(pod.object.address, evaluated(pod, Some(snapshot.clone()), None)?);
            self.snapshots.insert(name.clone(), snapshot);
        }
        self.changed.send_modify(|count| *count += 1);
        Ok(())
    }
}
