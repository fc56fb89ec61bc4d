//! `osm-controller`: the only part that knows every other. It feeds what Kubernetes tells into the control plane, serves
//! proxies, webhooks, health and metrics, and ends in good order.
//!
//! ```text
//! k8s ──batches──► Feed ──► ControlPlane (ADS :15128) ◄── token review
//!                   │ ▲
//!    accounts wanted│ │certificates, roots
//!                   ▼ │
//!                 Authority          Serving ──► TLS of ADS and webhooks, caBundle of registrations
//! MeshConfig ──► Live: log level, most proxies, debug endpoints, feature flags
//! ```
//!
//! A [`Controller`] is a value: tests run several in one process.

mod admission;
pub mod assemble;
mod certificates;
mod cluster;
mod feed;
pub mod flags;
pub mod heard;
mod hooks;
mod issued;
mod live;
pub mod metered;
mod metrics_api;
mod probes;
pub mod register;
mod running;
pub mod serving;
pub mod token_review;

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use futures::stream::BoxStream;
pub use heard::{Ears, Heard};
pub use issued::Issued;
pub use metered::Metered;
pub use register::Register;
pub use running::Controller;
use rustls::ServerConfig;
pub use serving::Serving;
pub use token_review::KubeTokens;
use tokio::sync::watch;

use crate::{
    admin::{Level, Metrics},
    api::mesh_config::MeshConfigSpec,
    ca::Authority,
    run::{self, Worlds},
    world::Change,
    xds::{Identity, Limits, tls::TlsError},
};

/// Where a controller listens, and how it is to behave.
pub struct Config {
    /// Where proxies connect. Port 0 takes a free one, here and below.
    pub ads: SocketAddr,
    /// Health and metrics.
    pub http: SocketAddr,
    /// The debug endpoints, when a MeshConfig turns them on. Anything but a loopback address needs a token.
    pub debug: SocketAddr,
    /// The bearer token that the debug endpoints demand.
    pub debug_token: Option<Arc<str>>,
    /// How proxies prove who they are.
    pub identity: Identity,
    /// What the ADS server lets proxies do.
    pub limits: Limits,
    /// How long readiness fails before anything is closed, so that Services forget this replica first.
    pub notice: Duration,
    /// Where everything is counted.
    pub metrics: Arc<Metrics>,
    /// The log level, for MeshConfig to change.
    pub level: Level,
}

/// What the other parts of the program bring.
pub struct Parts {
    /// What happens in the cluster, in the order in which it is to be taken in.
    pub batches: BoxStream<'static, Vec<Change>>,
    /// How the watches are.
    pub watches: watch::Receiver<Watches>,
    /// The MeshConfig in force.
    pub mesh_config: watch::Receiver<Arc<MeshConfigSpec>>,
    /// Issues workload certificates; `None` until its first root is open.
    pub authority: watch::Receiver<Option<Authority>>,
    /// What the authority says and asks.
    pub issued: BoxStream<'static, Issued>,
    /// The certificate of ADS and webhooks, now and from now on.
    pub serving: watch::Receiver<Serving>,
    /// Makes the webhooks, each with its own listener. They may look at the world.
    pub webhooks: Box<dyn FnOnce(Worlds) -> Vec<Webhook> + Send>,
    /// Keeps the registrations of the webhooks; `None` if somebody else does.
    pub register: Option<Register>,
}

/// A webhook, served over TLS with the certificate of [`Parts::serving`].
#[derive(Debug)]
pub struct Webhook {
    /// What it is, for logs: `injector`, `validator`, `conversion`, `metrics-api`.
    pub name: &'static str,
    /// Where it listens.
    pub listen: SocketAddr,
    /// What it does.
    pub router: Router,
    /// Its own TLS, if it is not that of [`Parts::serving`]. It takes no admission reviews then.
    pub tls: Option<watch::Receiver<Arc<ServerConfig>>>,
}

/// How the watches of the Kubernetes API are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watches {
    /// The kinds whose first list has not come yet. Empty when the world is whole.
    pub missing: Vec<String>,
    /// What went wrong last, if nothing came since.
    pub error: Option<String>,
    /// When the API server answered last, in seconds since the Unix epoch; `None` if it never did.
    pub last_contact: Option<i64>,
}

/// Why a controller did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is not to be had.
    #[error("listen on {address} for {what}: {source}; is another controller running, or the flag wrong?")]
    Listen {
        /// What for.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Debug endpoints would be open to everybody.
    #[error("the debug address {0} can be reached from outside: give a token (--debug-token-file), or use 127.0.0.1")]
    DebugOutside(SocketAddr),
    /// The certificate of the servers is of no use.
    #[error("serve TLS: {0}")]
    Tls(#[from] TlsError),
    /// The control plane did not start.
    #[error(transparent)]
    ControlPlane(#[from] run::StartError),
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("ads", &self.ads).field("http", &self.http).finish_non_exhaustive()
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}
