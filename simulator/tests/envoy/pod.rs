//! A pod's production snapshot, an application, and a client that dials as the adaptation wants it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use envoy_types::pb::{
    envoy::{
        config::{
            cluster::v3::Cluster,
            core::v3::{Address, CidrRange, SocketAddress, address, socket_address::PortSpecifier},
            endpoint::v3::{
                ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier,
            },
            listener::v3::{Filter, FilterChain, FilterChainMatch, Listener, ListenerFilter, filter, listener_filter},
        },
        extensions::filters::{
            listener::original_dst::v3::OriginalDst,
            network::tcp_proxy::v3::{TcpProxy, tcp_proxy::ClusterSpecifier},
        },
    },
    google::protobuf::{Any, UInt32Value},
};
use mesh::snapshot::{Resource, ResourceType, Snapshot};
use prost::Message;
use simulator::adapt::{Adaptation, INBOUND_LISTENER, OUTBOUND_LISTENER, adapt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The address of a service that exists nowhere but in the configuration.
pub(crate) const SERVICE: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 250, 9, 9), 80);
pub(crate) const TARGET_PORT: u16 = 8080;
const CLUSTER: &str = "ns/svc|8080|local";

/// As the control plane would make it for a pod that listens on [`TARGET_PORT`] and may call itself through its service,
/// then adapted.
pub(crate) fn snapshot(pod_ip: IpAddr, bind: IpAddr, application: SocketAddr) -> Snapshot {
    let mut production = Snapshot::default();
    let to_service = FilterChainMatch {
        destination_port: Some(UInt32Value { value: SERVICE.1.into() }),
        prefix_ranges: vec![CidrRange {
            address_prefix: SERVICE.0.to_string(),
            prefix_len: Some(UInt32Value { value: 32 }),
        }],
        ..FilterChainMatch::default()
    };
    let to_target = FilterChainMatch {
        destination_port: Some(UInt32Value { value: TARGET_PORT.into() }),
        ..FilterChainMatch::default()
    };
    for (name, port, chain) in [(OUTBOUND_LISTENER, 15001, to_service), (INBOUND_LISTENER, 15003, to_target)] {
        let message = listener(name, port, chain).encode_to_vec();
        production.insert(ResourceType::Listener, name, Resource::new(ResourceType::Listener, message));
    }
    let message = cluster().encode_to_vec();
    production.insert(ResourceType::Cluster, CLUSTER, Resource::new(ResourceType::Cluster, message));

    let applications = BTreeMap::from([(TARGET_PORT, application)]);
    let adapted =
        adapt(&production, &Adaptation { pod_ip, bind, inbound_ports: vec![TARGET_PORT], applications }).unwrap();
    assert_eq!(adapted.unserved, []);
    adapted.snapshot
}

fn listener(name: &str, port: u16, chain_match: FilterChainMatch) -> Listener {
    let proxy = TcpProxy {
        stat_prefix: name.into(),
        cluster_specifier: Some(ClusterSpecifier::Cluster(CLUSTER.into())),
        ..TcpProxy::default()
    };
    let config = any("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", &proxy);
    let original_dst = any("envoy.extensions.filters.listener.original_dst.v3.OriginalDst", &OriginalDst::default());
    Listener {
        name: name.into(),
        address: Some(address(([0, 0, 0, 0], port).into())),
        listener_filters: vec![ListenerFilter {
            name: "envoy.filters.listener.original_dst".into(),
            config_type: Some(listener_filter::ConfigType::TypedConfig(original_dst)),
            ..ListenerFilter::default()
        }],
        filter_chains: vec![FilterChain {
            filter_chain_match: Some(chain_match),
            filters: vec![Filter {
                name: "envoy.filters.network.tcp_proxy".into(),
                config_type: Some(filter::ConfigType::TypedConfig(config)),
            }],
            ..FilterChain::default()
        }],
        ..Listener::default()
    }
}

fn cluster() -> Cluster {
    let endpoint = Endpoint { address: Some(address(([127, 0, 0, 1], TARGET_PORT).into())), ..Endpoint::default() };
    let endpoint = LbEndpoint { host_identifier: Some(HostIdentifier::Endpoint(endpoint)), ..LbEndpoint::default() };
    let locality = LocalityLbEndpoints { lb_endpoints: vec![endpoint], ..LocalityLbEndpoints::default() };
    let load_assignment =
        ClusterLoadAssignment { cluster_name: CLUSTER.into(), endpoints: vec![locality], ..Default::default() };
    Cluster { name: CLUSTER.into(), load_assignment: Some(load_assignment), ..Cluster::default() }
}

fn any(name: &str, message: &impl Message) -> Any {
    Any { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec() }
}

fn address(socket: SocketAddr) -> Address {
    Address {
        address: Some(address::Address::SocketAddress(SocketAddress {
            address: socket.ip().to_string(),
            port_specifier: Some(PortSpecifier::PortValue(socket.port().into())),
            ..SocketAddress::default()
        })),
    }
}

/// Answers every connection with the address that it came from, then closes it.
pub(crate) async fn application(ip: IpAddr) -> SocketAddr {
    let listener = TcpListener::bind((ip, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, from)) = listener.accept().await {
            drop(stream.write_all(format!("application called from {}", from.ip()).as_bytes()).await);
        }
    });
    address
}

/// What comes back from the service, dialled through the outbound listener. Empty if the connection is closed.
pub(crate) async fn call_service(outbound: SocketAddr, service: (Ipv4Addr, u16)) -> String {
    // The PROXY protocol, version 2: signature, "PROXY", TCP over IPv4, 12 bytes of addresses.
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    header.extend([127, 0, 0, 1]);
    header.extend(service.0.octets());
    header.extend(40_000_u16.to_be_bytes());
    header.extend(service.1.to_be_bytes());
    read(outbound, &header).await
}

/// What comes back from the target port, dialled as another pod's sidecar would.
pub(crate) async fn call_pod(pod: SocketAddr) -> String {
    read(pod, b"").await
}

async fn read(to: SocketAddr, first: &[u8]) -> String {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(first).await.unwrap();
    let mut text = String::new();
    let end = tokio::time::timeout(Duration::from_secs(30), stream.read_to_string(&mut text)).await;
    // A reset is as good as a close here.
    drop(end.expect("Envoy must answer or close"));
    text
}
