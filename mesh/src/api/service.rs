//! `v1` Service, as far as the mesh reads it.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    sync::Arc,
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::{
    error::{Fault, quoted},
    metadata::{Port, Resource},
    name,
    protocol::{Transport, protocol},
};
use crate::model::{self, ObjectName};

/// A Service.
pub type Service = Resource<ServiceSpec>;

/// `spec`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceSpec {
    /// Within the mesh they are all reached alike. `ExternalName` is not supported.
    #[serde(default, rename = "type")]
    pub service_type: Option<ServiceType>,
    /// An address; `None` for a headless service; the cluster assigns one if omitted or empty.
    #[serde(default, rename = "clusterIP")]
    pub cluster_ip: Option<String>,
    /// Labels of the pods behind the service.
    #[serde(default)]
    pub selector: BTreeMap<String, String>,
    /// The ports.
    #[serde(default)]
    pub ports: Vec<ServicePort>,
}

/// `spec.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "Kubernetes documents them; the mesh makes no difference")]
pub enum ServiceType {
    ClusterIP,
    NodePort,
    LoadBalancer,
}

/// One of `spec.ports`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServicePort {
    /// Needed if there are several ports.
    #[serde(default)]
    pub name: Option<String>,
    /// What clients dial.
    pub port: Port,
    /// Where it leads on the pods; the same port if omitted.
    #[serde(default)]
    pub target_port: Option<TargetPort>,
    /// The transport.
    #[serde(default)]
    pub protocol: Transport,
    /// What is spoken.
    #[serde(default)]
    pub app_protocol: Option<String>,
}

/// A port number, or the name of a container port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPort {
    /// A port number.
    Number(Port),
    /// The name of a container port.
    Name(String),
}

/// A Service that has no address yet: whoever runs the cluster chooses one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnassignedService(model::Service);

impl UnassignedService {
    /// The service's name.
    pub fn name(&self) -> &ObjectName {
        &self.0.name
    }

    /// The service, as it will be under whatever address it gets.
    pub fn ports(&self) -> &[model::ServicePort] {
        &self.0.ports
    }

    /// The service at `address`.
    #[must_use]
    pub fn assign(self, address: IpAddr) -> model::Service {
        model::Service { cluster_ip: Some(address), ..self.0 }
    }
}

/// A Service of the model, with or without an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assigned {
    /// Its address is written, or it is headless.
    Yes(model::Service),
    /// Its address is left to the cluster.
    No(UnassignedService),
}

impl TryFrom<Service> for Assigned {
    type Error = Fault;

    fn try_from(wire: Service) -> Result<Self, Fault> {
        let name = wire.metadata.object_name()?;
        name::service(&name.name, "metadata.name")?;
        let address = wire.spec.cluster_ip.filter(|address| !address.is_empty());
        let headless = address.as_deref() == Some("None");
        if wire.spec.ports.is_empty() && !headless {
            return Err(Fault::missing("spec.ports").hint("only a headless service, `clusterIP: None`, needs none"));
        }
        let service = model::Service {
            name,
            cluster_ip: None,
            selector: wire.spec.selector.into_iter().map(|(k, v)| (k.into(), v.into())).collect(),
            ports: ports(&wire.spec.ports).map_err(|fault| fault.under("spec.ports"))?,
        };
        match address {
            _ if headless => Ok(Self::Yes(service)),
            None => Ok(Self::No(UnassignedService(service))),
            Some(address) => Ok(Self::Yes(model::Service { cluster_ip: Some(cluster_ip(&address)?), ..service })),
        }
    }
}

fn cluster_ip(written: &str) -> Result<IpAddr, Fault> {
    match written.parse::<IpAddr>() {
        Ok(address) if !address.is_unspecified() && !address.is_multicast() => Ok(address),
        _ => {
            let message = format!("{} is not an address, nor `None` for a headless service", quoted(written));
            let hint = written.eq_ignore_ascii_case("none").then(|| "did you mean `None`?".to_owned());
            Err(Fault::new("spec.clusterIP", message).maybe_hint(hint))
        }
    }
}

/// The ports in ascending order. Of a number that stands for TCP and for UDP (as DNS has it) the TCP port is kept:
/// the sidecar carries nothing else.
fn ports(wire: &[ServicePort]) -> Result<Vec<model::ServicePort>, Fault> {
    let (mut seen, mut names, mut ports) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
    for (i, entry) in wire.iter().enumerate() {
        let field = |last: &str| format!("[{i}].{last}");
        if !seen.insert((entry.port, entry.protocol)) {
            return Err(Fault::new(field("port"), format!("port {} occurs twice", entry.port.0)));
        }
        match &entry.name {
            None if wire.len() > 1 => {
                return Err(Fault::missing(field("name")).hint("of several ports each needs a name"));
            }
            None => (),
            Some(name) => {
                name::label(name, &field("name"))?;
                if !names.insert(name) {
                    return Err(Fault::new(field("name"), format!("two ports are called {}", quoted(name))));
                }
            }
        }
        let port = port(entry).map_err(|fault| fault.under(&format!("[{i}]")))?;
        // Ordered by transport: TCP comes first.
        ports.insert((entry.port, entry.protocol), port);
    }
    let mut ports: Vec<_> = ports.into_values().collect();
    ports.dedup_by_key(|port| port.port);
    Ok(ports)
}

fn port(wire: &ServicePort) -> Result<model::ServicePort, Fault> {
    let target = match &wire.target_port {
        None => model::TargetPort::Number(wire.port.0),
        Some(TargetPort::Number(number)) => model::TargetPort::Number(number.0),
        Some(TargetPort::Name(name)) => {
            name::container_port(name, "targetPort")?;
            model::TargetPort::Name(name.as_str().into())
        }
    };
    Ok(model::ServicePort {
        name: wire.name.as_deref().map(Arc::from),
        port: wire.port.0,
        target,
        protocol: protocol(wire.protocol, wire.app_protocol.as_deref(), wire.name.as_deref()),
    })
}

impl<'de> Deserialize<'de> for TargetPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TargetPortVisitor)
    }
}

struct TargetPortVisitor;

impl de::Visitor<'_> for TargetPortVisitor {
    type Value = TargetPort;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a port number from 1 to 65535, or the name of a container port")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<TargetPort, E> {
        match u16::try_from(number) {
            Ok(port) if port > 0 => Ok(TargetPort::Number(Port(port))),
            _ => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<TargetPort, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<TargetPort, E> {
        Ok(TargetPort::Name(name.to_owned()))
    }
}

impl JsonSchema for TargetPort {
    fn schema_name() -> Cow<'static, str> {
        "TargetPort".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A port number, or the name of a container port.",
            "anyOf": [{ "type": "integer", "minimum": 1, "maximum": 65535 }, { "type": "string" }],
            "x-kubernetes-int-or-string": true
        })
    }
}
