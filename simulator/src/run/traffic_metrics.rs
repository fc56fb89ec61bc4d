//! What the metrics API tells of the traffic, judged.

pub mod judge;

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{check::broken, execution::Execution};
use crate::{
    judge::Verdict,
    lab::{LabError, topology::DEFAULT_NAMESPACE},
    report::CheckReport,
    scenario::{
        address::PodRef,
        duration,
        model::{MeasuredKind, TrafficMetrics, TrafficRow},
    },
};

/// How long to wait where the scenario does not say.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often to ask.
const POLL: Duration = Duration::from_millis(100);

const BASE: &str = "/apis/metrics.smi-spec.io/v1alpha1";

/// The question, in a line.
#[must_use]
pub fn summary(wanted: &TrafficMetrics) -> String {
    let method = wanted.method.as_deref().unwrap_or("GET");
    let selector = wanted.selector.as_ref().map(|selector| format!("?labelSelector={selector}")).unwrap_or_default();
    format!("{method} {}{selector}", path(wanted))
}

/// The path that the question is asked at.
#[must_use]
pub fn path(wanted: &TrafficMetrics) -> String {
    let Some(kind) = wanted.kind else { return BASE.to_owned() };
    let namespace = wanted.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    let edges = if wanted.edges { "/edges" } else { "" };
    let plural = kind.plural();
    match (kind, &wanted.name) {
        (MeasuredKind::Namespace, None) => format!("{BASE}/{plural}"),
        (MeasuredKind::Namespace, Some(name)) => format!("{BASE}/{plural}/{name}{edges}"),
        (_, None) => format!("{BASE}/namespaces/{namespace}/{plural}"),
        (_, Some(name)) => format!("{BASE}/namespaces/{namespace}/{plural}/{name}{edges}"),
    }
}

/// The question with the names of pods in place of `WORKLOAD/INDEX`, as `pod` gives them.
#[must_use]
pub fn named(wanted: &TrafficMetrics, pod: impl Fn(&PodRef) -> Option<String>) -> TrafficMetrics {
    let mut wanted = wanted.clone();
    if wanted.kind != Some(MeasuredKind::Pod) {
        return wanted;
    }
    let replace = |name: &mut Option<String>| {
        let known = name.as_deref().and_then(|name| name.parse::<PodRef>().ok()).and_then(|name| pod(&name));
        if known.is_some() {
            *name = known;
        }
    };
    replace(&mut wanted.name);
    for TrafficRow { name, peer, .. } in wanted.rows.iter_mut().chain(&mut wanted.absent) {
        replace(name);
        replace(peer);
    }
    wanted
}

/// Asks until the answer holds what is wanted, or time is over.
///
/// # Errors
/// Whoever is asked has no answer at all.
pub async fn watched<E, F: Future<Output = Result<judge::Answer, E>>>(
    wanted: &TrafficMetrics,
    ask: impl Fn() -> F,
) -> Result<CheckReport, E> {
    let patience = wanted.within.as_deref().and_then(|text| duration::parse(text).ok()).unwrap_or(PATIENCE);
    let deadline = Instant::now() + patience;
    let report = |verdict, observed| CheckReport::plain(summary(wanted), judge::words(wanted), verdict, observed);
    loop {
        let answer = ask().await?;
        let wrong = judge::wrong(wanted, &answer);
        if wrong.is_empty() {
            return Ok(report(Verdict::Pass, judge::told(&answer)));
        }
        if Instant::now() >= deadline {
            return Ok(report(Verdict::Fail, format!("{}; {}", wrong.join("; "), judge::told(&answer))));
        }
        tokio::time::sleep(POLL).await;
    }
}

impl Execution {
    /// Asks the lab's own API.
    pub(super) async fn traffic_metrics(&self, wanted: &TrafficMetrics) -> CheckReport {
        let lab = self.lab.lock().await;
        let wanted = &named(wanted, |name| {
            let mut pods = lab.topology.of_workload(&name.workload);
            pods.find(|pod| name.index.is_none_or(|index| pod.index == index))
                .map(|pod| pod.object.name.name.to_string())
        });
        let method = wanted.method.as_deref().unwrap_or("GET");
        let (lab, path) = (&*lab, path(wanted));
        let asked = watched(wanted, || async {
            Ok(match lab.ask_metrics(method, &path, wanted.selector.as_deref()).await? {
                Ok(body) => judge::Answer { code: 200, body },
                Err(refusal) => judge::Answer { code: refusal.code, body: Value::String(refusal.message) },
            })
        });
        asked.await.unwrap_or_else(|error: LabError| broken(summary(wanted), judge::words(wanted), &error))
    }
}
