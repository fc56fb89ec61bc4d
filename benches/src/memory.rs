//! Memory of this process.

use std::fs;

/// Resident memory in KiB (`VmRSS` of proc_pid_status(5)); zero where there is no `/proc`.
#[must_use]
pub fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or_default()
}
