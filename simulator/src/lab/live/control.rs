//! Starting the control plane of a lab.

use std::{collections::BTreeMap, io::ErrorKind, net::SocketAddr, sync::Arc, time::Duration};

use mesh::{
    ca::{ProxyIdentity, Validity},
    run::{Config, ControlPlane, Finish, StartError},
    world::Change,
    xds::{Identity, server::Limits, tls::server_config},
};
use tokio::time::Instant;

use super::{LabError, Live, PATIENCE, SERVER_NAME, adapted, now};
use crate::collector::DOMAIN;

/// How often an address that is taken is tried again.
const RETRY: Duration = Duration::from_millis(10);

impl Live {
    /// Starts the control plane on the address that it had, and tells it all that is known in one go: sidecars of pods that it
    /// has not heard of yet keep what they have.
    ///
    /// # Errors
    /// [`LabError`].
    pub async fn start_control_plane(&mut self, known: Vec<Change>) -> Result<(), LabError> {
        let deadline = Instant::now() + PATIENCE;
        let control = loop {
            match ControlPlane::start(self.configuration()?).await {
                Ok(control) => break control,
                // A sidecar that is being started beside this lab holds every listener of this process until it executes.
                Err(StartError::Listen { source, .. })
                    if source.kind() == ErrorKind::AddrInUse && Instant::now() < deadline =>
                {
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        self.address = control.address();
        if !known.is_empty() {
            control.apply(known).await?;
        }
        self.control = Some(control);
        Ok(())
    }

    fn configuration(&self) -> Result<Config, LabError> {
        let day = Duration::from_secs(86_400);
        let server = self.control_ca.server_certificate(&[SERVER_NAME], &[], Validity::starting(now(), day))?;
        let tls = server_config(&server.chain_pem, server.key.expose(), self.control_ca.root_pem())?;
        let (adaptations, delivery) = (self.adaptations.clone(), self.delivery.clone());
        let collectors: BTreeMap<String, SocketAddr> =
            self.collectors.iter().map(|(name, c)| (format!("{name}{DOMAIN}"), c.address())).collect();
        Ok(Config {
            listen: self.address,
            tls,
            identity: Identity::Certificate(Arc::new(|der| {
                ProxyIdentity::from_der(der).map(|identity| identity.pod).map_err(|error| error.to_string())
            })),
            limits: Limits::default(),
            finish: Some(Finish(Arc::new(move |pod, snapshot| {
                let snapshot = match &delivery {
                    Some(delivery) => delivery.of(pod, snapshot),
                    None => snapshot,
                };
                adapted(&adaptations, &collectors, pod, snapshot)
            }))),
            metrics: Arc::default(),
        })
    }
}
