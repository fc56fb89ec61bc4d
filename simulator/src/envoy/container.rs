//! A sidecar in a container. The applications stay in this process, behind the network's gateway.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use mesh::snapshot::metrics::POD_NAME;
use testcontainers::{
    ContainerAsync, CopyDataSource, CopyTargetOptions, GenericImage, ImageExt, TestcontainersError,
    bollard::query_parameters::{InspectContainerOptions, KillContainerOptions},
    core::Host,
    runners::AsyncRunner,
};

use super::{
    ADMIN_PORT,
    admin::Admin,
    bootstrap::{Bootstrap, Credentials, Pem},
    network::{Engine, Network, OWNER_LABEL, failed, owner, with_causes},
    process::OPTIONS,
    sidecar::{Answering, SidecarError, tail},
};

/// Where Envoy is in the image, and its bootstrap.
const ENVOY: &str = "/usr/local/bin/envoy";
const BOOTSTRAP: &str = "/etc/envoy/bootstrap.json";

/// How long a container may take until Envoy's administration interface answers.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// What is needed to run one sidecar in a container.
#[derive(Clone, Debug)]
pub struct Launch {
    /// An image that has Envoy at `/usr/local/bin/envoy`; see [`super::image::provide`].
    pub image: String,
    /// The network. It must outlive the sidecar.
    pub network: Arc<Network>,
    /// What it starts with. The administration interface is moved to all addresses of the container, port [`ADMIN_PORT`]; the bind
    /// address is dropped, as a container has an address of its own; files of certificates are read here and sent along.
    /// The control plane must be an address that the container reaches: one that listens on [`Network::gateway`].
    pub bootstrap: Bootstrap,
    /// Envoy's log level, for example `warning`.
    pub log_level: String,
}

/// A running container with Envoy. It is removed when this is dropped; needs a running tokio runtime for that.
#[derive(Debug)]
pub struct Container {
    container: ContainerAsync<GenericImage>,
    engine: Engine,
    network: String,
    admin: Admin,
}

impl Container {
    /// Starts a container and waits until Envoy's administration interface answers. The container's address is known only
    /// then; Envoy goes on asking for its configuration by itself.
    ///
    /// # Errors
    /// The engine refuses, files cannot be read, Envoy ends at once (with what it said) or stays silent.
    pub async fn start(launch: Launch) -> Result<Self, SidecarError> {
        let engine = launch.network.engine().clone();
        let network = launch.network.name().to_owned();
        let (name, tag) = split_image(&launch.image);
        let command = ["--config-path", BOOTSTRAP].into_iter().chain(OPTIONS).chain(["--log-level", &launch.log_level]);
        let bootstrap = in_container(launch.bootstrap.clone())?.to_json().into_bytes();
        let request = GenericImage::new(name, tag)
            .with_entrypoint(ENVOY)
            .with_cmd(command)
            // Root inside of the container, without a single capability, so that the key can be root's alone. Docker lets
            // everybody bind low ports.
            .with_user("0:0")
            .with_cap_drop("ALL")
            .with_copy_to(CopyTargetOptions::new(BOOTSTRAP).with_mode(0o600), CopyDataSource::Data(bootstrap))
            .with_env_var(POD_NAME, launch.bootstrap.pod_name())
            .with_network(&network)
            .with_host("host.docker.internal", Host::HostGateway)
            .with_label(OWNER_LABEL, owner());
        let container = request.start().await.map_err(refused("start a container"))?;
        let address = address(&engine, container.id(), &network).await;
        let admin = match address {
            Ok(ip) => Admin::new(SocketAddr::new(ip, ADMIN_PORT)),
            // An Envoy that has ended has no address any more: say why it ended.
            Err(error) => return Err(ended(&engine, &container).await?.unwrap_or(error)),
        };
        let started = Self { container, engine, network, admin };
        started.wait_answering().await?;
        Ok(started)
    }

    /// The container's address in its network: the pod's.
    pub fn address(&self) -> IpAddr {
        self.admin.address().ip()
    }

    /// The container's id.
    pub fn id(&self) -> &str {
        self.container.id()
    }

    /// Its administration interface.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// Kills Envoy without farewell; the container stays, and its address is free for others.
    ///
    /// # Errors
    /// The engine refuses.
    pub async fn kill(&mut self) -> Result<(), SidecarError> {
        let options = None::<KillContainerOptions>;
        self.engine.docker().kill_container(self.id(), options).await.map_err(failed("kill a container"))
    }

