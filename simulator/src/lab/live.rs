//! The real thing: our control plane, one Envoy for each pod, and fake applications, all of one scenario.

mod control;
mod delivery;
mod launch;
mod waiting;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use mesh::{
    ca::ControlCa,
    model::{ObjectName, TrustDomain},
    run::{ControlPlane, Overrides},
    snapshot::OUTBOUND_PORT,
    world::{Change, World},
};

use delivery::adapted;

use super::{
    error::LabError,
    mutation::Delivery,
    topology::{Pod, Topology},
};
use crate::{
    adapt::Adaptation,
    client::Route,
    collector::Collector,
    envoy::{Sidecar, Variant, network::Network},
    scenario::model::Respond,
    workload::{Application, ApplicationPort, Witness},
};

/// Where sidecars run.
#[derive(Clone, Debug)]
pub enum Runtime {
    /// As processes on 127.x.y.z.
    Process {
        /// The Envoy binary.
        envoy: PathBuf,
    },
    /// As containers of a network of their own.
    Container {
        /// The network.
        network: Arc<Network>,
        /// The image.
        image: String,
    },
}

/// How long sidecars may take to start, and to take a configuration.
const PATIENCE: Duration = Duration::from_secs(20);
const SERVER_NAME: &str = "osm-controller.osm-system.svc.cluster.local";

/// The running half of a lab.
#[derive(Debug)]
pub struct Live {
    runtime: Runtime,
    variant: Variant,
    trust_domain: TrustDomain,
    control_ca: ControlCa,
    /// `None` while it is killed.
    control: Option<ControlPlane>,
    address: SocketAddr,
    sidecars: BTreeMap<ObjectName, Sidecar>,
    /// Networks whose gateways stand for pods without a sidecar.
    gateways: Vec<Network>,
    /// Of pods that are being removed.
    leaving: BTreeMap<ObjectName, Sidecar>,
    applications: BTreeMap<(ObjectName, u16), Application>,
    adaptations: Arc<std::sync::RwLock<BTreeMap<ObjectName, Adaptation>>>,
    /// What goes wrong on the way to the sidecars, if anything does.
    delivery: Option<Delivery>,
    poisoned: BTreeSet<ObjectName>,
    /// Where sidecars look names up.
    names: Option<SocketAddr>,
    collectors: BTreeMap<String, Collector>,
    /// What every application saw.
    pub witness: Arc<Witness>,
    dir: PathBuf,
}

impl Live {
    /// Starts the control plane, empty, and nothing else.
    ///
    /// # Errors
    /// [`LabError`].
    pub async fn start(
        runtime: Runtime,
        variant: Variant,
        trust_domain: TrustDomain,
        listen: SocketAddr,
        collectors: &[String],
        dir: &Path,
        delivery: Option<Delivery>,
    ) -> Result<Self, LabError> {
        let control_ca = ControlCa::generate(now())?;
        let mut live = Self {
            runtime,
            variant,
            trust_domain,
            control_ca,
            control: None,
            address: listen,
            sidecars: BTreeMap::new(),
            gateways: Vec::new(),
            leaving: BTreeMap::new(),
            applications: BTreeMap::new(),
            adaptations: Arc::default(),
            delivery,
            poisoned: BTreeSet::new(),
            names: None,
            collectors: start_collectors(collectors, listen.ip()).await?,
            witness: Arc::new(Witness::new()),
            dir: dir.to_owned(),
        };
        live.start_control_plane(Vec::new()).await?;
        Ok(live)
    }

    /// Stops the control plane as a crash would. Sidecars keep running.
    pub async fn kill_control_plane(&mut self) {
        if let Some(control) = self.control.take() {
            control.kill().await;
        }
    }

    /// Where the control plane listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the control plane is running.
    pub fn is_up(&self) -> bool {
        self.control.is_some()
    }

