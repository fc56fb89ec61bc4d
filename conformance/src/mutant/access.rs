//! Meshes that let the wrong ones in.

mod subjects;

use mesh::model::Kind;

use super::{
    Mutant,
    known::{keep_holding, keep_old, take, targets},
    sidecar,
};

/// The mutants of TrafficTarget, and of identity.
pub(super) const MUTANTS: &[Mutant] = &[
    Mutant::believing("access-allow-all", "Everybody in the mesh may call everybody.", |known, _| {
        known.settings.permissive = true;
    }),
    Mutant::believing("access-deny-all", "Nobody may call anybody.", |known, _| {
        known.settings.permissive = false;
        take(known, Kind::TrafficTarget);
    }),
    Mutant::believing("access-by-namespace", "A source stands for every account of its namespace.", |known, _| {
        subjects::by_namespace(known);
    }),
    Mutant::believing(
        "access-by-name",
        "A source stands for the accounts of its name in every namespace.",
        |known, _| {
            subjects::by_name(known);
        },
    ),
    Mutant::delivering("access-plaintext", "Whoever comes without TLS is let in, to everything.", sidecar::plaintext),
    Mutant::believing(
        "access-any-destination",
        "A target opens every pod of its namespace, whatever its account.",
        |known, _| {
            subjects::any_destination(known);
        },
    ),
    Mutant::believing(
        "access-whole-service",
        "A target opens every pod behind the services of its account, whatever the pod's account.",
        |known, _| {
            subjects::whole_service(known);
        },
    ),
    Mutant::believing(
        "access-first-target-only",
        "Of several targets for one destination the first that was written holds.",
        |known, _| {
            subjects::one_target_only(known, false);
        },
    ),
    Mutant::believing("access-first-source-only", "Of several sources of a target the first holds.", |known, _| {
        targets(known).for_each(|target| target.sources.truncate(1));
    }),
    Mutant::believing("access-first-rule-only", "Of several rules of a target the first holds.", |known, _| {
        targets(known).for_each(|target| target.rules.truncate(1));
    }),
    Mutant::believing("access-stale-update", "Edits of a target are ignored.", |known, past| {
        keep_old(known, past, Kind::TrafficTarget);
    }),
    Mutant::believing("access-stale-delete", "A deleted target still holds.", |known, past| {
        keep_holding(known, past, Kind::TrafficTarget);
    }),
    Mutant::believing(
        "access-foreign-target",
        "A target holds for the accounts of its destination's name in every other namespace, too.",
        |known, _| {
            subjects::foreign_target(known);
        },
    ),
    Mutant::believing(
        "access-incomplete-allows",
        "A target without sources allows everybody, one without rules everything.",
        |known, _| {
            subjects::incomplete_allows(known);
        },
    ),
    Mutant::believing(
        "access-missing-route-allows",
        "A rule that names a route that does not exist allows everything.",
        |known, _| {
            subjects::missing_route_allows(known);
        },
    ),
    Mutant::delivering(
        "access-client-side-only",
        "The caller's sidecar alone decides; the server's takes whatever comes from inside of the mesh.",
        sidecar::client_side_only,
    ),
    Mutant::believing(
        "access-first-service-only",
        "Of several services over the pods of an account the first by name can be called.",
        |known, _| {
            subjects::first_service_only(known);
        },
    ),
    Mutant::believing(
        "access-last-writer-wins",
        "Of several targets for one destination the last that was written holds.",
        |known, _| {
            subjects::one_target_only(known, true);
        },
    ),
];
