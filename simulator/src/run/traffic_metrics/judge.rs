//! An answer of a metrics API, held against what a scenario wants and against the specification. Pure: any mesh's answers can be
//! judged.

use std::time::Duration;

use mesh::metrics::wire::quantity;
use regex::Regex;
use serde::Serialize;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::scenario::{
    duration,
    model::{MeasuredKind, TrafficDirection, TrafficLatency, TrafficMetrics, TrafficRow, TrafficSide},
};

/// What the API answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub code: u16,
    /// The body.
    pub body: Value,
}

/// One TrafficMetrics, as far as it is judged.
#[derive(Clone, Debug, Default, PartialEq)]
struct Item {
    name: String,
    direction: String,
    side: String,
    peer: Option<(String, String)>,
    backend: Option<(String, String, u64)>,
    success: f64,
    failure: f64,
    /// In seconds: 50th, 90th and 99th percentile.
    latency: [f64; 3],
}

/// What is wrong with an answer; nothing if it is as wanted.
#[must_use]
pub fn wrong(wanted: &TrafficMetrics, answer: &Answer) -> Vec<String> {
    if !wanted.refused.is_empty() {
        let fits = wanted.refused.contains(&answer.code);
        return if fits { Vec::new() } else { vec![format!("the API answers with status {}", answer.code)] };
    }
    if answer.code != 200 {
        return vec![format!("the API refuses with status {}", answer.code)];
    }
    let Some(kind) = wanted.kind else { return undiscovered(wanted, &answer.body) };
    match items(wanted, kind, &answer.body) {
        Ok(items) => mismatches(wanted, &items),
        Err(why) => vec![why],
    }
}

/// What is wanted, in words.
#[must_use]
pub fn words(wanted: &TrafficMetrics) -> String {
    if !wanted.refused.is_empty() {
        return format!("refused with status {:?}", wanted.refused);
    }
    let mut words: Vec<String> = wanted.rows.iter().map(json).collect();
    words.extend(wanted.absent.iter().map(|row| format!("not {}", json(row))));
    words.extend(wanted.only.then(|| "nothing else".to_owned()));
    words.extend(wanted.total.iter().map(|total| format!("in total {}", json(total))));
    words.extend((!wanted.discovery.is_empty()).then(|| format!("metrics of {:?}", wanted.discovery)));
    words.join(", ")
}

/// The answer, in a line.
#[must_use]
pub fn told(answer: &Answer) -> String {
    let text = answer.body.to_string();
    let short: String = text.chars().take(1500).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("answer {}: {short}{more}", answer.code)
}

/// A row as it stands in the scenario.
fn json(row: &impl Serialize) -> String {
    serde_json::to_string(row).unwrap_or_default()
}

fn undiscovered(wanted: &TrafficMetrics, body: &Value) -> Vec<String> {
    let none = Vec::new();
    let resources = body["resources"].as_array().unwrap_or(&none);
    let has = |kind: MeasuredKind| {
        resources.iter().any(|resource| {
            let verbs = resource["verbs"].as_array().unwrap_or(&none);
            resource["name"] == kind.plural()
                && resource["kind"] == "TrafficMetrics"
                && resource["namespaced"] == (kind != MeasuredKind::Namespace)
                && ["get", "list"].iter().all(|verb| verbs.iter().any(|have| have == verb))
        })
    };
    let missing = wanted.discovery.iter().filter(|kind| !has(**kind));
    missing.map(|kind| format!("{} are not listed as TrafficMetrics with get and list", kind.plural())).collect()
}

/// The items of an answer: of a list, or the answer itself.
fn items(wanted: &TrafficMetrics, kind: MeasuredKind, body: &Value) -> Result<Vec<Item>, String> {
    let single = wanted.name.is_some() && !wanted.edges;
    match body["kind"].as_str() {
        Some("TrafficMetrics") if single => Ok(vec![item(kind, body)?]),
        // One object for each backend.
        Some("TrafficMetricsList") if !single || kind == MeasuredKind::TrafficSplit => {
            let resource = &body["resource"];
            if resource["kind"] != kind.kind() {
                return Err(format!("the list's resource is {resource}"));
            }
            if wanted.name.is_none() && !resource["name"].is_null() {
                return Err("the list's resource has a name".into());
            }
            let list = body["items"].as_array().ok_or("the list has no items")?;
            list.iter().map(|value| item(kind, value)).collect()
        }
        other => Err(format!("the answer is a {}", other.unwrap_or("thing without a kind"))),
    }
}

