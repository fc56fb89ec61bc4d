//! What Envoy must find in every snapshot, and what a small shop looks like.

mod bookstore;
mod edge;
mod limits;
mod settings;
mod telemetry;

use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::{
    config::{
        listener::v3::{FilterChain, Listener},
        rbac::v3::Rbac,
        route::v3::{Route, RouteConfiguration, route::Action, route_action::ClusterSpecifier},
    },
    extensions::transport_sockets::tls::v3::secret,
};
use proptest::{prelude::*, sample::Index};

use super::{build, name};
use crate::{
    model::ObjectName,
    testing::{
        cases,
        decoded::{Decoded, Step, Tls, decode, objects, rbac, steps, tls},
        dump, strategy,
    },
    world::{Change, World},
};

type Checked = Result<(), TestCaseError>;

fn world(changes: impl IntoIterator<Item = Change>) -> World {
    let mut world = World::default();
    changes.into_iter().for_each(|change| drop(world.apply(change)));
    world
}

/// Runs `check` on the snapshot of every proxy of a random world.
fn for_every_snapshot(check: impl Fn(&World, &ObjectName, &Decoded) -> Checked) {
    proptest!(cases(48), |(changes in strategy::world())| {
        let world = world(changes);
        for pod in world.workloads() {
            check(&world, &pod.name, &decode(&build(&world, &pod.name)))?;
        }
    });
}

/// Fails on the first item that came before.
fn distinct<T: Ord + std::fmt::Debug>(items: impl IntoIterator<Item = T>) -> Checked {
    let mut seen = BTreeSet::new();
    for item in items {
        prop_assert!(!seen.contains(&item), "{item:?} occurs twice");
        seen.insert(item);
    }
    Ok(())
}

fn chains(snapshot: &Decoded) -> impl Iterator<Item = &FilterChain> {
    snapshot.listeners.values().flat_map(|l| l.filter_chains.iter().chain(&l.default_filter_chain))
}

fn routes(config: &RouteConfiguration) -> impl Iterator<Item = &Route> {
    config.virtual_hosts.iter().flat_map(|h| &h.routes)
}

/// Every SAN list and RBAC on the way to the pod's application.
fn inbound_chains(snapshot: &Decoded) -> impl Iterator<Item = &FilterChain> {
    snapshot.listeners.get(name::INBOUND_LISTENER).into_iter().flat_map(|l| &l.filter_chains)
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn the_order_of_events_does_not_show_in_the_bytes(changes in strategy::world(), seed in any::<Index>()) {
        // The last word on each object only: of two, order decides.
        let mut last = BTreeMap::new();
        for change in changes {
            last.insert(format!("{:?}", key(&change)), change);
        }
        let forward: Vec<_> = last.into_values().collect();
        let mut other = forward.clone();
        other.reverse();
        if !other.is_empty() {
            let at = seed.index(other.len());
            other.rotate_left(at);
        }
        let (forward, other) = (world(forward), world(other));
        for pod in forward.workloads() {
            let (one, two) = (build(&forward, &pod.name), build(&other, &pod.name));
            prop_assert_eq!(one.iter().collect::<Vec<_>>(), two.iter().collect::<Vec<_>>());
            prop_assert_eq!(one, build(&forward, &pod.name));
        }
    }
}

/// What a change is about.
fn key(change: &Change) -> String {
    match change {
        Change::Put(object) => object.reference().to_string(),
        Change::Certificate(leaf) => format!("certificate {}", leaf.account),
        Change::Settings(_) => "settings".into(),
        other => format!("{other:?}"),
    }
}

#[test]
fn pods_of_one_class_have_equal_snapshots() {
    proptest!(cases(48), |(changes in strategy::world())| {
        let world = world(changes);
        let mut of_class = BTreeMap::new();
        for pod in world.workloads() {
            let class = super::Class::of(&world, &pod.name);
            let snapshot = build(&world, &pod.name);
            let first = of_class.entry(class).or_insert_with(|| snapshot.clone());
            prop_assert_eq!(&*first, &snapshot, "{}", &pod.name);
        }
    });
}

#[test]
fn no_two_chains_of_a_listener_want_the_same_connection() {
    for_every_snapshot(|_, _, snapshot| {
        for listener in snapshot.listeners.values() {
            distinct(connections(listener))?;
            distinct(listener.filter_chains.iter().map(|c| &c.name))?;
        }
        Ok(())
    });
}

