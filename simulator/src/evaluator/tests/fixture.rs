//! A small mesh, made by hand the way the control plane makes one: a client's and a server's configuration.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use envoy_types::pb::{
    envoy::{
        config::{
            cluster::v3::{Cluster, cluster},
            core::v3::{
                Address, CidrRange, DataSource, Metadata, SocketAddress, TransportSocket, address, data_source,
                socket_address, transport_socket,
            },
            endpoint::v3::{ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint},
            listener::v3::{Filter, FilterChain, FilterChainMatch, Listener, ListenerFilter, filter, listener_filter},
            rbac::v3::{Permission, Policy, Principal, Rbac, permission, principal},
            route::v3::{
                HeaderMatcher, Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, WeightedCluster,
                header_matcher, route, route_action, route_match, weighted_cluster,
            },
        },
        extensions::{
            filters::{
                http::{rbac::v3 as http_rbac, router::v3::Router},
                listener::{original_dst::v3::OriginalDst, tls_inspector::v3::TlsInspector},
                network::{
                    http_connection_manager::v3::{
                        HttpConnectionManager, HttpFilter, Rds, http_connection_manager as hcm, http_filter,
                    },
                    rbac::v3 as network_rbac,
                    tcp_proxy::v3::{TcpProxy, tcp_proxy},
                },
            },
            transport_sockets::tls::v3::{
                CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, SdsSecretConfig, Secret,
                SubjectAltNameMatcher, TlsCertificate, UpstreamTlsContext, common_tls_context::ValidationContextType,
                secret,
            },
            upstreams::http::v3::{HttpProtocolOptions, http_protocol_options},
        },
        r#type::matcher::v3::{RegexMatcher, StringMatcher, string_matcher},
    },
    google::protobuf::{Any, BoolValue, Struct, UInt32Value, Value, value},
};
use mesh::snapshot::{Resource, ResourceType, Snapshot};
use prost::{Message, Name};

use crate::{
    evaluator::{Caller, Evaluator, Pod},
    exchange::{Request, RequestId},
    scenario::model::Proto,
};

/// Within every certificate's validity.
pub(super) const NOW: i64 = 1_800_000_000;

/// The client's pod, the two server pods, the service.
pub(super) const CLIENT: &str = "10.0.0.1";
pub(super) const WEB: [&str; 2] = ["10.0.0.2", "10.0.0.3"];
pub(super) const SERVICE: &str = "10.96.0.1";
pub(super) const FQDN: &str = "web.ns.svc.cluster.local";
pub(super) const CLIENT_NAME: &str = "client.ns.cluster.local";
pub(super) const WEB_NAME: &str = "web.ns.cluster.local";

/// A certificate authority.
pub(super) struct Authority {
    key: rcgen::KeyPair,
    certificate: rcgen::Certificate,
    params: rcgen::CertificateParams,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let key = rcgen::KeyPair::generate().expect("key");
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2040, 1, 1));
        let certificate = params.self_signed(&key).expect("root");
        Self { key, certificate, params }
    }

    pub(super) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A leaf's chain and key. Valid 2020 to `until`.
    pub(super) fn leaf(&self, dns: &str, until: i32) -> (String, String) {
        let key = rcgen::KeyPair::generate().expect("key");
        let mut params = rcgen::CertificateParams::new(vec![dns.to_owned()]).expect("name");
        let uri = rcgen::string::Ia5String::try_from(spiffe(dns)).expect("ASCII");
        params.subject_alt_names.push(rcgen::SanType::URI(uri));
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, dns);
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(until, 1, 1));
        let issuer = rcgen::Issuer::from_params(&self.params, &self.key);
        (params.signed_by(&key, &issuer).expect("leaf").pem(), key.serialize_pem())
    }
}

pub(super) fn spiffe(dns: &str) -> String {
    format!("spiffe://cluster.local/{}", dns.replace('.', "/"))
}

/// What a test may change before the evaluator gets it.
pub(super) struct Mesh {
    pub(super) authority: Authority,
    pub(super) client: Config,
    pub(super) server: Config,
    pub(super) evaluator_now: i64,
}

/// One proxy's resources, not yet encoded.
#[derive(Default)]
pub(super) struct Config {
    pub(super) listener: Listener,
    pub(super) clusters: BTreeMap<String, Cluster>,
    pub(super) endpoints: BTreeMap<String, ClusterLoadAssignment>,
    pub(super) routes: BTreeMap<String, RouteConfiguration>,
    pub(super) secrets: BTreeMap<String, Secret>,
}

