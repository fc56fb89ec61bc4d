//! TrafficTarget (`access.smi-spec.io`): who may send what to whom.
//!
//! | version | shape | list of rules | `destination.port` |
//! |---|---|---|---|
//! | v1alpha1 | top level | `specs` | optional |
//! | v1alpha2 | `spec` | `rules` | optional |
//! | v1alpha3 | `spec` | `rules` | – (ports moved to TCPRoute) |
//!
//! The port of the older versions is kept: it narrows what the target opens. The conversion of the SMI SDK drops it, which
//! opens every port of the destination instead. In v1alpha3 it stands in the annotation [`DESTINATION_PORT`].

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

pub use super::convert::DESTINATION_PORT;
use super::{
    error::{Fault, quoted},
    metadata::{Metadata, ObjectMeta, Port, Resource},
    name,
};
use crate::model;

/// traffic-access v1alpha1.
pub mod v1alpha1 {
    use super::{Deserialize, JsonSchema, ObjectMeta, Rule, Subject};
    use crate::api::Ignored;

    pub use super::v1alpha2::Destination;

    /// A TrafficTarget whose content lies at the top level.
    #[derive(Clone, Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct TrafficTarget {
        /// Group and version.
        pub api_version: String,
        /// Kind.
        pub kind: String,
        /// Name, namespace and so on.
        pub metadata: ObjectMeta,
        /// Who receives the traffic.
        pub destination: Destination,
        /// The traffic.
        #[serde(default)]
        pub specs: Vec<Rule>,
        /// Who may send it.
        #[serde(default)]
        pub sources: Vec<Subject>,
        /// Ignored.
        #[serde(default)]
        pub status: Option<Ignored>,
    }
}

/// traffic-access v1alpha2.
pub mod v1alpha2 {
    use super::{Deserialize, JsonSchema, Port, Resource, Rule, Subject};

    /// A TrafficTarget.
    pub type TrafficTarget = Resource<TrafficTargetSpec>;

    /// `spec`.
    #[derive(Clone, Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct TrafficTargetSpec {
        /// Who receives the traffic.
        pub destination: Destination,
        /// The traffic.
        #[serde(default)]
        pub rules: Vec<Rule>,
        /// Who may send it.
        #[serde(default)]
        pub sources: Vec<Subject>,
    }

    /// A destination that may be narrowed to one port.
    #[derive(Clone, Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct Destination {
        /// `ServiceAccount`.
        pub kind: String,
        /// Name of the account.
        pub name: String,
        /// Its namespace; the target's own if omitted.
        #[serde(default)]
        pub namespace: Option<String>,
        /// The only service port that the target opens.
        #[serde(default)]
        pub port: Option<Port>,
    }
}

/// traffic-access v1alpha3.
pub mod v1alpha3 {
    use super::{Deserialize, JsonSchema, Resource, Rule, Subject};

    /// A TrafficTarget.
    pub type TrafficTarget = Resource<TrafficTargetSpec>;

    /// `spec`.
    #[derive(Clone, Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct TrafficTargetSpec {
        /// Who receives the traffic.
        pub destination: Subject,
        /// The traffic.
        #[serde(default)]
        pub rules: Vec<Rule>,
        /// Who may send it.
        #[serde(default)]
        pub sources: Vec<Subject>,
    }
}

/// An identity.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subject {
    /// `ServiceAccount`. Other kinds are read, and get a diagnostic.
    pub kind: String,
    /// Name of the account.
    pub name: String,
    /// Its namespace; the target's own if omitted.
    #[serde(default)]
    pub namespace: Option<String>,
}

/// Traffic: a route, or some matches of a route group.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// `HTTPRouteGroup`, `TCPRoute` or `UDPRoute`. Other kinds are read, and get a diagnostic.
    pub kind: String,
    /// Name of the route, in the target's namespace.
    pub name: String,
    /// Names of the group's matches; omitted or empty means all of them.
    #[serde(default)]
    pub matches: Vec<String>,
}

