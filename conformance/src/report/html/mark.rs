//! Verdicts as they are shown: a word, a sign and a colour.

use serde::Serialize;
use simulator::judge::Verdict;

use super::super::{ClauseStatus, FeatureStatus, ProfileVerdict, RunVerdict, TestVerdict};

/// A verdict: never by colour alone.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Mark {
    word: String,
    sign: &'static str,
    /// `good`, `bad`, `open` or `none`.
    class: &'static str,
}

impl Mark {
    fn new(word: &impl ToString, sign: &'static str, class: &'static str) -> Self {
        Self { word: word.to_string(), sign, class }
    }
}

impl From<RunVerdict> for Mark {
    fn from(verdict: RunVerdict) -> Self {
        let (sign, class) = match verdict {
            RunVerdict::Pass => ("✓", "good"),
            RunVerdict::Fail => ("✗", "bad"),
            RunVerdict::Infrastructure => ("!", "open"),
            RunVerdict::Inconclusive => ("?", "open"),
        };
        Self::new(&verdict, sign, class)
    }
}

impl From<ProfileVerdict> for Mark {
    fn from(verdict: ProfileVerdict) -> Self {
        let (sign, class) = match verdict {
            ProfileVerdict::Pass => ("✓", "good"),
            ProfileVerdict::Partial => ("◐", "good"),
            ProfileVerdict::Fail => ("✗", "bad"),
            ProfileVerdict::Inconclusive => ("?", "open"),
            ProfileVerdict::None => ("–", "none"),
        };
        Self::new(&verdict, sign, class)
    }
}

impl From<FeatureStatus> for Mark {
    fn from(status: FeatureStatus) -> Self {
        let (sign, class) = match status {
            FeatureStatus::Proven => ("✓", "good"),
            FeatureStatus::Failed => ("✗", "bad"),
            FeatureStatus::Unproven => ("?", "open"),
            FeatureStatus::Unclaimed => ("–", "none"),
        };
        Self::new(&status, sign, class)
    }
}

impl From<ClauseStatus> for Mark {
    fn from(status: ClauseStatus) -> Self {
        let (sign, class) = match status {
            ClauseStatus::Kept => ("✓", "good"),
            ClauseStatus::Broken => ("✗", "bad"),
            ClauseStatus::Read => ("◆", "good"),
            ClauseStatus::Open => ("?", "open"),
            ClauseStatus::NotSupported => ("–", "none"),
            ClauseStatus::NotTested => ("○", "none"),
        };
        Self::new(&status, sign, class)
    }
}

impl From<TestVerdict> for Mark {
    fn from(verdict: TestVerdict) -> Self {
        let (sign, class) = match verdict {
            TestVerdict::Passed => ("✓", "good"),
            TestVerdict::Failed => ("✗", "bad"),
            TestVerdict::KnownFailing => ("✗", "open"),
            TestVerdict::Fixed => ("!", "bad"),
            TestVerdict::Flaky => ("~", "open"),
            TestVerdict::Inconclusive => ("?", "open"),
            TestVerdict::CouldNotRun => ("!", "open"),
            TestVerdict::NotSupported => ("–", "none"),
        };
        Self::new(&verdict, sign, class)
    }
}

impl From<Verdict> for Mark {
    fn from(verdict: Verdict) -> Self {
        let (sign, class) = match verdict {
            Verdict::Pass => ("✓", "good"),
            Verdict::Fail => ("✗", "bad"),
            Verdict::Inconclusive => ("?", "open"),
            Verdict::Infrastructure => ("!", "open"),
            Verdict::Unobservable => ("–", "none"),
        };
        Self::new(&verdict, sign, class)
    }
}
