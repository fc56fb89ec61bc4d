//! LDS: the outbound and the inbound listener.

use std::net::IpAddr;

use envoy_types::pb::envoy::{
    config::{
        core::v3::{CidrRange, TrafficDirection},
        listener::v3::{FilterChain, FilterChainMatch, Listener, ListenerFilter, listener_filter::ConfigType},
    },
    extensions::filters::listener::{original_dst::v3::OriginalDst, tls_inspector::v3::TlsInspector},
};
use envoy_types::pb::google::protobuf::{Any, Duration, UInt32Value};

use ipnet::IpNet;

use super::{
    Scope,
    cluster::service_object,
    egress,
    encode::{caused_by, number, pack, resource},
    endpoint::socket_address,
    filter::{From, inbound_http, network_rbac, outbound_http, split_tcp, tcp},
    inbound_filter::{inbound_filters, trusts_connections_only},
    ingress, limit, name, rbac,
    resource::{ResourceType, Snapshot},
    tls,
};
use crate::{
    model::{Kind, ObjectRef},
    policy::{
        inbound::{Access, InboundPort},
        outbound::OutboundPort,
    },
};

/// The port to which a pod's outgoing connections are redirected.
pub const OUTBOUND_PORT: u16 = 15001;
/// The port to which a pod's incoming connections are redirected.
pub const INBOUND_PORT: u16 = 15003;

pub(super) fn add(scope: &Scope<'_>, snapshot: &mut Snapshot) {
    insert(snapshot, outbound(scope));
    if !scope.inbound.ports.is_empty() {
        insert(snapshot, inbound(scope));
    }
}

fn insert(snapshot: &mut Snapshot, listener: Listener) {
    let encoded = resource(ResourceType::Listener, &listener);
    snapshot.insert(ResourceType::Listener, listener.name, encoded);
}

/// Always there, even if nothing may be called: a forbidden call then ends in a chain that says so, in the statistics and in
/// the access log, instead of an unused port.
fn outbound(scope: &Scope<'_>) -> Listener {
    let ports = scope.outbound.ports.iter().filter(|p| !p.addresses.is_empty());
    Listener {
        name: name::OUTBOUND_LISTENER.into(),
        address: Some(socket_address("0.0.0.0", OUTBOUND_PORT)),
        traffic_direction: TrafficDirection::Outbound.into(),
        listener_filters: [original_dst()].into_iter().chain(inspector(scope)).collect(),
        // Where names are read, a client that says nothing is sent away, as on the inbound listener.
        listener_filters_timeout: (!scope.outside.inspected.is_empty()).then_some(Duration { seconds: 5, nanos: 0 }),
        filter_chains: ports.map(|port| outbound_chain(scope, port)).chain(egress::chains(scope)).collect(),
        default_filter_chain: Some(if scope.outside.passthrough {
            egress::passthrough(scope)
        } else {
            default_deny(scope)
        }),
        ..Default::default()
    }
}

/// Reads server names, on those ports alone where chains ask for them: it would wait for ever where the server speaks first.
fn inspector(scope: &Scope<'_>) -> Option<ListenerFilter> {
    let filter_disabled = egress::only_on(&scope.outside.inspected);
    filter_disabled.is_some().then(|| ListenerFilter { filter_disabled, ..tls_inspector() })
}

fn outbound_chain(scope: &Scope<'_>, port: &OutboundPort) -> FilterChain {
    let name = name::outbound_chain(&port.service, port.port, port.protocol);
    let stat_prefix = format!("outbound-mesh-tcp-proxy_{name}");
    let filter = match &port.split {
        _ if port.protocol.is_http() => outbound_http(scope.signals, name::outbound_routes(port.port)),
        Some(split) => split_tcp(scope.signals, stat_prefix, split),
        None => tcp(scope.signals, stat_prefix, port.own.clone()),
    };
    let split = port.split.iter().map(|s| ObjectRef::new(Kind::TrafficSplit, s.name.clone()));
    FilterChain {
        name,
        filter_chain_match: Some(FilterChainMatch {
            destination_port: number(port.port.into()),
            prefix_ranges: port.addresses.iter().map(single_address).collect(),
            ..Default::default()
        }),
        filters: vec![filter],
        metadata: caused_by([service_object(&port.service)].into_iter().chain(split)),
        ..Default::default()
    }
}

