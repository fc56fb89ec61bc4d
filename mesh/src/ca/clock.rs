//! Time, injected.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::future::BoxFuture;
use tokio::sync::watch;

/// Tells the time and wakes sleepers. All of [`crate::ca`] gets its time from here.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Seconds since the Unix epoch. May jump either way: a machine sleeps, an operator sets the date.
    fn now(&self) -> i64;

    /// Returns at `deadline` (seconds since the Unix epoch), or earlier: the caller asks [`Clock::now`] again.
    /// Cancel safe.
    fn sleep_until(&self, deadline: i64) -> BoxFuture<'_, ()>;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// A clock that only moves when told to. Clones share the time.
#[derive(Clone)]
pub struct ManualClock {
    /// Nanoseconds since the Unix epoch, so that short steps add up.
    nanos: Arc<watch::Sender<i128>>,
}

/// Timers run on a monotonic clock and know nothing of jumps of the wall clock: look again at least this often.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

const NANOS: i128 = 1_000_000_000;

impl Clock for SystemClock {
    fn now(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
        }
    }

    fn sleep_until(&self, deadline: i64) -> BoxFuture<'_, ()> {
        let left = Duration::from_secs(u64::try_from(deadline.saturating_sub(self.now())).unwrap_or(0));
        Box::pin(tokio::time::sleep(left.min(LOOK_AGAIN)))
    }
}

impl ManualClock {
    /// A clock that stands at `now`, in seconds since the Unix epoch.
    pub fn new(now: i64) -> Self {
        Self { nanos: Arc::new(watch::Sender::new(i128::from(now) * NANOS)) }
    }

    /// A clock that stands at the machine's present time.
    pub fn at_system_time() -> Self {
        Self::new(SystemClock.now())
    }

    /// Moves the time forward and wakes those whose deadline has come.
    pub fn advance(&self, by: Duration) {
        let by = i128::try_from(by.as_nanos()).unwrap_or(i128::MAX);
        self.nanos.send_modify(|nanos| *nanos = nanos.saturating_add(by));
    }

    /// Sets the time, in seconds since the Unix epoch; backwards too, which wakes every sleeper.
    pub fn set(&self, now: i64) {
        self.nanos.send_replace(i128::from(now) * NANOS);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> i64 {
        let seconds = self.nanos.borrow().div_euclid(NANOS);
        i64::try_from(seconds).unwrap_or(i64::MAX)
    }

    fn sleep_until(&self, deadline: i64) -> BoxFuture<'_, ()> {
        let mut time = self.nanos.subscribe();
        let start = *time.borrow();
        Box::pin(async move {
            let due = i128::from(deadline) * NANOS;
            // `self` holds the sender, so waiting cannot fail.
            let _ = time.wait_for(|nanos| *nanos >= due || *nanos < start).await;
        })
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ManualClock({})", self.now())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn manual_clock_wakes_at_the_deadline_and_when_set_back() {
        let clock = ManualClock::new(100);
        let reader = clock.clone();
        let mut sleep = reader.sleep_until(110);
        assert!((&mut sleep).now_or_never().is_none());
        clock.advance(Duration::from_millis(9_999));
        assert_eq!(reader.now(), 109);
        assert!((&mut sleep).now_or_never().is_none());
        clock.advance(Duration::from_millis(1));
        assert!((&mut sleep).now_or_never().is_some());
        assert!(reader.sleep_until(50).now_or_never().is_some(), "a deadline in the past is due");

        let mut sleep = reader.sleep_until(1_000);
        assert!((&mut sleep).now_or_never().is_none());
        clock.set(20);
        assert!((&mut sleep).now_or_never().is_some(), "set back");
    }

    #[tokio::test]
    async fn system_clock_does_not_wait_for_the_past() {
        let now = SystemClock.now();
        assert!(now > 1_700_000_000, "seconds since the Unix epoch");
        SystemClock.sleep_until(now).await;
        SystemClock.sleep_until(i64::MIN).await;
    }
}