fn item(kind: MeasuredKind, value: &Value) -> Result<Item, String> {
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let (resource, edge) = (&value["resource"], &value["edge"]);
    if resource["kind"] != kind.kind() {
        return Err(format!("an item's resource is {resource}"));
    }
    let direction = text(&edge["direction"]).filter(|direction| ["to", "from"].contains(&&**direction));
    let side = text(&edge["side"]).filter(|side| ["client", "server"].contains(&&**side));
    let time = text(&value["timestamp"]).and_then(|time| OffsetDateTime::parse(&time, &Rfc3339).ok());
    if time.is_none() {
        return Err(format!("timestamp {} is no time (RFC 3339)", value["timestamp"]));
    }
    if !text(&value["window"]).is_some_and(|window| is_window(&window)) {
        return Err(format!("window {} is no duration", value["window"]));
    }
    let peer = text(&edge["resource"]["name"]);
    let peer = peer.map(|name| (text(&edge["resource"]["namespace"]).unwrap_or_default(), name));
    let backend = &value["backend"];
    let backend = text(&backend["name"])
        .map(|name| (text(&backend["apex"]).unwrap_or_default(), name, backend["weight"].as_u64().unwrap_or_default()));
    let latency = [latency(value, "p50")?, latency(value, "p90")?, latency(value, "p99")?];
    if !latency.is_sorted() {
        return Err(format!("the percentiles are not in order: {latency:?}"));
    }
    Ok(Item {
        name: text(&resource["name"]).ok_or("an item's resource has no name")?,
        direction: direction.ok_or_else(|| format!("edge.direction is {}", edge["direction"]))?,
        side: side.ok_or_else(|| format!("edge.side is {}", edge["side"]))?,
        peer,
        backend,
        success: metric(value, "success_count")?.0,
        failure: metric(value, "failure_count")?.0,
        latency,
    })
}

/// A value, and its unit.
fn metric(item: &Value, name: &str) -> Result<(f64, Option<String>), String> {
    let metrics = item["metrics"].as_array().ok_or("an item has no metrics")?;
    let metric = metrics.iter().find(|metric| metric["name"] == name).ok_or_else(|| format!("there is no {name}"))?;
    let value = match &metric["value"] {
        Value::String(text) => quantity(text),
        Value::Number(number) => number.as_f64(),
        _ => None,
    };
    let value = value.filter(|value| *value >= 0.0).ok_or_else(|| format!("{name} is {}", metric["value"]))?;
    Ok((value, metric["unit"].as_str().map(ToOwned::to_owned)))
}

/// In seconds.
fn latency(item: &Value, percentile: &str) -> Result<f64, String> {
    let name = format!("{percentile}_response_latency");
    let (value, unit) = metric(item, &name)?;
    match unit.as_deref() {
        Some("seconds" | "s") => Ok(value),
        // Not the specification's, but what its own SDK writes.
        Some("milliseconds" | "ms") => Ok(value / 1000.0),
        other => Err(format!("{name} is in {other:?}")),
    }
}

/// As Go writes durations.
fn is_window(text: &str) -> bool {
    Regex::new(r"^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$").is_ok_and(|duration| duration.is_match(text))
}

fn mismatches(wanted: &TrafficMetrics, items: &[Item]) -> Vec<String> {
    let own = wanted.namespace.as_deref().unwrap_or(crate::lab::topology::DEFAULT_NAMESPACE);
    let fits = |row: &TrafficRow, item: &Item| describes(row, item, wanted.kind, own);
    let mut wrong = Vec::new();
    for row in &wanted.rows {
        let found: Vec<_> = items.iter().filter(|item| fits(row, item)).collect();
        if found.is_empty() && !wants_nothing(row) {
            wrong.push(format!("there is no {}", json(row)));
        }
        wrong.extend(found.into_iter().flat_map(|item| differences(row, item)));
    }
    for row in &wanted.absent {
        wrong.extend(items.iter().filter(|item| fits(row, item)).map(|item| format!("there is {item:?}")));
    }
    if wanted.only {
        let other = items.iter().filter(|item| !wanted.rows.iter().any(|row| fits(row, item)));
        wrong.extend(other.map(|item| format!("there is {item:?}, too")));
    }
    if let Some(total) = &wanted.total {
        let sums = items.iter().fold((0.0, 0.0), |(ok, failed), item| (ok + item.success, failed + item.failure));
        for (name, wanted, sum) in
            [("successes", total.success_count, sums.0), ("failures", total.failure_count, sums.1)]
        {
            if wanted.is_some_and(|wanted| !equal(wanted, sum)) {
                wrong.push(format!("{sum} {name} in total"));
            }
        }
    }
    wrong
}