    /// Tells the control plane; nothing if it is down.
    ///
    /// # Errors
    /// [`LabError`].
    pub async fn apply(&self, changes: Vec<Change>) -> Result<(), LabError> {
        if let Some(control) = &self.control {
            control.apply(changes).await?;
        }
        Ok(())
    }

    /// The world as the control plane has it.
    pub fn world(&self) -> Option<World> {
        self.control.as_ref().map(ControlPlane::world)
    }

    /// The control plane.
    pub fn control(&self) -> Option<&ControlPlane> {
        self.control.as_ref()
    }

    /// The collector called `name`.
    pub fn collector(&self, name: &str) -> Option<&Collector> {
        self.collectors.get(name)
    }

    /// The sidecars, by pod.
    pub fn sidecars(&self) -> &BTreeMap<ObjectName, Sidecar> {
        &self.sidecars
    }

    /// Where the pod's application on a container port really listens.
    pub fn application(&self, pod: &ObjectName, port: u16) -> Option<SocketAddr> {
        self.applications.get(&(pod.clone(), port)).map(Application::addr)
    }

    /// Starts the applications of a pod. `tls` makes it an impostor that serves TLS on the pod's own address.
    ///
    /// # Errors
    /// An address is taken.
    pub async fn start_applications(
        &mut self,
        pod: &Pod,
        tls: Option<Arc<rustls::ServerConfig>>,
        inbound: &BTreeSet<u16>,
    ) -> Result<(), LabError> {
        let mut listening = BTreeMap::new();
        for (port, kind) in &pod.ports {
            let bind = match (&self.runtime, pod.meshed) {
                (_, false) => SocketAddr::new(pod.object.address, *port),
                (Runtime::Process { .. }, true) => SocketAddr::from(([127, 0, 0, 1], 0)),
                (Runtime::Container { network, .. }, true) => SocketAddr::new(network.gateway(), 0),
            };
            let application = ApplicationPort {
                pod: pod.object.name.name.clone(),
                port: *port,
                kind: *kind,
                bind,
                respond: pod.respond.clone(),
                tls: tls.clone().filter(|_| pod.tls_ports.is_empty() || pod.tls_ports.contains(port)),
            };
            let application = Application::start(application, self.witness.clone()).await?;
            listening.insert(*port, application.addr());
            self.applications.insert((pod.object.name.clone(), *port), application);
        }
        let bind = match self.runtime {
            Runtime::Process { .. } => pod.object.address,
            Runtime::Container { .. } => IpAddr::from([0, 0, 0, 0]),
        };
        let adaptation = Adaptation {
            pod_ip: pod.object.address,
            bind,
            inbound_ports: inbound.iter().copied().collect(),
            applications: listening,
        };
        self.adaptations
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .insert(pod.object.name.clone(), adaptation);
        Ok(())
    }

    /// Sidecars that are launched from now on look names up there.
    pub fn look_up_at(&mut self, names: SocketAddr) {
        self.names = Some(names);
    }

    /// Takes the sidecar in.
    pub fn adopt(&mut self, pod: ObjectName, sidecar: Sidecar) {
        self.sidecars.insert(pod, sidecar);
    }

    /// Puts resources into the snapshot of a pod that it must refuse; an empty list heals it.
    ///
    /// # Errors
    /// The control plane is down.
    pub async fn poison(&mut self, pod: &ObjectName, overrides: Overrides) -> Result<(), LabError> {
        if overrides.is_empty() {
            self.poisoned.remove(pod);
        } else {
            self.poisoned.insert(pod.clone());
        }
        let Some(control) = &self.control else { return Err(LabError::Down) };
        control.poison(pod.clone(), overrides).await?;
        Ok(())
    }

    /// Kills the sidecar of a pod and starts it again; returns when it serves.
    ///
    /// # Errors
    /// It does not come back.
    pub async fn restart_sidecar(&mut self, pod: &ObjectName) -> Result<(), LabError> {
        if let Some(sidecar) = self.sidecars.get_mut(pod) {
            sidecar.restart().await?;
            sidecar.wait_live(PATIENCE).await?;
        }
        Ok(())
    }

