//! Launching a sidecar: its identity, its bootstrap, its process or container.

use std::net::SocketAddr;

use mesh::ca::ProxyIdentity;

use super::{Live, Runtime, SERVER_NAME, now};
use crate::{
    envoy::{
        ADMIN_PORT, Bootstrap, ControlPlane as Upstream, Credentials, Pem, Sidecar,
        container::{self, Container},
        process::{self, Process},
    },
    lab::{LabError, topology::Pod},
};

impl Live {
    /// Launches the sidecar of a pod, without waiting for its configuration. Returns the pod's address: a container has one of
    /// its own.
    ///
    /// # Errors
    /// It does not start.
    pub async fn launch(&self, pod: &Pod) -> Result<Sidecar, LabError> {
        let name = &pod.object.name;
        let identity = ProxyIdentity {
            pod: name.clone(),
            account: pod.object.account.clone(),
            trust_domain: self.trust_domain.clone(),
        };
        let credential = self.control_ca.proxy_certificate(&identity, now())?;
        let (admin, bind) = match &self.runtime {
            Runtime::Process { .. } => (SocketAddr::new(pod.object.address, ADMIN_PORT), Some(pod.object.address)),
            Runtime::Container { .. } => (SocketAddr::from(([0, 0, 0, 0], ADMIN_PORT)), None),
        };
        let bootstrap = Bootstrap {
            node_id: name.to_string(),
            node_cluster: format!("{}.{}", pod.object.account.name, pod.object.account.namespace),
            admin,
            control_plane: Upstream { address: self.address, server_name: SERVER_NAME.into(), variant: self.variant },
            credentials: Credentials {
                certificate: Pem::Inline(credential.chain_pem.to_string()),
                key: Pem::Inline(credential.key.expose().to_owned()),
                authority: Pem::Inline(self.control_ca.root_pem().to_string()),
            },
            bind,
            names: self.names,
        };
        let log_level = "warning".to_owned();
        Ok(match &self.runtime {
            Runtime::Process { envoy } => {
                let dir = self.dir.join(format!("{}.{}", name.namespace, name.name));
                std::fs::create_dir_all(&dir)?;
                let launch = process::Launch { envoy: envoy.clone(), bootstrap, dir, log_level };
                Sidecar::Process(Box::new(Process::start(launch).await?))
            }
            Runtime::Container { network, image } => {
                let launch = container::Launch { image: image.clone(), network: network.clone(), bootstrap, log_level };
                Sidecar::Container(Box::new(Container::start(launch).await?))
            }
        })
    }
}
