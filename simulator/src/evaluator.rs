//! Judges requests by the generated Envoy configuration alone, without any Envoy: exact outcomes, with the way that led there.
//!
//! A request walks from the caller's proxy to the called pod's: listener, filter chain, RBAC, virtual host, route, weighted cluster,
//! endpoint, TLS handshake in both directions, the peer's inbound chain, its RBAC and routes, the application. Every proxy is judged
//! by its own snapshot. Whatever is not modelled makes the answer [`Unmodelled`], never a guess.
//!
//! The semantics are those of Envoy 1.40, on the assumption that the bootstrap lifts Envoy's limit on the size of regular
//! expressions (runtime key `re2.max_program_size.error_level`, otherwise 100): whether an expression exceeds it is not computed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    sync::{Arc, RwLock},
};

use mesh::snapshot::Snapshot;
use serde::Serialize;

mod certificate;
mod cluster;
mod connect;
mod filter;
mod handshake;
mod header;
mod http;
mod listener;
mod message;
mod path;
mod pattern;
mod proxy;
mod rbac;
mod route;
mod serve;
mod share;
mod sieve;
#[cfg(test)]
mod tests;
mod text;
mod tls;
mod trace;
mod unmodelled;
mod way;

pub use certificate::{PeerCertificate, Standing};
pub use trace::{Rejected, Stage, Step, Trace};
pub use unmodelled::Unmodelled;

use crate::exchange::Request;
use crate::scenario::model::{Because, Shape};
use connect::Walk;
use handshake::Verified;
use proxy::{Library, ProxyConfig};

/// Where traffic that leaves a pod is redirected to.
pub const OUTBOUND_PORT: u16 = 15001;

/// Where traffic that enters a pod is redirected to.
pub const INBOUND_PORT: u16 = 15003;

/// Judges requests between pods.
#[derive(Debug)]
pub struct Evaluator {
    now: i64,
    pods: BTreeMap<IpAddr, Placed>,
    services: BTreeMap<SocketAddr, Vec<SocketAddr>>,
    /// What DNS says of names outside of the mesh.
    hosts: BTreeMap<String, Vec<IpAddr>>,
    library: Library,
    verified: RwLock<HashMap<Verified, Result<(), String>>>,
}

/// A pod, in the mesh or outside it.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its name, for outcomes and traces.
    pub name: Arc<str>,
    /// Its proxy's configuration; `None`: it has no sidecar.
    pub snapshot: Option<Arc<Snapshot>>,
    /// The container ports on which its application listens.
    pub ports: BTreeSet<u16>,
    /// The application itself serves TLS under this certificate, and takes any client: an impostor, or somebody outside.
    pub presents: Option<PeerCertificate>,
    /// The ports on which it does so; all if empty.
    pub tls_ports: BTreeSet<u16>,
}

/// Who sends a request.
#[derive(Clone, Debug)]
pub enum Caller {
    /// The application of the pod with this address: through its sidecar, or in plaintext if it has none.
    Pod(IpAddr),
    /// Someone past every sidecar, in plaintext.
    Plaintext,
    /// Someone past every sidecar, over TLS. Takes any server certificate.
    Tls(DirectTls),
    /// As [`Caller::Plaintext`] and [`Caller::Tls`], from this address.
    Direct(IpAddr, Option<DirectTls>),
    /// The application of the pod with this address, which speaks TLS itself. Takes any server certificate.
    PodTls(IpAddr, DirectTls),
}

/// The client side of a TLS handshake past every sidecar.
#[derive(Clone, Debug, Default)]
pub struct DirectTls {
    /// SNI.
    pub server_name: Option<String>,
    /// Application protocols offered.
    pub alpn: Vec<String>,
    /// The client's certificate; `None`: anonymous.
    pub certificate: Option<PeerCertificate>,
}

/// All that can come of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evaluation {
    /// Different results, each with its weight. Never empty.
    pub outcomes: Vec<Outcome>,
    /// The sum of the weights.
    pub total: u64,
}

/// One result and its share of the requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The share: `weight` in [`Evaluation::total`] requests. At least 1.
    pub weight: u64,
    /// What comes of them.
    pub verdict: Verdict,
    /// How it came about: for one of the ways that lead to the same result. Empty unless explained.
    pub trace: Trace,
}

/// What comes of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// The application gets it.
    Delivered(Delivered),
    /// It does not.
    Denied(Denial),
}

