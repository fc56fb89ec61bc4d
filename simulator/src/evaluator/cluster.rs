//! Clusters and their endpoints.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use envoy_types::pb::envoy::{
    config::{
        cluster::v3::{CircuitBreakers, Cluster as Wire, cluster::ClusterDiscoveryType, cluster::DiscoveryType},
        core::v3::{HealthStatus, address, socket_address::PortSpecifier},
        endpoint::v3::{ClusterLoadAssignment, Endpoint, LbEndpoint, lb_endpoint::HostIdentifier},
    },
    extensions::upstreams::http::v3::{HttpProtocolOptions, http_protocol_options as options},
};

use super::{
    proxy::objects,
    tls::ClientTls,
    unmodelled::{Modelled, Unmodelled, nothing_else, refused, unpack},
};

/// The extension under which a cluster's HTTP options stand.
const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// A cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) objects: Arc<[Arc<str>]>,
    pub(super) endpoints: EndpointSource,
    pub(super) tls: Option<ClientTls>,
    pub(super) http: Upstream,
}

/// Where the endpoints come from.
#[derive(Debug)]
pub(super) enum EndpointSource {
    /// The ClusterLoadAssignment of this name.
    Eds(String),
    Static(Endpoints),
    /// Names that are looked up, with their ports.
    Dns(Vec<(String, u16)>),
    /// Where the client dialled.
    Dialled,
}

/// The version of HTTP that is spoken to the endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upstream {
    Http1,
    Http2,
    /// What the client speaks.
    Same,
}

/// Endpoints with their weights.
#[derive(Debug)]
pub(super) struct Endpoints(pub(super) Vec<(SocketAddr, u64)>);

impl Cluster {
    /// Reads a cluster.
    pub(super) fn new(mut cluster: Wire) -> Modelled<Self> {
        let name = std::mem::take(&mut cluster.name);
        let objects = objects(cluster.metadata.take());
        cluster.alt_stat_name.clear();
        cluster.connect_timeout = None;
        cluster.per_connection_buffer_limit_bytes = None;
        cluster.dns_lookup_family = 0;
        if let Some(breakers) = cluster.circuit_breakers.take() {
            check_breakers(breakers)?;
        }
        let http = upstream(&mut cluster)?;
        let tls = cluster.transport_socket.take().map(ClientTls::new).transpose()?;
        let assignment = cluster.load_assignment.take();
        let eds = cluster.eds_cluster_config.take();
        let kind = cluster.cluster_discovery_type.take();
        if kind == Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst.into())) {
            // There is no choice: Envoy demands it to say so.
            cluster.lb_policy = 0;
        }
        nothing_else(&cluster)?;
        let typed = matches!(kind, Some(ClusterDiscoveryType::Type(_)));
        let kind = match kind {
            None => DiscoveryType::Static,
            Some(ClusterDiscoveryType::Type(kind)) => {
                DiscoveryType::try_from(kind).unwrap_or(DiscoveryType::OriginalDst)
            }
            Some(ClusterDiscoveryType::ClusterType(_)) => DiscoveryType::OriginalDst,
        };
        let endpoints = match (kind, assignment) {
            (DiscoveryType::Static, assignment) => {
                EndpointSource::Static(Endpoints::new(assignment.unwrap_or_default())?)
            }
            (DiscoveryType::StrictDns, assignment) => EndpointSource::Dns(names(assignment.unwrap_or_default())?),
            (DiscoveryType::OriginalDst, None) if typed => EndpointSource::Dialled,
            (DiscoveryType::Eds, None) => {
                let service = eds.map(|eds| eds.service_name).unwrap_or_default();
                EndpointSource::Eds(if service.is_empty() { name } else { service })
            }
            _ => {
                return Err(Unmodelled::new(
                    "Cluster.type",
                    "only EDS, STATIC, STRICT_DNS and ORIGINAL_DST are modelled",
                ));
            }
        };
        Ok(Self { objects, endpoints, tls, http })
    }
}

impl Endpoints {
    /// Reads an assignment.
    pub(super) fn new(mut assignment: ClusterLoadAssignment) -> Modelled<Self> {
        assignment.cluster_name.clear();
        let localities = std::mem::take(&mut assignment.endpoints);
        nothing_else(&assignment)?;
        let mut all = Vec::new();
        let mut seen = BTreeSet::new();
        for mut locality in localities {
            // Without locality-weighted balancing, the weight of a locality has no effect.
            locality.load_balancing_weight = None;
            locality.locality = None;
            locality.metadata = None;
            let endpoints = std::mem::take(&mut locality.lb_endpoints);
            nothing_else(&locality)?;
            for endpoint in endpoints {
                let endpoint = weighted(endpoint)?;
                if !seen.insert(endpoint.0) {
                    return Err(Unmodelled::new("lb_endpoints", format!("{} is listed twice", endpoint.0)));
                }
                all.push(endpoint);
            }
        }
        Ok(Self(all))
    }
}

