//! What is wrong with a manifest, and where.

use std::{fmt, ops::Range};

use serde::de;

use super::suggest;

/// A mistake in a manifest. Displays as `file:line:column: Kind namespace/name field: message (hint)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// The file, as the caller named it.
    pub file: String,
    /// Line of the value at fault (of the key, if the key is at fault), from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Bytes of the text that the error points at; empty where only the position is known.
    pub span: Range<usize>,
    /// The object, as `Kind namespace/name`, as far as the text tells.
    pub object: Option<String>,
    /// The field at fault, for example `spec.backends[1].weight`; empty if the document as a whole is.
    pub field: String,
    /// What is wrong, and what is expected.
    pub message: String,
    /// What the author may have meant.
    pub hint: Option<String>,
}

/// A mistake in one object, with the field but not yet the place in the text.
///
/// Conversions from the wire into the model fail with this, whatever the object was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field at fault, relative to what was read; empty if that itself is.
    pub field: String,
    /// What is wrong, and what is expected.
    pub message: String,
    /// What the author may have meant.
    pub hint: Option<String>,
    /// Whether the key is at fault, not the value.
    pub(super) at_key: bool,
}

impl Fault {
    /// `message` about `field`.
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), hint: None, at_key: false }
    }

    /// A field that must be given is not.
    pub(super) fn missing(field: impl Into<String>) -> Self {
        Self::new(field, "is missing")
    }

    /// Adds what the author may have meant.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the hint, if there is one.
    pub(super) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// The same fault, seen from the object that has the field's owner under `parent`.
    pub(super) fn under(mut self, parent: &str) -> Self {
        self.field = match self.field.as_str() {
            "" => parent.to_owned(),
            field if field.starts_with('[') => format!("{parent}{field}"),
            field => format!("{parent}.{field}"),
        };
        self
    }
}

/// A key as part of a field path: bare if it reads well, else `["quoted"]`.
pub(super) fn segment(key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if plain { key.to_owned() } else { format!("[\"{}\"]", escaped(key)) }
}

/// Text from a manifest, fit for a message: in backticks, on one line, not too long.
pub(super) fn quoted(text: &str) -> String {
    if text.is_empty() { "an empty text".to_owned() } else { format!("`{}`", escaped(text)) }
}

fn escaped(text: &str) -> String {
    /// Longer ones say no more.
    const SHOWN: usize = 80;
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    // A quote needs no escape between backticks, and reads better without.
    shown = shown.replace("\\\"", "\"").replace("\\'", "'");
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if let Some(object) = &self.object {
            write!(f, "{object}{}", if self.field.is_empty() { ": " } else { " " })?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

impl std::error::Error for ManifestError {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new("", message.to_string())
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let number = matches!(found, de::Unexpected::Str(text) if text.parse::<u64>().is_ok());
        Self::new("", format!("expected {expected}, found {}", described(found)))
            .maybe_hint(number.then(|| "take it out of the quotes".to_owned()))
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(found: &str, expected: &'static [&'static str]) -> Self {
        Self::new("", format!("{} is not one of {}", quoted(found), suggest::list(expected)))
            .maybe_hint(suggest::nearest(found, expected))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let message = match expected {
            [] => "unknown field: none is known here".to_owned(),
            known => format!("unknown field: known here are {}", suggest::list(known)),
        };
        Self { at_key: true, ..Self::new(segment(field), message) }.maybe_hint(suggest::nearest(field, expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::missing(field)
    }
}

/// What was found, in the words of YAML.
fn described(found: de::Unexpected<'_>) -> String {
    match found {
        de::Unexpected::Bool(b) => format!("`{b}`"),
        de::Unexpected::Unsigned(n) => format!("`{n}`"),
        de::Unexpected::Signed(n) => format!("`{n}`"),
        de::Unexpected::Float(n) => format!("`{n}`"),
        de::Unexpected::Str("") => quoted(""),
        de::Unexpected::Str(s) => format!("the text {}", quoted(s)),
        de::Unexpected::Unit | de::Unexpected::Option => "nothing".to_owned(),
        de::Unexpected::Seq => "a list".to_owned(),
        de::Unexpected::Map => "a mapping".to_owned(),
        other => other.to_string(),
    }
}
