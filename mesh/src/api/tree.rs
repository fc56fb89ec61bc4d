//! A YAML document as a tree that remembers where every key and value stood.
//!
//! The wire types are plain serde types, so that the same types read JSON from an API server. Places come from the tree:
//! an error names a field, and the tree tells where that field is.

use std::{collections::BTreeSet, fmt, ops::Range};

use serde::{
    Deserialize,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Location, Spanned, options::DuplicateKeyPolicy};

use super::error::segment;

/// Largest text that is read, in bytes. The API server takes 1.5 MiB an object; a text holds many.
pub(super) const MAX_TEXT: usize = 4 << 20;

/// Deepest nesting that is read. The deepest field of any served object lies at 8.
pub(super) const MAX_DEPTH: usize = 32;

/// A place in the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) span: Range<usize>,
}

/// A value and its place. For an alias it is the place where the alias is used.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// A YAML value. Plain scalars are read after YAML 1.2: `yes` and `on` are text, only `true` and `false` are booleans.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order written; a key may occur twice (see [`Node::repeated_key`]).
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping and its place.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) place: Place,
    pub(super) text: String,
}

/// The documents of `text` that are not empty, or where and why it is not YAML.
pub(super) fn documents(text: &str) -> Result<Vec<Node>, (Place, String)> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        // Told apart here, where the path is known.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        // `n` is a name, not a boolean.
        strict_booleans: true,
        reject_unsupported_tags: true,
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: 200_000,
            max_documents: 10_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_merge_keys: 1_000,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 50_000, max_replay_stack_depth: 16 },
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        let place = error.location().map(Place::from).unwrap_or_default();
        (place, reason(error.without_snippet()))
    })
}

/// Why the text cannot be read, without the place.
fn reason(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::{Error, budget::BudgetBreach};
    match error {
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => format!("nests deeper than {MAX_DEPTH} levels"),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. } => {
            "there is too much in this text from here on; split it, and use fewer aliases".to_owned()
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => "an alias stands inside of what it refers to".to_owned(),
        Error::AliasError { error, .. } => reason(error),
        other => {
            let message = other.to_string();
            match message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message) {
                "recursion limit exceeded" => format!("nests deeper than {MAX_DEPTH} levels"),
                message => message.to_owned(),
            }
        }
    }
}

impl Node {
    /// The value under `key`, if this is a mapping that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(k, _)| k.text == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text, if this is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The first key that occurs twice in one mapping: the field and the place of its second occurrence.
    pub(super) fn repeated_key(&self) -> Option<(String, Place)> {
        let inner = |part: String, node: &Self| {
            node.repeated_key().map(|(rest, place)| {
                let dot = if rest.starts_with('[') { "" } else { "." };
                (format!("{part}{dot}{rest}"), place)
            })
        };
        match &self.value {
            Value::List(items) => items.iter().enumerate().find_map(|(i, item)| inner(format!("[{i}]"), item)),
            Value::Map(entries) => {
                let mut seen = BTreeSet::new();
                entries.iter().find_map(|(key, value)| {
                    if seen.insert(&key.text) {
                        inner(segment(&key.text), value)
                    } else {
                        Some((segment(&key.text), key.place.clone()))
                    }
                })
            }
            _ => None,
        }
    }

    /// Where `field` is; of a field that is not there, where the innermost part that is there begins.
    /// With `at_key`, the place of the last key rather than of its value.
    pub(super) fn locate(&self, field: &str, at_key: bool) -> &Place {
        if field.is_empty() {
            return &self.place;
        }
        match &self.value {
            Value::List(items) => items
                .iter()
                .enumerate()
                .find_map(|(i, item)| Some((item, after(field, &format!("[{i}]"))?)))
                .map_or(&self.place, |(item, rest)| item.locate(rest, at_key)),
            Value::Map(entries) => entries
                .iter()
                .find_map(|(key, value)| Some((key, value, after(field, &segment(&key.text))?)))
                .map_or(&self.place, |(key, value, rest)| match rest {
                    "" if at_key => &key.place,
                    rest => value.locate(rest, at_key),
                }),
            _ => &self.place,
        }
    }
}

/// What follows `part` at the start of a field path.
fn after<'f>(field: &'f str, part: &str) -> Option<&'f str> {
    let rest = field.strip_prefix(part)?;
    match rest.chars().next() {
        None | Some('[') => Some(rest),
        Some('.') => Some(&rest[1..]),
        Some(_) => None,
    }
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let byte = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let (start, length) = (byte(location.span().byte_offset()), byte(location.span().byte_len()));
        Self {
            line: number(location.line()).max(1),
            column: number(location.column()).max(1),
            span: start..start.saturating_add(length),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { place: spanned.referenced.into(), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or(Value::Signed(value), Value::Unsigned))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            map.push((Key { place: key.referenced.into(), text: key.value }, entries.next_value()?));
        }
        Ok(Value::Map(map))
    }
}
