//! The metrics API of the lab's mesh: the server that `osm-controller` runs, asking the lab's sidecars where Prometheus would.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use mesh::{
    ca::SystemClock,
    metrics::{
        Api, MetricsMutation, Observer,
        observer::Sidecars,
        question::{Question, Refusal},
        resource::{Owners, ResourceKind},
    },
    model::{ObjectName, Workload},
    policy::telemetry::owner,
    world::World,
};
use serde_json::Value;

use super::{Lab, LabError};
use crate::envoy::METRICS_PORT;

/// Longer than any scenario: all traffic counts from its start.
const WINDOW: Duration = Duration::from_secs(3600);

/// Tells what the sidecars counted.
#[derive(Debug, Default)]
pub struct MetricsApi {
    mutation: Option<MetricsMutation>,
    running: tokio::sync::OnceCell<Running>,
}

#[derive(Debug)]
struct Running {
    api: Api,
    observer: Arc<Observer>,
    seen: Arc<RwLock<Seen>>,
}

/// The lab at the time of the last question.
#[derive(Debug, Default)]
struct Seen {
    world: World,
    sidecars: Vec<(ObjectName, IpAddr)>,
    workloads: BTreeMap<ObjectName, Arc<str>>,
}

impl MetricsApi {
    /// One that gets something wrong, on purpose.
    #[must_use]
    pub fn broken(mutation: MetricsMutation) -> Self {
        Self { mutation: Some(mutation), ..Self::default() }
    }
}

impl Lab {
    /// Asks every sidecar for its statistics, then the metrics API. The inner error is the API's own refusal.
    ///
    /// # Errors
    /// There is no Envoy that could have counted anything, or a sidecar does not answer.
    pub async fn ask_metrics(
        &self,
        method: &str,
        path: &str,
        selector: Option<&str>,
    ) -> Result<Result<Value, Refusal>, LabError> {
        let Some(live) = &self.live else {
            return Err(LabError::Unobservable("there is no Envoy that could count anything".into()));
        };
        let running = self.metrics.running.get_or_try_init(|| async { start(self.metrics.mutation) }).await?;
        let now = Seen {
            world: self.world.clone(),
            sidecars: live.sidecars().iter().map(|(name, sidecar)| (name.clone(), sidecar.address())).collect(),
            workloads: self
                .topology
                .pods
                .iter()
                .map(|(name, pod)| (name.clone(), pod.workload.as_str().into()))
                .collect(),
        };
        *running.seen.write().unwrap_or_else(PoisonError::into_inner) = now;
        let (_, silent) = running.observer.observe().await;
        if silent > 0 {
            let gaps = running.observer.measured().map(|measured| measured.gaps).unwrap_or_default();
            return Err(LabError::Unknown(format!("sidecars do not tell their statistics: {gaps:?}")));
        }
        Ok(Question::read(method, path, selector).and_then(|question| running.api.answer(&question)))
    }
}

fn start(mutation: Option<MetricsMutation>) -> Result<Running, LabError> {
    let seen = Arc::<RwLock<Seen>>::default();
    let read = |seen: &Arc<RwLock<Seen>>| {
        let seen = seen.clone();
        move || seen.read().unwrap_or_else(PoisonError::into_inner).sidecars.clone()
    };
    let sidecars = Sidecars::new(read(&seen), METRICS_PORT).map_err(|error| LabError::Unknown(error.to_string()))?;
    let observer = Arc::new(Observer::new(Box::new(sidecars), Arc::new(SystemClock), WINDOW));
    let (worlds, workloads) = (seen.clone(), seen.clone());
    let owners = Owners(Arc::new(move |pod: &Workload| {
        let seen = workloads.read().unwrap_or_else(PoisonError::into_inner);
        let workload = seen.workloads.get(&pod.name).cloned();
        vec![(ResourceKind::Deployment, workload.unwrap_or_else(|| owner(pod).name))]
    }));
    let world = move || worlds.read().unwrap_or_else(PoisonError::into_inner).world.clone();
    Ok(Running { api: Api::new(observer.clone(), world, owners, mutation), observer, seen })
}
