//! From the command line to a running controller.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use k8s_openapi::apimachinery::pkg::version::Info;
use kube::{
    Client,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::sync::watch;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::{
    Config, Controller, Ears, KubeTokens, Parts, Register, Serving, certificates,
    cluster::Cluster,
    flags::Flags,
    heard,
    hooks::{self, Sight},
    metrics_api, register,
};
use crate::{
    admin::{Level, Metrics},
    ca::{self, Clock as _, Credential, SystemClock, serving::ServingNames},
    k8s::lease,
    run::Worlds,
    xds::{Identity, Limits},
};

/// Connects to the API server that the flags name: a kubeconfig, or that of the cluster around.
///
/// # Errors
/// If there is no configuration, or it is of no use.
pub async fn client(kubeconfig: Option<&Path>) -> Result<Client> {
    let config = match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).with_context(|| {
                format!("read the kubeconfig {}: give the path of one with --kubeconfig", path.display())
            })?;
            kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?
        }
        None => kube::Config::infer()
            .await
            .context("find the API server: run in a cluster with a service account, or give --kubeconfig")?,
    };
    Client::try_from(config).context("use the configuration of the API server")
}

/// Starts the controller that the flags describe.
///
/// # Errors
/// Whatever keeps it from starting, with what to do about it.
pub async fn start(flags: &Flags, level: Level) -> Result<Controller> {
    let client = client(flags.kubeconfig.as_deref()).await?;
    let version = client.apiserver_version().await.context(
        "ask the API server for its version: is it up, may this account reach it, is the kubeconfig the right one?",
    )?;
    tracing::info!(version = version.git_version, "connected to the API server");
    let metrics = Arc::new(Metrics::default());
    let (keep, serving) = serving(flags, &client).await?;
    if flags.install_crds {
        let definitions = hooks::definitions(flags, Some(&serving.borrow()));
        register::install_crds(&client, &definitions)
            .await
            .context("install the CRDs: may this account write them?")?;
    }
    let debug_token = flags.listen.debug_token_file.as_deref().map(debug_token).transpose()?;
    let config = Config {
        ads: flags.listen.at(flags.listen.ads_port),
        http: flags.listen.at(flags.listen.http_port),
        debug: flags.listen.debug_address,
        debug_token,
        identity: Identity::Token(Arc::new(KubeTokens::new(client.clone()))),
        limits: Limits { connections: flags.listen.max_connections, ..Limits::default() },
        notice: flags.listen.notice(),
        metrics: metrics.clone(),
        level,
    };
    let native_sidecar = has_native_sidecars(&version);
    let parts = parts(flags, client, &metrics, serving, native_sidecar);
    let controller = Controller::start(config, parts).await.context("start the controller")?;
    Ok(controller.keeping(keep))
}

fn debug_token(path: &Path) -> Result<Arc<str>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read the debug token {}", path.display()))?;
    let token = text.trim();
    anyhow::ensure!(token.len() >= 16, "the debug token in {} is shorter than 16 characters", path.display());
    Ok(token.into())
}

/// Whether the cluster runs init containers that stay (`restartPolicy: Always`): Kubernetes 1.29 and later.
fn has_native_sidecars(version: &Info) -> bool {
    let number = |text: &str| text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse::<u32>().unwrap_or_default();
    (number(&version.major), number(&version.minor)) >= (1, 29)
}

/// How long an attempt to read or make the control channel's root is repeated.
const PATIENCE: Duration = Duration::from_secs(60);

