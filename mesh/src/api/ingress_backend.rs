//! IngressBackend (`policy.openservicemesh.io`): what may enter the mesh.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    duration::Range,
    egress::{Reference, Referred, hosts},
    error::{Fault, quoted},
    metadata::{Port, Resource},
    name,
};
use crate::model;

/// The only version.
pub mod v1alpha1 {
    use super::{Backend, Deserialize, JsonSchema, Reference, Resource, Source};

    /// An IngressBackend.
    pub type IngressBackend = Resource<IngressBackendSpec>;

    /// `spec`.
    #[derive(Clone, Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct IngressBackendSpec {
        /// Ports of services that are open to the sources.
        pub backends: Vec<Backend>,
        /// Who may call. A connection must come from one of those that name addresses, if there are any, and prove one of
        /// the principals, if there are any. Empty is nobody.
        #[serde(default)]
        pub sources: Vec<Source>,
        /// HTTPRouteGroups that requests must match; omitted or empty lets every request through.
        #[serde(default)]
        pub matches: Vec<Reference>,
    }
}

/// A port of a service that is open to the sources.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Backend {
    /// Name of the service, in the same namespace.
    pub name: String,
    /// Its port.
    pub port: BackendPort,
    /// TLS of an `https` port.
    #[serde(default)]
    pub tls: Option<Tls>,
}

/// A port of the pods.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendPort {
    /// The pods' port: the service's `targetPort`.
    pub number: Port,
    /// What the sources speak to it.
    pub protocol: BackendProtocol,
}

/// What the sources speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackendProtocol {
    /// HTTP in plaintext.
    Http,
    /// HTTP over TLS.
    Https,
}

/// TLS of an `https` port.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// Asks for no client certificate. Principals then cannot be proved.
    #[serde(default)]
    pub skip_client_cert_validation: bool,
    /// Server names (SNI) that lead to the port; omitted or empty takes any.
    #[serde(default)]
    pub sni_hosts: Vec<String>,
}

/// Who may call.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// What is named.
    pub kind: SourceKind,
    /// Name of the service, the range (`10.0.0.0/8`), or the name in the client's certificate.
    pub name: String,
    /// Namespace of the service; that of the IngressBackend if omitted.
    #[serde(default)]
    pub namespace: Option<String>,
}

/// What a source names.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub enum SourceKind {
    /// The pods of a service.
    Service,
    /// A DNS name in the client's certificate; `*` is any.
    AuthenticatedPrincipal,
    /// A range of addresses.
    IPRange,
}

impl TryFrom<v1alpha1::IngressBackend> for model::IngressBackend {
    type Error = Fault;

    fn try_from(wire: v1alpha1::IngressBackend) -> Result<Self, Fault> {
        let name = wire.metadata.object_name()?;
        from_spec(name, &wire.spec).map_err(|fault| fault.under("spec"))
    }
}

fn from_spec(name: model::ObjectName, spec: &v1alpha1::IngressBackendSpec) -> Result<model::IngressBackend, Fault> {
    let at = |list: &str, i: usize| format!("{list}[{i}]");
    let each = |(i, b): (usize, &Backend)| backend(b).map_err(|fault| fault.under(&at("backends", i)));
    let backends = spec.backends.iter().enumerate().map(each).collect::<Result<_, _>>()?;
    let each = |(i, s): (usize, &Source)| source(s, &name).map_err(|fault| fault.under(&at("sources", i)));
    let sources = spec.sources.iter().enumerate().map(each).collect::<Result<_, _>>()?;
    let each = |(i, r): (usize, &Reference)| route_group(r).map_err(|fault| fault.under(&at("matches", i)));
    let route_groups = spec.matches.iter().enumerate().map(each).collect::<Result<_, _>>()?;
    Ok(model::IngressBackend { name, backends, sources, route_groups })
}

fn backend(wire: &Backend) -> Result<model::IngressPort, Fault> {
    name::subdomain(&wire.name, "name")?;
    let tls = match (wire.port.protocol, &wire.tls) {
        (BackendProtocol::Http, Some(_)) => {
            let message = "an `http` port is called in plaintext; write `protocol: https`, or remove `tls`";
            return Err(Fault::new("tls", message));
        }
        (BackendProtocol::Http, None) => None,
        (BackendProtocol::Https, tls) => {
            let tls = tls.clone().unwrap_or_default();
            Some(model::IngressTls {
                skip_client_certificate: tls.skip_client_cert_validation,
                sni_hosts: hosts(&tls.sni_hosts, "tls.sniHosts")?,
            })
        }
    };
    Ok(model::IngressPort { service: wire.name.as_str().into(), port: wire.port.number.0, tls })
}

fn source(wire: &Source, own: &model::ObjectName) -> Result<model::IngressSource, Fault> {
    if let (SourceKind::AuthenticatedPrincipal | SourceKind::IPRange, Some(_)) = (wire.kind, &wire.namespace) {
        return Err(Fault::new("namespace", "only a Service has one; remove it"));
    }
    match wire.kind {
        SourceKind::Service => {
            name::subdomain(&wire.name, "name")?;
            let namespace = wire.namespace.as_deref().unwrap_or(&own.namespace);
            name::label(namespace, "namespace")?;
            Ok(model::IngressSource::Service(model::ObjectName::new(namespace, wire.name.as_str())))
        }
        SourceKind::AuthenticatedPrincipal if wire.name == "*" => Ok(model::IngressSource::Principal("*".into())),
        SourceKind::AuthenticatedPrincipal => {
            name::subdomain(&wire.name, "name")?;
            Ok(model::IngressSource::Principal(wire.name.as_str().into()))
        }
        SourceKind::IPRange => Range::parse(&wire.name)
            .map(|range| model::IngressSource::Range(range.0))
            .map_err(|message| Fault::new("name", message)),
    }
}

fn route_group(wire: &Reference) -> Result<Arc<str>, Fault> {
    match wire.read()? {
        Referred::RouteGroup(name) => Ok(name),
        Referred::UpstreamSetting(_) => {
            let message = format!("{} does not select requests: write `HTTPRouteGroup`", quoted(&wire.kind));
            Err(Fault::new("kind", message))
        }
    }
}
