//! The three places in which a production snapshot is changed so that it runs without iptables; nothing else is touched.
//!
//! | resource | production | here |
//! |---|---|---|
//! | listener `outbound-listener` | all addresses, `original_dst` | the pod's address, `proxy_protocol`: the fake client sends the intended destination in a PROXY v2 header |
//! | listener `inbound-listener` | all addresses, port 15003 | the pod's address, and one additional address for every target port, because nothing redirects to 15003 |
//! | clusters `…|local` | `127.0.0.1:targetPort` | the in-process application |
//!
//! Collectors are no part of the mesh; [`redirect`] stands for the DNS that would find them.
//!
//! Everything else keeps its bytes and so its version.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use envoy_types::pb::{
    envoy::{
        config::{
            cluster::v3::Cluster,
            core::v3::{Address, SocketAddress, address, socket_address::PortSpecifier},
            endpoint::v3::{LbEndpoint, lb_endpoint::HostIdentifier},
            listener::v3::{AdditionalAddress, Listener, ListenerFilter, listener_filter::ConfigType},
        },
        extensions::filters::listener::proxy_protocol::v3::ProxyProtocol,
    },
    google::protobuf::Any,
};
use mesh::snapshot::{
    Resource, ResourceType, Snapshot,
    name::{EXTENSION_PREFIX, TRACING},
};
use prost::Message;

/// The listener that the application's own connections are redirected to.
pub const OUTBOUND_LISTENER: &str = "outbound-listener";

/// The listener that connections from other pods are redirected to.
pub const INBOUND_LISTENER: &str = "inbound-listener";

/// How the names of the clusters of the pod's own application end.
pub const LOCAL_SUFFIX: &str = "|local";

/// A port on which nothing listens (TCPMUX, RFC 1078): where a local cluster points if its application does not run.
pub const CLOSED_PORT: u16 = 1;

const ORIGINAL_DST: &str = "envoy.filters.listener.original_dst";
const PROXY_PROTOCOL: &str = "envoy.filters.listener.proxy_protocol";
const PROXY_PROTOCOL_TYPE: &str =
    "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol";

/// What a backend puts in place of iptables and of the pod's network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adaptation {
    /// The pod's address.
    pub pod_ip: IpAddr,
    /// What the listeners bind: the pod's address for a process, all addresses in a container.
    pub bind: IpAddr,
    /// The target ports of the pod's services, each an additional address of the inbound listener.
    pub inbound_ports: Vec<u16>,
    /// Where the pod's application really listens, by container port.
    pub applications: BTreeMap<u16, SocketAddr>,
}

/// An adapted snapshot, and what did not fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapted {
    /// The snapshot to deliver.
    pub snapshot: Snapshot,
    /// Container ports that a local cluster wants and no application serves. Their clusters point to a closed port of
    /// the pod, so that requests fail as they do in a pod whose application does not listen.
    pub unserved: Vec<Unserved>,
}

/// A local cluster without an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unserved {
    /// The cluster.
    pub cluster: String,
    /// The container port that nobody serves.
    pub port: u16,
}

/// The snapshot is not of the form that the mesh generates: a bug in the control plane.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdaptError {
    /// A resource is not a message of its kind.
    #[error("cannot decode the {kind:?} {name}: {source}")]
    Decode {
        /// Its kind.
        kind: ResourceType,
        /// Its name.
        name: String,
        /// What the decoder says.
        source: prost::DecodeError,
    },
    /// The outbound listener has no `original_dst` filter: in a real pod it could not know where a connection was going.
    #[error("listener {OUTBOUND_LISTENER} has no listener filter {ORIGINAL_DST}")]
    NoOriginalDst,
    /// A listener or an endpoint has an address that is not an IP address with a port.
    #[error("{0} has no socket address with a port")]
    NoSocketAddress(String),
}

/// The snapshot as it is delivered to a sidecar that no iptables rule leads traffic to.
///
/// # Errors
/// Only for a snapshot that the mesh does not generate, see [`AdaptError`].
pub fn adapt(snapshot: &Snapshot, to: &Adaptation) -> Result<Adapted, AdaptError> {
    let mut adapted = Adapted { snapshot: snapshot.clone(), unserved: Vec::new() };
    for (kind, name, resource) in snapshot.iter() {
        let changed = match (kind, &**name) {
            (ResourceType::Listener, OUTBOUND_LISTENER) => {
                let mut listener: Listener = decode(kind, name, resource)?;
                adapt_outbound(&mut listener, to)?;
                listener.encode_to_vec()
            }
            (ResourceType::Listener, INBOUND_LISTENER) => {
                let mut listener: Listener = decode(kind, name, resource)?;
                adapt_inbound(&mut listener, to)?;
                listener.encode_to_vec()
            }
            (ResourceType::Cluster, name) if name.ends_with(LOCAL_SUFFIX) => {
                let mut cluster: Cluster = decode(kind, name, resource)?;
                adapt_local(&mut cluster, to, &mut adapted.unserved)?;
                cluster.encode_to_vec()
            }
            _ => continue,
        };
        adapted.snapshot.insert(kind, name.clone(), Resource::new(kind, changed));
    }
    Ok(adapted)
}

