//! This project's own mesh, in the simulator.

use ::simulator::{
    envoy::Backend,
    report::ScenarioReport,
    run::{self, Settings, Task},
};
use futures::{FutureExt as _, future::BoxFuture};
use tokio::sync::mpsc;

use super::Target;
use crate::{
    clause::Api,
    feature,
    report::{Environment, HeaderEncoding, Implementation},
};

/// Sidecars carry no UDP.
const LACKING: [&str; 1] = ["UdpRoutes"];

/// Our own control plane, with the evaluator or real Envoys.
#[derive(Debug)]
pub struct Simulator {
    settings: Settings,
    implementation: Implementation,
}

impl Simulator {
    /// As the settings say.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let implementation = implementation(&settings.backend);
        Self { settings, implementation }
    }
}

/// What this project's mesh says of itself, where this carries its traffic.
pub(super) fn implementation(backend: &Backend) -> Implementation {
    let features = feature::catalogue().features.iter().map(|feature| feature.name.clone());
    // There is no Envoy that could count anything.
    let counts = *backend != Backend::Evaluator;
    let claimed = |name: &String| !LACKING.contains(&name.as_str()) && (counts || name != "TrafficMetrics");
    let versions = |numbers: std::ops::RangeInclusive<u8>| numbers.map(|n| format!("v1alpha{n}")).collect();
    let apis = [(Api::Access, 1..=3), (Api::Specs, 1..=4), (Api::Split, 1..=4), (Api::Metrics, 1..=1)];
    Implementation {
        organization: "SMI reference mesh".into(),
        project: "osm-controller".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        url: None,
        contact: Vec::new(),
        mode: None,
        apis: apis.into_iter().map(|(api, numbers)| (api, versions(numbers))).collect(),
        header_encoding: HeaderEncoding::List,
        features: features.filter(claimed).collect(),
    }
}

impl Target for Simulator {
    fn implementation(&self) -> &Implementation {
        &self.implementation
    }

    fn environment(&self) -> Environment {
        let (backend, envoy) = match &self.settings.backend {
            Backend::Evaluator => ("evaluator", None),
            Backend::Process { version, .. } => ("process", Some(version.clone())),
            Backend::Container { image } => ("container", Some(image.clone())),
        };
        Environment {
            target: "simulator".into(),
            backend: backend.into(),
            reason: self.settings.reason.clone(),
            envoy,
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }

    fn parallel(&self) -> usize {
        self.settings.jobs
    }

    fn carry_out<'a>(&'a self, task: &'a Task, seed: u64) -> BoxFuture<'a, ScenarioReport> {
        let settings = Settings { seed, ..self.settings.clone() };
        async move {
            // Whole tests are watched, not their steps.
            let (events, _) = mpsc::unbounded_channel();
            run::run_one(task, &settings, &events).await
        }
        .boxed()
    }
}
