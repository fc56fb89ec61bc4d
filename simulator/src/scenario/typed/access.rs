//! The parts of collections, as serde wants them.

use std::slice::Iter;

use serde::de::{EnumAccess, MapAccess, SeqAccess, VariantAccess};

use super::{
    DeserializeSeed, IntoDeserializer, Key, Node, Segment, StrDeserializer, TypeError, Value, Visitor, de, list,
};

/// The elements of a sequence.
pub(super) struct Items<'a> {
    items: Iter<'a, Node>,
    index: usize,
}

impl<'a> Items<'a> {
    pub(super) fn new(items: &'a [Node]) -> Self {
        Self { items: items.iter(), index: 0 }
    }
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = TypeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, TypeError> {
        let Some(node) = self.items.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(Value::of_item(node)).map(Some).map_err(|error| error.below(Segment::Index(index)))
    }
}

/// The fields of a mapping.
pub(super) struct Fields<'a> {
    entries: Iter<'a, (Key, Node)>,
    current: Option<&'a (Key, Node)>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(entries: &'a [(Key, Node)]) -> Self {
        Self { entries: entries.iter(), current: None }
    }
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = TypeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, TypeError> {
        self.current = self.entries.next();
        let Some((key, _)) = self.current else { return Ok(None) };
        let text: StrDeserializer<'_, TypeError> = key.text.as_str().into_deserializer();
        let named = |error: TypeError| error.or_at(&key.place).below(Segment::Key(key.text.clone()));
        seed.deserialize(text).map(Some).map_err(named)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, TypeError> {
        let Some((key, node)) = self.current else { return Err(de::Error::custom("a value without a key")) };
        seed.deserialize(Value::of_field(key, node)).map_err(|error| error.below(Segment::Key(key.text.clone())))
    }
}

/// A word (`converged`), or a word with a value (`rejected: web`).
pub(super) struct Variant<'a> {
    pub(super) name: &'a str,
    pub(super) value: Option<(&'a Key, &'a Node)>,
}

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = TypeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), TypeError> {
        let name: StrDeserializer<'_, TypeError> = self.name.into_deserializer();
        match (seed.deserialize(name), self.value) {
            (Ok(variant), _) => Ok((variant, self)),
            (Err(error), Some((key, _))) => Err(error.or_at(&key.place).below(Segment::Key(key.text.clone()))),
            (Err(error), None) => Err(error),
        }
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = TypeError;

    fn unit_variant(self) -> Result<(), TypeError> {
        match self.value {
            None => Ok(()),
            Some((key, _)) => Err(TypeError::new(format!("`{}` takes no value", key.text)).or_at(&key.place)),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, TypeError> {
        let Some((key, node)) = self.value else {
            return Err(TypeError::new(format!("{} needs a value: `{}: …`", list(&[self.name]), self.name)));
        };
        seed.deserialize(Value::of_field(key, node)).map_err(|error| error.below(Segment::Key(key.text.clone())))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, TypeError> {
        Err(TypeError::new(format!("`{}` cannot be written here", self.name)))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, TypeError> {
        let _ = visitor;
        Err(TypeError::new(format!("`{}` cannot be written here", self.name)))
    }
}
