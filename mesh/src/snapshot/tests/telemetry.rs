//! What sidecars tell of their traffic, as Envoy reads it.

use envoy_types::pb::{
    envoy::{
        config::{
            cluster::v3::Cluster, core::v3::Metadata, endpoint::v3::ClusterLoadAssignment,
            listener::v3::filter::ConfigType,
        },
        extensions::{
            access_loggers::stats::v3::Config as StatsConfig,
            filters::network::http_connection_manager::v3::HttpConnectionManager,
            transport_sockets::tls::v3::{UpstreamTlsContext, tls_parameters::TlsProtocol},
        },
    },
    google::protobuf::{Any, value::Kind},
};
use prost::{Message, Name};

use crate::{
    snapshot::{Class, ResourceType, Snapshot, build, name},
    testing::{self, name as object, pod},
    world::World,
};

const SHOP: &str = "kind: Service\napiVersion: v1\nmetadata: {name: web}\n\
    spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{port: 80}]}\n";

fn shop(spec: &str) -> World {
    let config = format!(
        "{SHOP}---\nkind: MeshConfig\napiVersion: config.openservicemesh.io/v1alpha2\nmetadata: {{name: m}}\n\
         spec: {{traffic: {{enablePermissiveTrafficPolicyMode: true}}, {spec}}}\n"
    );
    let labels = "app=web,pod-template-hash=5d4f8c9b7";
    let pods =
        [pod("web-5d4f8c9b7-a", "web", labels), pod("web-5d4f8c9b7-b", "web", labels), pod("buyer", "buyer", "")];
    testing::world(&config, pods)
}

fn resource<M: Message + Default>(snapshot: &Snapshot, kind: ResourceType, name: &str) -> M {
    let (_, resource) = snapshot.of(kind).find(|(n, _)| &***n == name).unwrap_or_else(|| panic!("no {kind:?} {name}"));
    M::decode(&*resource.body.value).unwrap()
}

fn managers(snapshot: &Snapshot, listener: &str) -> Vec<HttpConnectionManager> {
    let listener: envoy_types::pb::envoy::config::listener::v3::Listener =
        resource(snapshot, ResourceType::Listener, listener);
    let filters = listener.filter_chains.into_iter().flat_map(|chain| chain.filters);
    let configs =
        filters.filter_map(|f| if let Some(ConfigType::TypedConfig(any)) = f.config_type { Some(any) } else { None });
    configs.filter_map(|any| read(&any)).collect()
}

fn read<M: Message + Name + Default>(any: &Any) -> Option<M> {
    (any.type_url == M::type_url()).then(|| M::decode(&*any.value).unwrap())
}

fn counting(manager: &HttpConnectionManager) -> Vec<StatsConfig> {
    use envoy_types::pb::envoy::config::accesslog::v3::access_log::ConfigType;
    let configs = manager.access_log.iter().filter_map(|log| log.config_type.as_ref());
    configs.filter_map(|ConfigType::TypedConfig(any)| read(any)).collect()
}

fn label(metadata: Option<&Metadata>, key: &str) -> String {
    let value = metadata.and_then(|m| m.filter_metadata.get(name::LABELS_KEY)?.fields.get(key)?.kind.clone());
    let Some(Kind::StringValue(text)) = value else { panic!("no label {key}: {metadata:?}") };
    text
}

#[test]
fn clients_count_and_servers_do_not_count_again() {
    let world = shop("");
    let buyer = build(&world, &object("buyer"));
    let [manager] = &managers(&buyer, name::OUTBOUND_LISTENER)[..] else { panic!("one chain") };
    let [stats] = &counting(manager)[..] else { panic!("one counting logger") };
    let tags = &stats.counters[0].stat.as_ref().unwrap().tags;
    let value = |name: &str| tags.iter().find(|t| t.name == name).map(|t| &*t.value_format).unwrap();
    assert_eq!(value("source_namespace"), "shop");
    assert_eq!(value("source_kind"), "Pod");
    assert_eq!(value("source_name"), "%ENVIRONMENT(POD_NAME)%");
    assert!(value("destination_pod").contains("osm:pod"));
    assert!(value("destination_service").contains("osm:name"));
    assert!(value("traffic_split").contains("ROUTE_NAME"));
    let web = build(&world, &object("web-5d4f8c9b7-a"));
    assert!(managers(&web, name::INBOUND_LISTENER).iter().all(|m| counting(m).is_empty()));
    let off = shop("featureFlags: {enableWASMStats: false}");
    let off = build(&off, &object("buyer"));
    assert!(managers(&off, name::OUTBOUND_LISTENER).iter().all(|m| counting(m).is_empty()));
}

