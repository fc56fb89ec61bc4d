//! The kinds of OSM: names, versions, limits and rules.
//!
//! Limits exist for the API server: it refuses a rule whose cost it cannot bound. They lie far above what is in use.

use super::{
    kinds::{Kind, Version, version},
    rule::{
        Demand::{self, Holds, Items, Length},
        Rule, rule,
    },
};
use crate::api::{
    egress, extension_service, ingress_backend, mesh_config, mesh_root_certificate, retry, telemetry,
    upstream_traffic_setting,
};

const CONFIG: &str = "config.openservicemesh.io";
const POLICY: &str = "policy.openservicemesh.io";

/// A kind of OSM: one version, and a status that OSM's own tools may read.
const fn osm(
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    versions: &'static [Version],
    rules: &'static [Rule],
) -> Kind {
    Kind { group, kind, plural, short, versions, rules, open_status: true }
}

/// One line each.
#[rustfmt::skip]
pub(super) const KINDS: &[Kind] = &[
    osm(CONFIG, "MeshConfig", "meshconfigs", &["meshconfig"], &[version::<mesh_config::MeshConfig>("v1alpha2")], MESH_CONFIG),
    osm(CONFIG, "MeshRootCertificate", "meshrootcertificates", &["mrc"], &[version::<mesh_root_certificate::MeshRootCertificate>("v1alpha2")], MESH_ROOT_CERTIFICATE),
    osm(CONFIG, "ExtensionService", "extensionservices", &["extsvc"], &[version::<extension_service::ExtensionService>("v1alpha2")], EXTENSION_SERVICE),
    osm(POLICY, "Egress", "egresses", &["egress"], &[version::<egress::v1alpha1::Egress>("v1alpha1")], EGRESS),
    osm(POLICY, "IngressBackend", "ingressbackends", &["ingressbackend"], &[version::<ingress_backend::v1alpha1::IngressBackend>("v1alpha1")], INGRESS_BACKEND),
    osm(POLICY, "Retry", "retries", &["retry"], &[version::<retry::Retry>("v1alpha1")], RETRY),
    osm(POLICY, "UpstreamTrafficSetting", "upstreamtrafficsettings", &["upstreamtrafficsetting"], &[version::<upstream_traffic_setting::UpstreamTrafficSetting>("v1alpha1")], UPSTREAM),
    osm(POLICY, "Telemetry", "telemetries", &["telemetry"], &[version::<telemetry::Telemetry>("v1alpha1")], &[]),
];

const MESH_CONFIG: &[Rule] = &[
    rule(
        "spec.sidecar",
        Holds(
            "(has(self.tlsMinProtocolVersion) && self.tlsMinProtocolVersion != 'TLS_AUTO' ? self.tlsMinProtocolVersion : 'TLSv1_2') \
             <= (has(self.tlsMaxProtocolVersion) && self.tlsMaxProtocolVersion != 'TLS_AUTO' ? self.tlsMaxProtocolVersion : 'TLSv1_3')",
            "tlsMinProtocolVersion is newer than tlsMaxProtocolVersion (TLSv1_2 and TLSv1_3 if omitted): no connection could be made",
        ),
    ),
    rule(
        "spec.certificate.ingressGateway",
        Holds("size(self.subjectAltNames) > 0", "subjectAltNames names nobody: give one name at least"),
    ),
    rule(
        "spec.observability.tracing",
        Holds(
            "!has(self.samplingPercent) || (self.samplingPercent >= 0.0 && self.samplingPercent <= 100.0)",
            "samplingPercent is a share of requests: write a number from 0 to 100",
        ),
    ),
    rule("spec.certificate.ingressGateway.subjectAltNames", Items(16)),
];

