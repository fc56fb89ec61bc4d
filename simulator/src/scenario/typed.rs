//! Turns a [`Node`] into a typed value with serde, and keeps path and place of the first thing that does not fit.
//!
//! Stricter than YAML usually is: a field without a value is an error, not a silent default. More lenient in one point: where
//! text is wanted, `200` and `true` need no quotes.

use std::fmt;

use serde::{
    Deserialize,
    de::{
        self, DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer, Unexpected, Visitor,
        value::StrDeserializer,
    },
    forward_to_deserialize_any,
};

use super::{
    nearest::{list, suggestion},
    tree::{FieldPath, Key, Kind, Node, Place, Segment},
};

mod access;

/// Why a value does not fit its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeError {
    /// The field.
    pub path: FieldPath,
    /// Where it stands.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Types a value.
///
/// # Errors
/// The first field that is unknown, missing or of a wrong type.
pub fn from_node<'de, T: Deserialize<'de>>(node: &'de Node) -> Result<T, TypeError> {
    T::deserialize(Value { node, head: node.head() })
}

impl TypeError {
    fn new(message: String) -> Self {
        Self { path: FieldPath::default(), place: None, message, hint: None }
    }

    /// Sets the place if nothing deeper has set it.
    fn or_at(mut self, place: &Place) -> Self {
        self.place.get_or_insert_with(|| place.clone());
        self
    }

    fn below(mut self, segment: Segment) -> Self {
        self.path.0.insert(0, segment);
        self
    }
}

impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TypeError {}

impl de::Error for TypeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("{} is not {}", found_words(found), expected_words(expected)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let error = Self::new(format!("there is no field `{field}` here"));
        Self { hint: suggestion(field, expected.iter().copied()), ..error }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let error = Self::new(format!("`{variant}` is none of {}", list(expected)));
        Self {
            hint: super::nearest::nearest(variant, expected.iter().copied()).map(|w| format!("did you mean `{w}`?")),
            ..error
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("the field `{field}` is missing"))
    }
}

fn found_words(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("`{value}`"),
        Unexpected::Signed(value) => format!("`{value}`"),
        Unexpected::Float(value) => format!("`{value}`"),
        Unexpected::Str(text) if text.lines().count() < 2 && text.len() < 60 => format!("`{text}`"),
        Unexpected::Str(_) => "this text".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a mapping".to_owned(),
        other => other.to_string(),
    }
}

fn expected_words(expected: &dyn Expected) -> String {
    match expected.to_string().as_str() {
        "u8" => "a whole number from 0 to 255".to_owned(),
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" | "u64" => "a whole number that is not negative".to_owned(),
        "f64" => "a number".to_owned(),
        "a boolean" => "`true` or `false`".to_owned(),
        "a string" => "text".to_owned(),
        "a sequence" => "a list (`[…]`)".to_owned(),
        "a map" => "a mapping (`name: value`)".to_owned(),
        words if words.starts_with("struct ") => "a mapping (`field: value`)".to_owned(),
        words if words.starts_with("enum ") => "one of the words that are allowed here".to_owned(),
        words => words.to_owned(),
    }
}

/// A node on its way into a type.
#[derive(Clone)]
struct Value<'a> {
    node: &'a Node,
    /// What to underline if the node as a whole is wrong: its key, when it has one and is no scalar.
    head: Place,
}

impl<'a> Value<'a> {
    fn of_field(key: &Key, node: &'a Node) -> Self {
        let written = node.text().is_some() && !node.place.is_empty();
        let head = if written { node.place.clone() } else { key.place.clone() };
        Self { node, head }
    }

    fn of_item(node: &'a Node) -> Self {
        Self { node, head: node.head() }
    }

    /// The text, if a text is wanted: quotes are not needed.
    fn plain_text(&self) -> Option<&'a str> {
        self.node.text()
    }

    fn visit<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, TypeError> {
        let result = match &self.node.kind {
            Kind::Scalar { text, plain: true } => visit_plain(text, visitor),
            Kind::Scalar { text, plain: false } => visitor.visit_str(text),
            Kind::Sequence(items) => visitor.visit_seq(access::Items::new(items)),
            Kind::Mapping(entries) => visitor.visit_map(access::Fields::new(entries)),
        };
        result.map_err(|error| error.or_at(&self.head))
    }
}

/// The YAML 1.2 core schema: null, booleans, numbers, text.
fn visit_plain<'de, V: Visitor<'de>>(text: &str, visitor: V) -> Result<V::Value, TypeError> {
    if is_null(text) {
        return Err(TypeError::new("a value is missing here".to_owned()));
    }
    match text {
        "true" | "True" | "TRUE" => return visitor.visit_bool(true),
        "false" | "False" | "FALSE" => return visitor.visit_bool(false),
        _ => {}
    }
    if let Ok(number) = text.parse::<u64>() {
        visitor.visit_u64(number)
    } else if let Ok(number) = text.parse::<i64>() {
        visitor.visit_i64(number)
    } else if let Some(number) = decimal(text) {
        visitor.visit_f64(number)
    } else {
        visitor.visit_str(text)
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// A decimal number; Rust's `inf` and `nan` are words here.
fn decimal(text: &str) -> Option<f64> {
    let starts = text.trim_start_matches(['-', '+']).starts_with(|c: char| c.is_ascii_digit() || c == '.');
    starts.then(|| text.parse().ok()).flatten()
}

impl<'de> Deserializer<'de> for Value<'_> {
    type Error = TypeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        self.visit(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match (&self.node.kind, self.plain_text()) {
            (Kind::Scalar { plain: true, .. }, Some(text)) if !is_null(text) => {
                visitor.visit_str(text).map_err(|error: TypeError| error.or_at(&self.head))
            }
            _ => self.visit(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        // Serde would take a list for the fields in their order.
        if let Kind::Sequence(_) = self.node.kind {
            return Err(TypeError::invalid_type(Unexpected::Seq, &visitor).or_at(&self.head));
        }
        self.visit(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, TypeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        let result = match &self.node.kind {
            Kind::Scalar { text, .. } if !is_null(text) => {
                visitor.visit_enum(access::Variant { name: text, value: None })
            }
            Kind::Mapping(entries) => match entries.as_slice() {
                [(key, node)] => visitor.visit_enum(access::Variant { name: &key.text, value: Some((key, node)) }),
                _ => Err(TypeError::custom(format!("exactly one field is wanted here, one of {}", list(variants)))),
            },
            Kind::Scalar { .. } => Err(TypeError::custom("a value is missing here")),
            Kind::Sequence(_) => {
                Err(TypeError::invalid_type(Unexpected::Seq, &"one of the words that are allowed here"))
            }
        };
        result.map_err(|error| error.or_at(&self.head))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char bytes byte_buf unit unit_struct seq tuple tuple_struct map
        identifier ignored_any
    }
}
