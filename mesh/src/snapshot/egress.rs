//! Egress: the chains of the outbound listener, the routes and the clusters for what lies outside of the mesh.

use std::{collections::BTreeSet, sync::Arc};

use envoy_types::pb::envoy::config::{
    cluster::v3::{
        Cluster,
        cluster::{ClusterDiscoveryType, DiscoveryType, DnsLookupFamily, LbPolicy},
    },
    listener::v3::{
        FilterChain, FilterChainMatch, ListenerFilterChainMatchPredicate,
        listener_filter_chain_match_predicate::{MatchSet, Rule},
    },
    route::v3::VirtualHost,
};
use envoy_types::pb::envoy::r#type::v3::Int32Range;
use ipnet::IpNet;

use super::{
    Scope,
    cluster::{http_options, insert as insert_cluster, unlimited},
    connection,
    encode::{caused_by, number},
    endpoint::assignment,
    filter::{outbound_http, tcp},
    listener::range,
    name,
    resource::Snapshot,
    route::{cluster, forward, insert as insert_routes},
};
use crate::{
    model::{Kind, ObjectName, ObjectRef, Protocol},
    policy::{
        access::Conditions,
        egress::{EgressChain, EgressRoute, EgressTraffic, EgressUpstream, PASSTHROUGH},
    },
};

/// The filter chains of the outbound listener, but for the default one.
pub(super) fn chains(scope: &Scope<'_>) -> impl Iterator<Item = FilterChain> {
    scope.outside.chains.iter().map(|chain| filter_chain(scope, chain))
}

fn filter_chain(scope: &Scope<'_>, chain: &EgressChain) -> FilterChain {
    let name = chain_name(chain);
    let mut matched = FilterChainMatch {
        destination_port: number(chain.port.into()),
        prefix_ranges: chain.range.iter().map(range).collect(),
        ..Default::default()
    };
    let filter = match &chain.traffic {
        EgressTraffic::Http(_) => {
            matched.transport_protocol = "raw_buffer".into();
            outbound_http(scope.signals, name::egress_routes(chain.port, chain.range))
        }
        EgressTraffic::Tls(host, cluster) => {
            matched.transport_protocol = "tls".into();
            matched.server_names = host.iter().map(ToString::to_string).collect();
            tcp(scope.signals, format!("egress-tcp-proxy.{cluster}"), cluster.clone())
        }
        EgressTraffic::Tcp(cluster) => tcp(scope.signals, format!("egress-tcp-proxy.{cluster}"), cluster.clone()),
    };
    FilterChain {
        name,
        filter_chain_match: Some(matched),
        filters: vec![filter],
        metadata: caused_by(objects(&chain.objects)),
        ..Default::default()
    }
}

fn chain_name(chain: &EgressChain) -> String {
    match &chain.traffic {
        EgressTraffic::Http(_) => name::egress_chain("http", chain.port, None, chain.range),
        EgressTraffic::Tls(host, _) => name::egress_chain("https", chain.port, host.as_deref(), chain.range),
        EgressTraffic::Tcp(_) => name::egress_chain("tcp", chain.port, None, chain.range),
    }
}

/// Where every connection goes that no chain is for, with global egress.
pub(super) fn passthrough(scope: &Scope<'_>) -> FilterChain {
    FilterChain {
        name: name::PASSTHROUGH_CHAIN.into(),
        filters: vec![tcp(scope.signals, format!("egress-tcp-proxy.{PASSTHROUGH}"), PASSTHROUGH.into())],
        metadata: caused_by([mesh_config()]),
        ..Default::default()
    }
}

/// Switches a listener filter off for all ports but these.
pub(super) fn only_on(ports: &BTreeSet<u16>) -> Option<ListenerFilterChainMatchPredicate> {
    let port = |port: &u16| ListenerFilterChainMatchPredicate {
        rule: Some(Rule::DestinationPortRange(Int32Range { start: (*port).into(), end: i32::from(*port) + 1 })),
    };
    let mut rules: Vec<_> = ports.iter().map(port).collect();
    // Envoy takes no set of fewer than two.
    let any = if rules.len() > 1 {
        ListenerFilterChainMatchPredicate { rule: Some(Rule::OrMatch(MatchSet { rules })) }
    } else {
        rules.pop()?
    };
    Some(ListenerFilterChainMatchPredicate { rule: Some(Rule::NotMatch(Box::new(any))) })
}

