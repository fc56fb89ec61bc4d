//! Reads the types that have a short and a long form. By hand, because serde's untagged enums forget why no form fits:
//! a misspelled field of the long form must be named.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Unexpected, Visitor, value::MapAccessDeserializer},
};

use super::{Auto, Count, Denied, DeniedDetail, FullPort, Manifest, ManifestFile, Port};

struct PortVisitor;

impl<'de> Visitor<'de> for PortVisitor {
    type Value = Port;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a port number or a mapping with `port`, `targetPort` and `appProtocol`")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Port, E> {
        u16::try_from(value).map(Port::Number).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &"u16"))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Port, A::Error> {
        FullPort::deserialize(MapAccessDeserializer::new(map)).map(Port::Full)
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PortVisitor)
    }
}

struct ManifestVisitor;

impl<'de> Visitor<'de> for ManifestVisitor {
    type Value = Manifest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a manifest as text (after `|`) or `{file: PATH}`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Manifest, E> {
        Ok(Manifest::Inline(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Manifest, A::Error> {
        ManifestFile::deserialize(MapAccessDeserializer::new(map)).map(Manifest::File)
    }
}

impl<'de> Deserialize<'de> for Manifest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ManifestVisitor)
    }
}

struct CountVisitor;

impl Visitor<'_> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of requests or `auto`")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Count, E> {
        u32::try_from(value).map(Count::Exactly).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &"u32"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Count, E> {
        match text {
            "auto" => Ok(Count::Auto(Auto::Auto)),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

struct DeniedVisitor;

impl<'de> Visitor<'de> for DeniedVisitor {
    type Value = Denied;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`true` or a mapping with `as` and `because`")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Denied, E> {
        Ok(Denied::Plain(value))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Denied, A::Error> {
        DeniedDetail::deserialize(MapAccessDeserializer::new(map)).map(Denied::Detailed)
    }
}

impl<'de> Deserialize<'de> for Denied {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DeniedVisitor)
    }
}