/// All that the chains of a listener match, one by one.
fn connections(listener: &Listener) -> Vec<(u32, String)> {
    let matches = listener.filter_chains.iter().map(|c| c.filter_chain_match.as_ref().expect("a match"));
    let each = matches.flat_map(|m| {
        let port = m.destination_port.expect("a port").value;
        assert!((1..=65535).contains(&port), "Envoy refuses port {port}");
        let ranges = m.prefix_ranges.iter().map(|r| r.address_prefix.clone());
        let wanted: Vec<_> = ranges.chain(m.server_names.iter().cloned()).map(|text| (port, text)).collect();
        assert!(!wanted.is_empty(), "{m:?} matches every address");
        wanted
    });
    each.collect()
}

#[test]
fn hosts_and_domains_are_distinct_and_weights_are_valid() {
    for_every_snapshot(|_, _, snapshot| {
        for config in snapshot.routes.values() {
            distinct(config.virtual_hosts.iter().map(|h| &h.name))?;
            distinct(config.virtual_hosts.iter().flat_map(|h| &h.domains).map(|d| d.to_lowercase()))?;
            prop_assert!(config.virtual_hosts.iter().all(|h| !h.domains.is_empty()));
            for (cluster, weight) in routes(config).flat_map(|r| vec![weights(r)]).flatten() {
                prop_assert!(weight <= u64::from(u32::MAX), "{cluster} {weight}");
            }
            for route in routes(config) {
                let weights = weights(route);
                let total: u64 = weights.iter().map(|(_, weight)| weight).sum();
                prop_assert!(weights.is_empty() || (1..=u64::from(u32::MAX)).contains(&total), "{weights:?}");
                distinct(weights.iter().map(|(name, _)| name))?;
            }
        }
        for step in chains(snapshot).flat_map(steps) {
            if let Step::Tcp(shares) = step {
                prop_assert!(shares.iter().all(|(_, weight)| *weight > 0), "{shares:?}");
                prop_assert!(shares.iter().map(|(_, w)| u64::from(*w)).sum::<u64>() <= u64::from(u32::MAX));
            }
        }
        Ok(())
    });
}