/// The certificate of ADS and webhooks: below a root that all replicas share, renewed on the clock. The first part has to live as
/// long as the second is used.
async fn serving(flags: &Flags, client: &Client) -> Result<(ca::serving::Serving, watch::Receiver<Serving>)> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let ca = loop {
        match ca::secret::control_ca(client, &flags.osm_namespace, SystemClock.now()).await {
            Ok(ca) => break ca,
            Err(error) if tokio::time::Instant::now() > deadline => {
                let what = format!("find or make the control channel's root in namespace {}", flags.osm_namespace);
                return Err(anyhow::Error::new(error).context(what));
            }
            Err(error) => {
                tracing::warn!(%error, "no root for the control channel yet; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    };
    let names = ServingNames {
        dns_names: flags.server_names(),
        addresses: flags.server_addresses(),
        validity: Duration::from_secs(30 * 86_400),
    };
    let kept = ca::serving::Serving::start(ca, names, Arc::new(SystemClock)).context("make the server certificate")?;
    let (mut served, mut bundle) = (kept.served(), kept.bundle());
    let now = move |served: &mut watch::Receiver<Arc<ca::serving::Served>>, bundle: &mut watch::Receiver<Arc<str>>| {
        let Credential { chain_pem, key, .. } = served.borrow_and_update().credential.clone();
        Serving { chain_pem, key, roots_pem: bundle.borrow_and_update().clone() }
    };
    let (out, serving) = watch::channel(now(&mut served, &mut bundle));
    tokio::spawn(async move {
        loop {
            tokio::select! {
                changed = served.changed() => if changed.is_err() { return },
                changed = bundle.changed() => if changed.is_err() { return },
            }
            out.send_replace(now(&mut served, &mut bundle));
        }
    });
    Ok((kept, serving))
}

/// Everything that the cluster tells, and everything that is written back to it.
fn parts(
    flags: &Flags,
    client: Client,
    metrics: &Arc<Metrics>,
    serving: watch::Receiver<Serving>,
    native_sidecar: bool,
) -> Parts {
    let candidacy = lease::run(client.clone(), &flags.osm_namespace, LEASE, &instance(flags), lease::Terms::default());
    let (domain_in, domain) = watch::channel(None);
    let (cluster, heard) = Cluster::new(flags, &client, domain);
    let Ears { batches, mesh_config, watches } = heard::listen(heard, Some(client.clone()), metrics.clone());
    let certificates = certificates::start(certificates::Sources {
        client: client.clone(),
        namespace: flags.osm_namespace.clone(),
        trust_domain: flags.trust_domain.clone(),
        mesh_config: mesh_config.clone(),
        leads: candidacy.leads(),
        metrics: metrics.clone(),
        others: Duration::from_secs(flags.root_step_pause),
    });
    let running = certificates.running;
    let mut trust_domain = running.trust_domain;
    tokio::spawn(async move {
        // The other end is dropped when the controller ends.
        if let Ok(known) = trust_domain.wait_for(Option::is_some).await {
            domain_in.send_replace(known.clone());
        }
    });
    let sight = Sight {
        mesh_config: mesh_config.clone(),
        namespaces: cluster.namespaces.clone(),
        serving: serving.clone(),
        root_certificates: certificates.served,
    };
    let register = Register { client: client.clone(), objects: hooks::registrations(flags) };
    let (flags, authority, counted) = (flags.clone(), running.authority, metrics.clone());
    Parts {
        batches,
        watches,
        mesh_config,
        authority,
        issued: UnboundedReceiverStream::new(certificates.issued).boxed(),
        serving,
        webhooks: Box::new(move |worlds: Worlds| {
            cluster.report(client.clone(), instance(&flags), candidacy, worlds.clone());
            let metrics_api = metrics_api::serve(&flags, client, sight.serving.clone(), counted, worlds.clone());
            hooks::webhooks(&flags, native_sidecar, sight, worlds).into_iter().chain(metrics_api).collect()
        }),
        register: Some(register),
    }
}

/// The Lease of those who write.
const LEASE: &str = "osm-controller";

/// The name of this replica: that of its pod, or what tells it from others on the same machine.
fn instance(flags: &Flags) -> String {
    std::env::var("POD_NAME")
        .unwrap_or_else(|_| format!("osm-controller-{}-{}", std::process::id(), flags.listen.at(flags.listen.ads_port)))
}
