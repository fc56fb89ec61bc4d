//! Meshes that take HTTPRouteGroups for something else.

mod groups;
mod matches;

use mesh::model::{Kind, Methods};

use super::{
    Mutant,
    known::{keep_gone, keep_old, targets},
};

/// The mutants of HTTPRouteGroup.
pub(super) const MUTANTS: &[Mutant] = &[
    Mutant::believing("route-path-ignored", "The path of a match is ignored.", |known, _| {
        matches::each(known, |m| m.path = None);
    }),
    Mutant::believing("route-methods-ignored", "The methods of a match are ignored.", |known, _| {
        matches::each(known, |m| m.methods = Methods::Any);
    }),
    Mutant::believing("route-headers-ignored", "The headers of a match are ignored.", |known, _| {
        matches::each(known, |m| m.headers.clear());
    }),
    Mutant::believing("route-path-literal", "The expression for a path is taken for the path itself.", |known, _| {
        matches::each_path(known, regex::escape);
    }),
    Mutant::believing("route-path-unanchored", "The expression for a path may match any part of it.", |known, _| {
        matches::each_path(known, |path| format!(".*(?:{path}).*"));
    }),
    Mutant::believing("route-path-caseless", "Paths are matched without regard to case.", |known, _| {
        matches::each_path(known, |path| format!("(?i:{path})"));
    }),
    Mutant::believing("route-header-literal", "The expression for a header is taken for its value.", |known, _| {
        matches::each(known, |m| m.headers.values_mut().for_each(|value| *value = regex::escape(value).into()));
    }),
    Mutant::believing("route-headers-or", "Of several headers of a match one suffices.", |known, _| {
        matches::divide(known, matches::by_header);
    }),
    Mutant::believing("route-matches-and", "Of several matches of a rule every one must hold.", |known, _| {
        groups::matches_and(known);
    }),
    Mutant::believing("route-first-match-only", "Of several matches of a group the first holds.", |known, _| {
        super::known::groups(known).for_each(|group| group.matches.truncate(1));
    }),
    Mutant::believing("route-method-or-path", "Of method and path of a match one suffices.", |known, _| {
        matches::divide(known, matches::by_method_and_path);
    }),
    Mutant::believing(
        "route-match-names-ignored",
        "A rule that names matches of a group allows all of the group's.",
        |known, _| {
            targets(known).flat_map(|target| &mut target.rules).for_each(|rule| rule.matches.clear());
        },
    ),
    Mutant::believing(
        "route-omitted-matches-nothing",
        "A rule that names no matches of its group allows nothing.",
        |known, _| {
            groups::omitted_matches_nothing(known);
        },
    ),
    Mutant::believing("route-stale-update", "Edits of a route group are ignored.", |known, past| {
        keep_old(known, past, Kind::HttpRouteGroup);
    }),
    Mutant::believing("route-stale-delete", "A deleted route group still holds.", |known, past| {
        keep_gone(known, past, Kind::HttpRouteGroup);
    }),
    Mutant::believing(
        "route-foreign-namespace",
        "Groups of one name in all namespaces are taken for one.",
        |known, _| {
            groups::foreign_namespace(known);
        },
    ),
    Mutant::believing(
        "route-invalid-allows",
        "An expression for a path that is invalid matches any path.",
        |known, _| {
            matches::invalid_allows(known);
        },
    ),
    Mutant::reading("route-star-literal", "The method `*` is one that nobody sends, no wildcard.", |manifest| {
        groups::star_literal(manifest)
    }),
    Mutant::believing(
        "route-unreferenced-applies",
        "A route group that nobody refers to lets everybody send what it describes to its namespace.",
        |known, _| {
            groups::unreferenced_applies(known);
        },
    ),
];