impl Metadata for v1alpha1::TrafficTarget {
    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl TryFrom<v1alpha1::TrafficTarget> for model::TrafficTarget {
    type Error = Fault;

    fn try_from(wire: v1alpha1::TrafficTarget) -> Result<Self, Fault> {
        Ok(Self {
            name: wire.metadata.object_name()?,
            destination_port: wire.destination.port.map(|port| port.0),
            destination: subject(wire.destination.into(), "destination")?,
            sources: subjects(wire.sources)?,
            rules: rules(wire.specs, "specs")?,
        })
    }
}

impl TryFrom<v1alpha2::TrafficTarget> for model::TrafficTarget {
    type Error = Fault;

    fn try_from(wire: v1alpha2::TrafficTarget) -> Result<Self, Fault> {
        let name = wire.metadata.object_name()?;
        let destination_port = wire.spec.destination.port.map(|port| port.0);
        let spec = v1alpha3::TrafficTargetSpec {
            destination: wire.spec.destination.into(),
            rules: wire.spec.rules,
            sources: wire.spec.sources,
        };
        from_spec(name, spec, destination_port).map_err(|fault| fault.under("spec"))
    }
}

impl TryFrom<v1alpha3::TrafficTarget> for model::TrafficTarget {
    type Error = Fault;

    fn try_from(wire: v1alpha3::TrafficTarget) -> Result<Self, Fault> {
        let name = wire.metadata.object_name()?;
        let destination_port = kept_port(&wire.metadata)?;
        from_spec(name, wire.spec, destination_port).map_err(|fault| fault.under("spec"))
    }
}

/// The `destination.port` that the object had in an older version.
fn kept_port(metadata: &ObjectMeta) -> Result<Option<u16>, Fault> {
    let Some(kept) = metadata.annotations.get(DESTINATION_PORT) else { return Ok(None) };
    match kept.parse() {
        Ok(port) if port > 0 => Ok(Some(port)),
        // Without it the target would open every port.
        _ => Err(Fault::new(
            format!("metadata.annotations[\"{DESTINATION_PORT}\"]"),
            format!("{} is not a port from 1 to 65535", quoted(kept)),
        )),
    }
}

impl From<v1alpha2::Destination> for Subject {
    fn from(wire: v1alpha2::Destination) -> Self {
        Self { kind: wire.kind, name: wire.name, namespace: wire.namespace }
    }
}

impl From<String> for model::RuleKind {
    fn from(kind: String) -> Self {
        match kind.as_str() {
            "HTTPRouteGroup" => Self::HttpRouteGroup,
            "TCPRoute" => Self::TcpRoute,
            "UDPRoute" => Self::UdpRoute,
            _ => Self::Other(kind.into()),
        }
    }
}

fn from_spec(
    name: model::ObjectName,
    spec: v1alpha3::TrafficTargetSpec,
    destination_port: Option<u16>,
) -> Result<model::TrafficTarget, Fault> {
    Ok(model::TrafficTarget {
        name,
        destination: subject(spec.destination, "destination")?,
        destination_port,
        sources: subjects(spec.sources)?,
        rules: rules(spec.rules, "rules")?,
    })
}

/// Sources: `sources[i]` in errors.
pub(super) fn subjects(wire: Vec<Subject>) -> Result<Vec<model::Subject>, Fault> {
    wire.into_iter().enumerate().map(|(i, source)| subject(source, &format!("sources[{i}]"))).collect()
}

fn subject(wire: Subject, field: &str) -> Result<model::Subject, Fault> {
    // Names of other kinds follow other rules (`system:masters` is a group), and policy does not use them.
    if wire.kind == "ServiceAccount" {
        name::subdomain(&wire.name, &format!("{field}.name"))?;
        wire.namespace.as_ref().map_or(Ok(()), |own| name::label(own, &format!("{field}.namespace")))?;
    }
    Ok(model::Subject { kind: wire.kind.into(), name: wire.name.into(), namespace: wire.namespace.map(Arc::from) })
}

fn rules(wire: Vec<Rule>, field: &str) -> Result<Vec<model::Rule>, Fault> {
    let rule = |(i, rule): (usize, Rule)| {
        let kind = model::RuleKind::from(rule.kind);
        if !matches!(kind, model::RuleKind::Other(_)) {
            name::subdomain(&rule.name, &format!("{field}[{i}].name"))?;
        }
        let matches = rule.matches.into_iter().map(Arc::from).collect();
        Ok(model::Rule { kind, name: rule.name.into(), matches })
    };
    wire.into_iter().enumerate().map(rule).collect()
}