impl Config {
    fn snapshot(&self) -> Arc<Snapshot> {
        let mut snapshot = Snapshot::default();
        insert(&mut snapshot, ResourceType::Listener, &self.listener.name, &self.listener);
        self.clusters.iter().for_each(|(name, c)| insert(&mut snapshot, ResourceType::Cluster, name, c));
        self.endpoints.iter().for_each(|(name, e)| insert(&mut snapshot, ResourceType::Endpoint, name, e));
        self.routes.iter().for_each(|(name, r)| insert(&mut snapshot, ResourceType::Route, name, r));
        self.secrets.iter().for_each(|(name, s)| insert(&mut snapshot, ResourceType::Secret, name, s));
        Arc::new(snapshot)
    }

    /// The connection manager of the first chain, changed.
    pub(super) fn change_hcm(&mut self, change: impl FnOnce(&mut HttpConnectionManager)) {
        let filter = self.listener.filter_chains[0].filters.last_mut().expect("a filter");
        let Some(filter::ConfigType::TypedConfig(any)) = &mut filter.config_type else { panic!("typed") };
        let mut manager = HttpConnectionManager::decode(&*any.value).expect("manager");
        change(&mut manager);
        *any = pack(&manager);
    }
}

fn insert<M: Message>(snapshot: &mut Snapshot, kind: ResourceType, name: &str, message: &M) {
    snapshot.insert(kind, name, Resource::new(kind, message.encode_to_vec()));
}

impl Mesh {
    /// HTTP on service port 80, target port 8080: client to web, whose two pods are equal.
    pub(super) fn http(routes: Vec<Route>) -> Self {
        let mut mesh = Self::empty();
        let rds = hcm::RouteSpecifier::Rds(Rds { route_config_name: "rds-outbound.80".into(), config_source: None });
        mesh.client.listener.filter_chains.push(outbound_chain(80, manager(rds)));
        mesh.client.routes.insert("rds-outbound.80".into(), routes_of(vec![lead("ns/web|8080")]));
        let rds = hcm::RouteSpecifier::Rds(Rds { route_config_name: "rds-inbound.8080".into(), config_source: None });
        let filters = vec![network(vec![policy("ns/t", any_permission(), CLIENT_NAME)]), manager(rds)];
        mesh.server.listener.filter_chains.push(inbound_chain(filters));
        mesh.server.routes.insert("rds-inbound.8080".into(), routes_of(routes));
        mesh
    }

    /// TCP on the same ports, with these RBAC policies.
    pub(super) fn tcp(policies: Vec<(String, Policy)>) -> Self {
        let mut mesh = Self::empty();
        mesh.client.listener.filter_chains.push(outbound_chain(80, tcp("ns/web|8080")));
        mesh.server.listener.filter_chains.push(inbound_chain(vec![network(policies), tcp("ns/web|8080|local")]));
        mesh
    }

    fn empty() -> Self {
        let authority = Authority::new("root");
        let mut client = Config { listener: listener("outbound-listener", 15001, false), ..Config::default() };
        client.listener.default_filter_chain = Some(FilterChain {
            name: "default-deny".into(),
            filters: vec![network(Vec::new()), tcp("nowhere")],
            ..FilterChain::default()
        });
        client.clusters.insert("ns/web|8080".into(), upstream_cluster());
        client.endpoints.insert("ns/web|8080".into(), assignment(&WEB));
        client.secrets.insert("cert".into(), certificate_secret(&authority.leaf(CLIENT_NAME, 2040)));
        client.secrets.insert("outbound".into(), validation_secret(&authority.pem(), &[exact(WEB_NAME)]));
        let mut server = Config { listener: listener("inbound-listener", 15003, true), ..Config::default() };
        let local = Cluster {
            load_assignment: Some(ClusterLoadAssignment {
                endpoints: vec![LocalityLbEndpoints {
                    lb_endpoints: vec![lb_endpoint("127.0.0.1", 8080)],
                    ..LocalityLbEndpoints::default()
                }],
                ..ClusterLoadAssignment::default()
            }),
            cluster_discovery_type: Some(cluster::ClusterDiscoveryType::Type(cluster::DiscoveryType::Static.into())),
            typed_extension_protocol_options: same_protocol(),
            ..Cluster::default()
        };
        server.clusters.insert("ns/web|8080|local".into(), local);
        server.secrets.insert("cert".into(), certificate_secret(&authority.leaf(WEB_NAME, 2040)));
        server.secrets.insert("inbound".into(), validation_secret(&authority.pem(), &[exact(CLIENT_NAME)]));
        Self { authority, client, server, evaluator_now: NOW }
    }

