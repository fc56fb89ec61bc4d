//! Differences for readers.

use std::fmt::Write as _;

use owo_colors::{OwoColorize as _, Style as Paint};
use simulator::report::Style;

use super::{
    super::{markdown::escape, text::line},
    Change, Diff, Direction, Side,
};

impl Diff {
    /// For a terminal.
    #[must_use]
    pub fn text(&self, style: Style) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "before  {}", line(&side(&self.before)));
        let _ = writeln!(out, "after   {}", line(&side(&self.after)));
        let _ = writeln!(out, "{}", line(&self.sentence()));
        for (title, changes) in self.lists() {
            let _ = writeln!(out, "\n{title}");
            for change in changes {
                let (mark, colour) = match change.direction {
                    Direction::Worse => ("worse ", Paint::new().red()),
                    Direction::Better => ("better", Paint::new().green()),
                    Direction::Other => ("      ", Paint::new()),
                };
                let text = line(&format!("{}: {} → {}  {}", change.id, change.before, change.after, change.text));
                let mark = if style == Style::Coloured { mark.style(colour).to_string() } else { mark.to_owned() };
                let _ = writeln!(out, "  {mark} {}", text.trim_end());
            }
        }
        out
    }

    /// For a pull request.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut out = String::from("# SMI conformance: what has changed\n\n");
        let _ = writeln!(out, "- before: {}\n- after: {}\n", escape(&side(&self.before)), escape(&side(&self.after)));
        let _ = writeln!(out, "{}", escape(&self.sentence()));
        for (title, changes) in self.lists() {
            let _ = writeln!(out, "\n## {title}\n\n| | what | before | after | |\n|---|---|---|---|---|");
            for change in changes {
                let direction = match change.direction {
                    Direction::Worse => "**worse**",
                    Direction::Better => "better",
                    Direction::Other => "",
                };
                let cells = [&change.id, &change.before, &change.after, &change.text].map(|text| escape(text));
                let [id, before, after, text] = cells;
                let _ = writeln!(out, "| {direction} | {id} | {before} | {after} | {text} |");
            }
        }
        out
    }

    fn sentence(&self) -> String {
        let count = |direction| self.changes().filter(|change| change.direction == direction).count();
        let (worse, better, other) = (count(Direction::Worse), count(Direction::Better), count(Direction::Other));
        let mut text = match worse + better + other {
            0 => "Nothing differs.".to_owned(),
            _ => format!("{worse} worse, {better} better, {other} neither."),
        };
        if !self.same_suite {
            text.push_str(" The scenarios of the two runs are not the same.");
        }
        text
    }

    /// What differs, by kind; kinds without a difference are left out.
    fn lists(&self) -> impl Iterator<Item = (&'static str, Vec<&Change>)> {
        let lists: [(&'static str, Vec<&Change>); 6] = [
            ("Run", self.verdict.iter().collect()),
            ("Clauses", self.clauses.iter().collect()),
            ("Features", self.features.iter().collect()),
            ("Tests", self.tests.iter().collect()),
            ("Readings", self.readings.iter().collect()),
            ("Durations", self.durations.iter().collect()),
        ];
        lists.into_iter().filter(|(_, changes)| !changes.is_empty())
    }
}

fn side(side: &Side) -> String {
    format!("{}, {}, {}: {}", side.mesh, side.date, side.backend, side.verdict)
}
