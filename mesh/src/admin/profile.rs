//! Where processor time goes, by thread. A profile of stacks would need a signal handler, thus `unsafe`; `perf` does that
//! from outside.

use std::{collections::BTreeMap, fs, time::Duration};

use serde::Serialize;

/// The processor time of one thread during a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Thread {
    /// Its id.
    id: u32,
    /// Its name.
    name: String,
    /// Processor time in milliseconds, at a resolution of ten.
    cpu_ms: u64,
}

/// Looks at all threads of this process twice, `during` apart. Busiest first. Empty where there is no `/proc`.
pub(super) async fn threads(during: Duration) -> Vec<Thread> {
    let before = ticks();
    tokio::time::sleep(during).await;
    let spent = ticks().into_iter().map(|(id, (name, after))| {
        let before = before.get(&id).map_or(0, |(_, ticks)| *ticks);
        // Linux tells user space ticks of 10 ms, whatever its own are (`USER_HZ`).
        Thread { id, name, cpu_ms: after.saturating_sub(before) * 10 }
    });
    let mut threads: Vec<_> = spent.collect();
    threads.sort_by_key(|thread| std::cmp::Reverse(thread.cpu_ms));
    threads
}

fn ticks() -> BTreeMap<u32, (String, u64)> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let one = |id: u32| Some((id, parse(&fs::read_to_string(format!("/proc/self/task/{id}/stat")).ok()?)?));
    tasks.filter_map(|task| one(task.file_name().to_str()?.parse().ok()?)).collect()
}

/// Name, and user and system time, of a line of proc_pid_stat(5). A name may contain blanks and parentheses.
fn parse(stat: &str) -> Option<(String, u64)> {
    let (head, tail) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let fields: Vec<_> = tail.split_whitespace().collect();
    let time = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some((name.to_owned(), time(11)? + time(12)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc_is_read() {
        let line = "77 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 30 12 13 14";
        assert_eq!(parse(line), Some(("a (b) c".to_owned(), 42)));
        assert_eq!(parse("nonsense"), None);
    }
}