    /// Kills Envoy if it runs, and starts it again with the same bootstrap.
    ///
    /// # Errors
    /// As for [`Container::start`]; [`SidecarError::Moved`] if another container has got the address in between.
    pub async fn restart(&mut self) -> Result<(), SidecarError> {
        if self.exited().await?.is_none() {
            self.kill().await?;
        }
        self.container.start().await.map_err(refused("start a container again"))?;
        let (before, now) = (self.address(), address(&self.engine, self.id(), &self.network).await?);
        if before != now {
            return Err(SidecarError::Moved { before, now });
        }
        self.wait_answering().await
    }

    /// Removes the container and waits until it is gone.
    ///
    /// # Errors
    /// The engine refuses.
    pub async fn stop(self) -> Result<(), SidecarError> {
        self.container.rm().await.map_err(refused("remove a container"))
    }

    /// Everything that it has logged so far.
    pub async fn log(&self) -> String {
        log(&self.container).await
    }

    /// How it ended, if it has.
    pub(super) async fn exited(&self) -> Result<Option<String>, SidecarError> {
        exit_code(&self.engine, self.id()).await
    }

    async fn wait_answering(&self) -> Result<(), SidecarError> {
        let answering = Answering::new(&self.admin, Path::new(BOOTSTRAP), START_PATIENCE);
        while !answering.asked().await? {
            if let Some(error) = ended(&self.engine, &self.container).await? {
                return Err(error);
            }
        }
        Ok(())
    }
}

/// The bootstrap as it makes sense inside of a container.
fn in_container(bootstrap: Bootstrap) -> Result<Bootstrap, SidecarError> {
    let Credentials { certificate, key, authority } = bootstrap.credentials;
    let credentials =
        Credentials { certificate: inlined(certificate)?, key: inlined(key)?, authority: inlined(authority)? };
    let admin = SocketAddr::from((Ipv4Addr::UNSPECIFIED, ADMIN_PORT));
    Ok(Bootstrap { credentials, admin, bind: None, ..bootstrap })
}

fn inlined(pem: Pem) -> Result<Pem, SidecarError> {
    match pem {
        Pem::Inline(text) => Ok(Pem::Inline(text)),
        Pem::File(path) => match fs::read_to_string(&path) {
            Ok(text) => Ok(Pem::Inline(text)),
            Err(source) => Err(SidecarError::File { path, source }),
        },
    }
}

/// `registry:5000/envoy:v1` → `registry:5000/envoy`, `v1`; a digest counts as tag.
fn split_image(image: &str) -> (&str, &str) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}

async fn address(engine: &Engine, id: &str, network: &str) -> Result<IpAddr, SidecarError> {
    let options = None::<InspectContainerOptions>;
    let state = engine.docker().inspect_container(id, options).await.map_err(failed("inspect a container"))?;
    let networks = state.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let ip = networks.get(network).and_then(|endpoint| endpoint.ip_address.as_ref()).map(ToString::to_string);
    ip.and_then(|ip| ip.parse().ok()).ok_or_else(|| SidecarError::Docker {
        doing: "find the container's address".into(),
        reason: format!("it has none in network {network}"),
    })
}

async fn exit_code(engine: &Engine, id: &str) -> Result<Option<String>, SidecarError> {
    let options = None::<InspectContainerOptions>;
    let state = engine.docker().inspect_container(id, options).await.map_err(failed("inspect a container"))?.state;
    let state = state.unwrap_or_default();
    let exited = state.running == Some(false);
    Ok(exited.then(|| format!("exit code {}", state.exit_code.unwrap_or_default())))
}

async fn ended(
    engine: &Engine,
    container: &ContainerAsync<GenericImage>,
) -> Result<Option<SidecarError>, SidecarError> {
    let Some(status) = exit_code(engine, container.id()).await? else { return Ok(None) };
    Ok(Some(SidecarError::Exited { status, log: tail(&log(container).await) }))
}

async fn log(container: &ContainerAsync<GenericImage>) -> String {
    // Envoy logs to standard error; what is on the other stream comes from the loader or the image.
    let mut bytes = container.stdout_to_vec().await.unwrap_or_default();
    bytes.extend(container.stderr_to_vec().await.unwrap_or_default());
    String::from_utf8_lossy(&bytes).into_owned()
}

fn refused(doing: &str) -> impl Fn(TestcontainersError) -> SidecarError + use<> {
    let doing = doing.to_owned();
    move |error| SidecarError::Docker { doing: doing.clone(), reason: with_causes(&error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_s_tag_is_told_from_a_registry_s_port() {
        assert_eq!(split_image("envoyproxy/envoy:v1.40.0"), ("envoyproxy/envoy", "v1.40.0"));
        assert_eq!(split_image("localhost:5000/envoy"), ("localhost:5000/envoy", "latest"));
        assert_eq!(split_image("localhost:5000/envoy:v1"), ("localhost:5000/envoy", "v1"));
        assert_eq!(split_image("envoy@sha256:00ff"), ("envoy@sha256", "00ff"));
    }
}
