//! Durations and address ranges as they are written.

use std::{borrow::Cow, fmt, time::Duration};

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::error::quoted;

/// A duration in Go's notation, as Kubernetes writes it: `1h30m`, `1.5s`, `20ms`, `0s`. Not negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// Reads the notation of Go's `time.ParseDuration`.
    ///
    /// # Errors
    /// Tells why: malformed, negative, or longer than 64 bits of nanoseconds.
    pub fn parse(text: &str) -> Result<Self, String> {
        let malformed = || format!("{} is not a duration such as `90s`, `1.5s` or `1h30m`", quoted(text));
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let (mut rest, mut total) = (text, 0u64);
        if rest.is_empty() {
            return Err(malformed());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(malformed)?;
            let (number, after) = rest.split_at(digits);
            let letters = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
            let (unit, after) = after.split_at(letters);
            let part = nanoseconds(number, unit).ok_or_else(malformed)?;
            total = total.checked_add(part).ok_or_else(malformed)?;
            rest = after;
        }
        Ok(Self(Duration::from_nanos(total)))
    }
}

fn nanoseconds(number: &str, unit: &str) -> Option<u64> {
    let scale: u64 = match unit {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    // Finer than a nanosecond is cut off, as in Go.
    let fraction: u64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    let fraction = u64::try_from(u128::from(fraction) * u128::from(scale) / 1_000_000_000).ok()?;
    whole.checked_mul(scale)?.checked_add(fraction)
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))+$" })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// A range of addresses: `10.0.0.0/8`, `fd00::/8`. Bits beyond the prefix are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range(pub IpNet);

impl Range {
    /// Reads an address, `/` and the length of the prefix.
    ///
    /// # Errors
    /// Tells what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let range: Result<IpNet, _> = text.parse();
        let message = || format!("{} is not a range such as `10.0.0.0/8`", quoted(text));
        range.map(|range| Self(range.trunc())).map_err(|_| message())
    }
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for Range {
    fn schema_name() -> Cow<'static, str> {
        "Range".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 49, "pattern": "^[0-9a-fA-F:.]+/[0-9]{1,3}$" })
    }

    fn inline_schema() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Span;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("0s", 0),
            ("20ms", 20_000_000),
            ("1.5s", 1_500_000_000),
            ("1h30m", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("1us", 1_000),
        ] {
            assert_eq!(Span::parse(text), Ok(Span(Duration::from_nanos(nanoseconds))), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in ["", "1", "s", "-1s", "1d", "1.s.s", "1s ", "1..5s", "99999999999h", "."] {
            assert!(Span::parse(text).is_err(), "{text}");
        }
    }
}
