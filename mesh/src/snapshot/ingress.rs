//! Ingress: the chains of the inbound listener and the routes for callers from outside of the mesh.

use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::{
    config::{
        listener::v3::{FilterChain, FilterChainMatch},
        route::v3::{Route, VirtualHost},
    },
    extensions::filters::{http::rbac::v3::Rbac as HttpRbac, network::http_connection_manager::v3::HttpFilter},
};

use super::{
    Scope,
    cluster::service_object,
    encode::{caused_by, number, pack},
    filter::{From, http_filter, inbound_http, router},
    inbound_filter::authorization,
    listener::range,
    name, rbac,
    resource::Snapshot,
    route::{RBAC_FILTER, cluster, forward, guarded_by, insert},
    tls,
};
use crate::{
    model::{Kind, ObjectRef, Protocol},
    policy::{
        access::Conditions,
        ingress::{IngressChain, IngressGrant, IngressNames},
    },
};

/// The filter chains of the inbound listener.
pub(super) fn chains(scope: &Scope<'_>) -> impl Iterator<Item = FilterChain> {
    scope.ingress.iter().map(|chain| filter_chain(scope, chain))
}

fn filter_chain(scope: &Scope<'_>, chain: &IngressChain) -> FilterChain {
    let mut matched = FilterChainMatch {
        destination_port: number(chain.port.into()),
        source_prefix_ranges: chain.range.iter().map(range).collect(),
        transport_protocol: "raw_buffer".into(),
        ..Default::default()
    };
    let mut transport_socket = None;
    if let Some(names) = &chain.tls {
        matched.transport_protocol = "tls".into();
        if let IngressNames::Host(host) = names {
            matched.server_names = vec![host.to_string()];
        }
        let validation = asks(chain).then(|| name::ingress_validation(chain));
        transport_socket = tls::downstream_from_outside(scope, validation, demands(chain));
    }
    let objects = chain
        .grants
        .iter()
        .flat_map(|g| [ObjectRef::new(Kind::IngressBackend, g.object.clone()), service_object(&g.service)]);
    FilterChain {
        name: name::ingress_chain(chain),
        filter_chain_match: Some(matched),
        transport_socket,
        filters: vec![inbound_http(scope.signals, name::ingress_routes(chain), http_filters(scope), From::Outside)],
        metadata: caused_by(objects),
        ..Default::default()
    }
}

/// Gateways pass HTTP on, gRPC among it: of what may be a stream no body is shown to the authorization service.
fn http_filters(scope: &Scope<'_>) -> Vec<HttpFilter> {
    let rbac = http_filter(RBAC_FILTER, pack(&HttpRbac::default()));
    [rbac].into_iter().chain(authorization(scope, Protocol::Grpc)).chain([router()]).collect()
}

/// Whether clients are asked for a certificate.
pub(super) fn asks(chain: &IngressChain) -> bool {
    chain.tls.is_some() && chain.grants.iter().any(|g| !g.anonymous)
}

/// Whether clients without a certificate are sent away.
fn demands(chain: &IngressChain) -> bool {
    chain.grants.iter().all(|g| !g.anonymous)
}

/// The names of which a certificate must bear one; `None`: any certificate of the mesh will do.
pub(super) fn principals(chain: &IngressChain) -> Option<BTreeSet<&str>> {
    let restricted = demands(chain) && chain.grants.iter().all(|g| g.principals.is_some());
    restricted.then(|| chain.grants.iter().flat_map(|g| g.principals.iter().flatten()).map(|name| &**name).collect())
}

pub(super) fn add_routes(scope: &Scope<'_>, snapshot: &mut Snapshot) {
    for chain in scope.ingress {
        let mut conditions: BTreeMap<Conditions, Vec<(&IngressGrant, ObjectRef)>> = BTreeMap::new();
        for grant in &chain.grants {
            for (each, group) in grant.conditions() {
                let group = group.map(|g| ObjectRef::new(Kind::HttpRouteGroup, g.clone()));
                let object = ObjectRef::new(Kind::IngressBackend, grant.object.clone());
                let entry = conditions.entry(each).or_default();
                entry.push((grant, object));
                entry.extend(group.map(|g| (grant, g)));
            }
        }
        let routes = conditions.iter().map(|(c, granted)| route(chain, c, granted)).collect();
        let host =
            VirtualHost { name: name::ingress_host(chain), domains: vec!["*".into()], routes, ..Default::default() };
        insert(snapshot, name::ingress_routes(chain), vec![host]);
    }
}

fn route(chain: &IngressChain, conditions: &Conditions, granted: &[(&IngressGrant, ObjectRef)]) -> Route {
    let local = name::local_cluster(&granted[0].0.service, chain.port);
    let objects = granted.iter().map(|(_, object)| object.clone()).collect();
    guarded_by(forward(conditions, cluster(local), objects), rbac::from_outside(conditions, &chain.grants))
}
