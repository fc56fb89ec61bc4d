//! A snapshot as Envoy reads it: all messages decoded, all `Any`s of a known type opened.

use std::collections::BTreeMap;

use envoy_types::pb::{
    envoy::{
        config::{
            cluster::v3::Cluster,
            core::v3::{Metadata, TransportSocket, transport_socket},
            endpoint::v3::ClusterLoadAssignment,
            listener::v3::{Filter, FilterChain, Listener, filter},
            rbac::v3::Rbac,
            route::v3::{Route, RouteConfiguration},
        },
        extensions::{
            filters::{
                http::rbac::v3::RbacPerRoute,
                network::{
                    http_connection_manager::v3::{
                        HttpConnectionManager, http_connection_manager::RouteSpecifier, http_filter,
                    },
                    rbac::v3::Rbac as NetworkRbac,
                    tcp_proxy::v3::{TcpProxy, tcp_proxy::ClusterSpecifier},
                },
            },
            transport_sockets::tls::v3::{
                CommonTlsContext, DownstreamTlsContext, Secret, UpstreamTlsContext,
                common_tls_context::ValidationContextType,
            },
        },
    },
    google::protobuf::{Any, value::Kind},
};
use prost::{Message, Name};

use crate::snapshot::{ResourceType, Snapshot, name::METADATA_KEY};

/// All resources, by the name under which they are sent.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) clusters: BTreeMap<String, Cluster>,
    pub(crate) endpoints: BTreeMap<String, ClusterLoadAssignment>,
    pub(crate) listeners: BTreeMap<String, Listener>,
    pub(crate) routes: BTreeMap<String, RouteConfiguration>,
}

pub(crate) fn decode(snapshot: &Snapshot) -> Decoded {
    Decoded {
        secrets: of(snapshot, ResourceType::Secret),
        clusters: of(snapshot, ResourceType::Cluster),
        endpoints: of(snapshot, ResourceType::Endpoint),
        listeners: of(snapshot, ResourceType::Listener),
        routes: of(snapshot, ResourceType::Route),
    }
}

fn of<M: Message + Name + Default>(snapshot: &Snapshot, kind: ResourceType) -> BTreeMap<String, M> {
    snapshot.of(kind).map(|(name, resource)| (name.to_string(), open(&resource.body))).collect()
}

/// The message inside, which must be of this type.
pub(crate) fn open<M: Message + Name + Default>(any: &Any) -> M {
    assert_eq!(any.type_url, M::type_url());
    M::decode(&*any.value).expect("the message decodes")
}

/// What a chain does with a connection, in order.
#[derive(Debug)]
pub(crate) enum Step {
    Rbac(Rbac),
    /// The route configuration, and the HTTP filters by name.
    Http(String, Vec<String>),
    /// Clusters with their weights.
    Tcp(Vec<(String, u32)>),
}

pub(crate) fn steps(chain: &FilterChain) -> Vec<Step> {
    chain.filters.iter().map(step).collect()
}

fn step(filter: &Filter) -> Step {
    let Some(filter::ConfigType::TypedConfig(any)) = &filter.config_type else {
        panic!("{} has no config", filter.name)
    };
    match &*filter.name {
        "envoy.filters.network.rbac" => {
            Step::Rbac(open::<NetworkRbac>(any).rules.expect("without rules the filter lets everything through"))
        }
        "envoy.filters.network.tcp_proxy" => match open::<TcpProxy>(any).cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) => Step::Tcp(vec![(name, 1)]),
            Some(ClusterSpecifier::WeightedClusters(w)) => {
                Step::Tcp(w.clusters.into_iter().map(|c| (c.name, c.weight)).collect())
            }
            None => panic!("no cluster"),
        },
        "envoy.filters.network.http_connection_manager" => {
            let manager: HttpConnectionManager = open(any);
            let Some(RouteSpecifier::Rds(rds)) = manager.route_specifier else { panic!("no RDS") };
            for filter in &manager.http_filters {
                assert!(matches!(filter.config_type, Some(http_filter::ConfigType::TypedConfig(_))), "{filter:?}");
            }
            Step::Http(rds.route_config_name, manager.http_filters.into_iter().map(|f| f.name).collect())
        }
        other => panic!("unknown filter {other}"),
    }
}

/// The TLS of a connection between sidecars.
#[derive(Debug)]
pub(crate) struct Tls {
    /// What the client asks for.
    pub(crate) sni: String,
    pub(crate) alpn: Vec<String>,
    pub(crate) certificates: Vec<String>,
    pub(crate) validation: String,
    /// Whether a client must show a certificate.
    pub(crate) required: bool,
}

pub(crate) fn tls(socket: &TransportSocket) -> Tls {
    let Some(transport_socket::ConfigType::TypedConfig(any)) = &socket.config_type else { panic!("no config") };
    let (context, sni, required): (Option<CommonTlsContext>, _, _) = if any.type_url == UpstreamTlsContext::type_url() {
        let context: UpstreamTlsContext = open(any);
        (context.common_tls_context, context.sni, false)
    } else {
        let context: DownstreamTlsContext = open(any);
        (context.common_tls_context, String::new(), context.require_client_certificate.is_some_and(|r| r.value))
    };
    let context = context.expect("a context");
    let Some(ValidationContextType::ValidationContextSdsSecretConfig(validation)) = context.validation_context_type
    else {
        panic!("without validation every peer is accepted")
    };
    let certificates = context.tls_certificate_sds_secret_configs.into_iter().map(|s| s.name).collect();
    Tls { sni, alpn: context.alpn_protocols, certificates, validation: validation.name, required }
}

/// The RBAC that a route lays down for itself.
pub(crate) fn rbac(route: &Route) -> Option<Rbac> {
    let any = route.typed_per_filter_config.get("envoy.filters.http.rbac")?;
    let filter = open::<RbacPerRoute>(any).rbac.expect("without it the filter is off");
    Some(filter.rules.expect("without rules the filter lets everything through"))
}

/// The objects that caused a resource.
pub(crate) fn objects(metadata: Option<&Metadata>) -> Vec<String> {
    let list = metadata.and_then(|m| m.filter_metadata.get(METADATA_KEY)).and_then(|s| s.fields.get("objects"));
    let Some(Kind::ListValue(list)) = list.and_then(|l| l.kind.as_ref()) else { return Vec::new() };
    let text = |kind: &Kind| if let Kind::StringValue(text) = kind { text.clone() } else { panic!("{kind:?}") };
    list.values.iter().filter_map(|v| v.kind.as_ref()).map(text).collect()
}
