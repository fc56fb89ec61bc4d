//! What the API server must know to ask: the ValidatingWebhookConfiguration.

use serde_json::{Value, json};

use crate::api::crd::WebhookClient;

/// Kinds of the namespaces of the mesh, as group and plural.
const POLICIES: [(&str, &[&str]); 4] = [
    ("access.smi-spec.io", &["traffictargets"]),
    ("specs.smi-spec.io", &["httproutegroups", "tcproutes", "udproutes"]),
    ("split.smi-spec.io", &["trafficsplits"]),
    (
        "policy.openservicemesh.io",
        &["egresses", "ingressbackends", "retries", "telemetries", "upstreamtrafficsettings"],
    ),
];

/// Kinds of the control plane's own namespace.
const CONTROL: [(&str, &[&str]); 2] = [
    ("config.openservicemesh.io", &["meshconfigs", "meshrootcertificates", "extensionservices"]),
    ("policy.openservicemesh.io", &["telemetries"]),
];

/// The name of the configuration for a mesh.
pub fn name(mesh: &str) -> String {
    format!("osm-validator-mesh-{mesh}")
}

/// The ValidatingWebhookConfiguration of `mesh`, whose control plane runs in `namespace`: one webhook for the namespaces of the
/// mesh, one for the control plane's. Every version is asked for as it was written.
///
/// Both fail closed: an object that nobody has looked at is not let in. Deletions are never asked about, so that a mesh can be
/// removed without its control plane.
pub fn configuration(mesh: &str, namespace: &str, client: &WebhookClient) -> Value {
    let of_the_mesh = json!({ "matchExpressions": [
        { "key": "openservicemesh.io/monitored-by", "operator": "In", "values": [mesh] },
        { "key": "openservicemesh.io/ignore", "operator": "DoesNotExist" },
        { "key": "control-plane", "operator": "DoesNotExist" },
        { "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [namespace] },
    ] });
    let own = json!({ "matchLabels": { "kubernetes.io/metadata.name": namespace } });
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": name(mesh), "labels": { "app.kubernetes.io/name": "openservicemesh.io" } },
        "webhooks": [
            webhook("osm-validator.k8s.io", &of_the_mesh, &POLICIES, client),
            webhook("osm-control-plane-validator.k8s.io", &own, &CONTROL, client),
        ],
    })
}

fn webhook(name: &str, namespaces: &Value, kinds: &[(&str, &[&str])], client: &WebhookClient) -> Value {
    let rule = |(group, resources): &(&str, &[&str])| {
        json!({
            "operations": ["CREATE", "UPDATE"],
            "apiGroups": [group],
            "apiVersions": ["*"],
            "resources": resources,
            "scope": "Namespaced",
        })
    };
    json!({
        "name": name,
        "clientConfig": client.config("/validate"),
        "namespaceSelector": namespaces,
        "rules": kinds.iter().map(rule).collect::<Vec<_>>(),
        "matchPolicy": "Exact",
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "timeoutSeconds": 5,
        "admissionReviewVersions": ["v1"],
    })
}
