//! Waiting for sidecars: connected, configured, or refusing.

use std::{collections::BTreeSet, time::Duration};

use mesh::{
    model::ObjectName,
    run::{ControlPlane, NotSynced},
    xds::session::status::Why,
};

use super::{Live, PATIENCE};
use crate::{envoy::admin::Expected, lab::LabError};

impl Live {
    /// Waits until every sidecar serves.
    ///
    /// # Errors
    /// One does not, in time.
    pub async fn wait_live(&mut self) -> Result<(), LabError> {
        for sidecar in self.sidecars.values_mut() {
            sidecar.wait_live(PATIENCE).await?;
        }
        Ok(())
    }

    /// Waits until every sidecar is connected.
    ///
    /// # Errors
    /// One is not, in time.
    pub async fn connected(&self, within: Duration) -> Result<(), LabError> {
        let Some(control) = &self.control else { return Err(LabError::Down) };
        let missing = || {
            let connected: BTreeSet<_> = control.proxies().into_iter().filter(|p| p.connected).map(|p| p.pod).collect();
            self.sidecars.keys().find(|pod| !connected.contains(*pod)).cloned()
        };
        let mut changed = control.changed();
        let waiting = async { while missing().is_some() && changed.changed().await.is_ok() {} };
        let _ = tokio::time::timeout(within, waiting).await;
        missing().map_or(Ok(()), |pod| Err(LabError::NotConnected { pod, within }))
    }

    /// Waits until every sidecar uses its newest configuration: acknowledged, and nothing of it still warming up.
    /// Sidecars that are poisoned are waited for until they have answered.
    ///
    /// # Errors
    /// One does not, in time.
    pub async fn converged(&self, within: Duration) -> Result<(), LabError> {
        let deadline = tokio::time::Instant::now() + within;
        self.connected(within).await?;
        let Some(control) = &self.control else { return Err(LabError::Down) };
        self.answered(control, within).await?;
        for (pod, sidecar) in &self.sidecars {
            if self.poisoned.contains(pod) {
                continue;
            }
            let expected = control.snapshot(pod).map(|s| Expected::of(&s)).unwrap_or_default();
            loop {
                let Some(unsettled) = sidecar.admin().unsettled(&expected).await? else { break };
                if tokio::time::Instant::now() > deadline {
                    return Err(LabError::Unsettled { pod: pod.clone(), what: unsettled.to_string() });
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        Ok(())
    }

    /// Waits until every sidecar has acknowledged its newest configuration, or, if it is poisoned, refused the poison and
    /// acknowledged the rest.
    async fn answered(&self, control: &ControlPlane, within: Duration) -> Result<(), LabError> {
        if self.poisoned.is_empty() {
            return Ok(control.synced(within).await?);
        }
        let waiting = || {
            let mut behind = control.proxies().into_iter().filter(|proxy| proxy.connected && !proxy.synced);
            behind.find(|proxy| {
                let refused = proxy.lacks.iter().all(|lack| matches!(lack.why, Why::Rejected(_)));
                proxy.lacks.is_empty() || !refused || !self.poisoned.contains(&proxy.pod)
            })
        };
        let mut changed = control.changed();
        let answered = async { while waiting().is_some() && changed.changed().await.is_ok() {} };
        let _ = tokio::time::timeout(within, answered).await;
        match waiting() {
            None => Ok(()),
            Some(proxy) => Err(NotSynced { proxies: vec![(proxy.pod, proxy.lacks)] }.into()),
        }
    }

    /// Waits until the sidecar of one of these pods has refused something.
    ///
    /// # Errors
    /// None has, in time.
    pub async fn rejected(&self, pods: &[ObjectName], within: Duration) -> Result<String, LabError> {
        let Some(control) = &self.control else { return Err(LabError::Down) };
        let refusal = || {
            let proxies = control.proxies();
            let of_pods = proxies.iter().filter(|p| pods.contains(&p.pod));
            of_pods.flat_map(|p| &p.nacks).next_back().map(|nack| format!("{nack:?}"))
        };
        let mut changed = control.changed();
        let waiting = async { while refusal().is_none() && changed.changed().await.is_ok() {} };
        let _ = tokio::time::timeout(within, waiting).await;
        refusal().ok_or_else(|| LabError::NotRejected { pods: pods.to_vec(), within })
    }
}
