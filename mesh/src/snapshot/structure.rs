//! `google.protobuf.Struct` and Envoy's metadata with their fields in a fixed order: equal content gives equal bytes at any
//! depth, where the generated messages encode a `HashMap` in a random order. Same tags, same bytes on the wire.

use std::collections::BTreeMap;

use prost::Message;
use serde_json::{Map, Value};

/// `google.protobuf.Struct`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Fields {
    #[prost(btree_map = "string, message", tag = "1")]
    pub fields: BTreeMap<String, Field>,
}

/// `google.protobuf.Value`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Field {
    #[prost(oneof = "Content", tags = "1, 2, 3, 4, 5, 6")]
    content: Option<Content>,
}

/// The kinds of `google.protobuf.Value`.
#[derive(Clone, PartialEq, prost::Oneof)]
enum Content {
    #[prost(int32, tag = "1")]
    Null(i32),
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bool, tag = "4")]
    Bool(bool),
    #[prost(message, tag = "5")]
    Object(Fields),
    #[prost(message, tag = "6")]
    List(Items),
}

/// `google.protobuf.ListValue`.
#[derive(Clone, PartialEq, Message)]
struct Items {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Field>,
}

/// `envoy.config.core.v3.Metadata`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Metadata {
    #[prost(btree_map = "string, message", tag = "1")]
    pub filter_metadata: BTreeMap<String, Fields>,
}

impl Fields {
    /// A JSON object.
    pub(super) fn of(object: &Map<String, Value>) -> Self {
        Self { fields: object.iter().map(|(name, value)| (name.clone(), Field::of(value))).collect() }
    }

    /// Texts.
    pub(super) fn texts<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let field =
            |(name, text): (&str, &str)| (name.to_owned(), Field { content: Some(Content::Text(text.to_owned())) });
        Self { fields: texts.into_iter().map(field).collect() }
    }
}

impl Field {
    fn of(value: &Value) -> Self {
        let content = match value {
            Value::Null => Content::Null(0),
            Value::Bool(value) => Content::Bool(*value),
            // Struct knows no other numbers (google/protobuf/struct.proto).
            Value::Number(number) => Content::Number(number.as_f64().unwrap_or_default()),
            Value::String(text) => Content::Text(text.clone()),
            Value::Array(items) => Content::List(Items { values: items.iter().map(Self::of).collect() }),
            Value::Object(object) => Content::Object(Fields::of(object)),
        };
        Self { content: Some(content) }
    }
}

/// `encoded`, with a message as its field `tag`. A field that it has already is merged with it (protobuf encoding, "last one
/// wins").
pub(super) fn with<M: Message>(mut encoded: Vec<u8>, tag: u32, message: &M) -> Vec<u8> {
    prost::encoding::message::encode(tag, message, &mut encoded);
    encoded
}

/// `encoded`, with more encoded messages as its repeated field `tag`.
pub(super) fn with_each(mut encoded: Vec<u8>, tag: u32, messages: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let messages: Vec<Vec<u8>> = messages.into_iter().collect();
    // On the wire, a message and a string of bytes look the same.
    prost::encoding::bytes::encode_repeated(tag, &messages, &mut encoded);
    encoded
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::{
        envoy::config::core::v3::Metadata as EnvoyMetadata,
        google::protobuf::{Struct, value::Kind},
    };
    use serde_json::json;

    use super::*;

    #[test]
    fn envoy_reads_what_is_written_at_any_depth_and_the_bytes_are_stable() {
        let json = json!({"a": "x", "b": {"c": [1.5, true, null], "d": "y", "e": {}}});
        let encode = || Fields::of(json.as_object().unwrap()).encode_to_vec();
        assert_eq!(encode(), encode());
        let read = Struct::decode(&*encode()).unwrap();
        let Some(Kind::StructValue(b)) = &read.fields["b"].kind else { panic!("{read:?}") };
        assert_eq!(b.fields["d"].kind, Some(Kind::StringValue("y".into())));
        let Some(Kind::ListValue(list)) = &b.fields["c"].kind else { panic!("{read:?}") };
        assert_eq!(list.values[0].kind, Some(Kind::NumberValue(1.5)));
        assert_eq!(list.values[1].kind, Some(Kind::BoolValue(true)));
        assert_eq!(list.values[2].kind, Some(Kind::NullValue(0)));
    }

    #[test]
    fn metadata_is_what_envoy_calls_metadata() {
        let fields = Fields::texts([("pod", "web-0"), ("kind", "Deployment")]);
        let written = Metadata { filter_metadata: BTreeMap::from([("osm".to_owned(), fields)]) };
        let read = EnvoyMetadata::decode(&*written.encode_to_vec()).unwrap();
        assert_eq!(read.filter_metadata["osm"].fields["pod"].kind, Some(Kind::StringValue("web-0".into())));
    }
}