fn weighted(mut endpoint: LbEndpoint) -> Modelled<(SocketAddr, u64)> {
    match HealthStatus::try_from(std::mem::take(&mut endpoint.health_status)) {
        Ok(HealthStatus::Unknown | HealthStatus::Healthy) => {}
        _ => return Err(Unmodelled::new("LbEndpoint.health_status", "only healthy endpoints are modelled")),
    }
    let weight = endpoint.load_balancing_weight.take().map_or(1, |weight| weight.value);
    let host = endpoint.host_identifier.take();
    endpoint.metadata = None;
    nothing_else(&endpoint)?;
    if weight == 0 {
        return refused("LbEndpoint.load_balancing_weight", "it must be at least 1");
    }
    match host {
        Some(HostIdentifier::Endpoint(endpoint)) => Ok((address(endpoint)?, u64::from(weight))),
        _ => Err(Unmodelled::new("LbEndpoint.host_identifier", "only endpoint is modelled")),
    }
}

fn address(mut endpoint: Endpoint) -> Modelled<SocketAddr> {
    let address = endpoint.address.take().and_then(|address| address.address);
    endpoint.hostname.clear();
    nothing_else(&endpoint)?;
    let Some(address::Address::SocketAddress(mut socket)) = address else {
        return Err(Unmodelled::new("Endpoint.address", "only socket addresses are modelled"));
    };
    let port = socket.port_specifier.take();
    let ip: IpAddr = std::mem::take(&mut socket.address).parse().or_else(|error| refused("Endpoint.address", error))?;
    nothing_else(&socket)?;
    match port {
        Some(PortSpecifier::PortValue(port)) => {
            Ok(SocketAddr::new(ip, u16::try_from(port).or_else(|error| refused("Endpoint.address", error))?))
        }
        _ => Err(Unmodelled::new("Endpoint.address", "only port_value is modelled")),
    }
}

/// The names in the assignment of a cluster whose addresses are looked up.
fn names(assignment: ClusterLoadAssignment) -> Modelled<Vec<(String, u16)>> {
    let endpoints = assignment.endpoints.into_iter().flat_map(|locality| locality.lb_endpoints);
    let name = |endpoint: LbEndpoint| {
        let Some(HostIdentifier::Endpoint(Endpoint { address: Some(address), .. })) = endpoint.host_identifier else {
            return None;
        };
        let Some(address::Address::SocketAddress(socket)) = address.address else { return None };
        match socket.port_specifier {
            Some(PortSpecifier::PortValue(port)) => {
                Some((socket.address.to_ascii_lowercase(), u16::try_from(port).ok()?))
            }
            _ => None,
        }
    };
    let unmodelled = || Unmodelled::new("Cluster.load_assignment", "only names with a port are modelled");
    endpoints.map(|endpoint| name(endpoint).ok_or_else(unmodelled)).collect()
}

fn upstream(cluster: &mut Wire) -> Modelled<Upstream> {
    let mut extensions = std::mem::take(&mut cluster.typed_extension_protocol_options);
    let Some(any) = extensions.remove(HTTP_OPTIONS) else {
        cluster.typed_extension_protocol_options = extensions;
        return Ok(Upstream::Http1);
    };
    cluster.typed_extension_protocol_options = extensions;
    let mut http: HttpProtocolOptions = unpack(&any)?;
    let chosen = http.upstream_protocol_options.take();
    nothing_else(&http)?;
    let plain = |plain: bool, upstream| match plain {
        true => Ok(upstream),
        false => Err(Unmodelled::new("HttpProtocolOptions", "options of one HTTP version are not modelled")),
    };
    match chosen {
        Some(options::UpstreamProtocolOptions::UseDownstreamProtocolConfig(config)) => {
            // Presence of options is permission to speak that version; HTTP/1 and HTTP/2 always are permitted.
            let http1 = config.http_protocol_options.unwrap_or_default() == Default::default();
            let http2 = config.http2_protocol_options.unwrap_or_default() == Default::default();
            plain(http1 && http2 && config.http3_protocol_options.is_none(), Upstream::Same)
        }
        Some(options::UpstreamProtocolOptions::ExplicitHttpConfig(config)) => match config.protocol_config {
            Some(options::explicit_http_config::ProtocolConfig::HttpProtocolOptions(http1)) => {
                plain(http1 == Default::default(), Upstream::Http1)
            }
            Some(options::explicit_http_config::ProtocolConfig::Http2ProtocolOptions(http2)) => {
                plain(http2 == Default::default(), Upstream::Http2)
            }
            _ => Err(Unmodelled::new("HttpProtocolOptions.explicit_http_config", "this version is not modelled")),
        },
        _ => Err(Unmodelled::new("HttpProtocolOptions.upstream_protocol_options", "this choice is not modelled")),
    }
}

/// Envoy's own limit is 1024. A lower one could trip.
fn check_breakers(breakers: CircuitBreakers) -> Modelled<()> {
    for thresholds in breakers.thresholds {
        let limits = [
            thresholds.max_connections,
            thresholds.max_pending_requests,
            thresholds.max_requests,
            thresholds.max_connection_pools,
        ];
        if limits.into_iter().flatten().any(|limit| limit.value < 1024) || thresholds.retry_budget.is_some() {
            return Err(Unmodelled::new("CircuitBreakers.thresholds", "limits below 1024 are not modelled"));
        }
    }
    if breakers.per_host_thresholds.is_empty() {
        return Ok(());
    }
    Err(Unmodelled::new("CircuitBreakers.per_host_thresholds", "not modelled"))
}
