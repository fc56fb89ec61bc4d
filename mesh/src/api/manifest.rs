//! Manifests: YAML text into objects of the model.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::{
    decode::decode,
    egress,
    error::{Fault, ManifestError, quoted},
    extension_service, ingress_backend,
    mesh_config::{MeshConfig, MeshConfigSpec},
    mesh_root_certificate::{MeshRootCertificate, MeshRootCertificateSpec},
    metadata::Metadata,
    name, retry, route_group,
    served::{self, Served},
    service::{self, Assigned, UnassignedService},
    stream_route, telemetry, traffic_split, traffic_target,
    tree::{MAX_TEXT, Node, Place, Value, documents},
    upstream_traffic_setting,
};
use crate::{
    model::{Kind, ObjectName, ObjectRef},
    world::Object,
};

/// What one manifest says.
#[derive(Clone, Debug, PartialEq)]
pub enum Manifest {
    /// An object of the world.
    Object(Object),
    /// A Service whose address is left to the cluster.
    UnassignedService(UnassignedService),
    /// The settings of the mesh.
    MeshConfig {
        /// The object's own name.
        name: ObjectName,
        /// `spec`.
        spec: Box<MeshConfigSpec>,
    },
    /// Where the root of all workload certificates comes from.
    MeshRootCertificate {
        /// The object's own name.
        name: ObjectName,
        /// When it came to be, in seconds since the Unix epoch, if the API server has told.
        created: Option<i64>,
        /// `spec`.
        spec: Box<MeshRootCertificateSpec>,
    },
}

impl Manifest {
    /// What the object is called.
    pub fn reference(&self) -> ObjectRef {
        match self {
            Self::Object(object) => object.reference(),
            Self::UnassignedService(service) => ObjectRef::new(Kind::Service, service.name().clone()),
            Self::MeshConfig { name, .. } => ObjectRef::new(Kind::MeshConfig, name.clone()),
            Self::MeshRootCertificate { name, .. } => ObjectRef::new(Kind::MeshRootCertificate, name.clone()),
        }
    }
}

/// Reads the manifests in `text`: YAML documents, each an object or a `v1` List of them; empty ones are skipped.
///
/// `file` is what errors call the text. Objects that name no namespace belong to `default_namespace`.
///
/// # Errors
/// All objects are read, and of each the first mistake is told, in the order of the text. Text that is not YAML, is larger
/// than 4 MiB or nests deeper than 32 levels gives a single error. An object that the text defines twice is an error too.
/// What the specification leaves to policy (a missing reference, an unknown kind of subject, a bad expression) is none.
pub fn parse(text: &str, file: &str, default_namespace: &str) -> Result<Vec<Manifest>, Vec<ManifestError>> {
    let objects = objects(text, default_namespace).map_err(|(place, fault)| vec![error(file, &place, None, fault)])?;
    let (mut manifests, mut errors) = (Vec::new(), Vec::new());
    let mut lines: BTreeMap<ObjectRef, u32> = BTreeMap::new();
    for Located { node, prefix } in &objects {
        let read = read(node, default_namespace).and_then(|manifest| {
            match lines.insert(manifest.reference(), node.place.line) {
                None => Ok(manifest),
                Some(line) => Err((node.place.clone(), Fault::new("", format!("is defined at line {line} already")))),
            }
        });
        match read {
            Ok(manifest) => manifests.push(manifest),
            Err((place, fault)) => {
                let fault = if prefix.is_empty() { fault } else { fault.under(prefix) };
                errors.push(error(file, &place, label(node, default_namespace), fault));
            }
        }
    }
    if errors.is_empty() { Ok(manifests) } else { Err(errors) }
}

/// Where `field` of `object` stands in `text`, as `(line, column)` from 1: for carets under a policy's diagnostics.
/// Of a field that is not there, the innermost part that is. `None` if the text does not define the object.
pub fn locate(text: &str, default_namespace: &str, object: &ObjectRef, field: &str) -> Option<(u32, u32)> {
    let wanted = object.to_string();
    let objects = objects(text, default_namespace).ok()?;
    let found = objects.iter().find(|o| label(&o.node, default_namespace).as_ref() == Some(&wanted))?;
    let place = found.node.locate(field, false);
    Some((place.line, place.column))
}

/// An object and, if it stands in a List, its place therein.
struct Located {
    node: Node,
    prefix: String,
}

