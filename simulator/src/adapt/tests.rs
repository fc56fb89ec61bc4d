use envoy_types::pb::{
    envoy::config::{
        core::v3::{Metadata, TrafficDirection},
        endpoint::v3::{ClusterLoadAssignment, Endpoint, LocalityLbEndpoints},
        listener::v3::FilterChain,
    },
    google::protobuf::{Struct, Value, value::Kind},
};

use super::*;

const POD: &str = "127.3.4.5";

fn adaptation() -> Adaptation {
    Adaptation {
        pod_ip: POD.parse().unwrap(),
        bind: POD.parse().unwrap(),
        inbound_ports: vec![9090, 8080, 9090, 15003],
        applications: BTreeMap::from([(8080, "127.0.0.1:40001".parse().unwrap())]),
    }
}

fn filter(name: &str) -> ListenerFilter {
    ListenerFilter { name: name.into(), ..ListenerFilter::default() }
}

fn outbound() -> Listener {
    Listener {
        name: OUTBOUND_LISTENER.into(),
        address: Some(address_of("0.0.0.0:15001".parse().unwrap())),
        listener_filters: vec![
            filter(ORIGINAL_DST),
            filter("envoy.filters.listener.tls_inspector"),
            filter("envoy.filters.listener.http_inspector"),
        ],
        filter_chains: vec![FilterChain { name: "outbound_ns/svc_80_http".into(), ..FilterChain::default() }],
        traffic_direction: TrafficDirection::Outbound.into(),
        ..Listener::default()
    }
}

fn inbound() -> Listener {
    Listener {
        name: INBOUND_LISTENER.into(),
        address: Some(address_of("0.0.0.0:15003".parse().unwrap())),
        listener_filters: vec![filter("envoy.filters.listener.tls_inspector"), filter(ORIGINAL_DST)],
        ..Listener::default()
    }
}

fn endpoint(address: &str) -> LbEndpoint {
    LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            address: Some(address_of(address.parse().unwrap())),
            ..Endpoint::default()
        })),
        ..LbEndpoint::default()
    }
}

fn cluster(name: &str, address: &str) -> Cluster {
    let source =
        Struct { fields: [("object".into(), Value { kind: Some(Kind::StringValue("Service ns/svc".into())) })].into() };
    Cluster {
        name: name.into(),
        load_assignment: Some(ClusterLoadAssignment {
            cluster_name: name.into(),
            endpoints: vec![LocalityLbEndpoints { lb_endpoints: vec![endpoint(address)], ..Default::default() }],
            ..ClusterLoadAssignment::default()
        }),
        metadata: Some(Metadata { filter_metadata: [("smi".into(), source)].into(), ..Metadata::default() }),
        ..Cluster::default()
    }
}

fn snapshot(listeners: &[Listener], clusters: &[Cluster]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for l in listeners {
        let resource = Resource::new(ResourceType::Listener, l.encode_to_vec());
        snapshot.insert(ResourceType::Listener, l.name.as_str(), resource);
    }
    for c in clusters {
        let resource = Resource::new(ResourceType::Cluster, c.encode_to_vec());
        snapshot.insert(ResourceType::Cluster, c.name.as_str(), resource);
    }
    snapshot
}

fn listener_of(snapshot: &Snapshot, name: &str) -> Listener {
    decode(ResourceType::Listener, name, snapshot.get(ResourceType::Listener, name).unwrap()).unwrap()
}

fn cluster_of(snapshot: &Snapshot, name: &str) -> Cluster {
    decode(ResourceType::Cluster, name, snapshot.get(ResourceType::Cluster, name).unwrap()).unwrap()
}

#[test]
fn the_outbound_listener_reads_the_destination_from_a_proxy_header_and_is_otherwise_the_same() {
    let adapted = adapt(&snapshot(&[outbound()], &[]), &adaptation()).unwrap().snapshot;

    let mut got = listener_of(&adapted, OUTBOUND_LISTENER);
    let filter = got.listener_filters.remove(0);
    assert_eq!(filter.name, PROXY_PROTOCOL);
    let Some(ConfigType::TypedConfig(config)) = filter.config_type else { panic!("no typed config") };
    assert_eq!(config.type_url, PROXY_PROTOCOL_TYPE);

    let mut expected = outbound();
    expected.listener_filters.remove(0);
    expected.address = Some(address_of(format!("{POD}:15001").parse().unwrap()));
    assert_eq!(got, expected);
}

