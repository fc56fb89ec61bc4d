//! The kinds of SMI: names, versions, limits and rules.
//!
//! Limits exist for the API server: it refuses a rule whose cost it cannot bound. They lie far above what is in use.

use super::{
    kinds::{Kind, Version, version},
    rule::{
        Demand::{self, Holds, Items, Length},
        Rule, rule, rule_in,
    },
};
use crate::api::{route_group, stream_route, traffic_split, traffic_target};

const fn smi(
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    versions: &'static [Version],
    rules: &'static [Rule],
) -> Kind {
    Kind { group, kind, plural, short, versions, rules, open_status: false }
}

/// One line each.
#[rustfmt::skip]
pub(super) const KINDS: &[Kind] = &[
    smi("access.smi-spec.io", "TrafficTarget", "traffictargets", &["tt"], TARGETS, TARGET),
    smi("specs.smi-spec.io", "HTTPRouteGroup", "httproutegroups", &["htr"], GROUPS, GROUP),
    smi("specs.smi-spec.io", "TCPRoute", "tcproutes", &["tr"], TCP_ROUTES, TCP_ROUTE),
    smi("specs.smi-spec.io", "UDPRoute", "udproutes", &["ur"], &[version::<stream_route::v1alpha4::UdpRoute>("v1alpha4")], ROUTE),
    smi("split.smi-spec.io", "TrafficSplit", "trafficsplits", &["ts"], SPLITS, SPLIT),
];

const TARGETS: &[Version] = &[
    version::<traffic_target::v1alpha1::TrafficTarget>("v1alpha1"),
    version::<traffic_target::v1alpha2::TrafficTarget>("v1alpha2"),
    version::<traffic_target::v1alpha3::TrafficTarget>("v1alpha3"),
];

const GROUPS: &[Version] = &[
    version::<route_group::v1alpha1::HttpRouteGroup>("v1alpha1"),
    version::<route_group::v1alpha2::HttpRouteGroup>("v1alpha2"),
    version::<route_group::v1alpha3::HttpRouteGroup>("v1alpha3"),
    version::<route_group::v1alpha4::HttpRouteGroup>("v1alpha4"),
];

const TCP_ROUTES: &[Version] = &[
    version::<stream_route::v1alpha1::TcpRoute>("v1alpha1"),
    version::<stream_route::v1alpha2::TcpRoute>("v1alpha2"),
    version::<stream_route::v1alpha3::TcpRoute>("v1alpha3"),
    version::<stream_route::v1alpha4::TcpRoute>("v1alpha4"),
];

const SPLITS: &[Version] = &[
    version::<traffic_split::v1alpha1::TrafficSplit>("v1alpha1"),
    version::<traffic_split::v1alpha2::TrafficSplit>("v1alpha2"),
    version::<traffic_split::v1alpha3::TrafficSplit>("v1alpha3"),
    version::<traffic_split::v1alpha4::TrafficSplit>("v1alpha4"),
];

const UNDER_SPEC: &[&str] = &["v1alpha2", "v1alpha3"];
const TOP: &[&str] = &["v1alpha1"];

const TARGET: &[Rule] = &[
    rule_in(TOP, "sources", Items(1024)),
    rule_in(TOP, "specs", Items(256)),
    rule_in(TOP, "specs[].matches", Items(256)),
    rule_in(UNDER_SPEC, "spec.sources", Items(1024)),
    rule_in(UNDER_SPEC, "spec.rules", Items(256)),
    rule_in(UNDER_SPEC, "spec.rules[].matches", Items(256)),
];

const GROUPED: &[&str] = &["v1alpha3", "v1alpha4"];
const UNGROUPED: &[&str] = &["v1alpha1", "v1alpha2"];
const NAMED_ONCE: Demand = Holds(
    "self.all(m, self.exists_one(n, n.name == m.name))",
    "two matches have one name; a rule that names it would mean both: give each a name of its own",
);

const GROUP: &[Rule] = &[
    rule_in(UNGROUPED, "matches", Items(128)),
    rule_in(UNGROUPED, "matches[].name", Length(253)),
    rule_in(UNGROUPED, "matches[].pathRegex", Length(2048)),
    rule_in(UNGROUPED, "matches[].methods", Items(16)),
    rule_in(UNGROUPED, "matches", NAMED_ONCE),
    rule_in(GROUPED, "spec.matches", Items(128)),
    rule_in(GROUPED, "spec.matches[].name", Length(253)),
    rule_in(GROUPED, "spec.matches[].pathRegex", Length(2048)),
    rule_in(GROUPED, "spec.matches[].methods", Items(16)),
    rule_in(GROUPED, "spec.matches", NAMED_ONCE),
];

/// Absent ports would have to open all of them or none; neither may go unsaid.
const SPEC_IS_GIVEN: Demand =
    Holds("has(self.spec)", "spec.matches.ports is missing; for every port of the service write `ports: []`");

const TCP_ROUTE: &[Rule] =
    &[rule_in(&["v1alpha4"], "spec.matches.ports", Items(1024)), rule_in(&["v1alpha4"], "", SPEC_IS_GIVEN)];

const ROUTE: &[Rule] = &[rule("spec.matches.ports", Items(1024)), rule("", SPEC_IS_GIVEN)];

const WHOLE: &[&str] = &["v1alpha2", "v1alpha3", "v1alpha4"];

const SPLIT: &[Rule] = &[
    rule("spec.service", Length(253)),
    rule("spec.backends", Items(64)),
    rule("spec.backends[].service", Length(253)),
    rule_in(GROUPED, "spec.matches", Items(64)),
    rule(
        "spec",
        Holds(
            "self.backends.all(b, b.service != self.service)",
            "the root is among its own backends: give its pods a Service of their own, and name that as the backend",
        ),
    ),
    rule(
        "spec.backends",
        Holds(
            "self.all(b, self.exists_one(c, c.service == b.service))",
            "a backend is named more than once: keep one entry, with the sum of the weights",
        ),
    ),
    rule_in(
        WHOLE,
        "spec.backends",
        Holds(
            "self.exists(b, b.weight > 0)",
            "no backend has a weight above zero, so every request would fail: give one a weight",
        ),
    ),
];
