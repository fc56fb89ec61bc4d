//! What a MeshConfig changes in the controller itself, while it runs.

use std::{
    net::SocketAddr,
    sync::{Arc, Weak},
};

use tokio::sync::watch;

use crate::{
    admin::{
        HttpServer, Level, Metrics,
        debug::{self, Debug},
        http::HttpLimits,
    },
    api::mesh_config::MeshConfigSpec,
    model::{Features, TrustDomain},
    run::ControlPlane,
    xds::server::listen,
};

/// Follows MeshConfig.
pub(super) struct Live {
    pub(super) mesh_config: watch::Receiver<Arc<MeshConfigSpec>>,
    pub(super) plane: Weak<ControlPlane>,
    pub(super) level: Level,
    pub(super) metrics: Arc<Metrics>,
    pub(super) debug: SocketAddr,
    pub(super) debug_token: Option<Arc<str>>,
    /// Where the debug endpoints are, while they are open.
    pub(super) debug_open: watch::Sender<Option<SocketAddr>>,
    pub(super) stop: watch::Receiver<bool>,
}

impl Live {
    /// Runs until the controller stops.
    pub(super) async fn run(mut self) {
        let mut server = None;
        loop {
            let config = self.mesh_config.borrow_and_update().clone();
            self.obey(&config);
            server = self.toggle(server, config.observability.enable_debug_server).await;
            let changed = tokio::select! {
                stopped = async { self.stop.wait_for(|stop| *stop).await.is_ok() } => !stopped,
                changed = self.mesh_config.changed() => changed.is_ok(),
            };
            if !changed {
                break;
            }
        }
        self.toggle(server, false).await;
    }

    fn obey(&self, config: &MeshConfigSpec) {
        if let Some(plane) = self.plane.upgrade() {
            plane.limit_proxies(usize::try_from(config.sidecar.max_data_plane_connections).unwrap_or(usize::MAX));
        }
        let wanted = config.observability.osm_log_level.as_deref().filter(|level| *level != self.level.current());
        if let Some(wanted) = wanted {
            match self.level.set(wanted) {
                Ok(()) => tracing::info!(level = wanted, "MeshConfig set the log level"),
                Err(error) => tracing::error!(%error, "spec.observability.osmLogLevel of the MeshConfig is ignored"),
            }
        }
        count(config.settings(TrustDomain::default()).features, &self.metrics);
    }

    async fn toggle(&self, server: Option<HttpServer>, on: bool) -> Option<HttpServer> {
        match (server, on) {
            (None, true) => self.open(),
            (Some(server), false) => {
                self.debug_open.send_replace(None);
                server.shutdown().await;
                tracing::info!("the debug endpoints are closed");
                None
            }
            (server, _) => server,
        }
    }

    fn open(&self) -> Option<HttpServer> {
        let debug = Debug { plane: self.plane.clone(), level: self.level.clone(), token: self.debug_token.clone() };
        let started = listen(self.debug)
            .and_then(|listener| HttpServer::start(listener, None, debug::router(debug), HttpLimits::default()));
        match started {
            Ok(server) => {
                tracing::info!(address = %server.address(), "the debug endpoints are open");
                self.debug_open.send_replace(Some(server.address()));
                Some(server)
            }
            Err(error) => {
                tracing::error!(%error, address = %self.debug, "the debug endpoints cannot be opened");
                None
            }
        }
    }
}

fn count(features: Features, metrics: &Metrics) {
    metrics.feature_flag("enableEgressPolicy", features.egress_policy);
    metrics.feature_flag("enableIngressBackendPolicy", features.ingress_backend_policy);
    metrics.feature_flag("enableRetryPolicy", features.retry_policy);
    metrics.feature_flag("enableEnvoyActiveHealthChecks", features.active_health_checks);
    metrics.feature_flag("enableWASMStats", features.request_metrics);
}
