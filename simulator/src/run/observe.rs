//! What sidecars told of their traffic, judged.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;
use tokio::time::Instant;

use super::{check::broken, execution::Execution};
use crate::{
    collector::{Entry, EntryKind},
    judge::Verdict,
    lab::{Lab, LabError},
    report::CheckReport,
    scenario::{
        duration,
        model::{Collected, Logged, MetricRow, Metrics, Signal},
    },
};

/// How long to wait where the scenario does not say.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often to look.
const POLL: Duration = Duration::from_millis(50);
/// What is not there may still be on its way. Sidecars flush once a second at the latest (OTLP log entries), everything else sooner.
const QUIET: Duration = Duration::from_millis(2_000);

/// What was found at one look.
struct Look {
    found: usize,
    told: String,
    wrong: Option<String>,
}

/// What is looked for.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    Entries(&'a Collected),
    Lines(&'a Logged),
    Series(&'a Metrics, &'a MetricRow),
}

impl Wanted<'_> {
    fn count(self) -> usize {
        match self {
            Self::Entries(wanted) => wanted.count,
            Self::Lines(wanted) => wanted.count,
            Self::Series(_, row) => usize::try_from(row.value).unwrap_or(usize::MAX),
        }
    }

    fn within(self) -> Duration {
        let text = match self {
            Self::Entries(wanted) => &wanted.within,
            Self::Lines(wanted) => &wanted.within,
            Self::Series(wanted, _) => &wanted.within,
        };
        text.as_deref().and_then(|text| duration::parse(text).ok()).unwrap_or(PATIENCE)
    }

    fn what(self) -> String {
        match self {
            Self::Entries(wanted) => {
                let what = if wanted.what == Signal::Logs { "log entries" } else { "spans" };
                format!("{what} at {} {}", wanted.by, shown(&wanted.having))
            }
            Self::Lines(wanted) => {
                let line = wanted.line.as_ref().map_or_else(|| shown(&wanted.fields), |line| format!("`{line}`"));
                format!("lines of {} {line}", wanted.by)
            }
            Self::Series(wanted, row) => format!("{} of {} {}", row.name, wanted.of, shown(&row.labels)),
        }
    }

    async fn look(self, lab: &Lab) -> Result<Look, LabError> {
        match self {
            Self::Entries(wanted) => Ok(look_at_entries(&collector_entries(lab, &wanted.by)?, wanted)),
            Self::Lines(wanted) => {
                let log = sidecar_logs(lab, &wanted.by).await?;
                let found = log.lines().filter(|line| is_wanted(line, wanted)).count();
                Ok(Look { found, told: last_lines(&log), wrong: None })
            }
            Self::Series(wanted, row) => Ok(look_at_series(&scraped(lab, &wanted.of).await?, row)),
        }
    }
}

impl Execution {
    /// Judges what a collector got.
    pub(super) async fn collected(&self, wanted: &Collected) -> CheckReport {
        self.watched(Wanted::Entries(wanted)).await
    }

    /// Judges what sidecars wrote.
    pub(super) async fn logged(&self, wanted: &Logged) -> CheckReport {
        self.watched(Wanted::Lines(wanted)).await
    }

    /// Judges what Prometheus finds.
    pub(super) async fn metrics(&self, wanted: &Metrics) -> Vec<CheckReport> {
        let mut checks = Vec::new();
        for row in &wanted.rows {
            checks.push(self.watched(Wanted::Series(wanted, row)).await);
        }
        checks
    }

