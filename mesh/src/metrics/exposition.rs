//! What a sidecar tells Prometheus (text format 0.0.4), as far as it is about requests.

use std::{collections::BTreeMap, iter::Peekable, str::Chars};

use super::{
    flow::{Flow, Party, Traffic, UNKNOWN},
    histogram::Histogram,
};

const TOTAL: &str = "osm_request_total";
const BUCKET: &str = "osm_request_duration_ms_bucket";
const COUNT: &str = "osm_request_duration_ms_count";
const UPTIME: &str = "envoy_server_uptime";

/// One look at a sidecar.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// For how many seconds Envoy had run.
    pub uptime: Option<u64>,
    /// All requests since then.
    pub traffic: Traffic,
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the sidecar's statistics cannot be read: {text}")]
pub struct Malformed {
    /// Its number, from 1.
    pub line: usize,
    /// Its text.
    pub text: String,
}

/// One sample: a name, labels, a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The name, without the prefix `envoy_` that Envoy's administration interface gives to request statistics.
    pub name: String,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

#[derive(Default)]
struct Latencies {
    cumulative: BTreeMap<u64, u64>,
    count: u64,
}

/// Reads the request statistics; all other lines are skipped.
///
/// # Errors
/// A line of the request statistics is not in the format: then none of them is to be trusted.
pub fn page(text: &str) -> Result<Page, Malformed> {
    let relevant = |line: &&str| [UPTIME, "osm_request_", "envoy_osm_request_"].iter().any(|n| line.starts_with(n));
    let mut samples = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| relevant(line)) {
        let malformed = || Malformed { line: number, text: line.chars().take(200).collect() };
        samples.push(sample(line).ok_or_else(malformed)?);
    }
    Ok(of(&samples))
}

/// A page of samples. Those that are none of the request statistics are left out.
pub fn of(samples: &[Sample]) -> Page {
    let mut page = Page::default();
    let mut latencies: BTreeMap<Flow, Latencies> = BTreeMap::new();
    for Sample { name, labels, value } in samples {
        match &**name {
            UPTIME => page.uptime = Some(whole(*value)),
            TOTAL => {
                let code = labels.get("response_code").and_then(|code| code.parse::<u16>().ok()).unwrap_or_default();
                let counts = page.traffic.0.entry(flow(labels)).or_default();
                let slot = if (100..500).contains(&code) { &mut counts.success } else { &mut counts.failure };
                *slot += whole(*value);
            }
            COUNT => latencies.entry(flow(labels)).or_default().count += whole(*value),
            BUCKET => {
                let bound = labels.get("le").and_then(|le| le.parse::<f64>().ok()).filter(|le| le.is_finite());
                let Some(bound) = bound else { continue };
                *latencies.entry(flow(labels)).or_default().cumulative.entry(whole(bound * 1000.0)).or_default() +=
                    whole(*value);
            }
            _ => {}
        }
    }
    for (flow, Latencies { cumulative, count }) in latencies {
        page.traffic.0.entry(flow).or_default().latency = Histogram::from_cumulative(&cumulative, count);
    }
    page
}

/// Reads one line that is no comment.
pub fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let name = &line[..end];
    let name = name.strip_prefix("envoy_").filter(|name| name.starts_with("osm_request_")).unwrap_or(name);
    let mut rest = line[end..].chars().peekable();
    let labels = if rest.next_if_eq(&'{').is_some() { labels(&mut rest)? } else { BTreeMap::new() };
    let rest: String = rest.collect();
    // A time may follow.
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

fn labels(rest: &mut Peekable<Chars<'_>>) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    loop {
        if rest.next_if_eq(&'}').is_some() {
            return Some(labels);
        }
        let mut name = String::new();
        while let Some(c) = rest.next_if(|c| *c != '=') {
            name.push(c);
        }
        rest.next_if_eq(&'=')?;
        rest.next_if_eq(&'"')?;
        let mut value = String::new();
        loop {
            match rest.next()? {
                '"' => break,
                '\\' => value.push(match rest.next()? {
                    'n' => '\n',
                    other => other,
                }),
                other => value.push(other),
            }
        }
        labels.insert(name.trim().to_owned(), value);
        rest.next_if_eq(&',');
    }
}

