//! TrafficSplit (`split.smi-spec.io`): how traffic to a service is shared out.
//!
//! | version | `backends[].weight` | `matches` |
//! |---|---|---|
//! | v1alpha1 | quantity: `1` is `1000m` | – |
//! | v1alpha2 | whole number | – |
//! | v1alpha3, v1alpha4 | whole number | HTTPRouteGroups |
//!
//! Weights of v1alpha1 arrive in the model as thousandths: only shares count, and `1` to `500m` stays 2 to 1. (The SDK's
//! conversion makes it 1 to 500.)

use schemars::JsonSchema;
use serde::Deserialize;

pub use super::quantity::{Quantity, Weight};
use super::{
    error::{Fault, quoted},
    metadata::Resource,
    name,
};
use crate::model;

/// traffic-split v1alpha1.
pub mod v1alpha1 {
    use super::{Backend, Deserialize, JsonSchema, Quantity, Resource};

    /// A TrafficSplit.
    pub type TrafficSplit = Resource<TrafficSplitSpec>;

    /// `spec`.
    #[derive(Clone, Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct TrafficSplitSpec {
        /// The root service: what clients dial.
        pub service: String,
        /// Who answers, and how often.
        pub backends: Vec<Backend<Quantity>>,
    }
}

/// traffic-split v1alpha2.
pub mod v1alpha2 {
    use super::{Backend, Deserialize, JsonSchema, Resource, Weight};

    /// A TrafficSplit.
    pub type TrafficSplit = Resource<TrafficSplitSpec>;

    /// `spec`.
    #[derive(Clone, Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct TrafficSplitSpec {
        /// The root service: what clients dial.
        pub service: String,
        /// Who answers, and how often.
        pub backends: Vec<Backend<Weight>>,
    }
}

/// traffic-split v1alpha3.
pub mod v1alpha3 {
    use super::{Backend, Deserialize, JsonSchema, Resource, Weight};

    /// A TrafficSplit.
    pub type TrafficSplit = Resource<TrafficSplitSpec>;

    /// `spec`.
    #[derive(Clone, Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct TrafficSplitSpec {
        /// The root service: what clients dial.
        pub service: String,
        /// Who answers, and how often.
        pub backends: Vec<Backend<Weight>>,
        /// The requests that are shared out; all if omitted or empty.
        #[serde(default)]
        pub matches: Vec<RouteReference>,
    }

    /// A reference to an HTTPRouteGroup in the split's namespace.
    #[derive(Clone, Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct RouteReference {
        /// `specs.smi-spec.io`, if given.
        #[serde(default)]
        pub api_group: Option<String>,
        /// `HTTPRouteGroup`.
        pub kind: String,
        /// Name of the group.
        pub name: String,
    }
}

/// traffic-split v1alpha4: as v1alpha3.
pub mod v1alpha4 {
    pub use super::v1alpha3::{RouteReference, TrafficSplit, TrafficSplitSpec};
}

/// One of `backends`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Backend<W> {
    /// Name of the service.
    pub service: String,
    /// Its share, relative to the sum of all weights.
    pub weight: W,
}

impl TryFrom<v1alpha1::TrafficSplit> for model::TrafficSplit {
    type Error = Fault;

    fn try_from(wire: v1alpha1::TrafficSplit) -> Result<Self, Fault> {
        split(&wire, &wire.spec.service, &wire.spec.backends, &[], |weight| weight.thousandths)
    }
}

impl TryFrom<v1alpha2::TrafficSplit> for model::TrafficSplit {
    type Error = Fault;

    fn try_from(wire: v1alpha2::TrafficSplit) -> Result<Self, Fault> {
        split(&wire, &wire.spec.service, &wire.spec.backends, &[], |weight| weight.0)
    }
}

impl TryFrom<v1alpha3::TrafficSplit> for model::TrafficSplit {
    type Error = Fault;

    fn try_from(wire: v1alpha3::TrafficSplit) -> Result<Self, Fault> {
        split(&wire, &wire.spec.service, &wire.spec.backends, &wire.spec.matches, |weight| weight.0)
    }
}

fn split<S, W>(
    wire: &Resource<S>,
    service: &str,
    backends: &[Backend<W>],
    matches: &[v1alpha3::RouteReference],
    weight: impl Fn(&W) -> u64,
) -> Result<model::TrafficSplit, Fault> {
    let backend = |(i, backend): (usize, &Backend<W>)| {
        let service = host(&backend.service, &format!("spec.backends[{i}].service"))?;
        Ok(model::Backend { service: service.into(), weight: weight(&backend.weight) })
    };
    Ok(model::TrafficSplit {
        name: wire.metadata.object_name()?,
        created: wire.metadata.created()?,
        service: host(service, "spec.service")?.into(),
        backends: backends.iter().enumerate().map(backend).collect::<Result<_, Fault>>()?,
        matches: matches
            .iter()
            .enumerate()
            .map(|(i, entry)| reference(entry).map_err(|fault| fault.under(&format!("spec.matches[{i}]"))))
            .collect::<Result<_, Fault>>()?,
    })
}

/// The name of a service or host without the dot that may end a fully qualified one.
fn host<'n>(written: &'n str, field: &str) -> Result<&'n str, Fault> {
    let host = written.strip_suffix('.').unwrap_or(written);
    name::subdomain(host, field)?;
    Ok(host)
}

fn reference(wire: &v1alpha3::RouteReference) -> Result<std::sync::Arc<str>, Fault> {
    let only = |field, found, allowed| {
        Err(Fault::new(field, format!("{} cannot select requests: write `{allowed}`", quoted(found))))
    };
    match wire.api_group.as_deref() {
        None | Some("" | "specs.smi-spec.io") => (),
        Some(group) => return only("apiGroup", group, "specs.smi-spec.io"),
    }
    if wire.kind != "HTTPRouteGroup" {
        return only("kind", &wire.kind, "HTTPRouteGroup");
    }
    name::subdomain(&wire.name, "name")?;
    Ok(wire.name.as_str().into())
}
