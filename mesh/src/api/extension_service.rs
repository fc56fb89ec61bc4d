//! ExtensionService (`config.openservicemesh.io/v1alpha2`): a service that sidecars use, inside or outside of the mesh.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    duration::Span,
    error::{Fault, quoted},
    metadata::{Port, Resource},
    name,
};
use crate::model;

/// An ExtensionService.
pub type ExtensionService = Resource<ExtensionServiceSpec>;

/// `spec`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtensionServiceSpec {
    /// Host name or address.
    #[schemars(length(min = 1))]
    pub host: String,
    /// Port.
    pub port: Port,
    /// What it speaks; `h2c` if omitted.
    #[serde(default)]
    pub protocol: ExtensionProtocol,
    /// Time to connect; `5s` if omitted.
    #[serde(default)]
    pub connect_timeout: Option<Span>,
}

/// `spec.protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExtensionProtocol {
    /// HTTP/2 without TLS.
    #[default]
    H2c,
    /// The same.
    Http2,
    /// HTTP/1.1.
    Http1,
    /// HTTP/1.1.
    Http,
}

impl TryFrom<ExtensionService> for model::ExtensionService {
    type Error = Fault;

    fn try_from(wire: ExtensionService) -> Result<Self, Fault> {
        let name = wire.metadata.object_name()?;
        let spec = wire.spec;
        if spec.host.parse::<std::net::IpAddr>().is_err() {
            name::subdomain(&spec.host, "spec.host")?;
        }
        if let Some(zero) = spec.connect_timeout.filter(|timeout| timeout.0.is_zero()) {
            let message = format!("{} is no time to connect; give more than zero", quoted(&zero.to_string()));
            return Err(Fault::new("spec.connectTimeout", message));
        }
        Ok(Self {
            name,
            host: spec.host.into(),
            port: spec.port.0,
            http2: matches!(spec.protocol, ExtensionProtocol::H2c | ExtensionProtocol::Http2),
            connect_timeout: spec.connect_timeout.map(|timeout| timeout.0),
        })
    }
}
