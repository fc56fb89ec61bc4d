//! One scenario's world, set up and running: pods, services, certificates, control plane, and sidecars if there are any.
//!
//! A lab goes through the same motions whatever carries the traffic. It keeps its own [`World`], fed with the same changes as
//! the control plane, so that the evaluator can say at any time what the sidecars must do; on a live runtime real Envoys say
//! what they do.

pub mod certificates;
mod change;
pub mod dns;
mod error;
mod feed;
pub mod live;
pub mod metrics;
pub mod mutation;
pub mod poison;
pub mod resolve;
mod resources;
pub mod store;
pub mod subnet;
pub mod topology;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::FutureExt as _;
use mesh::{
    api::{Manifest, parse},
    ca::{Clock as _, SystemClock},
    model::{Diagnostic, Leaf, ObjectName, ServiceAccount, Settings, TrustDomain, Workload},
    policy::diagnose,
    snapshot::{Resource, Snapshot},
    world::{Object, World},
};

pub use error::LabError;

use self::{
    certificates::Certificates,
    live::{Live, Runtime},
    metrics::MetricsApi,
    mutation::{Delivery, Mind, Mutation},
    resolve::{Resolved, resolve},
    store::Store,
    subnet::Subnet,
    topology::{Addresses as _, DEFAULT_NAMESPACE, Pod, Topology},
};
use crate::{
    envoy::Variant,
    evaluator::{self, Evaluator, PeerCertificate},
    extension::Running,
    scenario::{
        address::{Destination, PodRef},
        model::{Credentials, Scenario},
    },
};

/// How a lab is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// What carries the traffic; `None` leaves it to the evaluator alone.
    pub runtime: Option<Runtime>,
    /// How sidecars talk to the control plane.
    pub variant: Variant,
    /// Decides everything that is random.
    pub seed: u64,
    /// A folder for bootstraps and logs; the caller removes it.
    pub dir: PathBuf,
    /// How the mesh is broken, if it is.
    pub mutation: Option<Arc<dyn Mutation>>,
}

/// The running world of one scenario.
#[derive(Debug)]
pub struct Lab {
    /// Everybody, with addresses.
    pub topology: Topology,
    /// What the Kubernetes API knows.
    pub store: Store,
    /// The certificate authorities.
    pub certificates: Certificates,
    /// The running half, if there is one.
    pub live: Option<Live>,
    /// The metrics API of the mesh.
    pub metrics: MetricsApi,
    resources: BTreeMap<String, (String, String)>,
    /// The services beside the mesh.
    _extensions: Vec<Running>,
    subnet: Subnet,
    world: World,
    /// How the control plane hears things wrong, if it does.
    mind: Option<Mind>,
    /// How the sidecars get things wrong, if they do.
    delivery: Option<Delivery>,
    /// Whether the control plane is running.
    up: bool,
    /// What each sidecar uses.
    snapshots: BTreeMap<ObjectName, Arc<Snapshot>>,
    /// Knows every pod with what its sidecar uses.
    evaluator: Evaluator,
    /// What impostors present.
    presented: BTreeMap<ObjectName, Leaf>,
    /// What each sidecar used before the last change.
    before: BTreeMap<ObjectName, Arc<Snapshot>>,
    /// Counts changes of what sidecars use.
    changed: tokio::sync::watch::Sender<u64>,
    /// Listeners that a poisoned sidecar keeps, whatever it is sent.
    kept: BTreeMap<ObjectName, (Arc<str>, Resource)>,
    /// DNS, on a live runtime.
    names: Option<dns::NameServer>,
}

/// How long sidecars may take to use a new configuration.
pub const CONVERGENCE: Duration = Duration::from_secs(10);

