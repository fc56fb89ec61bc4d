//! From objects as kube gives them to what the [`Intake`](super::Intake) takes.

use std::{fmt::Debug, sync::Arc};

use k8s_openapi::api::{core::v1, discovery::v1::EndpointSlice};
use kube::{
    Resource, ResourceExt as _,
    core::{DeserializeGuard, DynamicObject, NamespaceResourceScope, ObjectMeta},
};
use serde::de::DeserializeOwned;

use super::{
    Entry, Namespace, Unreadable,
    convert::{self, Custom},
    event::Event,
    status,
};
use crate::{
    api::mesh_config::MeshConfigSpec,
    model::{Kind, ObjectName},
    world::Object,
};

/// What an object says.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// It belongs into the world.
    Object(Box<Object>),
    /// It is the settings.
    MeshConfig(Arc<MeshConfigSpec>),
    /// It is sound, and nothing for the mesh.
    Nothing,
    /// It cannot be read.
    Unreadable(Unreadable),
}

/// An object as a watch tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its name.
    pub name: ObjectName,
    /// Where its status goes; `None` for kinds that get none.
    pub entry: Option<Arc<Entry>>,
    /// What it says.
    pub content: Content,
}

/// Something that a watch tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// About namespaces.
    Namespaces(Event<(Arc<str>, Namespace), Arc<str>>),
    /// About objects of a kind of [`KINDS`](super::source::KINDS), or MeshConfigs.
    Objects(Kind, Event<Item, ObjectName>),
}

impl Item {
    pub(super) fn object(&self) -> Option<&Object> {
        if let Content::Object(object) = &self.content { Some(object) } else { None }
    }

    pub(super) fn unreadable(&self) -> Option<&Unreadable> {
        if let Content::Unreadable(why) = &self.content { Some(why) } else { None }
    }
}

/// What a watch of namespaces tells.
pub fn namespaces(event: Event<v1::Namespace>) -> Told {
    let item = |namespace: v1::Namespace| (Arc::from(namespace.name_any()), namespace.into());
    Told::Namespaces(event.map(item, |namespace| namespace.name_any().into()))
}

/// What a watch of pods tells.
pub fn pods(event: Event<DeserializeGuard<v1::Pod>>) -> Told {
    built_in(Kind::Pod, event, |pod| Ok(convert::pod::workload(pod)?.map(Object::Workload)))
}

/// What a watch of services tells.
pub fn services(event: Event<DeserializeGuard<v1::Service>>) -> Told {
    built_in(Kind::Service, event, |service| Ok(convert::service::service(service)?.map(Object::Service)))
}

/// What a watch of EndpointSlices tells.
pub fn slices(event: Event<DeserializeGuard<EndpointSlice>>) -> Told {
    built_in(Kind::EndpointSlice, event, |slice| Ok(convert::slice::slice(slice)?.map(Object::EndpointSlice)))
}

fn built_in<K>(
    kind: Kind,
    event: Event<DeserializeGuard<K>>,
    convert: fn(&K) -> Result<Option<Object>, Unreadable>,
) -> Told
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let item = |guarded: DeserializeGuard<K>| {
        let read = match &guarded.0 {
            Ok(object) => convert(object),
            Err(invalid) => Err(Unreadable::new("", invalid.error.clone())),
        };
        let content = match read {
            Ok(Some(object)) => Content::Object(Box::new(object)),
            Ok(None) => Content::Nothing,
            Err(why) => Content::Unreadable(why),
        };
        // Events are reported about services too; pods and slices come and go too often to be noted.
        let entry = (kind == Kind::Service).then(|| entry("v1", guarded.meta(), Vec::new(), None));
        Item { name: object_name(guarded.meta()), entry, content }
    };
    Told::Objects(kind, event.map(item, |gone| object_name(gone.meta())))
}

/// What a watch of custom resources of `kind` tells.
pub fn custom(kind: Kind, event: Event<DynamicObject>) -> Told {
    let item = |object: DynamicObject| {
        let version = object.types.as_ref().map(|types| types.api_version.clone()).unwrap_or_default();
        let conditions = status::conditions(&object.data);
        let (name, metadata) = (object_name(&object.metadata), object.metadata.clone());
        let content = match serde_json::to_value(object).map_err(|e| Unreadable::new("", e.to_string())) {
            Ok(value) => convert::custom::custom(&value),
            Err(why) => Err(why),
        };
        let content = match content {
            Ok(Custom::Object(object)) => Content::Object(object),
            Ok(Custom::MeshConfig(spec)) => Content::MeshConfig(Arc::from(spec)),
            Err(why) => Content::Unreadable(why),
        };
        let unreadable = if let Content::Unreadable(why) = &content { Some(why.clone()) } else { None };
        Item { name, entry: Some(entry(&version, &metadata, conditions, unreadable)), content }
    };
    Told::Objects(kind, event.map(item, |gone| object_name(&gone.metadata)))
}

fn entry(
    api_version: &str,
    metadata: &ObjectMeta,
    conditions: Vec<status::Condition>,
    unreadable: Option<Unreadable>,
) -> Arc<Entry> {
    Arc::new(Entry {
        api_version: api_version.into(),
        uid: metadata.uid.as_deref().unwrap_or_default().into(),
        generation: metadata.generation.unwrap_or_default(),
        conditions,
        unreadable,
    })
}

fn object_name(metadata: &ObjectMeta) -> ObjectName {
    let text = |part: &Option<String>| Arc::from(part.as_deref().unwrap_or_default());
    ObjectName { namespace: text(&metadata.namespace), name: text(&metadata.name) }
}
