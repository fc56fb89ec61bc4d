//! From a question to the JSON that answers it.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    GROUP, VERSION,
    aggregate::{self, MetricsMutation, Received},
    flow::{Counts, Traffic},
    question::{Question, Refusal},
    resource::{Directory, ResourceKind},
    wire::{
        Backend, Direction, Edge, GAPS, LabelSelector, Metadata, Reference, Side, TrafficMetrics, TrafficMetricsList,
        api_version, metrics,
    },
};
use crate::model::ObjectName;

/// What was measured, up to a moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// All traffic of the window.
    pub traffic: Traffic,
    /// Its end, in seconds since the Unix epoch.
    pub at: i64,
    /// Its length, in seconds.
    pub window: i64,
    /// The pods whose sidecars did not tell at the end, and why.
    pub gaps: BTreeMap<ObjectName, String>,
}

/// Most silent sidecars that an answer names.
const MOST_NAMED: usize = 20;

/// Answers a question.
///
/// # Errors
/// 404 if there is no such object.
pub fn answer(
    question: &Question,
    measured: &Measured,
    directory: &Directory<'_>,
    mutation: Option<MetricsMutation>,
) -> Result<Value, Refusal> {
    let view = View { measured, directory, mutation };
    let list = |list: TrafficMetricsList| json!(list);
    match question {
        Question::Groups => Ok(json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [group()] })),
        Question::Group => Ok(group()),
        Question::Resources => Ok(resources()),
        Question::List { kind, namespace, selector } => {
            view.list(*kind, namespace.as_deref(), selector.as_ref()).map(list)
        }
        Question::Get { kind, name } => view.get(*kind, name),
        Question::Edges { kind, name, selector } => view.edges(*kind, name, selector.as_ref()).map(list),
    }
}

/// A refusal as the API server gives it (`v1` Status).
pub fn status(refusal: &Refusal) -> Value {
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": refusal.message,
        "reason": refusal.reason,
        "code": refusal.code,
    })
}

fn group() -> Value {
    let version = json!({ "groupVersion": api_version(), "version": VERSION });
    json!({ "kind": "APIGroup", "apiVersion": "v1", "name": GROUP, "versions": [version], "preferredVersion": version })
}

fn resources() -> Value {
    let resources = ResourceKind::ALL.map(|kind| {
        json!({
            "name": kind.plural(),
            "singularName": "",
            "namespaced": kind.is_namespaced(),
            "kind": "TrafficMetrics",
            "verbs": ["get", "list"],
        })
    });
    json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version(), "resources": resources })
}

struct View<'a> {
    measured: &'a Measured,
    directory: &'a Directory<'a>,
    mutation: Option<MetricsMutation>,
}