    /// Changes how the applications of a pod answer.
    ///
    /// # Errors
    /// The behaviour cannot be read.
    pub fn respond(&self, pod: &ObjectName, respond: &Respond) -> Result<(), LabError> {
        for ((owner, _), application) in &self.applications {
            if owner == pod {
                application.set_respond(respond)?;
            }
        }
        Ok(())
    }

    /// The pod is leaving: nobody waits for its sidecar any more, which serves until [`Live::remove`].
    pub fn release(&mut self, pod: &ObjectName) {
        if let Some(sidecar) = self.sidecars.remove(pod) {
            self.leaving.insert(pod.clone(), sidecar);
        }
    }

    /// The address of the next pod that serves without a sidecar; `None` where pods keep the address that they have. Containers
    /// reach this machine by the gateways of Docker networks alone, so each such pod gets a network for itself.
    ///
    /// # Errors
    /// The engine makes no further network.
    pub async fn unmeshed_address(&mut self) -> Result<Option<IpAddr>, LabError> {
        let Runtime::Container { network, .. } = &self.runtime else { return Ok(None) };
        let own = Network::create(network.engine(), "a pod without a sidecar").await?;
        let address = own.gateway();
        self.gateways.push(own);
        Ok(Some(address))
    }

    /// Ends a pod: its sidecar and its applications.
    ///
    /// # Errors
    /// The sidecar cannot be stopped.
    pub async fn remove(&mut self, pod: &ObjectName) -> Result<(), LabError> {
        if let Some(sidecar) = self.leaving.remove(pod).or_else(|| self.sidecars.remove(pod)) {
            sidecar.stop().await?;
        }
        let ports: Vec<_> = self.applications.keys().filter(|(owner, _)| owner == pod).cloned().collect();
        for port in ports {
            if let Some(application) = self.applications.remove(&port) {
                application.stop().await;
            }
        }
        Ok(())
    }

    /// How a client in `pod` reaches the network.
    pub fn route(&self, pod: &Pod) -> Route {
        let address = pod.object.address;
        if pod.meshed {
            Route::ThroughSidecar { outbound: SocketAddr::new(address, OUTBOUND_PORT), source: address }
        } else {
            Route::Direct { source: self.source(pod) }
        }
    }

    /// The address that a client in `pod` connects from, where it can be chosen.
    pub fn source(&self, pod: &Pod) -> Option<IpAddr> {
        matches!(self.runtime, Runtime::Process { .. }).then_some(pod.object.address)
    }

    /// Ends everything.
    ///
    /// # Errors
    /// A sidecar cannot be stopped.
    pub async fn stop(mut self) -> Result<(), LabError> {
        let sidecars = std::mem::take(&mut self.sidecars);
        let stopped = futures::future::join_all(sidecars.into_values().map(Sidecar::stop)).await;
        for (_, application) in std::mem::take(&mut self.applications) {
            application.stop().await;
        }
        self.kill_control_plane().await;
        for gateway in std::mem::take(&mut self.gateways) {
            gateway.remove().await?;
        }
        stopped.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(())
    }
}

async fn start_collectors(names: &[String], ip: IpAddr) -> std::io::Result<BTreeMap<String, Collector>> {
    let mut collectors = BTreeMap::new();
    for name in names {
        collectors.insert(name.clone(), Collector::start(SocketAddr::new(ip, 0)).await?);
    }
    Ok(collectors)
}

fn now() -> i64 {
    use mesh::ca::{Clock as _, SystemClock};
    SystemClock.now()
}

/// All pods of a topology that have a sidecar.
pub fn meshed(topology: &Topology) -> impl Iterator<Item = &Pod> {
    topology.pods.values().filter(|pod| pod.meshed)
}
