//! Weights: a Kubernetes quantity in v1alpha1 of TrafficSplit, a whole number since.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::error::quoted;

/// Largest weight in whole units. With it the sum of all weights that fit into a text still fits into 64 bits, even in
/// thousandths.
pub const MAX_WEIGHT: u64 = 1_000_000_000;

/// A weight: a whole number from 0 to [`MAX_WEIGHT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(transparent)]
pub struct Weight(#[schemars(range(max = 1_000_000_000))] pub u64);

/// A weight as Kubernetes `resource.Quantity`, held in thousandths: `1`, `"0.5"`, `500m`, `10k`, `1Ki`, `1e3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    /// Thousandths of one, from 0 to 1000 times [`MAX_WEIGHT`].
    pub thousandths: u64,
}

impl Quantity {
    /// Reads a quantity in any notation of Kubernetes.
    ///
    /// # Errors
    /// Tells why: not a quantity, negative, finer than a thousandth, or too large.
    pub fn parse(text: &str) -> Result<Self, String> {
        let malformed = || format!("{} is not a quantity such as `1`, `0.5` or `500m`", quoted(text));
        let digits_end = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
        let (number, suffix) = text.split_at(digits_end);
        if number.starts_with('-') {
            return Err(format!("{} is negative", quoted(text)));
        }
        let number = number.strip_prefix('+').unwrap_or(number);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(malformed());
        }
        let (factor, exponent) = scale(suffix).ok_or_else(malformed)?;
        let places = i64::try_from(fraction.len()).map_err(|_| malformed())?;
        let too_large = || format!("{} is more than {MAX_WEIGHT}", quoted(text));
        let scaled = scaled(digits.trim_start_matches('0'), factor, exponent - places + 3, text, too_large)?;
        if scaled > MAX_WEIGHT * 1000 { Err(too_large()) } else { Ok(Self { thousandths: scaled }) }
    }
}

/// The whole number `digits · factor · 10^exponent`.
fn scaled(
    digits: &str,
    factor: u128,
    exponent: i64,
    text: &str,
    too_large: impl Fn() -> String,
) -> Result<u64, String> {
    let mut digits = digits.to_owned();
    let mut exponent = exponent;
    while exponent < 0 && digits.ends_with('0') {
        digits.pop();
        exponent += 1;
    }
    if digits.is_empty() {
        return Ok(0);
    }
    // u64 holds 20 digits; with a binary suffix 39 are enough to tell.
    if digits.len() > 30 {
        return Err(too_large());
    }
    let number = digits.parse::<u128>().ok().and_then(|n| n.checked_mul(factor)).ok_or_else(&too_large)?;
    let power = u32::try_from(exponent.unsigned_abs()).ok().and_then(|e| 10u128.checked_pow(e));
    match (exponent >= 0, power) {
        (true, power) => {
            power.and_then(|p| number.checked_mul(p)).and_then(|n| u64::try_from(n).ok()).ok_or_else(too_large)
        }
        (false, Some(power)) if number % power == 0 => u64::try_from(number / power).map_err(|_| too_large()),
        (false, _) => Err(format!("{} is finer than a thousandth", quoted(text))),
    }
}

/// A suffix of a quantity as `(factor, exponent of ten)`.
fn scale(suffix: &str) -> Option<(u128, i64)> {
    let decimal = |exponent| Some((1, exponent));
    let binary = |power: u32| Some((1 << (10 * power), 0));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        exponent => {
            let exponent = exponent.strip_prefix(['e', 'E'])?.parse::<i16>().ok()?;
            decimal(i64::from(exponent))
        }
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WeightVisitor)
    }
}

struct WeightVisitor;

impl de::Visitor<'_> for WeightVisitor {
    type Value = Weight;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from 0 to {MAX_WEIGHT}")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Weight, E> {
        if number <= MAX_WEIGHT {
            Ok(Weight(number))
        } else {
            Err(E::invalid_value(de::Unexpected::Unsigned(number), &self))
        }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Weight, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Weight, E> {
        if text.parse::<u64>().is_err() && Quantity::parse(text).is_ok() {
            let text = quoted(text);
            Err(E::custom(format!("expected {}, found the quantity {text}, as v1alpha1 has it", Shown(&self))))
        } else {
            Err(E::invalid_type(de::Unexpected::Str(text), &self))
        }
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(QuantityVisitor)
    }
}

struct QuantityVisitor;

impl de::Visitor<'_> for QuantityVisitor {
    type Value = Quantity;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quantity such as `1`, `0.5` or `500m`")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Quantity, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Quantity, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Quantity, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
        Quantity::parse(text).map_err(E::custom)
    }
}

/// Shows what a visitor expects.
struct Shown<'v>(&'v dyn de::Expected);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A weight, for example `1`, `0.5` or `500m`.",
            "anyOf": [{ "type": "integer" }, { "type": "string" }],
            "x-kubernetes-int-or-string": true
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantities() {
        for (text, thousandths) in [
            ("0", 0),
            ("0m", 0),
            ("1", 1000),
            ("10", 10_000),
            ("500m", 500),
            ("0.5", 500),
            (".5", 500),
            ("5.", 5000),
            ("+1.250", 1250),
            ("1k", 1_000_000),
            ("1Ki", 1_024_000),
            ("1e3", 1_000_000),
            ("1E-3", 1),
            ("5000u", 5),
            ("0e300", 0),
            ("000000000000000000000000000000000000000001", 1000),
            ("1.000000000000000000000000000000000000000", 1000),
            ("1G", 1_000_000_000_000),
        ] {
            assert_eq!(Quantity::parse(text), Ok(Quantity { thousandths }), "{text}");
        }
    }

    #[test]
    fn no_quantities() {
        for text in [
            "", "m", "-1", "1 m", "1mm", "1.5m", "1u", "1.2.3", "1-", "2G", "1e999999", "1e30000", "E", "Ei", "0x10",
            "½",
        ] {
            assert!(Quantity::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text(text in "\\PC*|[0-9.+-]{0,40}[a-zA-Z]{0,2}-?[0-9]{0,6}") {
            let _ = Quantity::parse(&text);
        }

        #[test]
        fn thousandths_are_exact(n in 0..=1_000_000_000_000u64) {
            prop_assert_eq!(Quantity::parse(&format!("{n}m")), Ok(Quantity { thousandths: n }));
            prop_assert_eq!(Quantity::parse(&format!("{}.{:03}", n / 1000, n % 1000)), Ok(Quantity { thousandths: n }));
        }
    }
}
