//! Many small ADS clients, the control plane that they talk to, and a server that does nothing but send.

mod bare;
mod fleet;

use std::{net::SocketAddr, sync::Arc, time::Duration};

pub use bare::Bare;
pub use fleet::Fleet;
use mesh::{
    ca::{ControlCa, Credential, ProxyIdentity, Validity},
    model::{ObjectName, ServiceAccount, TrustDomain},
    run::{Config, ControlPlane},
    xds::{Identify, Identity, Limits, tls::server_config},
};

use crate::NOW;

/// The name in the servers' certificate.
pub const SERVER: &str = "ads.mesh.test";

/// Where everything listens: a free port of the loopback.
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// The certificates of clients and servers.
#[derive(Debug)]
pub struct Pki {
    ca: ControlCa,
    server: Credential,
    now: i64,
}

impl Pki {
    /// A new root, and a certificate for servers.
    ///
    /// # Panics
    /// If no certificate can be made.
    #[must_use]
    pub fn new() -> Self {
        // Handshakes look at the clock of the machine.
        let now = std::time::UNIX_EPOCH.elapsed().map_or(NOW, |since| since.as_secs().cast_signed());
        let ca = ControlCa::generate(now).expect("a root can be made");
        let day = Validity::starting(now, Duration::from_secs(24 * 60 * 60));
        let server = ca.server_certificate(&[SERVER], &[], day).expect("a certificate can be signed");
        Self { ca, server, now }
    }

    /// The certificate of the proxy of `pod`.
    ///
    /// # Panics
    /// If no certificate can be made.
    fn proxy(&self, pod: &ObjectName) -> Credential {
        let account = ServiceAccount::new(pod.namespace.clone(), "any");
        let identity = ProxyIdentity { pod: pod.clone(), account, trust_domain: TrustDomain::default() };
        self.ca.proxy_certificate(&identity, self.now).expect("a certificate can be signed")
    }
}

impl Default for Pki {
    fn default() -> Self {
        Self::new()
    }
}

/// A control plane with an empty world.
///
/// # Panics
/// If it does not start.
pub async fn control_plane(pki: &Pki) -> ControlPlane {
    let identify: Identify =
        Arc::new(|der| ProxyIdentity::from_der(der).map(|identity| identity.pod).map_err(|error| error.to_string()));
    let Credential { chain_pem, key, .. } = &pki.server;
    let tls = server_config(chain_pem, key.expose(), pki.ca.root_pem()).expect("the certificates are sound");
    let config = Config {
        listen: LOOPBACK,
        tls,
        identity: Identity::Certificate(identify),
        limits: Limits::default(),
        finish: None,
        metrics: Arc::default(),
    };
    ControlPlane::start(config).await.expect("the control plane starts")
}