fn flow(labels: &BTreeMap<String, String>) -> Flow {
    let label = |name: &str| match labels.get(name).map(String::as_str) {
        // Envoy writes `-` for what an operator has no value for.
        None | Some("" | "-") => UNKNOWN.to_owned(),
        Some(text) => text.to_owned(),
    };
    let party = |side: &str| Party {
        namespace: label(&format!("{side}_namespace")),
        kind: label(&format!("{side}_kind")),
        name: label(&format!("{side}_name")),
        pod: label(&format!("{side}_pod")),
    };
    Flow {
        source: party("source"),
        destination: party("destination"),
        service: label("destination_service"),
        split: label("traffic_split"),
    }
}

/// Counters are whole, and written as floating point numbers.
fn whole(value: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is never negative")]
    let whole = value.max(0.0).round() as u64;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as Envoy 1.40 writes them, shortened.
    const TEXT: &str = r#"# TYPE envoy_server_uptime gauge
envoy_server_uptime{} 12
# TYPE osm_request_total counter
osm_request_total{destination_kind="Deployment",destination_name="web",destination_namespace="shop",destination_pod="web-1",destination_service="web-v1",response_code="200",source_kind="Pod",source_name="c",source_namespace="shop",source_pod="c",traffic_split="shop/web"} 7
envoy_osm_request_total{destination_kind="Deployment",destination_name="web",destination_namespace="shop",destination_pod="web-1",destination_service="web-v1",response_code="404",source_kind="Pod",source_name="c",source_namespace="shop",source_pod="c",traffic_split="shop/web"} 1
osm_request_total{destination_kind="Deployment",destination_name="web",destination_namespace="shop",destination_pod="web-1",destination_service="web-v1",response_code="503",source_kind="Pod",source_name="c",source_namespace="shop",source_pod="c",traffic_split="shop/web"} 2
osm_request_total{destination_kind="Deployment",destination_name="web",destination_namespace="shop",destination_pod="web-1",destination_service="web-v1",response_code="0",source_kind="Pod",source_name="c",source_namespace="shop",source_pod="c",traffic_split="shop/web"} 1
osm_request_duration_ms_bucket{destination_kind="Deployment",destination_name="web",destination_namespace="shop",destination_pod="web-1",destination_service="web-v1",source_kind="Pod",source_name="c",source_namespace="shop",source_pod="c",traffic_split="shop/web",le="0.5"} 1
osm_request_duration_ms_bucket{destination_kind="Deployment",destination_name="web",destination_namespace="shop",destination_pod="web-1",destination_service="web-v1",source_kind="Pod",source_name="c",source_namespace="shop",source_pod="c",traffic_split="shop/web",le="+Inf"} 11
osm_request_duration_ms_count{destination_kind="Deployment",destination_name="web",destination_namespace="shop",destination_pod="web-1",destination_service="web-v1",source_kind="Pod",source_name="c",source_namespace="shop",source_pod="c",traffic_split="shop/web"} 11
envoy_cluster_upstream_rq{envoy_cluster_name="x"} broken
"#;

    #[test]
    fn requests_are_read_by_flow_and_end() {
        let page = page(TEXT).unwrap();
        assert_eq!(page.uptime, Some(12));
        let [(flow, counts)] = &page.traffic.0.iter().collect::<Vec<_>>()[..] else { panic!("{page:?}") };
        assert_eq!((&*flow.source.pod, &*flow.destination.name, &*flow.split), ("c", "web", "shop/web"));
        // 404 is the client's mistake; a request without an answer failed.
        assert_eq!((counts.success, counts.failure), (8, 3));
        assert_eq!(counts.latency, Histogram::from_cumulative(&BTreeMap::from([(500, 1)]), 11));
    }

    #[test]
    fn labels_may_hold_anything() {
        let read = sample(r#"x{a="quo\"te, }",b="\\\n"} 1.5e1 1700000000"#).unwrap();
        assert_eq!(read.labels, BTreeMap::from([("a".into(), "quo\"te, }".into()), ("b".into(), "\\\n".into())]));
        assert!((read.value - 15.0).abs() < f64::EPSILON);
        assert_eq!(sample("x 3").unwrap().labels, BTreeMap::new());
    }

    #[test]
    fn a_broken_line_of_ours_spoils_the_page() {
        for line in ["osm_request_total{a=\"b} 1", "osm_request_total{} many", "osm_request_total{a} 1"] {
            assert_eq!(page(&format!("a 1\n{line}\n")).unwrap_err(), Malformed { line: 2, text: line.into() });
        }
    }
}