impl Lab {
    /// Sets everything up; returns when every sidecar serves.
    ///
    /// # Errors
    /// [`LabError`]: nothing is said about the mesh then.
    pub async fn start(scenario: &Scenario, file: &Path, options: &Options) -> Result<Self, LabError> {
        let mut subnet = Subnet::lease()?;
        let mut topology = Topology::new(scenario, &mut subnet)?;
        let trust_domain = scenario.mesh.trust_domain.as_deref().map_or_else(TrustDomain::default, TrustDomain::new);
        let settings = Settings {
            permissive: scenario.mesh.permissive,
            trust_domain: trust_domain.clone(),
            ..Settings::default()
        };
        let certificates = Certificates::start(trust_domain.clone(), options.seed)?;
        let delivery = options.mutation.clone().map(Delivery::new);
        let live = match &options.runtime {
            None => None,
            Some(runtime) => {
                let listen = match runtime {
                    Runtime::Process { .. } => SocketAddr::new(subnet.control_plane(), 15128),
                    Runtime::Container { network, .. } => SocketAddr::new(network.gateway(), 0),
                };
                Some(
                    Live::start(
                        runtime.clone(),
                        options.variant,
                        trust_domain,
                        listen,
                        &scenario.collectors,
                        &options.dir,
                        delivery.clone(),
                    )
                    .await?,
                )
            }
        };
        let (resources, extensions) = resources::prepare(scenario, file, options, &subnet).await?;
        let mut lab = Self {
            store: Store::default(),
            certificates,
            live,
            metrics: MetricsApi::default(),
            resources,
            _extensions: extensions,
            subnet,
            world: World::default(),
            mind: options.mutation.clone().map(Mind::new),
            delivery,
            up: true,
            snapshots: BTreeMap::new(),
            evaluator: Evaluator::new(SystemClock.now()),
            presented: BTreeMap::new(),
            before: BTreeMap::new(),
            changed: tokio::sync::watch::channel(0).0,
            kept: BTreeMap::new(),
            names: None,
            topology: Topology { pods: BTreeMap::new(), services: Vec::new() },
        };
        // Containers give their pods addresses, but none outside of the cluster is a container.
        lab.place_outside(&mut topology).await?;
        lab.launch(&mut topology).await?;
        lab.store = Store::new(settings, topology.objects());
        lab.topology = topology;
        lab.start_applications().await?;
        let mut changes = lab.store.everything();
        changes.extend(lab.certificates.want(lab.accounts()).await?);
        lab.feed(changes).await?;
        if let Some(live) = &mut lab.live {
            live.connected(CONVERGENCE).await?;
            live.wait_live().await?;
        }
        lab.converged(CONVERGENCE).await?;
        Ok(lab)
    }

    /// Starts all sidecars side by side. Containers bring their own addresses.
    async fn launch(&mut self, topology: &mut Topology) -> Result<(), LabError> {
        let Some(live) = &mut self.live else { return Ok(()) };
        let mut names = Vec::new();
        let mut launches = Vec::new();
        for pod in live::meshed(topology) {
            names.push(pod.object.name.clone());
            launches.push(live.launch(pod).boxed());
        }
        for (name, launched) in names.into_iter().zip(futures::future::join_all(launches).await) {
            let sidecar = launched?;
            if let Some(pod) = topology.pods.get_mut(&name) {
                pod.object.address = sidecar.address();
            }
            live.adopt(name, sidecar);
        }
        for pod in topology.pods.values_mut().filter(|p| !p.meshed && p.outside.is_none() && !p.ports.is_empty()) {
            if let Some(address) = live.unmeshed_address().await? {
                pod.object.address = address;
            }
        }
        Ok(())
    }

    async fn start_applications(&mut self) -> Result<(), LabError> {
        let inbound = self.topology.container_ports();
        for pod in self.topology.pods.values() {
            let mut tls = None;
            if let Some(credentials) = &pod.presents {
                let leaf = self.certificates.forge(credentials, account(credentials, &pod.object))?;
                tls = Some(crate::client::tls::serving(&leaf.chain_pem, leaf.key.expose())?);
                self.presented.insert(pod.object.name.clone(), leaf);
            }
            if let Some(live) = &mut self.live {
                live.start_applications(pod, tls, &inbound).await?;
            }
            if !pod.meshed {
                self.evaluator.insert(pod.object.address, evaluated(pod, None, self.presented.get(&pod.object.name))?);
            }
        }
        Ok(())
    }

    fn accounts(&self) -> BTreeSet<ServiceAccount> {
        self.topology.pods.values().filter(|pod| pod.meshed).map(|pod| pod.object.account.clone()).collect()
    }

    /// Creates or updates the objects of a resource; returns when every sidecar uses the result, and how long that took.
    ///
    /// # Errors
    /// [`LabError::Manifest`] if the API refuses one of them.
    pub async fn apply(&mut self, resource: &str) -> Result<Duration, LabError> {
        let manifests = self.manifests(resource)?;
        let subnet = &mut self.subnet;
        let changes = self.store.apply(manifests, || subnet.service())?;
        self.feed_and_converge(changes).await
    }

    /// Deletes the objects of a resource.
    ///
    /// # Errors
    /// [`LabError`].
    pub async fn delete(&mut self, resource: &str) -> Result<Duration, LabError> {
        let references: Vec<_> = self.manifests(resource)?.iter().map(Manifest::reference).collect();
        let changes = self.store.delete(&references);
        self.feed_and_converge(changes).await
    }

