//! Who called whom, and what came of it.

use std::collections::BTreeMap;

use super::histogram::Histogram;
use crate::model::ObjectName;

/// What a label says when there is nothing to say.
pub const UNKNOWN: &str = "unknown";

/// One end of a request, as the statistics' labels name it. Each part may be [`UNKNOWN`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Party {
    /// Its namespace.
    pub namespace: String,
    /// The kind of its owner; `Service` where no pod answered.
    pub kind: String,
    /// The name of its owner.
    pub name: String,
    /// The pod.
    pub pod: String,
}

impl Party {
    /// Whether a pod is known to be this end.
    pub fn has_pod(&self) -> bool {
        self.pod != UNKNOWN && self.namespace != UNKNOWN
    }
}

/// Requests from one end to another, on one way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// The client.
    pub source: Party,
    /// The server.
    pub destination: Party,
    /// The service that was to answer, in the namespace of the destination; or [`UNKNOWN`].
    pub service: String,
    /// The TrafficSplit that chose it, as `namespace/name`; or [`UNKNOWN`].
    pub split: String,
}

/// How many requests ended how, and how long they took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Answered with a status below 500.
    pub success: u64,
    /// Answered with 500 and above, or not at all.
    pub failure: u64,
    /// From the first byte of the request to the last of the answer.
    pub latency: Histogram,
}

impl Counts {
    /// Takes in those of another.
    pub fn add(&mut self, other: &Self) {
        self.success += other.success;
        self.failure += other.failure;
        self.latency.add(&other.latency);
    }

    /// What was added since `earlier`; all of it if there was more then: the sidecar began anew.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let difference = || {
            Some(Self {
                success: self.success.checked_sub(earlier.success)?,
                failure: self.failure.checked_sub(earlier.failure)?,
                latency: self.latency.since(&earlier.latency)?,
            })
        };
        difference().unwrap_or_else(|| self.clone())
    }
}

/// Counts by flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic(pub BTreeMap<Flow, Counts>);

impl Traffic {
    /// Takes in that of another.
    pub fn add(&mut self, other: &Self) {
        for (flow, counts) in &other.0 {
            self.0.entry(flow.clone()).or_default().add(counts);
        }
    }

    /// What a pod may tell: requests that it sent, and those that came to it from outside of the mesh. The rest is not its to tell,
    /// whatever answers at its address.
    #[must_use]
    pub fn told_by(mut self, pod: &ObjectName) -> Self {
        let is = |party: &Party| *party.namespace == *pod.namespace && *party.pod == *pod.name;
        self.0.retain(|flow, _| is(&flow.source) || (!flow.source.has_pod() && is(&flow.destination)));
        self
    }

    /// What was added since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let none = Counts::default();
        let added = |(flow, now): (&Flow, &Counts)| (flow.clone(), now.since(earlier.0.get(flow).unwrap_or(&none)));
        Self(self.0.iter().map(added).collect())
    }
}
