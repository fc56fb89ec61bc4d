//! Egress (`policy.openservicemesh.io`): what may leave the mesh.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    duration::Range,
    error::{Fault, quoted},
    metadata::{Port, Resource},
    name,
    traffic_target::Subject,
};
use crate::model;

/// The only version.
pub mod v1alpha1 {
    use super::{Deserialize, EgressPort, JsonSchema, Range, Reference, Resource, Subject};

    /// An Egress.
    pub type Egress = Resource<EgressSpec>;

    /// `spec`.
    #[derive(Clone, Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct EgressSpec {
        /// Who may call: ServiceAccounts.
        pub sources: Vec<Subject>,
        /// Host names of the destinations: of HTTP requests' authority, of the server name (SNI) in HTTPS.
        #[serde(default)]
        pub hosts: Vec<String>,
        /// Ranges of the destinations' addresses; omitted or empty is any address.
        #[serde(default)]
        pub ip_addresses: Vec<Range>,
        /// Ports of the destinations.
        pub ports: Vec<EgressPort>,
        /// HTTPRouteGroups that HTTP requests must match, and at most one UpstreamTrafficSetting.
        #[serde(default)]
        pub matches: Vec<Reference>,
    }
}

/// A port of the destinations.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EgressPort {
    /// The port.
    pub number: Port,
    /// What is spoken on it.
    pub protocol: EgressProtocol,
}

/// What leaves the mesh on a port.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EgressProtocol {
    /// Plain HTTP.
    Http,
    /// TLS that the application begins.
    Https,
    /// Opaque TCP in which the client speaks first.
    Tcp,
    /// Opaque TCP in which the server speaks first.
    TcpServerFirst,
}

/// An object in the same namespace, by group and version, kind and name.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reference {
    /// `specs.smi-spec.io/v1alpha4` or `policy.openservicemesh.io/v1alpha1`; the version may be left out.
    pub api_group: String,
    /// `HTTPRouteGroup` or `UpstreamTrafficSetting`.
    pub kind: String,
    /// Name of the object.
    pub name: String,
}

/// What a [`Reference`] names.
pub(super) enum Referred {
    /// An HTTPRouteGroup.
    RouteGroup(Arc<str>),
    /// An UpstreamTrafficSetting.
    UpstreamSetting(Arc<str>),
}

impl Reference {
    /// What is referred to.
    ///
    /// # Errors
    /// Another group, version or kind, or a name that cannot be one.
    pub(super) fn read(&self) -> Result<Referred, Fault> {
        name::subdomain(&self.name, "name")?;
        let name = Arc::from(self.name.as_str());
        let (group, referred) = match self.kind.as_str() {
            "HTTPRouteGroup" => ("specs.smi-spec.io/v1alpha4", Referred::RouteGroup(name)),
            "UpstreamTrafficSetting" => ("policy.openservicemesh.io/v1alpha1", Referred::UpstreamSetting(name)),
            kind => {
                let message = format!(
                    "{} cannot be referred to here: write `HTTPRouteGroup` or `UpstreamTrafficSetting`",
                    quoted(kind)
                );
                return Err(Fault::new("kind", message));
            }
        };
        let bare = group.split('/').next();
        if self.api_group != group && Some(self.api_group.as_str()) != bare {
            let message = format!("{} has no kind {}: write `{group}`", quoted(&self.api_group), self.kind);
            return Err(Fault::new("apiGroup", message));
        }
        Ok(referred)
    }
}

impl TryFrom<v1alpha1::Egress> for model::Egress {
    type Error = Fault;

    fn try_from(wire: v1alpha1::Egress) -> Result<Self, Fault> {
        let name = wire.metadata.object_name()?;
        from_spec(name, wire.spec).map_err(|fault| fault.under("spec"))
    }
}

fn from_spec(name: model::ObjectName, spec: v1alpha1::EgressSpec) -> Result<model::Egress, Fault> {
    let (route_groups, upstream_setting) = references(&spec.matches)?;
    Ok(model::Egress {
        name,
        sources: super::traffic_target::subjects(spec.sources)?,
        hosts: hosts(&spec.hosts, "hosts")?,
        ip_ranges: spec.ip_addresses.into_iter().map(|range| range.0).collect(),
        ports: spec.ports.iter().map(port).collect(),
        route_groups,
        upstream_setting,
    })
}

fn port(wire: &EgressPort) -> model::EgressPort {
    let protocol = match wire.protocol {
        EgressProtocol::Http => model::EgressProtocol::Http,
        EgressProtocol::Https => model::EgressProtocol::Https,
        EgressProtocol::Tcp => model::EgressProtocol::Tcp,
        EgressProtocol::TcpServerFirst => model::EgressProtocol::TcpServerFirst,
    };
    model::EgressPort { number: wire.number.0, protocol }
}

/// Host names, without the dot that may end a fully qualified one.
pub(super) fn hosts(wire: &[String], field: &str) -> Result<Vec<Arc<str>>, Fault> {
    let host = |(i, written): (usize, &String)| {
        let host = written.strip_suffix('.').unwrap_or(written);
        name::subdomain(host, &format!("{field}[{i}]"))?;
        Ok(Arc::from(host))
    };
    wire.iter().enumerate().map(host).collect()
}

type References = (Vec<Arc<str>>, Option<Arc<str>>);

fn references(wire: &[Reference]) -> Result<References, Fault> {
    let (mut groups, mut setting) = (Vec::new(), None);
    for (i, reference) in wire.iter().enumerate() {
        match reference.read().map_err(|fault| fault.under(&format!("matches[{i}]")))? {
            Referred::RouteGroup(name) => groups.push(name),
            Referred::UpstreamSetting(name) if setting.is_none() => setting = Some(name),
            Referred::UpstreamSetting(_) => {
                let message = "a second UpstreamTrafficSetting; connections are held by one: remove the others";
                return Err(Fault::new(format!("matches[{i}]"), message));
            }
        }
    }
    Ok((groups, setting))
}