    fn manifests(&self, resource: &str) -> Result<Vec<Manifest>, LabError> {
        let Some((text, file)) = self.resources.get(resource) else {
            return Err(LabError::Unknown(format!("no resource is called {resource}")));
        };
        let text = self.topology.addressed(text);
        let text = self.mind.as_ref().map_or(text.clone(), |mind| mind.read(text));
        parse(&text, file, DEFAULT_NAMESPACE).map_err(|errors| LabError::Manifest { resource: resource.into(), errors })
    }

    /// Stores objects as a controller of Kubernetes would (readiness, removal), and waits for the result.
    async fn put(&mut self, objects: Vec<Object>) -> Result<Duration, LabError> {
        let changes = objects.into_iter().map(|object| self.store.put(object)).collect();
        self.feed_and_converge(changes).await
    }

    /// Says what the sidecars must do, by what they use now.
    pub fn evaluator(&self) -> &Evaluator {
        &self.evaluator
    }

    /// Whether the mesh is broken on purpose.
    pub fn is_broken(&self) -> bool {
        self.mind.is_some()
    }

    /// A counter that goes up whenever what sidecars use changes.
    pub fn changed(&self) -> tokio::sync::watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// What the sidecar of each pod used before the last change.
    pub fn snapshots_before(&self) -> &BTreeMap<ObjectName, Arc<Snapshot>> {
        &self.before
    }

    /// Waits until every sidecar uses its newest configuration. Nothing is waited for while the control plane is down.
    ///
    /// # Errors
    /// [`LabError`] names who does not.
    pub async fn converged(&self, within: Duration) -> Result<(), LabError> {
        match &self.live {
            Some(live) if self.up => live.converged(within).await,
            _ => Ok(()),
        }
    }

    /// What the sidecar of each pod uses, as the control plane generates it.
    pub fn snapshots(&self) -> &BTreeMap<ObjectName, Arc<Snapshot>> {
        &self.snapshots
    }

    /// What the control plane knows (or knew when it went down).
    pub fn world(&self) -> &World {
        &self.world
    }

    /// All mistakes in what is applied.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        diagnose(&self.world)
    }

    /// The pods that a scenario means by `name` or `name/INDEX`.
    ///
    /// # Errors
    /// There is no such workload or pod.
    pub fn pods(&self, text: &str) -> Result<Vec<Pod>, LabError> {
        let wanted: PodRef = text.parse().map_err(|error| LabError::Unknown(format!("{text}: {error}")))?;
        let pods = self.topology.of_workload(&wanted.workload);
        let pods: Vec<_> = pods.filter(|pod| wanted.index.is_none_or(|i| i == pod.index)).cloned().collect();
        if pods.is_empty() { Err(LabError::Unknown(format!("no pod is called {text}"))) } else { Ok(pods) }
    }

    /// Where `to` leads for a client in `namespace`.
    ///
    /// # Errors
    /// The text is no address.
    pub fn resolve(&self, to: &str, namespace: &str) -> Result<Resolved, LabError> {
        let to: Destination = to.parse().map_err(|error| LabError::Unknown(format!("{to}: {error}")))?;
        Ok(resolve(&to, namespace, &self.topology, &self.store, self.subnet.nowhere()))
    }

    /// Ends everything.
    ///
    /// # Errors
    /// A sidecar cannot be stopped.
    pub async fn stop(self) -> Result<(), LabError> {
        match self.live {
            Some(live) => live.stop().await,
            None => Ok(()),
        }
    }
}

/// A pod as the evaluator knows it.
fn evaluated(pod: &Pod, snapshot: Option<Arc<Snapshot>>, presented: Option<&Leaf>) -> Result<evaluator::Pod, LabError> {
    let presents = presented.map(|leaf| PeerCertificate::from_pem(&leaf.chain_pem)).transpose();
    Ok(evaluator::Pod {
        name: pod.object.name.name.clone(),
        snapshot,
        ports: pod.ports.keys().copied().collect(),
        presents: presents.map_err(|error| LabError::Unknown(error.to_string()))?,
        tls_ports: pod.tls_ports.clone(),
    })
}

/// The account that credentials name: `account` or `namespace/account`; the pod's own if they name none.
pub fn account(credentials: &Credentials, pod: &Workload) -> ServiceAccount {
    match credentials.account.as_deref().map(|text| text.split_once('/').ok_or(text)) {
        None => pod.account.clone(),
        Some(Ok((namespace, name))) => ServiceAccount::new(namespace, name),
        Some(Err(name)) => ServiceAccount::new(pod.account.namespace.clone(), name),
    }
}