#[test]
fn the_inbound_listener_also_binds_every_target_port_once() {
    let adapted = adapt(&snapshot(&[inbound()], &[]), &adaptation()).unwrap().snapshot;

    let mut expected = inbound();
    expected.address = Some(address_of(format!("{POD}:15003").parse().unwrap()));
    expected.additional_addresses = ["8080", "9090"]
        .map(|port| AdditionalAddress {
            address: Some(address_of(format!("{POD}:{port}").parse().unwrap())),
            ..AdditionalAddress::default()
        })
        .into();
    assert_eq!(listener_of(&adapted, INBOUND_LISTENER), expected);
}

#[test]
fn in_a_container_the_listeners_bind_all_addresses() {
    let to = Adaptation { bind: "0.0.0.0".parse().unwrap(), ..adaptation() };
    let adapted = adapt(&snapshot(&[inbound(), outbound()], &[]), &to).unwrap().snapshot;

    let got = listener_of(&adapted, INBOUND_LISTENER);
    assert_eq!(got.address, inbound().address);
    assert_eq!(got.additional_addresses[0].address, Some(address_of("0.0.0.0:8080".parse().unwrap())));
    assert_eq!(listener_of(&adapted, OUTBOUND_LISTENER).address, outbound().address);
}

#[test]
fn local_clusters_point_to_the_application() {
    let adapted = adapt(&snapshot(&[], &[cluster("ns/svc|8080|local", "127.0.0.1:8080")]), &adaptation()).unwrap();

    assert_eq!(adapted.unserved, []);
    assert_eq!(cluster_of(&adapted.snapshot, "ns/svc|8080|local"), cluster("ns/svc|8080|local", "127.0.0.1:40001"));
}

#[test]
fn a_local_cluster_without_application_points_to_a_closed_port_and_is_reported() {
    let adapted = adapt(&snapshot(&[], &[cluster("ns/svc|9090|local", "127.0.0.1:9090")]), &adaptation()).unwrap();

    assert_eq!(adapted.unserved, [Unserved { cluster: "ns/svc|9090|local".into(), port: 9090 }]);
    assert_eq!(
        cluster_of(&adapted.snapshot, "ns/svc|9090|local"),
        cluster("ns/svc|9090|local", &format!("{POD}:{CLOSED_PORT}"))
    );
}

#[test]
fn nothing_else_changes() {
    let other = Listener { name: "inbound-prometheus-listener".into(), ..outbound() };
    let before = snapshot(&[other], &[cluster("ns/svc|8080", "10.0.0.1:8080")]);

    assert_eq!(adapt(&before, &adaptation()).unwrap().snapshot, before);
}

#[test]
fn equal_input_gives_equal_bytes() {
    let before = snapshot(&[inbound(), outbound()], &[cluster("ns/svc|8080|local", "127.0.0.1:8080")]);

    let once = adapt(&before, &adaptation()).unwrap();
    assert_eq!(once, adapt(&before, &adaptation()).unwrap());
    assert_ne!(once.snapshot, before);
}

#[test]
fn what_the_mesh_never_generates_is_an_error_that_names_it() {
    let bare = Listener { listener_filters: vec![], ..outbound() };
    assert_eq!(adapt(&snapshot(&[bare], &[]), &adaptation()), Err(AdaptError::NoOriginalDst));

    let unbound = Listener { address: None, ..inbound() };
    assert_eq!(
        adapt(&snapshot(&[unbound], &[]), &adaptation()),
        Err(AdaptError::NoSocketAddress(INBOUND_LISTENER.into()))
    );

    let mut garbled = Snapshot::default();
    let resource = Resource::new(ResourceType::Listener, vec![0xff]);
    garbled.insert(ResourceType::Listener, INBOUND_LISTENER, resource);
    let error = adapt(&garbled, &adaptation()).unwrap_err().to_string();
    assert!(error.contains(INBOUND_LISTENER), "{error}");
}
