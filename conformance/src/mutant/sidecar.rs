//! Faults in what the sidecars get.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::{
    config::{
        listener::v3::{FilterChain, Listener, filter::ConfigType},
        route::v3::{
            RouteConfiguration, VirtualHost, WeightedCluster, route::Action, route_action::ClusterSpecifier,
            weighted_cluster::ClusterWeight,
        },
    },
    extensions::filters::network::http_connection_manager::v3::{
        HttpConnectionManager, http_connection_manager::RouteSpecifier,
    },
};
use mesh::{
    model::{ObjectName, Settings},
    snapshot::{self, Resource, ResourceType, Snapshot, name::INBOUND_LISTENER},
    world::{Change, World},
};
use prost::Message;

/// How the names of the routes of what a pod serves begin.
const INBOUND_ROUTES: &str = "rds-inbound.";
/// How the names of the routes of what a pod calls begin.
const OUTBOUND_ROUTES: &str = "rds-outbound.";
/// How the names of what is demanded of callers begin.
const INBOUND_VALIDATION: &str = "root-cert-for-mtls-inbound:";

/// What becomes of requests that a split does not select.
#[derive(Clone, Copy)]
pub(super) enum Unmatched {
    ToBackends,
    Dropped,
}

/// What the sidecar would get if everybody might call it.
fn open(world: &World, pod: &ObjectName) -> Snapshot {
    let mut world = world.clone();
    world.apply(Change::Settings(Settings { permissive: true, ..world.settings().clone() }));
    snapshot::build(&world, pod)
}

/// Inbound, the sidecar does what it would do if everybody might call it.
pub(super) fn client_side_only(world: &World, pod: &ObjectName, mut snapshot: Snapshot) -> Snapshot {
    for (kind, name, resource) in open(world, pod).iter() {
        let inbound = match kind {
            ResourceType::Listener => **name == *INBOUND_LISTENER,
            ResourceType::Route => name.starts_with(INBOUND_ROUTES),
            ResourceType::Secret => name.starts_with(INBOUND_VALIDATION),
            _ => false,
        };
        if inbound {
            snapshot.insert(kind, name.clone(), resource.clone());
        }
    }
    snapshot
}

/// Adds a chain without TLS and without rules for every port that the pod serves.
pub(super) fn plaintext(world: &World, pod: &ObjectName, mut snapshot: Snapshot) -> Snapshot {
    let open = open(world, pod);
    let Some(open_listener) = decoded::<Listener>(&open, ResourceType::Listener, INBOUND_LISTENER) else {
        return snapshot;
    };
    let Some(mut listener) = decoded::<Listener>(&snapshot, ResourceType::Listener, INBOUND_LISTENER) else {
        return snapshot;
    };
    let mut ports = BTreeSet::new();
    for mut chain in open_listener.filter_chains {
        let Some(matched) = &mut chain.filter_chain_match else { continue };
        let port = matched.destination_port.as_ref().map(|port| port.value);
        if matched.transport_protocol != "tls" || !ports.insert(port) {
            continue;
        }
        matched.transport_protocol = "raw_buffer".into();
        matched.server_names.clear();
        matched.application_protocols.clear();
        chain.transport_socket = None;
        chain.name = format!("plaintext_{}", chain.name);
        if let Some(routes) = rename_routes(&mut chain) {
            add_routes(&open, &routes, &mut snapshot);
        }
        listener.filter_chains.push(chain);
    }
    insert(&mut snapshot, ResourceType::Listener, INBOUND_LISTENER, &listener);
    snapshot
}

/// Lets the connection manager of the chain, if it has one, ask for routes of another name; returns the name that it asked for.
fn rename_routes(chain: &mut FilterChain) -> Option<String> {
    for filter in &mut chain.filters {
        let Some(ConfigType::TypedConfig(any)) = &mut filter.config_type else { continue };
        if !any.type_url.ends_with(".HttpConnectionManager") {
            continue;
        }
        let mut manager = HttpConnectionManager::decode(&*any.value).ok()?;
        let Some(RouteSpecifier::Rds(rds)) = &mut manager.route_specifier else { return None };
        let asked = std::mem::take(&mut rds.route_config_name);
        rds.route_config_name = format!("plaintext-{asked}");
        any.value = manager.encode_to_vec();
        return Some(asked);
    }
    None
}

/// Adds the routes called `name` under their other name; they take any Host.
fn add_routes(open: &Snapshot, name: &str, snapshot: &mut Snapshot) {
    let Some(mut routes) = decoded::<RouteConfiguration>(open, ResourceType::Route, name) else { return };
    routes.name = format!("plaintext-{name}");
    if let Some(host) = routes.virtual_hosts.first_mut() {
        host.domains.push("*".into());
    }
    let name = routes.name.clone();
    insert(snapshot, ResourceType::Route, &name, &routes);
}

/// Changes where requests go that a split does not select: the last route of a host that splits some of its requests.
pub(super) fn unmatched(mut snapshot: Snapshot, instead: Unmatched) -> Snapshot {
    let names: Vec<String> = snapshot
        .of(ResourceType::Route)
        .map(|(name, _)| name.to_string())
        .filter(|name| name.starts_with(OUTBOUND_ROUTES))
        .collect();
    for name in names {
        let Some(mut routes) = decoded::<RouteConfiguration>(&snapshot, ResourceType::Route, &name) else { continue };
        for host in &mut routes.virtual_hosts {
            let shares = shares(host);
            let to_own = host.routes.last().is_some_and(|route| specifier(route).is_some_and(is_single));
            if shares.is_empty() || !to_own {
                continue;
            }
            match (instead, host.routes.last_mut().and_then(|route| route.action.as_mut())) {
                (Unmatched::Dropped, _) => drop(host.routes.pop()),
                (Unmatched::ToBackends, Some(Action::Route(action))) => {
                    let weighted = WeightedCluster { clusters: shares, ..Default::default() };
                    action.cluster_specifier = Some(ClusterSpecifier::WeightedClusters(weighted));
                }
                _ => {}
            }
        }
        insert(&mut snapshot, ResourceType::Route, &name, &routes);
    }
    snapshot
}

/// The backends of the split of a host, those with a weight alike; none if it has no split.
fn shares(host: &VirtualHost) -> Vec<ClusterWeight> {
    let weighted = host.routes.iter().filter_map(specifier).find_map(|specifier| match specifier {
        ClusterSpecifier::WeightedClusters(weighted) => Some(weighted.clusters.clone()),
        _ => None,
    });
    let mut shares = weighted.unwrap_or_default();
    shares.iter_mut().flat_map(|share| &mut share.weight).for_each(|weight| weight.value = weight.value.min(1));
    shares
}

fn specifier(route: &envoy_types::pb::envoy::config::route::v3::Route) -> Option<&ClusterSpecifier> {
    match &route.action {
        Some(Action::Route(action)) => action.cluster_specifier.as_ref(),
        _ => None,
    }
}

fn is_single(specifier: &ClusterSpecifier) -> bool {
    matches!(specifier, ClusterSpecifier::Cluster(_))
}

fn decoded<M: Message + Default>(snapshot: &Snapshot, kind: ResourceType, name: &str) -> Option<M> {
    M::decode(&*snapshot.get(kind, name)?.body.value).ok()
}

fn insert(snapshot: &mut Snapshot, kind: ResourceType, name: &str, message: &impl Message) {
    snapshot.insert(kind, name, Resource::new(kind, message.encode_to_vec()));
}
