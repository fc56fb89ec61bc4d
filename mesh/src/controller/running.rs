//! A running controller.

use std::{
    any::Any,
    fmt,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use rustls::ServerConfig;
use tokio::{sync::watch, task::JoinHandle};

use super::{
    Config, Parts, Register, Serving, StartError, Webhook, admission::observed, feed, live::Live, probes::Probes,
    serving,
};
use crate::{
    admin::{
        HttpServer, Metrics,
        http::{HttpLimits, Tls},
        routes,
    },
    api::mesh_config::MeshConfigSpec,
    ca::SystemClock,
    run::{self, ControlPlane},
    xds::server::listen,
};

/// A running controller. Dropping it is the same as killing it.
pub struct Controller {
    plane: Arc<ControlPlane>,
    http: HttpServer,
    webhooks: Vec<(&'static str, HttpServer)>,
    debug: watch::Receiver<Option<SocketAddr>>,
    notice: Duration,
    stop: watch::Sender<bool>,
    live: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
    kept: Vec<Box<dyn Any + Send + Sync>>,
}

impl Controller {
    /// Keeps something for as long as the controller runs.
    #[must_use]
    pub(super) fn keeping(mut self, kept: impl Any + Send + Sync) -> Self {
        self.kept.push(Box::new(kept));
        self
    }

    /// Starts everything. Returns as soon as all listeners are open: whether it is ready, `/readyz` tells.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: Config, parts: Parts) -> Result<Self, StartError> {
        if !config.debug.ip().is_loopback() && config.debug_token.is_none() {
            return Err(StartError::DebugOutside(config.debug));
        }
        let (stop, stopped) = watch::channel(false);
        let tls = parts.serving.borrow().tls()?;
        let (webhook_tls, current_tls) = watch::channel(Arc::new(tls.clone()));
        let plane = run::Config {
            listen: config.ads,
            tls,
            identity: config.identity.clone(),
            limits: config.limits.clone(),
            finish: None,
            metrics: config.metrics.clone(),
        };
        let plane = Arc::new(ControlPlane::start(plane).await?);
        let weak = Arc::downgrade(&plane);
        let webhooks = webhooks((parts.webhooks)(plane.worlds()), &current_tls, &config.metrics)?;
        let mut tasks = vec![tokio::spawn(serving::follow(parts.serving.clone(), webhook_tls, weak.clone()))];
        let registered = register(parts.register, &parts.serving, &config.metrics, &mut tasks);
        let probes = Probes {
            plane: weak.clone(),
            watches: parts.watches,
            authority: parts.authority.clone(),
            serving: parts.serving,
            registered,
            clock: Arc::new(SystemClock),
            stop: stopped.clone(),
        };
        let router = routes::router(Arc::new(probes), config.metrics.clone());
        let http = start_http("health and metrics", config.http, None, router)?;
        let notice = config.notice;
        let (debug, live) = follow_mesh_config(config, parts.mesh_config, weak.clone(), stopped);
        tasks.push(tokio::spawn(feed::run(parts.batches, parts.issued, parts.authority, weak)));
        tracing::info!(ads = %plane.address(), http = %http.address(), "the controller runs");
        Ok(Self { plane, http, webhooks, debug, notice, stop, live, tasks, kept: Vec::new() })
    }

    /// The control plane: proxies, world, snapshots.
    pub fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// Where proxies connect.
    pub fn ads(&self) -> SocketAddr {
        self.plane.address()
    }

    /// Where health and metrics are.
    pub fn http(&self) -> SocketAddr {
        self.http.address()
    }

    /// Where a webhook is, by its name.
    pub fn webhook(&self, name: &str) -> Option<SocketAddr> {
        self.webhooks.iter().find(|(n, _)| *n == name).map(|(_, server)| server.address())
    }

    /// Where the debug endpoints are while they are open.
    pub fn debug(&self) -> watch::Receiver<Option<SocketAddr>> {
        self.debug.clone()
    }

    /// Ends in good order: readiness fails first, then proxies are told to go elsewhere, then webhooks finish what they have,
    /// and health is the last to go. Takes the notice and at most 8 seconds more.
    pub async fn shutdown(self) {
        let Self { plane, http, webhooks, notice, stop, live, tasks, .. } = self;
        tracing::info!(?notice, "shutting down: not ready from now on");
        stop.send_replace(true);
        tokio::time::sleep(notice).await;
        end(tasks).await;
        // It has closed the debug endpoints when it ends, unless it takes too long.
        if tokio::time::timeout(Duration::from_secs(3), live).await.is_err() {
            tracing::info!("the debug endpoints are broken off");
        }
        let drain = async {
            futures::future::join_all(webhooks.into_iter().map(|(_, server)| server.shutdown())).await;
        };
        // Probes hold the plane for moments only: if one does now, dropping the rest kills it.
        let proxies = async {
            match Arc::try_unwrap(plane) {
                Ok(plane) => plane.shutdown().await,
                Err(_) => tracing::info!("the control plane is in use; its connections are broken off"),
            }
        };
        tokio::join!(drain, proxies);
        http.shutdown().await;
        tracing::info!("the controller has ended");
    }

    /// Ends at once, as a crash would. The addresses are free on return.
    pub async fn kill(self) {
        let Self { plane, http, webhooks, live, mut tasks, .. } = self;
        tasks.push(live);
        end(tasks).await;
        drop((http, webhooks));
        if let Ok(plane) = Arc::try_unwrap(plane) {
            plane.kill().await;
        }
    }
}

/// Serves the webhooks, all with the certificate in force.
fn webhooks(
    webhooks: Vec<Webhook>,
    tls: &watch::Receiver<Arc<ServerConfig>>,
    metrics: &Arc<Metrics>,
) -> Result<Vec<(&'static str, HttpServer)>, StartError> {
    let serve = |Webhook { name, listen, router, tls: own }| {
        let router = match own {
            None => observed(router, metrics.clone()),
            Some(_) => routes::counted(router, metrics.clone()),
        };
        let tls = own.unwrap_or_else(|| tls.clone());
        Ok((name, start_http(name, listen, Some(tls), router)?))
    };
    webhooks.into_iter().map(serve).collect()
}

/// Keeps the registrations, and tells how they are.
fn register(
    register: Option<Register>,
    serving: &watch::Receiver<Serving>,
    metrics: &Arc<Metrics>,
    tasks: &mut Vec<JoinHandle<()>>,
) -> watch::Receiver<Result<(), String>> {
    let Some(register) = register else { return watch::channel(Ok(())).1 };
    let (state, registered) = watch::channel(Err("the API server has not taken the registrations yet".to_owned()));
    tasks.push(tokio::spawn(register.run(serving.clone(), state, metrics.clone())));
    registered
}

/// Lets MeshConfig steer this process. Returns where the debug endpoints are.
fn follow_mesh_config(
    config: Config,
    mesh_config: watch::Receiver<Arc<MeshConfigSpec>>,
    plane: Weak<ControlPlane>,
    stop: watch::Receiver<bool>,
) -> (watch::Receiver<Option<SocketAddr>>, JoinHandle<()>) {
    let (debug_open, open) = watch::channel(None);
    let Config { level, metrics, debug, debug_token, .. } = config;
    let live = Live { mesh_config, plane, level, metrics, debug, debug_token, debug_open, stop };
    (open, tokio::spawn(live.run()))
}

async fn end(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        task.abort();
        // Either it ended or it was aborted: both are what is wanted.
        let _ = task.await;
    }
}

fn start_http(
    what: &'static str,
    address: SocketAddr,
    tls: Tls,
    router: axum::Router,
) -> Result<HttpServer, StartError> {
    listen(address)
        .and_then(|listener| HttpServer::start(listener, tls, router, HttpLimits::default()))
        .map_err(|source| StartError::Listen { what, address, source })
}

impl fmt::Debug for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller").field("ads", &self.ads()).field("http", &self.http()).finish_non_exhaustive()
    }
}