fn weights(route: &Route) -> Vec<(String, u64)> {
    let Some(Action::Route(action)) = &route.action else { return Vec::new() };
    match action.cluster_specifier.as_ref().expect("a cluster") {
        ClusterSpecifier::Cluster(name) => vec![(name.clone(), 1)],
        ClusterSpecifier::WeightedClusters(weighted) => {
            weighted.clusters.iter().map(|c| (c.name.clone(), c.weight.map_or(0, |w| w.value.into()))).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn resources_refer_only_to_what_the_same_snapshot_has() {
    for_every_snapshot(|world, pod, snapshot| {
        let account = &world.workload(pod).expect("the pod").account;
        let own = name::service_certificate(account);
        let sockets = snapshot.clusters.values().filter_map(|c| c.transport_socket.as_ref());
        let sockets = sockets.chain(chains(snapshot).filter_map(|c| c.transport_socket.as_ref()));
        let mut used = false;
        for Tls { certificates, validation, .. } in sockets.map(tls) {
            used = true;
            prop_assert!(snapshot.secrets.contains_key(&validation), "{validation}");
            prop_assert_eq!(certificates, std::slice::from_ref(&own));
        }
        prop_assert_eq!(snapshot.secrets.contains_key(&own), used && world.certificate(account).is_some());
        for (cluster, content) in &snapshot.clusters {
            prop_assert_eq!(
                content.transport_socket.is_some(),
                snapshot.endpoints.contains_key(cluster),
                "{}",
                cluster
            );
        }
        let known = |cluster: &str| cluster == name::NO_BACKEND || snapshot.clusters.contains_key(cluster);
        for step in chains(snapshot).flat_map(steps) {
            match step {
                Step::Http(routes, _) => prop_assert!(snapshot.routes.contains_key(&routes), "{routes}"),
                Step::Tcp(shares) => prop_assert!(shares.iter().all(|(c, _)| known(c)), "{shares:?}"),
                Step::Rbac(_) => {}
            }
        }
        for (cluster, _) in snapshot.routes.values().flat_map(routes).flat_map(weights) {
            prop_assert!(known(&cluster), "{cluster}");
        }
        Ok(())
    });
}

#[test]
fn names_are_those_that_the_messages_carry() {
    for_every_snapshot(|_, _, snapshot| {
        prop_assert!(snapshot.secrets.iter().all(|(name, s)| s.name == *name));
        prop_assert!(snapshot.clusters.iter().all(|(name, c)| c.name == *name));
        prop_assert!(snapshot.endpoints.iter().all(|(name, e)| e.cluster_name == *name));
        prop_assert!(snapshot.listeners.iter().all(|(name, l)| l.name == *name));
        prop_assert!(snapshot.routes.iter().all(|(name, r)| r.name == *name));
        Ok(())
    });
}

#[test]
fn a_proxy_gets_its_own_key_only_and_accepts_named_peers_only() {
    for_every_snapshot(|world, pod, snapshot| {
        let own = format!("KEY of {}", world.workload(pod).expect("the pod").account);
        for secret in snapshot.secrets.values() {
            match secret.r#type.as_ref().expect("content") {
                secret::Type::TlsCertificate(c) => {
                    prop_assert!(format!("{:?}", c.private_key).contains(&own), "{}", secret.name);
                }
                secret::Type::ValidationContext(v) => {
                    prop_assert!(!v.match_typed_subject_alt_names.is_empty(), "{} accepts anyone", secret.name);
                    prop_assert!(v.trusted_ca.is_some());
                    let exact = !dump::secret(secret).contains('*');
                    let inbound = secret.name.starts_with("root-cert-for-mtls-inbound:");
                    prop_assert!(exact || (inbound && world.settings().permissive), "{}", secret.name);
                }
                other => panic!("{other:?}"),
            }
        }
        Ok(())
    });
}

#[test]
fn every_way_in_is_guarded_unless_permissive() {
    for_every_snapshot(|world, _, snapshot| {
        let enforcing = !world.settings().permissive;
        for chain in inbound_chains(snapshot) {
            let tls = chain.transport_socket.as_ref().map(tls).expect("mutual TLS");
            prop_assert!(tls.required, "{}", chain.name);
            let steps = steps(chain);
            let guarded = matches!(&steps[0], Step::Rbac(rules) if sound(rules));
            prop_assert_eq!(guarded, enforcing, "{}", chain.name);
            if let Some(Step::Http(_, filters)) = steps.last() {
                prop_assert_eq!(filters, &["envoy.filters.http.rbac", "envoy.filters.http.router"]);
            }
        }
        let inbound = snapshot.routes.iter().filter(|(name, _)| name.starts_with("rds-inbound."));
        for route in inbound.flat_map(|(_, config)| routes(config)) {
            let guarded = rbac(route).is_some_and(|rules| sound(&rules) && !rules.policies.is_empty());
            prop_assert_eq!(guarded, enforcing, "{:?}", route);
        }
        Ok(())
    });
}

/// Whether the rules allow, and every policy names somebody and something: Envoy reads an empty list as anybody or refuses it.
fn sound(rules: &Rbac) -> bool {
    rules.action == 0 && rules.policies.values().all(|p| !p.principals.is_empty() && !p.permissions.is_empty())
}

#[test]
fn every_route_cluster_and_chain_tells_its_cause() {
    for_every_snapshot(|_, _, snapshot| {
        let clusters = snapshot.clusters.values().map(|c| (&c.name, &c.metadata));
        let chains = chains(snapshot).filter(|c| c.name != name::DEFAULT_DENY).map(|c| (&c.name, &c.metadata));
        let routes = snapshot.routes.values().flat_map(|c| routes(c).map(|r| (&c.name, &r.metadata)));
        for (name, metadata) in clusters.chain(chains).chain(routes) {
            prop_assert!(!objects(metadata.as_ref()).is_empty(), "{name}");
        }
        Ok(())
    });
}

#[test]
fn envoy_takes_every_expression_and_header_name() {
    for_every_snapshot(|_, _, snapshot| {
        let text = dump::dump(snapshot);
        // An empty expression shows as a bare `~`.
        prop_assert!(!text.contains("~ ") && !text.contains("~("), "{text}");
        Ok(())
    });
}
