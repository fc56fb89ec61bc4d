//! The Docker engine, the network of one run or scenario, and what a killed run left behind.

use std::{
    collections::HashMap,
    fmt, fs,
    net::{IpAddr, TcpListener},
    sync::atomic::{AtomicU32, Ordering},
};

use testcontainers::{
    bollard::{
        Docker,
        errors::Error as BollardError,
        models::NetworkCreateRequest,
        query_parameters::{
            InspectNetworkOptions, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
            RemoveContainerOptionsBuilder,
        },
    },
    core::client::docker_client_instance,
};

use super::sidecar::SidecarError;

/// The label of all containers and networks of the simulator. Its value names the process that made them.
pub const OWNER_LABEL: &str = "smi-simulator.owner";

/// A Docker engine that answers. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    docker: Docker,
    version: String,
}

/// A bridge network of one's own. Removed when dropped.
#[derive(Debug)]
pub struct Network {
    engine: Engine,
    name: String,
    gateway: IpAddr,
    removed: bool,
}

/// What a killed run had left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Containers removed.
    pub containers: usize,
    /// Networks removed.
    pub networks: usize,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Engine({})", self.version)
    }
}

impl Engine {
    /// The engine that `DOCKER_HOST` names, else the one at Docker's usual sockets.
    ///
    /// # Errors
    /// Nothing answers there.
    pub async fn connect() -> Result<Self, SidecarError> {
        let refused = |reason: String| SidecarError::Docker { doing: "connect to it".into(), reason };
        let docker = docker_client_instance().await.map_err(|e| refused(e.to_string()))?;
        let version = docker.version().await.map_err(|e| refused(with_causes(&e)))?;
        Ok(Self { docker, version: version.version.unwrap_or_default() })
    }

    /// The engine's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub(super) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Removes containers and networks whose simulator is dead. Those of other running simulators stay.
    ///
    /// # Errors
    /// The engine refuses.
    pub async fn reap(&self) -> Result<Reaped, SidecarError> {
        let filter = HashMap::from([("label".to_owned(), vec![OWNER_LABEL.to_owned()])]);
        let is_left = |labels: &Option<HashMap<String, String>>| {
            labels.as_ref().and_then(|l| l.get(OWNER_LABEL)).is_some_and(|owner| !is_alive(owner))
        };
        let mut reaped = Reaped::default();

        let options = ListContainersOptionsBuilder::new().all(true).filters(&filter).build();
        let containers = self.docker.list_containers(Some(options)).await.map_err(failed("list containers"))?;
        for container in containers.into_iter().filter(|c| is_left(&c.labels)) {
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            let id = container.id.unwrap_or_default();
            if gone(self.docker.remove_container(&id, Some(options)).await).map_err(failed("remove a container"))? {
                reaped.containers += 1;
            }
        }

        let options = ListNetworksOptionsBuilder::new().filters(&filter).build();
        let networks = self.docker.list_networks(Some(options)).await.map_err(failed("list networks"))?;
        for network in networks.into_iter().filter(|n| is_left(&n.labels)) {
            let id = network.id.unwrap_or_default();
            if gone(self.docker.remove_network(&id).await).map_err(failed("remove a network"))? {
                reaped.networks += 1;
            }
        }
        Ok(reaped)
    }
}

impl Network {
    /// Creates a network. `purpose` becomes part of its name, for people; what does not fit a name of Docker's becomes `_`.
    ///
    /// # Errors
    /// The engine refuses (it has some thirty subnets to give away by default), or it is not on this machine: sidecars
    /// must reach the applications in this process, and this process the sidecars.
    pub async fn create(engine: &Engine, purpose: &str) -> Result<Self, SidecarError> {
        let fits = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' };
        let purpose: String = purpose.chars().map(fits).collect();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("smi-{}-{number}-{purpose}", std::process::id());
        let labels = HashMap::from([(OWNER_LABEL.to_owned(), owner())]);
        let request = NetworkCreateRequest { name: name.clone(), labels: Some(labels), ..Default::default() };
        engine.docker.create_network(request).await.map_err(failed("create a network"))?;
        // From here on, dropping it removes it.
        let unspecified = IpAddr::from([0, 0, 0, 0]);
        let mut network = Self { engine: engine.clone(), name, gateway: unspecified, removed: false };
        network.gateway = network.find_gateway().await?;
        Ok(network)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// This machine's address in the network: control plane and applications listen here, and only containers and this
    /// machine reach them.
    pub fn gateway(&self) -> IpAddr {
        self.gateway
    }

    /// Its engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Removes it. All of its containers must be gone.
    ///
    /// # Errors
    /// The engine refuses.
    pub async fn remove(mut self) -> Result<(), SidecarError> {
        gone(self.engine.docker.remove_network(&self.name).await).map_err(failed("remove a network"))?;
        self.removed = true;
        Ok(())
    }

    async fn find_gateway(&self) -> Result<IpAddr, SidecarError> {
        let doing = "find this machine's address in the network";
        let wrong = |reason: String| SidecarError::Docker { doing: doing.into(), reason };
        let options = None::<InspectNetworkOptions>;
        let network = self.engine.docker.inspect_network(&self.name, options).await.map_err(failed(doing))?;
        let configs = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
        let gateways = configs.into_iter().filter_map(|config| config.gateway?.parse::<IpAddr>().ok());
        let gateway =
            gateways.into_iter().find(IpAddr::is_ipv4).ok_or_else(|| wrong("it has no IPv4 gateway".into()))?;
        match TcpListener::bind((gateway, 0)) {
            Ok(_) => Ok(gateway),
            Err(e) => {
                Err(wrong(format!("{gateway} is not of this machine ({e}): the engine runs elsewhere or in a VM")))
            }
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        let name = self.name.clone();
        // A runtime of its own: this may be dropped inside of one, where blocking is not possible, or outside of any.
        let removal = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(async {
                let engine = Engine::connect().await.ok()?;
                engine.docker.remove_network(&name).await.ok()
            })
        });
        if !matches!(removal.join(), Ok(Some(()))) {
            tracing::warn!("network {} is left behind; the next run removes it", self.name);
        }
    }
}

/// Names this process so that no later one is taken for it: process id and start time.
pub(super) fn owner() -> String {
    let pid = std::process::id().to_string();
    let start = start_time(&pid).unwrap_or_default();
    format!("{pid}@{start}")
}

fn is_alive(owner: &str) -> bool {
    let Some((pid, start)) = owner.split_once('@') else { return false };
    start_time(pid).is_some_and(|now| now == start)
}

/// When a process started, in clock ticks since boot: field 22 of `/proc/PID/stat` (proc(5)).
fn start_time(pid: &str) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may contain anything; 20 fields on is the 22nd.
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(19).map(str::to_owned)
}

/// Whether it was there; that somebody else removed it at the same time is no error.
fn gone(result: Result<(), BollardError>) -> Result<bool, BollardError> {
    match result {
        Ok(()) => Ok(true),
        Err(BollardError::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn failed(doing: &str) -> impl Fn(BollardError) -> SidecarError + use<> {
    let doing = doing.to_owned();
    move |error| SidecarError::Docker { doing: doing.clone(), reason: with_causes(&error) }
}

pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |e| e.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_alive_only_as_the_same_process() {
        assert!(is_alive(&owner()));
        let (pid, _) = owner().split_once('@').map(|(p, s)| (p.to_owned(), s.to_owned())).unwrap();
        assert!(!is_alive(&format!("{pid}@1")), "a later process with the same id");
        assert!(!is_alive("4194305@1"), "beyond the largest process id");
        assert!(!is_alive("garbage"));
    }
}