impl View<'_> {
    fn list(
        &self,
        kind: ResourceKind,
        namespace: Option<&str>,
        selector: Option<&LabelSelector>,
    ) -> Result<TrafficMetricsList, Refusal> {
        let mut objects = self.directory.all(kind);
        objects.retain(|name, _| namespace.is_none_or(|namespace| *name.namespace == *namespace));
        if let Some(selector) = selector {
            let mut known = BTreeMap::new();
            for (name, labels) in objects {
                if labels.as_ref().map_or_else(|| Err(no_labels(kind)), |labels| Ok(selector.selects(labels)))? {
                    known.insert(name, labels);
                }
            }
            objects = known;
        }
        let received = aggregate::received(&self.measured.traffic, self.directory, kind);
        let items = objects.keys().flat_map(|name| self.items(kind, name, received.get(name))).collect();
        let resource = Reference {
            kind: Some(kind.kind().into()),
            namespace: namespace.map(Into::into),
            name: None,
            api_version: Some(kind.api_version().into()),
        };
        Ok(self.listed(resource, namespace, selector, items))
    }

    fn get(&self, kind: ResourceKind, name: &ObjectName) -> Result<Value, Refusal> {
        self.known(kind, name)?;
        let received = aggregate::received(&self.measured.traffic, self.directory, kind);
        let items = self.items(kind, name, received.get(name));
        // A split is as many objects as it has backends.
        if kind == ResourceKind::TrafficSplit {
            return Ok(json!(self.listed(kind.reference(name), Some(&name.namespace), None, items)));
        }
        let item = items.into_iter().next().ok_or_else(|| Refusal::not_found(format!("there is no {name}")))?;
        let annotations = self.gaps(Some(&name.namespace));
        Ok(json!(TrafficMetrics { metadata: Metadata { annotations, ..item.metadata.clone() }, ..item }))
    }

    fn edges(
        &self,
        kind: ResourceKind,
        name: &ObjectName,
        selector: Option<&LabelSelector>,
    ) -> Result<TrafficMetricsList, Refusal> {
        self.known(kind, name)?;
        let mut edges = aggregate::edges(&self.measured.traffic, self.directory, kind, name);
        if let Some(selector) = selector {
            let objects = self.directory.all(kind);
            if objects.values().any(Option::is_none) {
                return Err(no_labels(kind));
            }
            edges
                .retain(|(_, peer), _| objects.get(peer).and_then(Option::as_ref).is_some_and(|l| selector.selects(l)));
        }
        let item = |((direction, peer), counts): (&aggregate::Peer, &Counts)| {
            let direction = match (self.mutation, direction) {
                (Some(MetricsMutation::EdgesSwapped), Direction::To) => Direction::From,
                (Some(MetricsMutation::EdgesSwapped), Direction::From) => Direction::To,
                (_, direction) => *direction,
            };
            let edge = Edge { direction, side: Side::Client, resource: kind.reference(peer) };
            self.item(kind, name, edge, None, counts)
        };
        let items = edges.iter().map(item).collect();
        Ok(self.listed(kind.reference(name), Some(&name.namespace), selector, items))
    }

    fn known(&self, kind: ResourceKind, name: &ObjectName) -> Result<(), Refusal> {
        let missing = || {
            let within = if kind.is_namespaced() { format!(" in {}", name.namespace) } else { String::new() };
            Refusal::not_found(format!("the mesh knows no {} \"{}\"{within}", kind.plural(), name.name))
        };
        self.directory.all(kind).contains_key(name).then_some(()).ok_or_else(missing)
    }

    /// One object's metrics; of a split one for each backend.
    fn items(&self, kind: ResourceKind, name: &ObjectName, received: Option<&Received>) -> Vec<TrafficMetrics> {
        let from = |side| Edge { direction: Direction::From, side, resource: Reference::default() };
        if kind == ResourceKind::TrafficSplit {
            let split = self.directory.world.splits().find(|split| split.name == *name);
            let rows = split.map(|split| aggregate::backends(&self.measured.traffic, split)).unwrap_or_default();
            let item = |(backend, counts)| self.item(kind, name, from(Side::Client), Some(backend), &counts);
            return rows.into_iter().map(item).collect();
        }
        let none = Received::default();
        let received = received.unwrap_or(&none);
        vec![self.item(kind, name, from(received.side()), None, &received.counts)]
    }

    fn item(
        &self,
        kind: ResourceKind,
        name: &ObjectName,
        edge: Edge,
        backend: Option<Backend>,
        counts: &Counts,
    ) -> TrafficMetrics {
        let mut counts = counts.clone();
        match self.mutation {
            Some(MetricsMutation::Doubled) => counts.add(&counts.clone()),
            Some(MetricsMutation::FailuresAsSuccesses) => counts.success += std::mem::take(&mut counts.failure),
            _ => {}
        }
        let resource = kind.reference(name);
        let Reference { namespace, name, .. } = resource.clone();
        TrafficMetrics {
            kind: "TrafficMetrics".into(),
            api_version: api_version(),
            metadata: Metadata { name, namespace, annotations: BTreeMap::new() },
            resource,
            edge,
            backend,
            timestamp: Timestamp::from_second(self.measured.at).unwrap_or_default().to_string(),
            window: format!("{}s", self.measured.window),
            metrics: metrics(&counts),
        }
    }

    fn listed(
        &self,
        resource: Reference,
        namespace: Option<&str>,
        selector: Option<&LabelSelector>,
        items: Vec<TrafficMetrics>,
    ) -> TrafficMetricsList {
        TrafficMetricsList {
            kind: "TrafficMetricsList".into(),
            api_version: api_version(),
            metadata: Metadata { annotations: self.gaps(namespace), ..Metadata::default() },
            resource,
            selector: selector.cloned(),
            items,
        }
    }

    /// Which sidecars were silent. Who asks about one namespace is told the names of no other.
    fn gaps(&self, namespace: Option<&str>) -> BTreeMap<String, String> {
        let gaps = &self.measured.gaps;
        if gaps.is_empty() {
            return BTreeMap::new();
        }
        let shown = gaps.iter().filter(|(pod, _)| namespace.is_none_or(|namespace| *pod.namespace == *namespace));
        let shown: Vec<_> = shown.take(MOST_NAMED).map(|(pod, why)| format!("{pod} ({why})")).collect();
        let text = format!(
            "{}: {}",
            gaps.len(),
            if shown.is_empty() { "of other namespaces".into() } else { shown.join(", ") }
        );
        BTreeMap::from([(GAPS.to_owned(), text)])
    }
}

fn no_labels(kind: ResourceKind) -> Refusal {
    let message = format!("the mesh does not know the labels of {}: ask without labelSelector", kind.plural());
    Refusal::bad_request(message)
}

#[cfg(test)]
mod tests;
