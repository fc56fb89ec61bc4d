//! What a sidecar told over time.

use std::collections::VecDeque;

use super::{exposition::Page, flow::Traffic};

/// The pages of one sidecar, oldest first, as far back as a window needs them. Times are in seconds since the Unix epoch.
#[derive(Clone, Debug, Default)]
pub struct History(VecDeque<(i64, Page)>);

impl History {
    /// Takes in a newer page, and forgets those that no window of this many seconds needs any more.
    pub fn push(&mut self, at: i64, page: Page, window: i64) {
        self.0.push_back((at, page));
        // One page from before the window has to stay: it is what later ones are compared with.
        while self.0.get(1).is_some_and(|(second, _)| *second <= at - window) {
            self.0.pop_front();
        }
    }

    /// When the newest page was read.
    pub fn newest(&self) -> Option<i64> {
        self.0.back().map(|(at, _)| *at)
    }

    /// The traffic since a time, as far as pages tell. A sidecar that began later has it from its beginning; one of whose
    /// past nothing is known has it from its first page.
    pub fn since(&self, start: i64) -> Traffic {
        let mut all = Traffic::default();
        let mut pages = self.0.iter().peekable();
        let before = self.0.iter().rposition(|(at, _)| *at <= start);
        let mut last = match before {
            Some(position) => pages.nth(position).map(|(_, page)| page),
            None => pages.next_if(|(at, page)| !began_since(start, *at, page)).map(|(_, page)| page),
        };
        for (_, page) in pages {
            let added = match last {
                Some(earlier) if !restarted(earlier, page) => page.traffic.since(&earlier.traffic),
                _ => page.traffic.clone(),
            };
            all.add(&added);
            last = Some(page);
        }
        all
    }
}

impl History {
    /// From when on [`Self::since`] knows everything: `start`, or the first page if the time before it is unknown.
    pub fn whole_since(&self, start: i64) -> i64 {
        match self.0.front() {
            Some((at, page)) if *at > start && !began_since(start, *at, page) => *at,
            _ => start,
        }
    }
}

/// Whether all that the page counts happened since `start`. Envoy's uptime is in whole seconds.
fn began_since(start: i64, at: i64, page: &Page) -> bool {
    page.uptime.and_then(|uptime| i64::try_from(uptime).ok()).is_some_and(|uptime| at - uptime > start)
}

fn restarted(earlier: &Page, later: &Page) -> bool {
    later.uptime.is_some() && later.uptime < earlier.uptime
}

#[cfg(test)]
mod tests {
    use super::{
        super::flow::{Counts, Flow, Party},
        *,
    };

    fn page(uptime: u64, success: u64) -> Page {
        let party = |pod: &str| Party { namespace: "n".into(), kind: "Pod".into(), name: pod.into(), pod: pod.into() };
        let flow = Flow { source: party("a"), destination: party("b"), service: "s".into(), split: "unknown".into() };
        Page { uptime: Some(uptime), traffic: Traffic([(flow, Counts { success, ..Counts::default() })].into()) }
    }

    fn counted(pages: &[(i64, Page)], window: i64) -> u64 {
        let mut history = History::default();
        for (at, page) in pages {
            history.push(*at, page.clone(), window);
        }
        history.since(history.newest().unwrap() - window).0.values().map(|counts| counts.success).sum()
    }

    #[test]
    fn only_what_was_added_in_the_window_counts() {
        let pages = [(100, page(1000, 5)), (110, page(1010, 8)), (120, page(1020, 20)), (130, page(1030, 21))];
        assert_eq!(counted(&pages, 20), 13);
        assert_eq!(counted(&pages, 15), 13);
        assert_eq!(counted(&pages, 10), 1);
        assert_eq!(counted(&pages, 1000), 16, "of a sidecar with an unknown past, from the first page");
    }

    #[test]
    fn a_sidecar_that_began_in_the_window_counts_from_its_beginning() {
        assert_eq!(counted(&[(100, page(3, 7))], 30), 7);
        assert_eq!(counted(&[(100, page(40, 7))], 30), 0);
    }

    #[test]
    fn a_restart_loses_nothing_that_was_seen() {
        let pages = [(100, page(500, 10)), (110, page(510, 14)), (120, page(2, 3)), (130, page(12, 9))];
        assert_eq!(counted(&pages, 30), 4 + 3 + 6);
        // Even if by then it has counted more than before.
        let pages = [(100, page(500, 10)), (110, page(2, 30))];
        assert_eq!(counted(&pages, 10), 30);
        // A counter that went down restarted, whatever the clock says.
        let pages = [(100, page(500, 10)), (110, page(510, 3))];
        assert_eq!(counted(&pages, 10), 3);
    }

    #[test]
    fn old_pages_are_forgotten() {
        let mut history = History::default();
        for at in 0..1000 {
            history.push(at, page(u64::try_from(at).unwrap() + 10_000, 1), 30);
        }
        assert!(history.0.len() <= 32, "{}", history.0.len());
    }
}