/// Where every connection ends that no chain is for.
fn default_deny(scope: &Scope<'_>) -> FilterChain {
    let nobody = rbac::network(scope, "outbound-default-deny.", 0, &[]);
    FilterChain {
        name: name::DEFAULT_DENY.into(),
        filters: vec![network_rbac(nobody), tcp(scope.signals, name::DEFAULT_DENY.into(), name::NO_BACKEND.into())],
        ..Default::default()
    }
}

fn inbound(scope: &Scope<'_>) -> Listener {
    let in_mesh = scope.inbound.ports.iter().map(|port| inbound_chain(scope, port));
    Listener {
        name: name::INBOUND_LISTENER.into(),
        address: Some(socket_address("0.0.0.0", INBOUND_PORT)),
        traffic_direction: TrafficDirection::Inbound.into(),
        listener_filters: vec![tls_inspector(), original_dst()],
        // Whoever opens a connection and says nothing, as clients of server-first protocols do in plaintext, is sent away.
        listener_filters_timeout: Some(Duration { seconds: 5, nanos: 0 }),
        filter_chains: in_mesh.chain(ingress::chains(scope)).collect(),
        ..Default::default()
    }
}

fn inbound_chain(scope: &Scope<'_>, port: &InboundPort) -> FilterChain {
    let name = name::inbound_chain(&port.service, port.target_port, port.protocol);
    let (guard, targets) = match &port.callers {
        Access::Everyone => (None, Vec::new()),
        Access::Only(callers) => {
            let rules = rbac::network(scope, "network-", port.target_port, callers);
            let targets = callers.iter().map(|c| ObjectRef::new(Kind::TrafficTarget, c.target.clone()));
            (Some(network_rbac(rules)), targets.collect())
        }
    };
    let setting = scope.settings.get(&port.service.name);
    let setting = setting.map(|s| ObjectRef::new(Kind::UpstreamTrafficSetting, s.name.clone()));
    let local = name::local_cluster(&port.service, port.target_port);
    let terminal = if port.protocol.is_http() {
        let filters = inbound_filters(scope, port.target_port, port.protocol);
        let routes = name::inbound_routes(port.target_port);
        let trusts_connections_only = trusts_connections_only(scope, port.target_port);
        inbound_http(scope.signals, routes, filters, From::Mesh { trusts_connections_only })
    } else {
        tcp(scope.signals, format!("inbound-mesh-tcp-proxy.{local}"), local)
    };
    FilterChain {
        name,
        filter_chain_match: Some(FilterChainMatch {
            destination_port: number(port.target_port.into()),
            server_names: vec![port.service.fqdn()],
            transport_protocol: "tls".into(),
            application_protocols: vec![name::MESH_ALPN.into()],
            ..Default::default()
        }),
        transport_socket: tls::downstream(scope, name::inbound_validation(&port.service, port.target_port)),
        filters: guard.into_iter().chain(limit::of_connections(scope, &port.service)).chain([terminal]).collect(),
        metadata: caused_by([service_object(&port.service)].into_iter().chain(targets).chain(setting)),
        ..Default::default()
    }
}

fn single_address(address: &IpAddr) -> CidrRange {
    let prefix_len = if address.is_ipv4() { 32 } else { 128 };
    CidrRange { address_prefix: address.to_string(), prefix_len: Some(UInt32Value { value: prefix_len }) }
}

pub(super) fn range(range: &IpNet) -> CidrRange {
    let prefix_len = Some(UInt32Value { value: range.prefix_len().into() });
    CidrRange { address_prefix: range.network().to_string(), prefix_len }
}

fn original_dst() -> ListenerFilter {
    listener_filter("envoy.filters.listener.original_dst", pack(&OriginalDst::default()))
}

fn tls_inspector() -> ListenerFilter {
    listener_filter("envoy.filters.listener.tls_inspector", pack(&TlsInspector::default()))
}

fn listener_filter(name: &str, config: Any) -> ListenerFilter {
    ListenerFilter { name: name.into(), config_type: Some(ConfigType::TypedConfig(config)), ..Default::default() }
}
