//! Time on the processor, which a busy machine does not stretch.

use std::{fs, thread, time::Duration};

use criterion::measurement::{Measurement, ValueFormatter, WallTime};

/// Measures the time that the benchmark's own thread was on a processor. For work on one thread only.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        of_thread()
    }

    fn end(&self, start: Duration) -> Duration {
        of_thread().saturating_sub(start)
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// What this thread has used, to the nanosecond (Linux, `/proc/<pid>/task/<tid>/schedstat`).
///
/// # Panics
/// On a system without it.
fn of_thread() -> Duration {
    // The kernel brings the number up to date when the thread gives way.
    thread::yield_now();
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux keeps scheduler statistics");
    let used = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(used.expect("the first field is the time in nanoseconds"))
}

/// What all threads of this process have used, also those that have ended, to a hundredth of a second (proc_pid_stat(5)).
///
/// # Panics
/// On a system without `/proc`.
#[must_use]
pub fn of_process() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").expect("Linux keeps process statistics");
    // The second field is the name, in parentheses, and may contain anything.
    let fields = text.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>();
    Duration::from_millis(ticks * 10)
}
