//! How ambiguous clauses are read.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use crate::{catalogue, clause::Clause};

/// TT-30 lets the client's side enforce as well, so that it may leave out pods that would refuse it. The catalogue has no readings
/// of it, because it binds nobody; an exact share depends on it all the same.
const TT_30: (&str, [&str; 3]) = ("TT-30", ["skips-unreachable", "server-only", "skips-refused"]);

/// How each ambiguous clause is read.
#[derive(Clone, Debug)]
pub struct Readings {
    /// The name of a reading, by the id of the clause.
    named: BTreeMap<String, String>,
    /// The clauses on which something depended so far.
    asked: RefCell<BTreeSet<String>>,
}

impl Readings {
    /// As this project's own mesh reads them.
    #[must_use]
    pub fn ours() -> Self {
        let ours = |clause: &Clause| Some((clause.id.clone(), clause.ours.clone()?));
        let mut all: BTreeMap<_, _> = catalogue::clauses().iter().filter_map(ours).collect();
        all.insert(TT_30.0.to_owned(), TT_30.1[0].to_owned());
        Self { named: all, asked: RefCell::default() }
    }

    /// The same, but for one clause.
    #[must_use]
    pub fn but(&self, clause: &str, reading: &str) -> Self {
        let mut named = self.named.clone();
        named.insert(clause.to_owned(), reading.to_owned());
        Self { named, asked: RefCell::default() }
    }

    /// Every other way of reading one clause, as clause and reading.
    pub fn others(&self) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
        let named = catalogue::clauses()
            .iter()
            .flat_map(|clause| clause.readings.keys().map(move |reading| (clause.id.as_str(), reading.as_str())));
        let tt_30 = TT_30.1.into_iter().map(|reading| (TT_30.0, reading));
        named.chain(tt_30).filter(|(clause, reading)| self.named.get(*clause).is_none_or(|ours| ours != reading))
    }

    /// Whether anything depended on how this clause is read.
    #[must_use]
    pub fn mattered(&self, clause: &str) -> bool {
        self.asked.borrow().contains(clause)
    }

    /// Whether the clause is read so.
    #[must_use]
    pub fn is(&self, clause: &str, reading: &str) -> bool {
        if !self.mattered(clause) {
            self.asked.borrow_mut().insert(clause.to_owned());
        }
        self.named.get(clause).is_some_and(|name| name == reading)
    }
}

impl Default for Readings {
    fn default() -> Self {
        Self::ours()
    }
}
