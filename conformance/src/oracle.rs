//! An independent reading of the specification: from workloads, manifests and one request to what must come of it.
//!
//! ```text
//! manifest   YAML → TrafficTarget, HTTPRouteGroup, TCPRoute, TrafficSplit, Service, as their authors wrote them
//! world      pods, services and manifests in force; they come, change and go
//! readings   how each ambiguous clause is read
//! route      does a request match a route group?
//! access     may this account send this to that pod?
//! split      which services share a call of a root, by which weights?
//! answer     a request from its dialling to its outcomes, each with its exact share
//! expect     does an answer agree with what a scenario expects?
//! steps      what the steps of a scenario say
//! walk       the steps of a scenario, each expectation compared
//! ```
//!
//! It shares no code with the mesh and none with the simulator but the types of a scenario file. It knows no proxy, no certificate
//! and no configuration: the [`World`] is what the API server knows, and an [`Answer`] follows from it by clauses of
//! [`crate::catalogue`]. Where they say nothing that applies, the answer is [`Unknown`], never a guess.
//!
//! What the specification takes for granted, the oracle does too: a service name leads to a service as in Kubernetes, a service is
//! balanced evenly over its ready pods, and the protocol of a port is what its declaration says.

mod access;
mod answer;
mod expect;
mod manifest;
mod readings;
mod route;
mod share;
mod split;
mod steps;
mod walk;
mod world;

pub use self::{
    answer::{Answer, Outcome, Request},
    readings::Readings,
    share::Share,
    walk::{Agreement, Disagreement, Unjudged, agrees, depends},
    world::World,
};

/// The specification does not say what must happen, or the oracle does not know the part of the world that it depends on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unknown(
    /// Why, as the end of a sentence.
    pub String,
);

impl Unknown {
    fn because<T>(reason: impl Into<String>) -> Result<T, Self> {
        Err(Self(reason.into()))
    }
}

#[cfg(test)]
mod tests;