/// Leads the clusters of log entries and spans to the collectors of this machine, by host name; other names stay.
///
/// # Errors
/// A cluster is no message of its kind.
pub fn redirect(snapshot: &mut Snapshot, collectors: &BTreeMap<String, SocketAddr>) -> Result<(), AdaptError> {
    let told = |name: &str| name == TRACING || name.starts_with(EXTENSION_PREFIX);
    let clusters: Vec<_> = snapshot.of(ResourceType::Cluster).filter(|(name, _)| told(name)).collect();
    let mut changed = Vec::new();
    for (name, resource) in clusters {
        let mut cluster: Cluster = decode(ResourceType::Cluster, name, resource)?;
        let localities = cluster.load_assignment.iter_mut().flat_map(|a| a.endpoints.iter_mut());
        for endpoint in localities.flat_map(|l| l.lb_endpoints.iter_mut()) {
            let Some(address) = socket_address(endpoint) else { continue };
            if let Some(collector) = collectors.get(&address.address) {
                address.address = collector.ip().to_string();
                address.port_specifier = Some(PortSpecifier::PortValue(collector.port().into()));
            }
        }
        changed.push((name.clone(), cluster.encode_to_vec()));
    }
    for (name, encoded) in changed {
        snapshot.insert(ResourceType::Cluster, name, Resource::new(ResourceType::Cluster, encoded));
    }
    Ok(())
}

fn decode<M: Message + Default>(kind: ResourceType, name: &str, resource: &Resource) -> Result<M, AdaptError> {
    M::decode(resource.body.value.as_slice()).map_err(|source| AdaptError::Decode { kind, name: name.into(), source })
}

fn adapt_outbound(listener: &mut Listener, to: &Adaptation) -> Result<(), AdaptError> {
    rebind(&mut listener.address, to.bind, OUTBOUND_LISTENER)?;
    let filter =
        listener.listener_filters.iter_mut().find(|f| f.name == ORIGINAL_DST).ok_or(AdaptError::NoOriginalDst)?;
    // In its place: it must come before the inspectors, as the header precedes what they look at.
    *filter = ListenerFilter {
        name: PROXY_PROTOCOL.into(),
        config_type: Some(ConfigType::TypedConfig(Any {
            type_url: PROXY_PROTOCOL_TYPE.into(),
            value: ProxyProtocol::default().encode_to_vec(),
        })),
        ..ListenerFilter::default()
    };
    Ok(())
}

fn adapt_inbound(listener: &mut Listener, to: &Adaptation) -> Result<(), AdaptError> {
    let own = rebind(&mut listener.address, to.bind, INBOUND_LISTENER)?;
    // Sorted and without repetition: Envoy refuses one address twice, and equal input must give equal bytes.
    let ports: BTreeSet<u16> = to.inbound_ports.iter().copied().collect();
    listener.additional_addresses = ports
        .into_iter()
        .filter(|port| *port != own)
        .map(|port| AdditionalAddress {
            address: Some(address_of(SocketAddr::new(to.bind, port))),
            ..AdditionalAddress::default()
        })
        .collect();
    Ok(())
}

fn adapt_local(cluster: &mut Cluster, to: &Adaptation, unserved: &mut Vec<Unserved>) -> Result<(), AdaptError> {
    let name = cluster.name.clone();
    let localities = cluster.load_assignment.iter_mut().flat_map(|a| a.endpoints.iter_mut());
    for endpoint in localities.flat_map(|l| l.lb_endpoints.iter_mut()) {
        let address = socket_address(endpoint).ok_or_else(|| AdaptError::NoSocketAddress(name.clone()))?;
        let port = port_of(address).ok_or_else(|| AdaptError::NoSocketAddress(name.clone()))?;
        let application = to.applications.get(&port).copied().unwrap_or_else(|| {
            unserved.push(Unserved { cluster: name.clone(), port });
            SocketAddr::new(to.pod_ip, CLOSED_PORT)
        });
        address.address = application.ip().to_string();
        address.port_specifier = Some(PortSpecifier::PortValue(application.port().into()));
    }
    Ok(())
}

/// Moves an address to another IP; returns the port, which stays.
fn rebind(address: &mut Option<Address>, to: IpAddr, listener: &str) -> Result<u16, AdaptError> {
    let missing = || AdaptError::NoSocketAddress(listener.into());
    let Some(Address { address: Some(address::Address::SocketAddress(socket)) }) = address else {
        return Err(missing());
    };
    socket.address = to.to_string();
    port_of(socket).ok_or_else(missing)
}

fn socket_address(endpoint: &mut LbEndpoint) -> Option<&mut SocketAddress> {
    let Some(HostIdentifier::Endpoint(endpoint)) = &mut endpoint.host_identifier else { return None };
    match endpoint.address.as_mut()?.address.as_mut()? {
        address::Address::SocketAddress(socket) => Some(socket),
        address::Address::Pipe(_) | address::Address::EnvoyInternalAddress(_) => None,
    }
}

fn port_of(address: &SocketAddress) -> Option<u16> {
    match address.port_specifier {
        Some(PortSpecifier::PortValue(port)) => u16::try_from(port).ok(),
        Some(PortSpecifier::NamedPort(_)) | None => None,
    }
}

fn address_of(socket: SocketAddr) -> Address {
    Address {
        address: Some(address::Address::SocketAddress(SocketAddress {
            address: socket.ip().to_string(),
            port_specifier: Some(PortSpecifier::PortValue(socket.port().into())),
            ..SocketAddress::default()
        })),
    }
}

#[cfg(test)]
mod tests;