fn objects(text: &str, default_namespace: &str) -> Result<Vec<Located>, (Place, Fault)> {
    let start = || Place { line: 1, column: 1, span: 0..0 };
    if text.len() > MAX_TEXT {
        let message = format!("the text has {} bytes; at most {MAX_TEXT} are read", text.len());
        return Err((start(), Fault::new("", message)));
    }
    name::label(default_namespace, "default namespace").map_err(|fault| (start(), fault))?;
    let documents = documents(text).map_err(|(place, message)| (place, Fault::new("", message)))?;
    let mut objects = Vec::new();
    for node in documents {
        if node.get("kind").and_then(Node::text) == Some("List") {
            items(&node, &mut objects)?;
        } else {
            objects.push(Located { node, prefix: String::new() });
        }
    }
    Ok(objects)
}

/// Appends the items of a `v1` List.
fn items(list: &Node, objects: &mut Vec<Located>) -> Result<(), (Place, Fault)> {
    let known: &'static [&'static str] = &["apiVersion", "kind", "metadata", "items"];
    let refuse = |field: &str, message| Err((list.locate(field, false).clone(), Fault::new(field, message)));
    if let Some((field, place)) = list.repeated_key() {
        return Err((place, Fault::new(field, "is given twice")));
    }
    if list.get("apiVersion").and_then(Node::text) != Some("v1") {
        return refuse("apiVersion", "a List is served as `v1`");
    }
    let Value::Map(entries) = &list.value else { return Ok(()) };
    if let Some((key, _)) = entries.iter().find(|(key, _)| !known.contains(&key.text.as_str())) {
        return Err((key.place.clone(), <Fault as serde::de::Error>::unknown_field(&key.text, known)));
    }
    match list.get("items").map(|node| &node.value) {
        None | Some(Value::Null) => Ok(()),
        Some(Value::List(items)) => {
            let item = |(i, node): (usize, &Node)| Located { node: node.clone(), prefix: format!("items[{i}]") };
            objects.extend(items.iter().enumerate().map(item));
            Ok(())
        }
        Some(_) => refuse("items", "expected a list"),
    }
}

fn read(node: &Node, default_namespace: &str) -> Result<Manifest, (Place, Fault)> {
    if let Some((field, place)) = node.repeated_key() {
        return Err((place, Fault::new(field, "is given twice")));
    }
    from_node(node, default_namespace).map_err(|fault| (node.locate(&fault.field, fault.at_key).clone(), fault))
}

/// Reads one object out of a tree.
pub(super) fn from_node(node: &Node, default_namespace: &str) -> Result<Manifest, Fault> {
    // What an older version cannot say stands in annotations, and counts all the same.
    let restored = super::convert::restored(node)?;
    let node = restored.as_ref().unwrap_or(node);
    served::version(node).and_then(|version| convert(version, node, default_namespace)).map_err(hint_at_version)
}

/// Older versions have at the top level what newer ones have under `spec`; examples of the specification mix them up.
fn hint_at_version(fault: Fault) -> Fault {
    /// Fields that a version has in one of the two places.
    const MOVED: &[&str] = &["destination", "rules", "sources", "matches", "service", "backends", "ports", "selector"];
    match fault.field.as_str() {
        "spec" if fault.at_key => fault.hint("this version has no `spec`"),
        "rules" if fault.at_key && fault.message.contains("`specs`") => fault.hint("this version calls it `specs`"),
        field if fault.at_key && fault.hint.is_none() && MOVED.contains(&field) && fault.message.contains("`spec`") => {
            fault.hint("in this version it belongs under `spec`")
        }
        _ => fault,
    }
}

