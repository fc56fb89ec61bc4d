//! The metrics API of a mesh that can only be asked.

use std::time::Duration;

use simulator::{
    judge::Verdict,
    report::CheckReport,
    run::traffic_metrics::{judge::Answer, named, path, summary, watched},
    scenario::model::TrafficMetrics,
};

use super::{External, broken};
use crate::target::{
    adapter::protocol::{Call, Measured, Metrics},
    ask::{AskError, asked},
};

impl External<'_> {
    /// Asks until the answer holds what is wanted, or time is over. Pods bear the names that the protocol gives them.
    pub(super) async fn traffic_metrics(&self, wanted: &TrafficMetrics) -> CheckReport {
        let wanted = &named(wanted, |pod| Some(format!("{}-{}", pod.workload, pod.index.unwrap_or_default())));
        if wanted.method.as_deref().is_some_and(|method| method != "GET") {
            let why = "the protocol only reads metrics";
            return CheckReport::plain(summary(wanted), "", Verdict::Inconclusive, why);
        }
        let selector = |text: &String| {
            format!("?labelSelector={}", form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>())
        };
        let path = path(wanted) + &wanted.selector.as_ref().map(selector).unwrap_or_default();
        let call = Call::Metrics(Metrics { test: self.test.clone(), path });
        let within = Duration::from_secs(self.described.timeouts.request);
        let asked = watched(wanted, || async {
            let Measured { status, body } = asked(self.ask, &call, within).await?;
            Ok(Answer { code: status, body })
        });
        asked.await.unwrap_or_else(|error: AskError| broken(summary(wanted), &error))
    }
}
