//! All of injection, as one JSON patch.

use std::collections::BTreeMap;

use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation, jsonptr::PointerBuf};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use serde::Deserialize as _;
use serde_json::Value;

use super::{
    ADMIN_PORT, METRICS_PORT, PROBE_PORT, PROXY_UID,
    bootstrap::Bootstrap,
    container::{self, ENVOY, INIT, MARKER, VOLUME},
    decision::{self, Namespace, Skip},
    document::{self, Place},
    exclusions,
    iptables::Rules,
    origin::{self, Bare, Origin},
    probes::{self, Probes},
    refusal::Refusal,
    settings::Settings,
};
use crate::snapshot::{INBOUND_PORT, OUTBOUND_PORT};

const SCRAPE: &str = "prometheus.io/scrape";
/// What `kubectl logs` and `kubectl exec` take where they are told no container.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";
/// All that injection changes.
const CHANGED: [[&str; 2]; 4] =
    [["metadata", "annotations"], ["spec", "volumes"], ["spec", "initContainers"], ["spec", "containers"]];

/// What happens to a pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It gets a sidecar.
    Inject(Injection),
    /// It stays as it is.
    Skip(Skip),
}

/// How a pod gets its sidecar.
#[derive(Clone, Debug, PartialEq)]
pub struct Injection {
    /// The changes (RFC 6902); none if the pod is as it should be already.
    pub patch: Patch,
    /// What its author should know.
    pub warnings: Vec<String>,
}

/// Decides about a pod in a namespace, and makes the patch. Has no side effect; equal pods get equal patches.
///
/// # Errors
/// The pod cannot be injected as demanded; the refusal tells its author what to change.
pub fn patch(pod: &Value, namespace: &Namespace, settings: &Settings) -> Result<Decision, Refusal> {
    if let Some(skip) = decision::decide(&read(pod)?, namespace, &settings.installation)? {
        return Ok(Decision::Skip(skip));
    }
    let bare = origin::strip(pod)?;
    let (after, warnings) = inject(bare, namespace, settings)?;
    Ok(Decision::Inject(Injection { patch: difference(pod, &after), warnings }))
}

fn read(pod: &Value) -> Result<Pod, Refusal> {
    Pod::deserialize(pod).map_err(|error| Refusal::Unreadable(error.to_string()))
}

fn inject(bare: Bare, namespace: &Namespace, settings: &Settings) -> Result<(Value, Vec<String>), Refusal> {
    let typed = read(&bare.pod)?;
    let annotations = typed.metadata.annotations.clone().unwrap_or_default();
    let interception = settings.interception.with_annotations(&annotations)?;
    let warnings = exclusions::unknown(&annotations);
    let scraped = decision::metrics(namespace)?;
    let metrics = scraped || annotations.get(SCRAPE).is_some_and(|value| value == "true");
    check_images(settings)?;

    let (mut pod, mut found) = (bare.pod, Origin::default());
    let probes = rewrite_probes(&mut pod, &mut found)?;
    let mut own_ports = vec![PROBE_PORT];
    own_ports.extend(metrics.then_some(METRICS_PORT));
    own_ports.extend(probes.grpc.iter().map(|probe| probe.listen));
    check_containers(&typed, &own_ports)?;

    annotate(&mut pod, &typed, scraped, settings, &mut found);
    let bootstrap = Bootstrap {
        control_plane: &settings.installation.control_plane,
        probes: &probes,
        metrics,
        ipv6: settings.installation.ipv6,
        memory: container::memory(settings),
    };
    let rules = Rules { interception: &interception, local_proxy: settings.local_proxy, own_ports: &own_ports };
    let envoy = container::envoy(settings, &bootstrap.to_json(), metrics, &found);
    let envoy = container::over(bare.envoy, envoy);
    let init = container::over(bare.init, container::init(settings, &rules));
    if let Some(spec) = pod.get_mut("spec") {
        place(spec, settings.installation.native_sidecar, envoy, init);
    }
    Ok((pod, warnings))
}

/// A native sidecar comes before the pod's own init containers, which then have the mesh; `osm-init` comes first of all. A
/// classic one starts after them: they must run before the rules are set, or they could reach nothing.
fn place(spec: &mut Value, native: bool, mut envoy: Value, init: Value) {
    document::put(spec, "volumes", Place::Last, container::volume());
    if native {
        document::put(spec, "initContainers", Place::First, envoy);
        document::put(spec, "initContainers", Place::First, init);
        return;
    }
    if let Some(envoy) = envoy.as_object_mut() {
        envoy.remove("restartPolicy");
        envoy.remove("startupProbe");
    }
    document::put(spec, "containers", Place::First, envoy);
    document::put(spec, "initContainers", Place::Last, init);
}

