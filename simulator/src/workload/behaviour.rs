//! How an application answers: [`Respond`] checked and ready for use.

use std::time::Duration;

use crate::{exchange::RequestId, scenario::model::Respond};

/// Why a [`Respond`] cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RespondError {
    /// Not a final HTTP status.
    #[error("status {0} cannot be answered: use 200 to 599")]
    Status(u16),
    /// Not a duration.
    #[error("delay `{0}` is no duration: use a whole number with ms, s or m, for example `50ms`")]
    Delay(String),
    /// Not a percentage.
    #[error("failPercent {0} is out of range: use 0 to 100")]
    FailPercent(u8),
}

/// A checked [`Respond`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Behaviour {
    /// HTTP status of an ordinary answer.
    pub(super) status: u16,
    /// Waited before every answer.
    pub(super) delay: Duration,
    fail_percent: u8,
    fail_first: u32,
}

impl Behaviour {
    /// Fails on a value out of range; nothing is corrected silently.
    pub(super) fn new(respond: &Respond) -> Result<Self, RespondError> {
        let status = respond.status.unwrap_or(200);
        if !(200..=599).contains(&status) {
            return Err(RespondError::Status(status));
        }
        let fail_percent = respond.fail_percent.unwrap_or(0);
        if fail_percent > 100 {
            return Err(RespondError::FailPercent(fail_percent));
        }
        let delay = match &respond.delay {
            None => Duration::ZERO,
            Some(text) => duration(text).ok_or_else(|| RespondError::Delay(text.clone()))?,
        };
        Ok(Self { status, delay, fail_percent, fail_first: respond.fail_first.unwrap_or(0) })
    }

    /// Whether this request is among the share that fails. The same id always gets the same answer.
    pub(super) fn fails(self, id: Option<RequestId>) -> bool {
        let Some(RequestId(id)) = id else { return self.fail_percent == 100 };
        // Fold and multiply (the 64-bit golden ratio), so that ids that count up spread over the whole range.
        let folded = (id as u64) ^ ((id >> 64) as u64);
        let mixed = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        mixed % 100 < u64::from(self.fail_percent)
    }

    /// The status of the answer to this request, which has arrived so often by now.
    pub(super) fn status_for(self, id: Option<RequestId>, arrivals: usize) -> u16 {
        let early = u32::try_from(arrivals).is_ok_and(|arrivals| arrivals <= self.fail_first);
        if early || self.fails(id) { 503 } else { self.status }
    }
}

fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..unit].parse().ok()?;
    match &text[unit..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_ids_fails_and_always_the_same() {
        let behaviour = Behaviour::new(&Respond { fail_percent: Some(30), ..Respond::default() }).unwrap();
        let failed = |id: u128| behaviour.fails(Some(RequestId(id)));
        let count = (0..10_000).filter(|id| failed(*id)).count();
        assert!((2_800..3_200).contains(&count), "{count}");
        assert!((0..10_000).all(|id| failed(id) == failed(id)));
    }

    #[test]
    fn nothing_out_of_range_is_accepted() {
        let of = |respond: Respond| Behaviour::new(&respond).unwrap_err();
        assert_eq!(of(Respond { status: Some(101), ..Respond::default() }), RespondError::Status(101));
        assert_eq!(of(Respond { fail_percent: Some(101), ..Respond::default() }), RespondError::FailPercent(101));
        for text in ["", "50", "ms", "5h", "-1s", "1.5s"] {
            let respond = Respond { delay: Some(text.into()), ..Respond::default() };
            assert_eq!(of(respond), RespondError::Delay(text.into()));
        }
    }
}