    pub(super) fn evaluator(&self) -> Evaluator {
        let mut evaluator = Evaluator::new(self.evaluator_now);
        let pod = |name: &str, config: &Config| Pod {
            name: name.into(),
            snapshot: Some(config.snapshot()),
            ports: BTreeSet::from([8080]),
            presents: None,
            tls_ports: BTreeSet::new(),
        };
        evaluator.insert(ip(CLIENT), pod("client-0", &self.client));
        for (i, address) in WEB.iter().enumerate() {
            evaluator.insert(ip(address), pod(&format!("web-{i}"), &self.server));
        }
        evaluator
    }
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().expect("address")
}

pub(super) fn caller() -> Caller {
    Caller::Pod(ip(CLIENT))
}

pub(super) fn request(proto: Proto, to: &str, method: &str, path: &str) -> Request {
    Request {
        id: RequestId(1),
        proto,
        destination: to.parse().expect("address"),
        authority: "web".into(),
        method: method.into(),
        path: path.into(),
        headers: BTreeMap::new(),
    }
}

pub(super) fn get(path: &str) -> Request {
    request(Proto::Http1, &format!("{SERVICE}:80"), "GET", path)
}

pub(super) fn pack<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

fn filter<M: Message + Name>(message: &M) -> Filter {
    Filter { name: M::NAME.into(), config_type: Some(filter::ConfigType::TypedConfig(pack(message))) }
}

fn listener(name: &str, port: u32, inspects: bool) -> Listener {
    let listener_filter = |any| ListenerFilter {
        name: "x".into(),
        config_type: Some(listener_filter::ConfigType::TypedConfig(any)),
        filter_disabled: None,
    };
    let mut listener_filters = vec![listener_filter(pack(&OriginalDst {}))];
    if inspects {
        listener_filters.insert(0, listener_filter(pack(&TlsInspector::default())));
    }
    Listener { name: name.into(), address: Some(address("0.0.0.0", port)), listener_filters, ..Listener::default() }
}

fn address(ip: &str, port: u32) -> Address {
    let socket = SocketAddress {
        address: ip.into(),
        port_specifier: Some(socket_address::PortSpecifier::PortValue(port)),
        ..SocketAddress::default()
    };
    Address { address: Some(address::Address::SocketAddress(socket)) }
}

fn outbound_chain(port: u32, last: Filter) -> FilterChain {
    FilterChain {
        name: format!("outbound_ns/web_{port}"),
        filter_chain_match: Some(FilterChainMatch {
            destination_port: Some(UInt32Value { value: port }),
            prefix_ranges: vec![CidrRange {
                address_prefix: SERVICE.into(),
                prefix_len: Some(UInt32Value { value: 32 }),
            }],
            ..FilterChainMatch::default()
        }),
        filters: vec![last],
        metadata: Some(objects(&["Service ns/web"])),
        ..FilterChain::default()
    }
}

fn inbound_chain(filters: Vec<Filter>) -> FilterChain {
    FilterChain {
        name: "inbound_ns/web_8080".into(),
        filter_chain_match: Some(FilterChainMatch {
            destination_port: Some(UInt32Value { value: 8080 }),
            server_names: vec![FQDN.into()],
            transport_protocol: "tls".into(),
            application_protocols: vec!["osm".into()],
            ..FilterChainMatch::default()
        }),
        filters,
        transport_socket: Some(socket(&DownstreamTlsContext {
            common_tls_context: Some(common_tls("inbound")),
            require_client_certificate: Some(BoolValue { value: true }),
            ..DownstreamTlsContext::default()
        })),
        ..FilterChain::default()
    }
}

fn common_tls(validation: &str) -> CommonTlsContext {
    let sds = |name: &str| SdsSecretConfig { name: name.into(), sds_config: None };
    CommonTlsContext {
        tls_certificate_sds_secret_configs: vec![sds("cert")],
        validation_context_type: Some(ValidationContextType::ValidationContextSdsSecretConfig(sds(validation))),
        ..CommonTlsContext::default()
    }
}

fn socket<M: Message + Name>(message: &M) -> TransportSocket {
    let config_type = Some(transport_socket::ConfigType::TypedConfig(pack(message)));
    TransportSocket { name: "envoy.transport_sockets.tls".into(), config_type }
}

