//! `headers` of an HTTP match, in both of its written forms.
//!
//! The released text of v0.6.0, the SDK and the CRDs of OSM have a list of one-key mappings; the text since 2021-09 has a
//! mapping. They mean the same, so both are read.

use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};

use super::{
    error::{Fault, quoted, segment},
    name,
};

/// Header conditions as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Headers {
    /// `headers: [{user-agent: ".*"}, {x-user: "a"}]`
    List(Vec<Header>),
    /// `headers: {user-agent: ".*", x-user: "a"}`
    Map(Vec<Header>),
}

/// One condition: an element with exactly one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Name of the header.
    pub name: String,
    /// Regular expression for its value.
    pub value: String,
}

impl Headers {
    /// The conditions by lower-case header name.
    ///
    /// # Errors
    /// If a name is not one that HTTP allows, or occurs twice in any spelling.
    pub(super) fn into_conditions(self) -> Result<BTreeMap<Arc<str>, Arc<str>>, Fault> {
        let (is_list, headers) = match self {
            Self::List(headers) => (true, headers),
            Self::Map(headers) => (false, headers),
        };
        let mut conditions = BTreeMap::new();
        for (i, header) in headers.into_iter().enumerate() {
            let place = || if is_list { format!("[{i}]") } else { segment(&header.name) };
            let at_key = |fault| Fault { at_key: true, ..fault };
            name::header(&header.name, &place()).map_err(at_key)?;
            let key: Arc<str> = header.name.to_ascii_lowercase().into();
            if conditions.insert(key, Arc::from(header.value)).is_some() {
                let message = format!("header {} is given twice; names are case-insensitive", quoted(&header.name));
                return Err(at_key(
                    Fault::new(place(), message).hint("join the two expressions into one, with `|` for either"),
                ));
            }
        }
        Ok(conditions)
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HeadersVisitor)
    }
}

struct HeadersVisitor;

impl<'de> Visitor<'de> for HeadersVisitor {
    type Value = Headers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("header names with expressions, as a mapping or as a list of one-key mappings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Headers, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Headers::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Headers, A::Error> {
        read(entries).map(Headers::Map)
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping of one header name to one expression")
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Header, A::Error> {
        let mut headers = read(entries)?;
        match (headers.pop(), headers.len()) {
            (Some(header), 0) => Ok(header),
            (last, before) => Err(A::Error::custom(format!(
                "expected exactly one header, found {}; write each as a list element of its own",
                before + usize::from(last.is_some())
            ))),
        }
    }
}

fn read<'de, A: MapAccess<'de>>(mut entries: A) -> Result<Vec<Header>, A::Error> {
    let mut headers = Vec::new();
    while let Some((name, value)) = entries.next_entry()? {
        headers.push(Header { name, value });
    }
    Ok(headers)
}

impl JsonSchema for Headers {
    fn schema_name() -> Cow<'static, str> {
        "Headers".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Header names with regular expressions for their values.",
            "oneOf": [
                { "type": "array", "items": {
                    "type": "object", "minProperties": 1, "maxProperties": 1,
                    "additionalProperties": { "type": "string" }
                } },
                { "type": "object", "additionalProperties": { "type": "string" } },
            ],
            // A CRD can offer only one of the two; there, anything goes until the webhook has read it.
            "x-kubernetes-preserve-unknown-fields": true
        })
    }
}
