//! What is watched, and where the API server has it.

use kube::core::{ApiResource, GroupVersionKind};

use crate::model::Kind;

/// One kind of custom resource: where it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// API group.
    pub group: &'static str,
    /// Versions that can be read, the preferred one first.
    pub versions: &'static [&'static str],
    /// The name in paths.
    pub plural: &'static str,
}

/// The kinds whose objects are the world, besides namespaces and the MeshConfig.
pub const KINDS: [Kind; 14] = [
    Kind::Service,
    Kind::Pod,
    Kind::EndpointSlice,
    Kind::TrafficTarget,
    Kind::HttpRouteGroup,
    Kind::TcpRoute,
    Kind::UdpRoute,
    Kind::TrafficSplit,
    Kind::Egress,
    Kind::IngressBackend,
    Kind::Retry,
    Kind::UpstreamTrafficSetting,
    Kind::Telemetry,
    Kind::ExtensionService,
];

/// Where a kind is served.
pub fn served(kind: Kind) -> Served {
    let at = |group, versions, plural| Served { group, versions, plural };
    let specs = |plural| at("specs.smi-spec.io", &["v1alpha4", "v1alpha3", "v1alpha2", "v1alpha1"], plural);
    let policy = |plural| at("policy.openservicemesh.io", &["v1alpha1"], plural);
    match kind {
        Kind::Service => at("", &["v1"], "services"),
        Kind::Pod => at("", &["v1"], "pods"),
        Kind::EndpointSlice => at("discovery.k8s.io", &["v1"], "endpointslices"),
        Kind::TrafficTarget => at("access.smi-spec.io", &["v1alpha3", "v1alpha2", "v1alpha1"], "traffictargets"),
        Kind::HttpRouteGroup => specs("httproutegroups"),
        Kind::TcpRoute => specs("tcproutes"),
        Kind::UdpRoute => at("specs.smi-spec.io", &["v1alpha4"], "udproutes"),
        Kind::TrafficSplit => {
            at("split.smi-spec.io", &["v1alpha4", "v1alpha3", "v1alpha2", "v1alpha1"], "trafficsplits")
        }
        Kind::Egress => policy("egresses"),
        Kind::IngressBackend => policy("ingressbackends"),
        Kind::Retry => policy("retries"),
        Kind::UpstreamTrafficSetting => policy("upstreamtrafficsettings"),
        Kind::Telemetry => policy("telemetries"),
        Kind::ExtensionService => at("config.openservicemesh.io", &["v1alpha2"], "extensionservices"),
        Kind::MeshConfig => at("config.openservicemesh.io", &["v1alpha2"], "meshconfigs"),
        Kind::MeshRootCertificate => at("config.openservicemesh.io", &["v1alpha2"], "meshrootcertificates"),
    }
}

/// What kube needs to address a kind in one of its versions.
pub fn resource(kind: Kind, version: &str) -> ApiResource {
    let served = served(kind);
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(served.group, version, kind.as_str()), served.plural)
}
