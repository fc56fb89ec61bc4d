//! Verdicts and statuses in words, the same in every rendering.

use std::fmt;

use super::{ClauseStatus, FeatureStatus, ProfileVerdict, RunVerdict, TestVerdict};

impl RunVerdict {
    /// The exit code of the process: 0 pass, 1 fail, 3 infrastructure, 4 inconclusive. 2 is for wrong usage.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Infrastructure => 3,
            Self::Inconclusive => 4,
        }
    }
}

impl fmt::Display for RunVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Infrastructure => "could not run",
            Self::Inconclusive => "inconclusive",
        })
    }
}

impl fmt::Display for ProfileVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Partial => "partial",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::None => "nothing run",
        })
    }
}

impl fmt::Display for FeatureStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Proven => "proven",
            Self::Unproven => "unproven",
            Self::Failed => "failed",
            Self::Unclaimed => "not claimed",
        })
    }
}

impl fmt::Display for ClauseStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kept => "kept",
            Self::Broken => "broken",
            Self::Read => "read",
            Self::Open => "open",
            Self::NotSupported => "not supported",
            Self::NotTested => "not tested",
        })
    }
}

impl fmt::Display for TestVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::KnownFailing => "known failing",
            Self::Fixed => "fixed",
            Self::Flaky => "flaky",
            Self::Inconclusive => "inconclusive",
            Self::CouldNotRun => "could not run",
            Self::NotSupported => "not supported",
        })
    }
}
