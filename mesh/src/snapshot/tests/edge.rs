//! What Envoy must find in snapshots with Egress and IngressBackend objects, however they meet.

use envoy_types::pb::envoy::config::listener::v3::{FilterChainMatch, Listener};
use proptest::{collection::vec, prelude::*};

use super::{Checked, chains, distinct, name, objects, routes, weights};
use crate::{
    model::Settings,
    policy::egress::PASSTHROUGH,
    snapshot::build,
    testing::{
        cases,
        decoded::{Decoded, Step, decode, steps},
        strategy::{
            self,
            edge::{egress, ingress},
        },
    },
    world::{Change, Object, World},
};

fn for_every_snapshot(check: impl Fn(&World, &Decoded) -> Checked) {
    let edges = (vec(egress(), 0..4), vec(ingress(), 0..4), any::<bool>());
    proptest!(cases(64), |(changes in strategy::world(), (outs, ins, open) in edges)| {
        let mut world = super::world(changes);
        world.apply(Change::Settings(Settings { egress: open, ..world.settings().clone() }));
        outs.into_iter().for_each(|e| drop(world.apply(Change::Put(Object::Egress(e)))));
        ins.into_iter().for_each(|i| drop(world.apply(Change::Put(Object::IngressBackend(i)))));
        for pod in world.workloads() {
            let snapshot = build(&world, &pod.name);
            prop_assert_eq!(&snapshot, &build(&world, &pod.name));
            check(&world, &decode(&snapshot))?;
        }
    });
}

/// All connections that the chains want, one by one: Envoy refuses a listener in which two want the same.
fn wanted(listener: &Listener) -> Vec<String> {
    let texts = |texts: &[String]| if texts.is_empty() { vec![String::new()] } else { texts.to_vec() };
    let each = |m: &FilterChainMatch| {
        let ranges: Vec<_> = m.prefix_ranges.iter().map(|r| format!("{r:?}")).collect();
        let sources: Vec<_> = m.source_prefix_ranges.iter().map(|r| format!("{r:?}")).collect();
        let mut all = Vec::new();
        for range in texts(&ranges) {
            for name in texts(&m.server_names) {
                for alpn in texts(&m.application_protocols) {
                    for source in texts(&sources) {
                        all.push(format!(
                            "{:?} {range} {name} {} {alpn} {source}",
                            m.destination_port, m.transport_protocol
                        ));
                    }
                }
            }
        }
        all
    };
    listener.filter_chains.iter().filter_map(|c| c.filter_chain_match.as_ref()).flat_map(each).collect()
}

#[test]
fn no_two_chains_want_the_same_connection() {
    for_every_snapshot(|_, snapshot| {
        for listener in snapshot.listeners.values() {
            distinct(wanted(listener))?;
            distinct(listener.filter_chains.iter().map(|c| &c.name))?;
        }
        Ok(())
    });
}

#[test]
fn everything_that_is_referred_to_is_there_and_tells_its_cause() {
    for_every_snapshot(|_, snapshot| {
        let known = |cluster: &str| cluster == name::NO_BACKEND || snapshot.clusters.contains_key(cluster);
        for chain in chains(snapshot) {
            for step in steps(chain) {
                match step {
                    Step::Http(routes, _) => prop_assert!(snapshot.routes.contains_key(&routes), "{routes}"),
                    Step::Tcp(shares) => prop_assert!(shares.iter().all(|(c, _)| known(c)), "{shares:?}"),
                    Step::Rbac(_) => {}
                }
            }
            let caused = !objects(chain.metadata.as_ref()).is_empty();
            prop_assert!(caused || chain.name == name::DEFAULT_DENY, "{}", chain.name);
        }
        for config in snapshot.routes.values() {
            distinct(config.virtual_hosts.iter().flat_map(|h| &h.domains).map(|d| d.to_lowercase()))?;
            for route in routes(config) {
                prop_assert!(weights(route).iter().all(|(c, _)| known(c)));
                prop_assert!(!objects(route.metadata.as_ref()).is_empty(), "{}", config.name);
            }
        }
        prop_assert!(snapshot.clusters.values().all(|c| !objects(c.metadata.as_ref()).is_empty()));
        Ok(())
    });
}

#[test]
fn nothing_passes_through_unless_global_egress_is_on() {
    for_every_snapshot(|world, snapshot| {
        prop_assert_eq!(snapshot.clusters.contains_key(PASSTHROUGH), world.settings().egress);
        let denied = chains(snapshot).any(|c| c.name == name::DEFAULT_DENY);
        prop_assert_eq!(denied, !world.settings().egress);
        Ok(())
    });
}
