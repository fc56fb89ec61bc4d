//! Durations as scenario files write them.

use std::time::Duration;

/// Reads `500ms`, `2s`, `1.5s`, `1m` or `20h`.
///
/// # Errors
/// A number or the unit is missing, or the duration is longer than a year.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or(DurationError)?;
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(DurationError),
    };
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(DurationError);
    }
    let number: f64 = number.parse().map_err(|_| DurationError)?;
    // Counted in whole microseconds, so that `0.3s` and `300ms` are equal.
    let micros = (number * seconds * 1e6).round();
    if micros > 366.0 * 86_400.0 * 1e6 {
        return Err(DurationError);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and less than a year")]
    Ok(Duration::from_micros(micros as u64))
}

/// The text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a duration: write a number and a unit, for example `500ms`, `2s`, `1m` or `20h`")]
pub struct DurationError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_unit() {
        for (text, millis) in [("500ms", 500), ("2s", 2_000), ("1.5s", 1_500), ("1m", 60_000), ("20h", 72_000_000)] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_ambiguous() {
        for text in ["", "5", "s", "-1s", "1d", "1h30m", "1 s", "+1s", "1e3s", "nans", ".5s", "99999999h"] {
            assert_eq!(parse(text), Err(DurationError), "{text}");
        }
    }
}