fn upstream_cluster() -> Cluster {
    let mut common = common_tls("outbound");
    common.alpn_protocols = vec!["osm".into()];
    let tls =
        UpstreamTlsContext { common_tls_context: Some(common), sni: FQDN.into(), ..UpstreamTlsContext::default() };
    Cluster {
        name: "ns/web|8080".into(),
        cluster_discovery_type: Some(cluster::ClusterDiscoveryType::Type(cluster::DiscoveryType::Eds.into())),
        transport_socket: Some(socket(&tls)),
        typed_extension_protocol_options: same_protocol(),
        ..Cluster::default()
    }
}

fn same_protocol() -> HashMap<String, Any> {
    let same = http_protocol_options::UseDownstreamHttpConfig::default();
    let options = HttpProtocolOptions {
        upstream_protocol_options: Some(http_protocol_options::UpstreamProtocolOptions::UseDownstreamProtocolConfig(
            same,
        )),
        ..HttpProtocolOptions::default()
    };
    HashMap::from([("envoy.extensions.upstreams.http.v3.HttpProtocolOptions".into(), pack(&options))])
}

pub(super) fn assignment(addresses: &[&str]) -> ClusterLoadAssignment {
    let lb_endpoints = addresses.iter().map(|ip| lb_endpoint(ip, 8080)).collect();
    ClusterLoadAssignment {
        endpoints: vec![LocalityLbEndpoints { lb_endpoints, ..LocalityLbEndpoints::default() }],
        ..ClusterLoadAssignment::default()
    }
}

fn lb_endpoint(ip: &str, port: u32) -> LbEndpoint {
    let endpoint = Endpoint { address: Some(address(ip, port)), ..Endpoint::default() };
    LbEndpoint { host_identifier: Some(lb_endpoint::HostIdentifier::Endpoint(endpoint)), ..LbEndpoint::default() }
}

fn inline(text: &str) -> Option<DataSource> {
    Some(DataSource { specifier: Some(data_source::Specifier::InlineString(text.into())), watched_directory: None })
}