fn convert(version: Served, node: &Node, default_namespace: &str) -> Result<Manifest, Fault> {
    let reader = Reader { node, default_namespace };
    match version {
        Served::TrafficTargetV1Alpha1 => {
            reader.object::<traffic_target::v1alpha1::TrafficTarget, _>(Object::TrafficTarget)
        }
        Served::TrafficTargetV1Alpha2 => {
            reader.object::<traffic_target::v1alpha2::TrafficTarget, _>(Object::TrafficTarget)
        }
        Served::TrafficTargetV1Alpha3 => {
            reader.object::<traffic_target::v1alpha3::TrafficTarget, _>(Object::TrafficTarget)
        }
        Served::HttpRouteGroupV1Alpha1 => {
            reader.object::<route_group::v1alpha1::HttpRouteGroup, _>(Object::HttpRouteGroup)
        }
        Served::HttpRouteGroupV1Alpha2 => {
            reader.object::<route_group::v1alpha2::HttpRouteGroup, _>(Object::HttpRouteGroup)
        }
        Served::HttpRouteGroupV1Alpha3 => {
            reader.object::<route_group::v1alpha3::HttpRouteGroup, _>(Object::HttpRouteGroup)
        }
        Served::TcpRouteV1Alpha1 => reader.object::<stream_route::v1alpha1::TcpRoute, _>(Object::TcpRoute),
        Served::TcpRouteV1Alpha3 => reader.object::<stream_route::v1alpha3::TcpRoute, _>(Object::TcpRoute),
        Served::TcpRouteV1Alpha4 => reader.object::<stream_route::v1alpha4::TcpRoute, _>(Object::TcpRoute),
        Served::UdpRouteV1Alpha4 => reader.object::<stream_route::v1alpha4::UdpRoute, _>(Object::UdpRoute),
        Served::TrafficSplitV1Alpha1 => reader.object::<traffic_split::v1alpha1::TrafficSplit, _>(Object::TrafficSplit),
        Served::TrafficSplitV1Alpha2 => reader.object::<traffic_split::v1alpha2::TrafficSplit, _>(Object::TrafficSplit),
        Served::TrafficSplitV1Alpha3 => reader.object::<traffic_split::v1alpha3::TrafficSplit, _>(Object::TrafficSplit),
        Served::ServiceV1 => reader.service(),
        Served::MeshConfigV1Alpha2 => reader.mesh_config(),
        Served::EgressV1Alpha1 => reader.object::<egress::v1alpha1::Egress, _>(Object::Egress),
        Served::IngressBackendV1Alpha1 => {
            reader.object::<ingress_backend::v1alpha1::IngressBackend, _>(Object::IngressBackend)
        }
        Served::RetryV1Alpha1 => reader.object::<retry::Retry, _>(Object::Retry),
        Served::UpstreamTrafficSettingV1Alpha1 => {
            reader.object::<upstream_traffic_setting::UpstreamTrafficSetting, _>(|setting| {
                Object::UpstreamTrafficSetting(Box::new(setting))
            })
        }
        Served::TelemetryV1Alpha1 => reader.object::<telemetry::Telemetry, _>(Object::Telemetry),
        Served::ExtensionServiceV1Alpha2 => {
            reader.object::<extension_service::ExtensionService, _>(Object::ExtensionService)
        }
        Served::MeshRootCertificateV1Alpha2 => reader.mesh_root_certificate(),
    }
}

struct Reader<'n> {
    node: &'n Node,
    default_namespace: &'n str,
}

impl Reader<'_> {
    fn read<T: DeserializeOwned + Metadata>(&self) -> Result<T, Fault> {
        let mut wire: T = decode(self.node)?;
        wire.metadata_mut().namespace.get_or_insert_with(|| self.default_namespace.to_owned());
        Ok(wire)
    }

    fn object<W, M>(&self, object: fn(M) -> Object) -> Result<Manifest, Fault>
    where
        W: DeserializeOwned + Metadata,
        M: TryFrom<W, Error = Fault>,
    {
        self.read::<W>()?.try_into().map(object).map(Manifest::Object)
    }

    fn service(&self) -> Result<Manifest, Fault> {
        Ok(match self.read::<service::Service>()?.try_into()? {
            Assigned::Yes(service) => Manifest::Object(Object::Service(service)),
            Assigned::No(service) => Manifest::UnassignedService(service),
        })
    }

    fn mesh_config(&self) -> Result<Manifest, Fault> {
        let wire: MeshConfig = self.read()?;
        wire.spec.check()?;
        Ok(Manifest::MeshConfig { name: wire.metadata.object_name()?, spec: Box::new(wire.spec) })
    }

    fn mesh_root_certificate(&self) -> Result<Manifest, Fault> {
        let wire: MeshRootCertificate = self.read()?;
        wire.spec.check()?;
        let (name, created) = (wire.metadata.object_name()?, wire.metadata.created()?);
        Ok(Manifest::MeshRootCertificate { name, created, spec: Box::new(wire.spec) })
    }
}

/// `Kind namespace/name`, as far as the text tells.
fn label(node: &Node, default_namespace: &str) -> Option<String> {
    let bare = |text: &str| quoted(text).trim_matches('`').to_owned();
    let metadata = node.get("metadata");
    let part = |key| metadata.and_then(|metadata| metadata.get(key)).and_then(Node::text);
    let kind = node.get("kind")?.text()?;
    let namespace = part("namespace").unwrap_or(default_namespace);
    Some(match part("name") {
        Some(name) => format!("{} {}/{}", bare(kind), bare(namespace), bare(name)),
        None => bare(kind),
    })
}

fn error(file: &str, place: &Place, object: Option<String>, fault: Fault) -> ManifestError {
    ManifestError {
        file: file.to_owned(),
        line: place.line.max(1),
        column: place.column.max(1),
        span: place.span.clone(),
        object,
        field: fault.field,
        message: fault.message,
        hint: fault.hint,
    }
}