#[test]
fn endpoints_say_which_pod_they_are_and_clusters_which_service() {
    let world = shop("");
    let buyer = build(&world, &object("buyer"));
    let (cluster, _) = buyer.of(ResourceType::Endpoint).next().unwrap();
    let assignment: ClusterLoadAssignment = resource(&buyer, ResourceType::Endpoint, cluster);
    let endpoints = &assignment.endpoints[0].lb_endpoints;
    let of = |key| endpoints.iter().map(|e| label(e.metadata.as_ref(), key)).collect::<Vec<_>>();
    assert_eq!(of("pod"), ["web-5d4f8c9b7-a", "web-5d4f8c9b7-b"]);
    assert_eq!(of("name"), ["web", "web"]);
    assert_eq!(of("kind"), ["Deployment", "Deployment"]);
    let cluster: Cluster = resource(&buyer, ResourceType::Cluster, cluster);
    assert_eq!(label(cluster.metadata.as_ref(), "kind"), "Service");
    // What caused the cluster is still told.
    assert!(cluster.metadata.unwrap().filter_metadata.contains_key(name::METADATA_KEY));
}

#[test]
fn pods_of_one_deployment_share_a_class_unless_a_telemetry_tells_them_apart() {
    let mut world = shop("");
    let class = |world: &World, pod: &str| Class::of(world, &object(pod));
    assert_eq!(class(&world, "web-5d4f8c9b7-a"), class(&world, "web-5d4f8c9b7-b"));
    testing::add(
        &mut world,
        "kind: Telemetry\napiVersion: policy.openservicemesh.io/v1alpha1\nmetadata: {name: t}\n\
         spec: {selector: {one: a}, accessLog: {format: x}}\n",
    );
    let mut other = pod("web-5d4f8c9b7-b", "web", "app=web,pod-template-hash=5d4f8c9b7,one=a");
    other.address = [10, 0, 0, 2].into();
    world.apply(crate::world::Change::Put(crate::world::Object::Workload(other)));
    assert_ne!(class(&world, "web-5d4f8c9b7-a"), class(&world, "web-5d4f8c9b7-b"));
}

#[test]
fn spans_go_where_the_settings_say() {
    let world = shop("observability: {tracing: {enable: true, address: 10.1.2.3, port: 9411, samplingPercent: 12.5}}");
    let buyer = build(&world, &object("buyer"));
    let tracing = managers(&buyer, name::OUTBOUND_LISTENER)[0].tracing.clone().unwrap();
    assert_eq!(tracing.random_sampling.unwrap().value, 12.5);
    assert_eq!(tracing.provider.unwrap().name, "envoy.tracers.zipkin");
    let cluster: Cluster = resource(&buyer, ResourceType::Cluster, name::TRACING);
    assert!(cluster.load_assignment.is_some());
    assert!(managers(&build(&shop(""), &object("buyer")), name::OUTBOUND_LISTENER)[0].tracing.is_none());
}

#[test]
fn versions_suites_and_curves_are_in_the_contexts() {
    let world = shop(
        "sidecar: {tlsMinProtocolVersion: TLSv1_2, tlsMaxProtocolVersion: TLSv1_2, \
         cipherSuites: [ECDHE-ECDSA-AES128-GCM-SHA256], ecdhCurves: [P-256]}",
    );
    let buyer = build(&world, &object("buyer"));
    let (cluster, _) = buyer.of(ResourceType::Endpoint).next().unwrap();
    let cluster: Cluster = resource(&buyer, ResourceType::Cluster, cluster);
    let Some(envoy_types::pb::envoy::config::core::v3::transport_socket::ConfigType::TypedConfig(any)) =
        cluster.transport_socket.unwrap().config_type
    else {
        panic!("no TLS")
    };
    let parameters = read::<UpstreamTlsContext>(&any).unwrap().common_tls_context.unwrap().tls_params.unwrap();
    assert_eq!(parameters.tls_maximum_protocol_version(), TlsProtocol::TlSv12);
    assert_eq!(parameters.cipher_suites, ["ECDHE-ECDSA-AES128-GCM-SHA256"]);
    assert_eq!(parameters.ecdh_curves, ["P-256"]);
}
