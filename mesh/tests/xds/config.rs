//! A small Envoy configuration: one listener, one route, one cluster and its endpoints.

use std::{net::SocketAddr, sync::Arc};

use envoy_types::pb::{
    envoy::{
        config::{
            cluster::v3::{
                Cluster,
                cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig},
            },
            core::v3::{
                Address, AggregatedConfigSource, ApiVersion, ConfigSource, DataSource, SocketAddress, address,
                config_source::ConfigSourceSpecifier, data_source, socket_address::PortSpecifier,
            },
            endpoint::v3::{
                ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier,
            },
            listener::v3::{Filter, FilterChain, Listener, filter},
            route::v3::{
                DirectResponseAction, Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, route::Action,
                route_action::ClusterSpecifier, route_match::PathSpecifier,
            },
        },
        extensions::filters::{
            http::router::v3::Router,
            network::http_connection_manager::v3::{
                HttpConnectionManager, HttpFilter, Rds, http_connection_manager::RouteSpecifier, http_filter,
            },
        },
    },
    google::protobuf::{Any, Duration},
};
use mesh::snapshot::{Resource, ResourceType, Snapshot};
use prost::{Message, Name};

/// What may differ.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) port: u16,
    pub(crate) endpoint: SocketAddr,
    pub(crate) cluster: &'static str,
    /// Seconds.
    pub(crate) connect_timeout: i64,
    /// The proxy answers this itself.
    pub(crate) direct: Option<&'static str>,
    /// The listener has a filter that does not exist.
    pub(crate) broken: bool,
}

impl Default for Config {
    fn default() -> Self {
        let endpoint = SocketAddr::from(([127, 0, 0, 1], 1));
        Self { port: 0, endpoint, cluster: "backend", connect_timeout: 1, direct: None, broken: false }
    }
}

pub(crate) fn snapshot(config: &Config) -> Arc<Snapshot> {
    let mut snapshot = Snapshot::default();
    let mut put = |kind, name: &str, encoded| snapshot.insert(kind, name, Resource::new(kind, encoded));
    put(ResourceType::Cluster, config.cluster, cluster(config).encode_to_vec());
    put(ResourceType::Endpoint, config.cluster, endpoints(config).encode_to_vec());
    put(ResourceType::Listener, "http", listener(config).encode_to_vec());
    put(ResourceType::Route, "routes", routes(config).encode_to_vec());
    Arc::new(snapshot)
}

fn ads() -> Option<ConfigSource> {
    Some(ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        // Waits for ever: what is not sent is noticed.
        initial_fetch_timeout: Some(Duration::default()),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..Default::default()
    })
}

fn any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

fn address(address: SocketAddr) -> Option<Address> {
    Some(Address {
        address: Some(address::Address::SocketAddress(SocketAddress {
            address: address.ip().to_string(),
            port_specifier: Some(PortSpecifier::PortValue(address.port().into())),
            ..Default::default()
        })),
    })
}

fn cluster(config: &Config) -> Cluster {
    Cluster {
        name: config.cluster.into(),
        connect_timeout: Some(Duration { seconds: config.connect_timeout, ..Default::default() }),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(EdsClusterConfig { eds_config: ads(), ..Default::default() }),
        ..Default::default()
    }
}

fn endpoints(config: &Config) -> ClusterLoadAssignment {
    let endpoint = Endpoint { address: address(config.endpoint), ..Default::default() };
    let endpoint = LbEndpoint { host_identifier: Some(HostIdentifier::Endpoint(endpoint)), ..Default::default() };
    ClusterLoadAssignment {
        cluster_name: config.cluster.into(),
        endpoints: vec![LocalityLbEndpoints { lb_endpoints: vec![endpoint], ..Default::default() }],
        ..Default::default()
    }
}

fn listener(config: &Config) -> Listener {
    let router = HttpFilter {
        name: "router".into(),
        config_type: Some(http_filter::ConfigType::TypedConfig(any(&Router::default()))),
        ..Default::default()
    };
    let http = HttpConnectionManager {
        stat_prefix: "http".into(),
        http_filters: vec![router],
        route_specifier: Some(RouteSpecifier::Rds(Rds { config_source: ads(), route_config_name: "routes".into() })),
        ..Default::default()
    };
    let mut filter = any(&http);
    if config.broken {
        filter.type_url = "type.googleapis.com/no-such-type".into();
    }
    let filter = Filter { name: "http".into(), config_type: Some(filter::ConfigType::TypedConfig(filter)) };
    Listener {
        name: "http".into(),
        address: address(SocketAddr::from(([127, 0, 0, 1], config.port))),
        filter_chains: vec![FilterChain { filters: vec![filter], ..Default::default() }],
        ..Default::default()
    }
}

fn routes(config: &Config) -> RouteConfiguration {
    let action = match config.direct {
        Some(text) => Action::DirectResponse(DirectResponseAction {
            status: 200,
            body: Some(DataSource {
                specifier: Some(data_source::Specifier::InlineString(text.into())),
                ..Default::default()
            }),
            ..Default::default()
        }),
        None => Action::Route(RouteAction {
            cluster_specifier: Some(ClusterSpecifier::Cluster(config.cluster.into())),
            ..Default::default()
        }),
    };
    let route = Route {
        r#match: Some(RouteMatch { path_specifier: Some(PathSpecifier::Prefix("/".into())), ..Default::default() }),
        action: Some(action),
        ..Default::default()
    };
    let host = VirtualHost { name: "all".into(), domains: vec!["*".into()], routes: vec![route], ..Default::default() };
    RouteConfiguration { name: "routes".into(), virtual_hosts: vec![host], ..Default::default() }
}
