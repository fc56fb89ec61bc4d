//! Encoding so that equal content gives equal bytes, and the source objects that every resource carries.

use std::collections::HashMap;

use envoy_types::pb::{
    envoy::config::core::v3::Metadata,
    google::protobuf::{Any, ListValue, Struct, UInt32Value, Value, value::Kind},
};
use prost::{Message, Name};

use super::{name::METADATA_KEY, resource::Resource, resource::ResourceType};
use crate::model::ObjectRef;

/// Packs a message that has no map with more than one entry.
pub(super) fn pack<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

/// Packs the union of messages. Protobuf parsers merge what is encoded one after the other, so a map is filled entry by
/// entry, in the order given, where one message would encode its `HashMap` in a random order. Repeated fields must stand in
/// one of the parts only.
pub(super) fn pack_merged<M: Message + Name>(parts: impl IntoIterator<Item = M>) -> Any {
    let mut value = Vec::new();
    for part in parts {
        value.extend(part.encode_to_vec());
    }
    Any { type_url: M::type_url(), value }
}

/// Wraps a message as a resource.
pub(super) fn resource<M: Message>(kind: ResourceType, message: &M) -> Resource {
    Resource::new(kind, message.encode_to_vec())
}

/// Metadata that names the objects which caused a resource, as `Kind namespace/name`.
pub(super) fn caused_by(objects: impl IntoIterator<Item = ObjectRef>) -> Option<Metadata> {
    let mut names: Vec<String> = objects.into_iter().map(|o| o.to_string()).collect();
    names.sort();
    names.dedup();
    let values = names.into_iter().map(|n| Value { kind: Some(Kind::StringValue(n)) }).collect();
    let list = Value { kind: Some(Kind::ListValue(ListValue { values })) };
    let objects = Struct { fields: HashMap::from([("objects".into(), list)]) };
    Some(Metadata { filter_metadata: HashMap::from([(METADATA_KEY.into(), objects)]), ..Default::default() })
}

/// Adds an object to those that caused a resource.
pub(super) fn also_caused_by(metadata: &mut Option<Metadata>, object: &ObjectRef) {
    let added = Value { kind: Some(Kind::StringValue(object.to_string())) };
    let metadata = metadata.get_or_insert_with(Metadata::default);
    let fields = &mut metadata.filter_metadata.entry(METADATA_KEY.into()).or_default().fields;
    let list = fields.entry("objects".into()).or_default();
    let mut values = match list.kind.take() {
        Some(Kind::ListValue(ListValue { values })) => values,
        _ => Vec::new(),
    };
    values.push(added);
    let text = |value: &Value| match &value.kind {
        Some(Kind::StringValue(text)) => text.clone(),
        _ => String::new(),
    };
    values.sort_by_key(text);
    values.dedup();
    list.kind = Some(Kind::ListValue(ListValue { values }));
}

/// An optional 32-bit number.
pub(super) fn number(value: u32) -> Option<UInt32Value> {
    Some(UInt32Value { value })
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::rbac::v3::{Policy, Rbac};

    use super::*;

    #[test]
    fn merged_parts_are_read_as_one_message_and_encode_the_same_every_time() {
        let part =
            |name: &str| Rbac { policies: HashMap::from([(name.to_owned(), Policy::default())]), ..Default::default() };
        let packed = || pack_merged([part("a"), part("b"), part("c")]);
        let read = Rbac::decode(&*packed().value).unwrap();
        assert_eq!(read.policies.len(), 3);
        assert_eq!(packed(), packed());
    }
}
