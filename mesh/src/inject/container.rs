//! What a pod gets: the init container that sets the rules, Envoy, and the volume with the token.

use serde_json::{Value, json};

use super::{
    METRICS_PORT, PROBE_PORT, PROXY_UID, bootstrap::READY_PATH, document, iptables::Rules, origin::Origin,
    settings::Settings,
};
use crate::snapshot::{INBOUND_PORT, metrics};

/// Name of the Envoy container.
pub const ENVOY: &str = "envoy";
/// Name of the init container that sets the rules.
pub const INIT: &str = "osm-init";
/// Name of the volume with the token.
pub const VOLUME: &str = "osm-identity";
/// Audience of the token: it proves the pod's identity to the control plane and to nobody else.
pub const AUDIENCE: &str = "osm";
/// Where the Envoy container finds the token.
pub const TOKEN_FILE: &str = "/var/run/secrets/openservicemesh.io/identity/token";
/// Annotation of injected pods: the mesh that did it. For people and selectors; nothing depends on it.
pub const MARKER: &str = "openservicemesh.io/injected-by";
/// Variable of the Envoy container with what injection replaced in the pod.
pub const ORIGIN_VARIABLE: &str = "OSM_ORIGIN";

const TOKEN_DIRECTORY: &str = "/var/run/secrets/openservicemesh.io/identity";
/// The kubelet renews the token when a fifth of this, in seconds, is left. Envoy reads it for every stream.
const TOKEN_VALIDITY: u32 = 3600;
/// Worker threads of Envoy where no CPU limit tells better. Its own choice is one for each CPU of the node.
const WORKERS: u64 = 2;

/// The volume: a token bound to the pod, which the kubelet keeps fresh.
pub(super) fn volume() -> Value {
    json!({
        "name": VOLUME,
        "projected": { "sources": [{
            "serviceAccountToken": { "audience": AUDIENCE, "expirationSeconds": TOKEN_VALIDITY, "path": "token" },
        }] },
    })
}

/// The container that sets the rules.
pub(super) fn init(settings: &Settings, rules: &Rules<'_>) -> Value {
    json!({
        "name": INIT,
        "image": settings.installation.init_image,
        "imagePullPolicy": settings.installation.pull_policy,
        "command": ["/bin/sh", "-c", rules.script()],
        "env": [field("POD_IPS", "status.podIPs")],
        "resources": {},
        "securityContext": {
            "privileged": settings.privileged_init,
            // Kubernetes refuses a privileged container that must not gain privileges.
            "allowPrivilegeEscalation": settings.privileged_init,
            "capabilities": { "add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"] },
            "runAsUser": 0,
            "runAsGroup": 0,
            "runAsNonRoot": false,
        },
    })
}

/// The Envoy container: a native sidecar where the cluster has them.
///
/// A classic sidecar is second best. It never ends, so a Job never completes; applications start beside it and must try again
/// what fails before it is ready; and it stops when they stop, not after them.
pub(super) fn envoy(settings: &Settings, bootstrap: &str, metrics: bool, origin: &Origin) -> Value {
    let mut ports = vec![port("proxy-inbound", INBOUND_PORT)];
    if metrics {
        ports.push(port("proxy-metrics", METRICS_PORT));
    }
    let mut container = json!({
        "name": ENVOY,
        "image": settings.installation.envoy_image,
        "imagePullPolicy": settings.installation.pull_policy,
        "command": ["envoy"],
        "args": arguments(settings, bootstrap),
        "ports": ports,
        "env": [
            // Also read by Envoy itself, as a label of its request statistics.
            field(metrics::POD_NAME, "metadata.name"),
            field("POD_NAMESPACE", "metadata.namespace"),
            field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
            { "name": ORIGIN_VARIABLE, "value": document::without_dollar(&json!(origin)) },
        ],
        "resources": { "limits": settings.resources.limits, "requests": settings.resources.requests },
        "volumeMounts": [{ "name": VOLUME, "mountPath": TOKEN_DIRECTORY, "readOnly": true }],
        "securityContext": {
            "privileged": false,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
            "runAsUser": PROXY_UID,
            "runAsGroup": PROXY_UID,
            "runAsNonRoot": true,
        },
    });
    if settings.installation.native_sidecar {
        container["restartPolicy"] = "Always".into();
        // Containers after this one start once Envoy has its configuration. The kubelet restarts it after ten minutes without.
        container["startupProbe"] = ready(600);
    } else {
        // Nothing holds the other containers back, but the pod gets no requests before Envoy has its configuration.
        container["readinessProbe"] = ready(3);
    }
    container
}

/// Kubernetes replaces the references to variables; the node's id is then `<namespace>/<pod>`.
///
/// Filter chains that are replaced, for example because a permission was withdrawn, are left at once: HTTP clients are asked to
/// go with the next answer. Envoy's default asks more and more of them over ten minutes. After a minute what is left is cut.
fn arguments(settings: &Settings, bootstrap: &str) -> Value {
    let workers = workers(settings).to_string();
    json!([
        "--log-level",
        settings.log_level.as_str(),
        "--service-node",
        "$(POD_NAMESPACE)/$(POD_NAME)",
        "--service-cluster",
        "$(SERVICE_ACCOUNT).$(POD_NAMESPACE)",
        "--concurrency",
        workers,
        "--disable-hot-restart",
        "--drain-time-s",
        "60",
        "--drain-strategy",
        "immediate",
        "--config-yaml",
        bootstrap,
    ])
}

fn ready(failures: u32) -> Value {
    json!({
        "httpGet": { "path": READY_PATH, "port": PROBE_PORT },
        "periodSeconds": 1,
        "timeoutSeconds": 1,
        "failureThreshold": failures,
    })
}

fn field(name: &str, path: &str) -> Value {
    json!({ "name": name, "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": path } } })
}

fn port(name: &str, port: u16) -> Value {
    json!({ "name": name, "containerPort": port, "protocol": "TCP" })
}

/// One for each CPU that the container may use.
fn workers(settings: &Settings) -> u64 {
    let limit = settings.resources.limits.get("cpu").and_then(|cpu| match cpu.strip_suffix('m') {
        Some(thousandths) => Some(thousandths.parse::<u64>().ok()?.div_ceil(1000)),
        None => cpu.parse().ok(),
    });
    limit.unwrap_or(WORKERS).max(1)
}

/// The limit of memory in bytes, if it is a whole number with a common suffix.
pub(super) fn memory(settings: &Settings) -> Option<u64> {
    let limit = settings.resources.limits.get("memory")?;
    let number = limit.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale: u64 = match &limit[number.len()..] {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(scale).filter(|bytes| *bytes > 0)
}

/// Ours over what is there: what others added (resources by a LimitRange, mounts) stays where we say nothing.
pub(super) fn over(before: Option<Value>, ours: Value) -> Value {
    let (Some(Value::Object(mut merged)), Value::Object(ours)) = (before, ours.clone()) else { return ours };
    for (key, value) in ours {
        match key.as_str() {
            "resources" if is_empty(&value) => drop(merged.entry(key).or_insert(value)),
            "volumeMounts" => {
                let others = merged.remove(&key).and_then(|mounts| mounts.as_array().cloned()).unwrap_or_default();
                let others = others.into_iter().filter(|mount| document::name(mount) != VOLUME);
                let all = value.as_array().cloned().unwrap_or_default().into_iter().chain(others).collect();
                merged.insert(key, Value::Array(all));
            }
            _ => drop(merged.insert(key, value)),
        }
    }
    Value::Object(merged)
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(|object| object.values().all(is_empty))
}