    /// Looks until as many are found as are wanted, or time is over. Of none wanted, looks once all must have arrived.
    async fn watched(&self, wanted: Wanted<'_>) -> CheckReport {
        let (count, patience) = (wanted.count(), wanted.within());
        let deadline = Instant::now() + patience;
        let lab = self.lab.lock().await;
        if count == 0 && lab.live.is_some() {
            tokio::time::sleep(QUIET.min(patience)).await;
        }
        loop {
            let Look { found, told, wrong } = match wanted.look(&lab).await {
                Ok(look) => look,
                Err(error) => return broken(wanted.what(), count.to_string(), &error),
            };
            let verdict = if found == count && wrong.is_none() { Verdict::Pass } else { Verdict::Fail };
            if verdict == Verdict::Pass || found > count || Instant::now() >= deadline {
                let wrong = wrong.map(|wrong| format!("; {wrong}")).unwrap_or_default();
                let observed =
                    if verdict == Verdict::Pass { found.to_string() } else { format!("{found}{wrong}; {told}") };
                return CheckReport::plain(wanted.what(), count.to_string(), verdict, observed);
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

fn unobservable() -> LabError {
    LabError::Unobservable("there is no Envoy that could tell anything".into())
}

fn collector_entries(lab: &Lab, name: &str) -> Result<Vec<Entry>, LabError> {
    let live = lab.live.as_ref().ok_or_else(unobservable)?;
    let unknown = || LabError::Unknown(format!("no collector is called {name}"));
    Ok(live.collector(name).ok_or_else(unknown)?.entries())
}

async fn sidecar_logs(lab: &Lab, workload: &str) -> Result<String, LabError> {
    let live = lab.live.as_ref().ok_or_else(unobservable)?;
    let mut all = String::new();
    for pod in lab.pods(workload)? {
        if let Some(sidecar) = live.sidecars().get(&pod.object.name) {
            all.push_str(&sidecar.log().await);
        }
    }
    Ok(all)
}

async fn scraped(lab: &Lab, workload: &str) -> Result<Vec<String>, LabError> {
    let live = lab.live.as_ref().ok_or_else(unobservable)?;
    let mut pages = Vec::new();
    for pod in lab.pods(workload)? {
        if let Some(sidecar) = live.sidecars().get(&pod.object.name) {
            pages.push(sidecar.admin().scrape().await?);
        }
    }
    Ok(pages)
}

fn look_at_entries(entries: &[Entry], wanted: &Collected) -> Look {
    let kind = match wanted.what {
        Signal::Logs => EntryKind::Log,
        Signal::Spans => EntryKind::Span,
    };
    let having = |entry: &&Entry| wanted.having.iter().all(|(name, text)| entry.texts.get(name) == Some(text));
    let of_kind: Vec<_> = entries.iter().filter(|entry| entry.kind == kind).collect();
    let found: Vec<_> = of_kind.iter().copied().filter(having).collect();
    let shown: Vec<_> = of_kind.iter().take(8).map(|e| format!("{} ← {}: {:?}", e.id, e.parent, e.texts)).collect();
    let told = format!("of {} in all: {}", of_kind.len(), shown.join(" | "));
    Look { found: found.len(), told, wrong: wanted.linked.then(|| unlinked(&found)).flatten() }
}

/// Why spans are not one tree.
fn unlinked(spans: &[&Entry]) -> Option<String> {
    let traces: BTreeSet<_> = spans.iter().map(|span| &span.trace).collect();
    if traces.len() > 1 {
        return Some(format!("they are {} traces", traces.len()));
    }
    let ids: BTreeSet<_> = spans.iter().map(|span| &span.id).collect();
    if ids.len() < spans.len() {
        return Some("spans share an id".into());
    }
    let roots = spans.iter().filter(|span| !ids.contains(&span.parent)).count();
    (roots != 1).then(|| format!("{roots} of them are no child of another"))
}

fn is_wanted(line: &str, wanted: &Logged) -> bool {
    if let Some(whole) = &wanted.line {
        return line == whole;
    }
    let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(line) else { return false };
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    wanted.fields.iter().all(|(name, value)| fields.get(name).map(text).as_ref() == Some(value))
        && !wanted.without.iter().any(|name| fields.contains_key(name))
}

fn last_lines(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    let last = lines[lines.len().saturating_sub(4)..].join(" | ");
    format!("the last of {} lines: {last}", lines.len())
}

fn look_at_series(pages: &[String], row: &MetricRow) -> Look {
    let series: Vec<_> = pages.iter().flat_map(|page| page.lines()).filter_map(series).collect();
    let named: Vec<_> = series.iter().filter(|(name, ..)| *name == row.name).collect();
    let labelled = named.iter().filter(|(_, labels, _)| row.labels.iter().all(|(k, v)| labels.get(k) == Some(v)));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
    let found = labelled.map(|(.., value)| *value as usize).sum();
    let shown: Vec<_> = named.iter().take(8).map(|(_, labels, value)| format!("{} = {value}", shown(labels))).collect();
    Look { found, told: format!("of {} series: {}", named.len(), shown.join(" | ")), wrong: None }
}

/// One line of Prometheus' text format: name, labels, value. Label values of sidecars have no quotes in them.
fn series(line: &str) -> Option<(&str, BTreeMap<String, String>, f64)> {
    if line.starts_with('#') {
        return None;
    }
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let pairs = labels.trim_end_matches('}').split("\",");
    let pair = |text: &str| text.split_once("=\"").map(|(k, v)| (k.to_owned(), v.trim_end_matches('"').to_owned()));
    Some((name, pairs.filter_map(pair).collect(), value.parse().ok()?))
}

fn shown(texts: &BTreeMap<String, String>) -> String {
    let pairs: Vec<_> = texts.iter().map(|(name, text)| format!("{name}={text}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_read_as_prometheus_reads_them() {
        let (name, labels, value) = series(r#"osm_request_total{response_code="200",source_pod="a-0"} 3"#).unwrap();
        assert_eq!((name, value), ("osm_request_total", 3.0));
        assert_eq!(shown(&labels), "{response_code=200, source_pod=a-0}");
        assert_eq!(series("# TYPE x counter"), None);
        assert_eq!(series("x{} 1").unwrap().1, BTreeMap::new());
    }

    #[test]
    fn spans_are_linked_if_one_alone_has_no_parent_among_them() {
        let span = |trace: &str, id: &str, parent: &str| Entry {
            kind: EntryKind::Span,
            texts: BTreeMap::new(),
            trace: trace.into(),
            id: id.into(),
            parent: parent.into(),
        };
        let linked = |spans: &[Entry]| unlinked(&spans.iter().collect::<Vec<_>>());
        assert_eq!(linked(&[span("t", "1", ""), span("t", "2", "1"), span("t", "3", "2")]), None);
        assert!(linked(&[span("t", "1", ""), span("t", "2", "")]).is_some());
        assert!(linked(&[span("t", "1", ""), span("u", "2", "1")]).is_some());
        assert!(linked(&[span("t", "1", ""), span("t", "1", "1")]).is_some());
    }
}