const MESH_ROOT_CERTIFICATE: &[Rule] = &[
    rule("spec.trustDomain", Length(253)),
    rule(
        "spec",
        Holds(
            "(has(self.trustDomain) ? self.trustDomain : 'cluster.local') == (has(oldSelf.trustDomain) ? oldSelf.trustDomain : 'cluster.local')",
            "trustDomain cannot change once certificates were issued with it: create another MeshRootCertificate, and rotate to it",
        ),
    ),
    rule(
        "spec",
        Holds(
            "!((has(oldSelf.role) ? oldSelf.role : 'active') == 'active' && has(self.role) && self.role == 'inactive')",
            "from active to inactive workloads would meet certificates that they do not trust: set passive first, and wait",
        ),
    ),
    rule(
        "spec",
        Holds(
            "!(has(oldSelf.role) && oldSelf.role == 'inactive' && (has(self.role) ? self.role : 'active') == 'active')",
            "from inactive to active workloads would meet certificates that they do not trust: set passive first, and wait",
        ),
    ),
];

const EXTENSION_SERVICE: &[Rule] = &[rule("spec.host", Length(253))];

const EGRESS: &[Rule] = &[
    rule("spec.sources", Items(1024)),
    rule("spec.hosts", Items(256)),
    rule("spec.ipAddresses", Items(256)),
    rule("spec.ports", Items(256)),
    rule("spec.matches", Items(64)),
    rule("spec.matches[].kind", Length(63)),
    rule(
        "spec.matches",
        Holds(
            "self.filter(m, m.kind == 'UpstreamTrafficSetting').size() <= 1",
            "a second UpstreamTrafficSetting: connections can only have the settings of one; take one out",
        ),
    ),
];

const INGRESS_BACKEND: &[Rule] = &[
    rule("spec.backends", Items(64)),
    rule("spec.backends[].name", Length(253)),
    rule("spec.backends[].tls.sniHosts", Items(64)),
    rule("spec.sources", Items(256)),
    rule("spec.matches", Items(64)),
    rule(
        "spec.backends",
        Holds(
            "self.all(b, self.exists_one(c, c.name == b.name && c.port.number == b.port.number))",
            "a port of a service is named more than once: keep one entry",
        ),
    ),
];

const RETRY: &[Rule] = &[
    rule("spec.source.kind", Length(63)),
    rule("spec.destinations", Items(256)),
    rule("spec.destinations[].kind", Length(63)),
    rule("spec.source", Holds("self.kind == 'ServiceAccount'", "only a ServiceAccount can be the source")),
    rule("spec.destinations", Holds("self.all(d, d.kind == 'Service')", "only Services can be destinations")),
];

const ONE_ENTRY: Demand = Holds(
    "[has(self.genericKey), has(self.remoteAddress), has(self.requestHeader), has(self.headerValueMatch)].exists_one(given, given)",
    "an entry is exactly one of genericKey, remoteAddress, requestHeader and headerValueMatch",
);

const UPSTREAM: &[Rule] = &[
    rule("spec.host", Length(253)),
    rule("spec.httpRoutes", Items(64)),
    rule("spec.httpRoutes[].path", Length(2048)),
    rule("spec.httpRoutes[].rateLimit.global.descriptors", Items(16)),
    rule("spec.httpRoutes[].rateLimit.global.descriptors[].entries", Items(16)),
    rule("spec.httpRoutes[].rateLimit.global.descriptors[].entries[]", ONE_ENTRY),
    rule("spec.rateLimit.global.http.descriptors", Items(16)),
    rule("spec.rateLimit.global.http.descriptors[].entries", Items(16)),
    rule("spec.rateLimit.global.http.descriptors[].entries[]", ONE_ENTRY),
    rule("spec.rateLimit.global.tcp.descriptors", Items(16)),
    rule("spec.rateLimit.global.tcp.descriptors[].entries", Items(16)),
    rule(
        "spec.httpRoutes",
        Holds(
            "self.all(r, self.exists_one(q, q.path == r.path))",
            "a path has two entries: keep one, with all of its limits",
        ),
    ),
];
