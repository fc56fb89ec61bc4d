//! Which kinds and versions are read.

use super::{
    error::{Fault, quoted},
    suggest,
    tree::Node,
};

/// A shape that an object can have on the wire. Versions that share a shape share an entry, named after the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Served {
    TrafficTargetV1Alpha1,
    TrafficTargetV1Alpha2,
    TrafficTargetV1Alpha3,
    HttpRouteGroupV1Alpha1,
    HttpRouteGroupV1Alpha2,
    HttpRouteGroupV1Alpha3,
    TcpRouteV1Alpha1,
    TcpRouteV1Alpha3,
    TcpRouteV1Alpha4,
    UdpRouteV1Alpha4,
    TrafficSplitV1Alpha1,
    TrafficSplitV1Alpha2,
    TrafficSplitV1Alpha3,
    ServiceV1,
    MeshConfigV1Alpha2,
    EgressV1Alpha1,
    IngressBackendV1Alpha1,
    RetryV1Alpha1,
    UpstreamTrafficSettingV1Alpha1,
    TelemetryV1Alpha1,
    ExtensionServiceV1Alpha2,
    MeshRootCertificateV1Alpha2,
}

/// Every kind, with each `apiVersion` and its shape.
const KINDS: &[(&str, &[(&str, Served)])] = &[
    (
        "TrafficTarget",
        &[
            ("access.smi-spec.io/v1alpha1", Served::TrafficTargetV1Alpha1),
            ("access.smi-spec.io/v1alpha2", Served::TrafficTargetV1Alpha2),
            ("access.smi-spec.io/v1alpha3", Served::TrafficTargetV1Alpha3),
        ],
    ),
    (
        "HTTPRouteGroup",
        &[
            ("specs.smi-spec.io/v1alpha1", Served::HttpRouteGroupV1Alpha1),
            ("specs.smi-spec.io/v1alpha2", Served::HttpRouteGroupV1Alpha2),
            ("specs.smi-spec.io/v1alpha3", Served::HttpRouteGroupV1Alpha3),
            ("specs.smi-spec.io/v1alpha4", Served::HttpRouteGroupV1Alpha3),
        ],
    ),
    (
        "TCPRoute",
        &[
            ("specs.smi-spec.io/v1alpha1", Served::TcpRouteV1Alpha1),
            ("specs.smi-spec.io/v1alpha2", Served::TcpRouteV1Alpha1),
            ("specs.smi-spec.io/v1alpha3", Served::TcpRouteV1Alpha3),
            ("specs.smi-spec.io/v1alpha4", Served::TcpRouteV1Alpha4),
        ],
    ),
    ("UDPRoute", &[("specs.smi-spec.io/v1alpha4", Served::UdpRouteV1Alpha4)]),
    (
        "TrafficSplit",
        &[
            ("split.smi-spec.io/v1alpha1", Served::TrafficSplitV1Alpha1),
            ("split.smi-spec.io/v1alpha2", Served::TrafficSplitV1Alpha2),
            ("split.smi-spec.io/v1alpha3", Served::TrafficSplitV1Alpha3),
            ("split.smi-spec.io/v1alpha4", Served::TrafficSplitV1Alpha3),
        ],
    ),
    ("Service", &[("v1", Served::ServiceV1)]),
    ("MeshConfig", &[("config.openservicemesh.io/v1alpha2", Served::MeshConfigV1Alpha2)]),
    ("Egress", &[("policy.openservicemesh.io/v1alpha1", Served::EgressV1Alpha1)]),
    ("IngressBackend", &[("policy.openservicemesh.io/v1alpha1", Served::IngressBackendV1Alpha1)]),
    ("Retry", &[("policy.openservicemesh.io/v1alpha1", Served::RetryV1Alpha1)]),
    ("UpstreamTrafficSetting", &[("policy.openservicemesh.io/v1alpha1", Served::UpstreamTrafficSettingV1Alpha1)]),
    ("Telemetry", &[("policy.openservicemesh.io/v1alpha1", Served::TelemetryV1Alpha1)]),
    ("ExtensionService", &[("config.openservicemesh.io/v1alpha2", Served::ExtensionServiceV1Alpha2)]),
    ("MeshRootCertificate", &[("config.openservicemesh.io/v1alpha2", Served::MeshRootCertificateV1Alpha2)]),
];

/// The shape of an object, by its `kind` and `apiVersion`.
pub(super) fn version(node: &Node) -> Result<Served, Fault> {
    if !matches!(node.value, super::tree::Value::Map(_)) {
        return Err(Fault::new("", "expected an object: a mapping with `apiVersion`, `kind` and `metadata`"));
    }
    let (kind, api_version) = (text(node, "kind")?, text(node, "apiVersion")?);
    let Some((_, versions)) = KINDS.iter().find(|(known, _)| *known == kind) else {
        let known: Vec<_> = KINDS.iter().map(|(kind, _)| *kind).collect();
        let message = format!("{} is not a kind that the mesh reads; it reads {}", quoted(kind), suggest::list(&known));
        return Err(Fault::new("kind", message).maybe_hint(suggest::nearest(kind, &known)));
    };
    if let Some((_, served)) = versions.iter().find(|(known, _)| *known == api_version) {
        return Ok(*served);
    }
    let known: Vec<_> = versions.iter().map(|(version, _)| *version).collect();
    let message = format!("{kind} is served as {}, not as {}", suggest::list(&known), quoted(api_version));
    // Of equally near ones the newest.
    let newest_first: Vec<_> = known.into_iter().rev().collect();
    Err(Fault::new("apiVersion", message).maybe_hint(suggest::nearest(api_version, &newest_first)))
}

fn text<'n>(node: &'n Node, field: &str) -> Result<&'n str, Fault> {
    let value = node.get(field).ok_or_else(|| Fault::missing(field))?;
    value.text().ok_or_else(|| Fault::new(field, "expected text"))
}