pub(super) fn certificate_secret((chain, key): &(String, String)) -> Secret {
    let certificate =
        TlsCertificate { certificate_chain: inline(chain), private_key: inline(key), ..TlsCertificate::default() };
    Secret { name: "cert".into(), r#type: Some(secret::Type::TlsCertificate(certificate)) }
}

pub(super) fn validation_secret(roots: &str, names: &[StringMatcher]) -> Secret {
    let san = |matcher: &StringMatcher| SubjectAltNameMatcher {
        san_type: 2,
        matcher: Some(matcher.clone()),
        oid: String::new(),
    };
    let context = CertificateValidationContext {
        trusted_ca: inline(roots),
        match_typed_subject_alt_names: names.iter().map(san).collect(),
        ..CertificateValidationContext::default()
    };
    Secret { name: "validation".into(), r#type: Some(secret::Type::ValidationContext(context)) }
}

pub(super) fn exact(text: &str) -> StringMatcher {
    StringMatcher { match_pattern: Some(string_matcher::MatchPattern::Exact(text.into())), ignore_case: false }
}

pub(super) fn regex(text: &str) -> RegexMatcher {
    RegexMatcher { regex: text.into(), ..RegexMatcher::default() }
}

pub(super) fn objects(names: &[&str]) -> Metadata {
    let text = |name: &&str| Value { kind: Some(value::Kind::StringValue((*name).into())) };
    let list = envoy_types::pb::google::protobuf::ListValue { values: names.iter().map(text).collect() };
    let fields = HashMap::from([("object".into(), Value { kind: Some(value::Kind::ListValue(list)) })]);
    Metadata { filter_metadata: HashMap::from([("smi".into(), Struct { fields })]), ..Metadata::default() }
}

pub(super) fn tcp(cluster: &str) -> Filter {
    tcp_to(tcp_proxy::ClusterSpecifier::Cluster(cluster.into()))
}

pub(super) fn tcp_to(specifier: tcp_proxy::ClusterSpecifier) -> Filter {
    filter(&TcpProxy { stat_prefix: "x".into(), cluster_specifier: Some(specifier), ..TcpProxy::default() })
}

fn manager(routes: hcm::RouteSpecifier) -> Filter {
    let http_filter = |name: &str, any| HttpFilter {
        name: name.into(),
        config_type: Some(http_filter::ConfigType::TypedConfig(any)),
        ..HttpFilter::default()
    };
    filter(&HttpConnectionManager {
        stat_prefix: "x".into(),
        http_filters: vec![
            http_filter("envoy.filters.http.rbac", pack(&http_rbac::Rbac::default())),
            http_filter("envoy.filters.http.router", pack(&Router::default())),
        ],
        normalize_path: Some(BoolValue { value: true }),
        merge_slashes: true,
        path_with_escaped_slashes_action: 4,
        strip_trailing_host_dot: true,
        upgrade_configs: vec![hcm::UpgradeConfig { upgrade_type: "websocket".into(), ..hcm::UpgradeConfig::default() }],
        forward_client_cert_details: 3,
        set_current_client_cert_details: Some(hcm::SetCurrentClientCertDetails { uri: true, ..Default::default() }),
        route_specifier: Some(routes),
        ..HttpConnectionManager::default()
    })
}

pub(super) fn network(policies: Vec<(String, Policy)>) -> Filter {
    let rules = Some(Rbac { policies: policies.into_iter().collect(), ..Rbac::default() });
    filter(&network_rbac::Rbac { rules, stat_prefix: "network-".into(), ..network_rbac::Rbac::default() })
}

pub(super) fn policy(name: &str, permission: Permission, principal: &str) -> (String, Policy) {
    (
        name.into(),
        Policy { permissions: vec![permission], principals: vec![authenticated(principal)], ..Policy::default() },
    )
}

pub(super) fn any_permission() -> Permission {
    Permission { rule: Some(permission::Rule::Any(true)) }
}

pub(super) fn port_permission(port: u32) -> Permission {
    Permission { rule: Some(permission::Rule::DestinationPort(port)) }
}

fn authenticated(principal: &str) -> Principal {
    let peer = principal::Authenticated { principal_name: Some(exact(principal)) };
    Principal { identifier: Some(principal::Identifier::Authenticated(peer)) }
}

pub(super) fn routes_of(routes: Vec<Route>) -> RouteConfiguration {
    let domains = vec!["web".into(), "web:80".into(), "web.ns".into(), FQDN.into()];
    let host = VirtualHost { name: "virtual-host|web".into(), domains, routes, ..VirtualHost::default() };
    RouteConfiguration { virtual_hosts: vec![host], ..RouteConfiguration::default() }
}

/// A route for everything.
pub(super) fn lead(cluster: &str) -> Route {
    route(".*", Vec::new(), route_action::ClusterSpecifier::Cluster(cluster.into()))
}

pub(super) fn route(path: &str, headers: Vec<HeaderMatcher>, to: route_action::ClusterSpecifier) -> Route {
    Route {
        r#match: Some(RouteMatch {
            headers,
            path_specifier: Some(route_match::PathSpecifier::SafeRegex(regex(path))),
            ..RouteMatch::default()
        }),
        action: Some(route::Action::Route(RouteAction { cluster_specifier: Some(to), ..RouteAction::default() })),
        metadata: Some(objects(&["HTTPRouteGroup ns/routes", "TrafficTarget ns/t"])),
        ..Route::default()
    }
}

/// An inbound route to the local application, for one caller.
pub(super) fn inbound(path: &str, headers: Vec<HeaderMatcher>, principal: &str) -> Route {
    let local = route_action::ClusterSpecifier::Cluster("ns/web|8080|local".into());
    let mut route = route(path, headers, local);
    route.typed_per_filter_config = per_route(vec![policy("rbac-for-route", any_permission(), principal)]);
    route
}

pub(super) fn per_route(policies: Vec<(String, Policy)>) -> HashMap<String, Any> {
    let rules = Some(Rbac { policies: policies.into_iter().collect(), ..Rbac::default() });
    let rbac = Some(http_rbac::Rbac { rules, ..http_rbac::Rbac::default() });
    HashMap::from([("envoy.filters.http.rbac".into(), pack(&http_rbac::RbacPerRoute { rbac }))])
}

pub(super) fn header(name: &str, value: StringMatcher) -> HeaderMatcher {
    HeaderMatcher {
        name: name.into(),
        header_match_specifier: Some(header_matcher::HeaderMatchSpecifier::StringMatch(value)),
        ..HeaderMatcher::default()
    }
}

pub(super) fn weights(clusters: &[(&str, u32)]) -> route_action::ClusterSpecifier {
    let weight = |(name, weight): &(&str, u32)| weighted_cluster::ClusterWeight {
        name: (*name).into(),
        weight: Some(UInt32Value { value: *weight }),
        ..weighted_cluster::ClusterWeight::default()
    };
    let clusters = clusters.iter().map(weight).collect();
    route_action::ClusterSpecifier::WeightedClusters(WeightedCluster { clusters, ..WeightedCluster::default() })
}