fn rewrite_probes(pod: &mut Value, origin: &mut Origin) -> Result<Probes, Refusal> {
    let mut probes = Probes::default();
    let Some(spec) = pod.get_mut("spec") else { return Ok(probes) };
    for key in ["initContainers", "containers"] {
        for container in document::items_mut(spec, key) {
            let handlers = probes::rewrite(container, &mut probes)?;
            if !handlers.is_empty() {
                origin.probes.insert(document::name(container).to_owned(), handlers);
            }
        }
    }
    Ok(probes)
}

fn annotate(pod: &mut Value, typed: &Pod, scraped: bool, settings: &Settings, origin: &mut Origin) {
    let mut wanted = BTreeMap::from([(MARKER, settings.installation.mesh.clone())]);
    if scraped {
        let prometheus = [
            (SCRAPE, "true".to_owned()),
            ("prometheus.io/port", METRICS_PORT.to_string()),
            ("prometheus.io/path", "/stats/prometheus".to_owned()),
        ];
        wanted.extend(prometheus);
    }
    let chosen = typed.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(DEFAULT_CONTAINER));
    let first = typed.spec.iter().flat_map(|spec| &spec.containers).next();
    if let Some(first) = first.filter(|_| !chosen && !settings.installation.native_sidecar) {
        wanted.insert(DEFAULT_CONTAINER, first.name.clone());
    }
    for (name, value) in wanted {
        let before = document::annotate(pod, name, Some(value));
        origin.annotations.insert(name.to_owned(), before);
    }
}

fn check_images(settings: &Settings) -> Result<(), Refusal> {
    let expected = "neither MeshConfig nor the installation names an image; set it";
    let images = [
        ("spec.sidecar.envoyImage", &settings.installation.envoy_image),
        ("spec.sidecar.initContainerImage", &settings.installation.init_image),
    ];
    match images.into_iter().find(|(_, image)| image.trim().is_empty()) {
        Some((field, image)) => Err(Refusal::MeshConfig { field, value: image.clone(), expected }),
        None => Ok(()),
    }
}

/// What of a pod would break interception or be broken by it.
fn check_containers(pod: &Pod, own_ports: &[u16]) -> Result<(), Refusal> {
    let Some(spec) = pod.spec.as_ref().filter(|spec| !spec.containers.is_empty()) else {
        return Err(Refusal::Unreadable("it has no containers".into()));
    };
    if spec.volumes.iter().flatten().any(|volume| volume.name == VOLUME) {
        return Err(Refusal::VolumeName(VOLUME.into()));
    }
    for container in spec.init_containers.iter().flatten().chain(&spec.containers) {
        if [ENVOY, INIT].contains(&container.name.as_str()) {
            return Err(Refusal::ContainerName(container.name.clone()));
        }
        if user(container, spec) == Some(PROXY_UID) {
            return Err(Refusal::ProxyUser(container.name.clone()));
        }
        let mut ports = container.ports.iter().flatten().filter_map(|port| u16::try_from(port.container_port).ok());
        let taken = |port: &u16| [ADMIN_PORT, OUTBOUND_PORT, INBOUND_PORT].contains(port) || own_ports.contains(port);
        if let Some(port) = ports.find(taken) {
            return Err(Refusal::Port { container: container.name.clone(), port });
        }
    }
    Ok(())
}

/// Whom a container runs as, as far as the pod tells. The image may say otherwise where the pod says nothing.
fn user(container: &Container, spec: &PodSpec) -> Option<i64> {
    let own = container.security_context.as_ref().and_then(|context| context.run_as_user);
    own.or_else(|| spec.security_context.as_ref().and_then(|context| context.run_as_user))
}

/// Whole lists and maps, not their parts: so a patch reads like its result.
fn difference(before: &Value, after: &Value) -> Patch {
    let mut operations = Vec::new();
    for [parent, key] in CHANGED {
        let at = |pod: &Value| pod.get(parent).and_then(|parent| parent.get(key)).cloned();
        let (was, is) = (at(before), at(after));
        let path = PointerBuf::from_tokens([parent, key]);
        match is {
            Some(value) if was.as_ref() != Some(&value) => {
                // A pod without metadata cannot come from an API server, but a patch must hold for whatever is given.
                if before.get(parent).is_none_or(Value::is_null) && operations.is_empty() {
                    let path = PointerBuf::from_tokens([parent]);
                    operations
                        .push(PatchOperation::Add(AddOperation { path, value: Value::Object(Default::default()) }));
                }
                operations.push(PatchOperation::Add(AddOperation { path, value }));
            }
            None if was.is_some() => operations.push(PatchOperation::Remove(RemoveOperation { path })),
            _ => {}
        }
    }
    Patch(operations)
}
