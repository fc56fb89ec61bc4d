//! What the probes of Kubernetes are told.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use tokio::sync::watch;

use super::{Serving, Watches};
use crate::{
    admin::{Check, Health},
    ca::{Authority, Clock},
    run::ControlPlane,
};

/// The time that the writer has for a sign of life. It builds the snapshots of thousands of pods in less.
const ALIVE: Duration = Duration::from_secs(4);

/// How the parts of a controller are.
pub(super) struct Probes {
    pub(super) plane: Weak<ControlPlane>,
    pub(super) watches: watch::Receiver<Watches>,
    pub(super) authority: watch::Receiver<Option<Authority>>,
    pub(super) serving: watch::Receiver<Serving>,
    pub(super) registered: watch::Receiver<Result<(), String>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stop: watch::Receiver<bool>,
}

impl Probes {
    async fn writer(&self) -> Check {
        let name = "writer";
        let Some(plane) = self.plane.upgrade() else {
            return Check { name, result: Err("the control plane has ended".into()) };
        };
        let result = match tokio::time::timeout(ALIVE, plane.ping()).await {
            Ok(Ok(generation)) => Ok(format!("generation {generation}")),
            Ok(Err(stopped)) => Err(stopped.to_string()),
            Err(_) => Err(format!("the thread that builds configurations has not answered for {ALIVE:?}")),
        };
        Check { name, result }
    }

    fn watches(&self) -> [Check; 2] {
        let Watches { missing, error, last_contact } = self.watches.borrow().clone();
        let error = error.map(|error| format!(" ({error})")).unwrap_or_default();
        let synced =
            Check::that("watches", missing.is_empty(), || format!("not listed yet: {}{error}", missing.join(", ")));
        // Proxies are served as long as the process lives: an API server that is away later makes nobody less ready.
        let contact = match last_contact {
            Some(at) => Ok(format!("last answer {} s ago{error}", self.clock.now() - at)),
            None => Err(format!("the API server has never answered{error}: is it up, are address and account right?")),
        };
        [synced, Check { name: "api", result: contact }]
    }

    fn authority(&self) -> Check {
        let name = "ca";
        let Some(plane) = self.plane.upgrade() else {
            return Check { name, result: Err("the control plane has ended".into()) };
        };
        let authority = self.authority.borrow().clone();
        let result = match authority {
            Some(authority) if !plane.world().trust().roots_pem.is_empty() => {
                let status = authority.status().borrow().clone();
                Ok(format!("{} of {} accounts hold a certificate", status.held, status.wanted))
            }
            _ => Err("no root certificate is loaded yet: see the status of the MeshRootCertificates".to_owned()),
        };
        Check { name, result }
    }
}

impl Health for Probes {
    fn alive(&self) -> BoxFuture<'_, Vec<Check>> {
        async { vec![self.writer().await] }.boxed()
    }

    fn ready(&self) -> BoxFuture<'_, Vec<Check>> {
        async {
            let stopping = *self.stop.borrow();
            let mut checks = vec![Check::that("running", !stopping, || "it is shutting down".into())];
            checks.extend(self.watches());
            checks.push(self.authority());
            checks.push(match self.plane.upgrade() {
                Some(plane) => Check { name: "ads", result: Ok(format!("listens on {}", plane.address())) },
                None => Check { name: "ads", result: Err("it does not listen any more".into()) },
            });
            let registered = self.registered.borrow().clone();
            checks.push(Check { name: "webhooks", result: registered.map(|()| String::new()) });
            let tls = self.serving.borrow().tls();
            checks.push(Check { name: "tls", result: tls.map(|_| String::new()).map_err(|error| error.to_string()) });
            checks
        }
        .boxed()
    }
}