/// What the application gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Delivered {
    /// The pod.
    pub pod: Arc<str>,
    /// The container port.
    pub port: u16,
    /// Path with query, as the proxies leave it; empty for TCP.
    pub path: String,
    /// Host header, as the proxies leave it; empty for TCP.
    pub authority: String,
    /// What the sidecar says of the caller in `x-forwarded-client-cert`: its first URI name.
    pub peer: Option<String>,
    /// The caller's DNS name, or else its URI, as the called pod's proxy verified it; `None` without mutual TLS.
    pub identity: Option<String>,
    /// The connection is opened and the server's first words come out, but whatever the client then says is refused by network
    /// RBAC, which Envoy only asks at the client's first byte (envoyproxy/envoy#9023).
    pub banner_only: bool,
}

/// Who refused a request, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Denial {
    /// The pod whose proxy (or application) refused.
    pub pod: Arc<str>,
    /// The step at which it did.
    pub layer: Stage,
    /// What the client sees, if it is a usual shape of denial.
    pub shape: Option<Shape>,
    /// The HTTP status that the client sees.
    pub status: Option<u16>,
    /// The reason as far as Envoy's configuration tells it; the policies themselves may tell more.
    pub because: Because,
    /// RBAC policies that name the caller, but do not cover this request.
    pub near: Vec<Arc<str>>,
}

#[derive(Debug)]
struct Placed {
    name: Arc<str>,
    address: IpAddr,
    tls_ports: BTreeSet<u16>,
    config: Option<ProxyConfig>,
    ports: BTreeSet<u16>,
    presents: Option<Arc<PeerCertificate>>,
}

impl Evaluator {
    /// Without any pods. `now`, in seconds since the Unix epoch, is the time by which certificates are judged.
    pub fn new(now: i64) -> Self {
        Self {
            now,
            pods: BTreeMap::new(),
            services: BTreeMap::new(),
            hosts: BTreeMap::new(),
            library: Library::default(),
            verified: RwLock::default(),
        }
    }

    /// Sets the time by which certificates are judged, in seconds since the Unix epoch.
    pub fn set_now(&mut self, now: i64) {
        self.now = now;
        self.forget_verified();
    }

    /// Adds or replaces the pod with this address. Resources known from other pods or before are not read again.
    pub fn insert(&mut self, address: IpAddr, pod: Pod) {
        let config = pod.snapshot.map(|snapshot| self.library.read(&snapshot));
        let (presents, tls_ports) = (pod.presents.map(Arc::new), pod.tls_ports);
        let placed = Placed { name: pod.name, address, tls_ports, config, ports: pod.ports, presents };
        if placed.presents.is_some() || self.pods.get(&address).is_some_and(|old| old.presents.is_some()) {
            self.forget_verified();
        }
        self.pods.insert(address, placed);
    }

    /// Removes a pod.
    pub fn remove(&mut self, address: IpAddr) {
        self.pods.remove(&address);
        self.forget_verified();
    }

    /// Where a service address leads for callers without a sidecar: to each of these equally (kube-proxy).
    pub fn set_service(&mut self, address: SocketAddr, endpoints: Vec<SocketAddr>) {
        self.services.insert(address, endpoints);
    }

    /// What DNS says of a name outside of the mesh; of any other it says that there is none.
    pub fn set_host(&mut self, host: &str, addresses: Vec<IpAddr>) {
        self.hosts.insert(host.to_ascii_lowercase(), addresses);
    }

    /// Frees what was read for configurations that no pod has any more.
    pub fn forget_unused(&mut self) {
        self.library.prune();
        self.forget_verified();
    }

    /// What comes of a request. Traces stay empty.
    ///
    /// # Errors
    /// If the configuration, or the request, holds something that is not modelled.
    pub fn evaluate(&self, caller: &Caller, request: &Request) -> Result<Evaluation, Unmodelled> {
        Walk { evaluator: self, explain: false }.run(caller, request)
    }

    /// What comes of a request, and how.
    ///
    /// # Errors
    /// If the configuration, or the request, holds something that is not modelled.
    pub fn explain(&self, caller: &Caller, request: &Request) -> Result<Evaluation, Unmodelled> {
        Walk { evaluator: self, explain: true }.run(caller, request)
    }

    /// The memory goes by address, so that it must go before what it points at.
    fn forget_verified(&mut self) {
        self.verified = RwLock::default();
    }
}