fn describes(row: &TrafficRow, item: &Item, kind: Option<MeasuredKind>, own: &str) -> bool {
    let direction = row.direction.is_none_or(|direction| match direction {
        TrafficDirection::To => item.direction == "to",
        TrafficDirection::From => item.direction == "from",
    });
    let peer = row.peer.as_ref().is_none_or(|name| {
        item.peer.as_ref().is_some_and(|(namespace, peer)| {
            let at_home =
                kind == Some(MeasuredKind::Namespace) || namespace == row.peer_namespace.as_deref().unwrap_or(own);
            peer == name && at_home
        })
    });
    let backend =
        row.backend.as_ref().is_none_or(|name| item.backend.as_ref().is_some_and(|(_, have, _)| have == name));
    row.name.as_ref().is_none_or(|name| *name == item.name) && direction && peer && backend
}

/// Whether a row is as true of nothing as of zeros.
fn wants_nothing(row: &TrafficRow) -> bool {
    let zero = |count: Option<u64>| count.is_none_or(|count| count == 0);
    let counted = row.success_count.is_some() || row.failure_count.is_some();
    let more = row.latency.is_some() || row.success_at_least.is_some() || row.weight.is_some() || row.apex.is_some();
    counted && zero(row.success_count) && zero(row.failure_count) && !more
}

fn differences(row: &TrafficRow, item: &Item) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut demand = |holds: bool, what: &str, is: &dyn std::fmt::Debug| {
        if !holds {
            wrong.push(format!("{what} of {} is {is:?}", item.name));
        }
    };
    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    let float = |count: u64| count as f64;
    demand(row.success_count.is_none_or(|count| equal(count, item.success)), "success_count", &item.success);
    demand(row.failure_count.is_none_or(|count| equal(count, item.failure)), "failure_count", &item.failure);
    demand(row.success_at_least.is_none_or(|count| item.success >= float(count)), "success_count", &item.success);
    demand(row.success_at_most.is_none_or(|count| item.success <= float(count)), "success_count", &item.success);
    let side = row.side.is_none_or(|side| match side {
        TrafficSide::Client => item.side == "client",
        TrafficSide::Server => item.side == "server",
    });
    demand(side, "edge.side", &item.side);
    let (apex, weight) = item.backend.as_ref().map_or(("", 0), |(apex, _, weight)| (apex, *weight));
    demand(row.apex.as_ref().is_none_or(|wanted| wanted == apex), "backend.apex", &apex);
    demand(row.weight.is_none_or(|wanted| wanted == weight), "backend.weight", &weight);
    if let Some(TrafficLatency { p50_at_least, p50_at_most, p90_at_least, p99_at_least, p99_at_most }) = &row.latency {
        let [p50, p90, p99] = item.latency;
        let seconds = |text: &String| duration::parse(text).as_ref().map_or(0.0, Duration::as_secs_f64);
        let least = |bound: &Option<String>, value: f64| bound.as_ref().is_none_or(|bound| value >= seconds(bound));
        let most = |bound: &Option<String>, value: f64| bound.as_ref().is_none_or(|bound| value <= seconds(bound));
        demand(least(p50_at_least, p50) && most(p50_at_most, p50), "p50 in seconds", &p50);
        demand(least(p90_at_least, p90), "p90 in seconds", &p90);
        demand(least(p99_at_least, p99) && most(p99_at_most, p99), "p99 in seconds", &p99);
    }
    wrong
}

/// Meshes that ask a Prometheus for an increase get fractions.
fn equal(wanted: u64, have: f64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    let wanted = wanted as f64;
    (have - wanted).abs() < 0.5
}

#[cfg(test)]
mod tests;
