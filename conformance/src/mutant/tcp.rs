//! Meshes that take TCPRoutes for something else.

use std::collections::BTreeSet;

use mesh::model::{Kind, RoutePorts};

use super::{
    Mutant,
    known::{keep_old, tcp_routes},
};

/// The mutants of TCPRoute.
pub(super) const MUTANTS: &[Mutant] = &[
    Mutant::believing("tcp-ports-ignored", "A TCPRoute opens every port.", |known, _| {
        tcp_routes(known).for_each(|route| route.ports = RoutePorts::All);
    }),
    Mutant::believing("tcp-empty-ports-nothing", "A TCPRoute without ports opens none.", |known, _| {
        tcp_routes(known).for_each(|route| {
            if route.ports == RoutePorts::All {
                route.ports = RoutePorts::Only(BTreeSet::new());
            }
        });
    }),
    Mutant::believing("tcp-first-port-only", "Of several ports of a TCPRoute the lowest is opened.", |known, _| {
        tcp_routes(known).for_each(|route| {
            if let RoutePorts::Only(ports) = &mut route.ports {
                *ports = ports.first().copied().into_iter().collect();
            }
        });
    }),
    Mutant::believing("tcp-stale-update", "Edits of a TCPRoute are ignored.", |known, past| {
        keep_old(known, past, Kind::TcpRoute);
    }),
];