pub(super) fn add_clusters(scope: &Scope<'_>, snapshot: &mut Snapshot) {
    if scope.outside.passthrough {
        insert_cluster(snapshot, Cluster { metadata: caused_by([mesh_config()]), ..dialled(PASSTHROUGH) });
    }
    for (name, upstream) in &scope.outside.upstreams {
        let mut cluster = Cluster {
            typed_extension_protocol_options: http_options(Protocol::Http),
            metadata: caused_by(objects(&upstream.objects)),
            ..upstream_cluster(name, upstream)
        };
        if let Some(setting) = &upstream.setting {
            connection::apply(&mut cluster, setting);
        }
        insert_cluster(snapshot, cluster);
    }
}

fn upstream_cluster(name: &str, upstream: &EgressUpstream) -> Cluster {
    let Some(host) = &upstream.host else { return dialled(name) };
    Cluster {
        name: name.into(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::StrictDns.into())),
        // Many clusters have no way out for IPv6, whatever the name's owner publishes.
        dns_lookup_family: DnsLookupFamily::V4Preferred.into(),
        load_assignment: Some(assignment(name, [(host.to_string(), upstream.port)].into_iter())),
        circuit_breakers: Some(unlimited()),
        ..Default::default()
    }
}

/// On to where the application dialled.
fn dialled(name: &str) -> Cluster {
    Cluster {
        name: name.into(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst.into())),
        lb_policy: LbPolicy::ClusterProvided.into(),
        typed_extension_protocol_options: http_options(Protocol::Http),
        circuit_breakers: Some(unlimited()),
        ..Default::default()
    }
}

pub(super) fn add_routes(scope: &Scope<'_>, snapshot: &mut Snapshot) {
    for chain in &scope.outside.chains {
        if let EgressTraffic::Http(hosts) = &chain.traffic {
            let mut virtual_hosts: Vec<_> =
                hosts.iter().map(|(host, routes)| virtual_host(scope, chain.port, host.as_ref(), routes)).collect();
            if scope.outside.passthrough && !hosts.contains_key(&None) {
                virtual_hosts.push(virtual_host(scope, chain.port, None, &[]));
            }
            insert_routes(snapshot, name::egress_routes(chain.port, chain.range), virtual_hosts);
        }
    }
}

/// A host, or all others. With global egress, what no policy names goes on to where it was dialled.
fn virtual_host(scope: &Scope<'_>, port: u16, host: Option<&Arc<str>>, routes: &[EgressRoute]) -> VirtualHost {
    let domains = host.map_or_else(|| vec!["*".to_owned()], |host| vec![host.to_string(), format!("{host}:{port}")]);
    let route = |route: &EgressRoute| {
        let objects = route.objects.iter().map(|(kind, name)| ObjectRef::new(*kind, name.clone())).collect();
        forward(&route.conditions, cluster(route.cluster.clone()), objects)
    };
    let onward = || forward(&Conditions::everything(), cluster(PASSTHROUGH.into()), vec![mesh_config()]);
    let rest = scope.outside.passthrough.then(onward);
    VirtualHost {
        name: name::egress_host(host.map_or("*", |host| host)),
        domains,
        routes: routes.iter().map(route).chain(rest).collect(),
        ..Default::default()
    }
}

/// The object that switches global egress on, by its usual name: the world knows its content alone.
fn mesh_config() -> ObjectRef {
    ObjectRef::new(Kind::MeshConfig, ObjectName::new("osm-system", "osm-mesh-config"))
}

fn objects(names: &BTreeSet<ObjectName>) -> impl Iterator<Item = ObjectRef> {
    names.iter().map(|name| ObjectRef::new(Kind::Egress, name.clone()))
}

/// The range as a part of names: nothing for any address.
pub(super) fn suffix(range: Option<IpNet>) -> String {
    range.map_or_else(String::new, |range| format!("|{range}"))
}
