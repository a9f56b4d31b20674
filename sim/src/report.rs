//! What many runs came to, as a table: each law, how it is checked, in how many runs, and the mistakes
//! that broke it when they were built in.

use std::collections::BTreeMap;

use crate::judge::Law;
use crate::mutants::Mutant;
use crate::run::Outcome;

/// What many runs came to.
#[derive(Default)]
pub struct Report {
    /// How many runs there were.
    pub runs: u64,
    /// How many sagas they had.
    pub sagas: u64,
    /// How long they took in their own time, in milliseconds.
    pub lasted_ms: u64,
    /// In how many runs each law was looked at, and how often.
    pub checked: BTreeMap<Law, (u64, u64)>,
    /// Those in which a law was broken.
    pub broken: Vec<Outcome>,
    /// The mistakes that were caught, by law.
    pub caught: BTreeMap<Law, Vec<&'static str>>,
    /// Those that were not.
    pub escaped: Vec<&'static str>,
}

impl Report {
    /// Adds a run.
    pub fn add(&mut self, outcome: Outcome) {
        self.runs += 1;
        self.sagas += outcome.sagas as u64;
        self.lasted_ms += outcome.lasted_ms;
        for (law, times) in &outcome.checked {
            let checked = self.checked.entry(*law).or_default();
            checked.0 += 1;
            checked.1 += times;
        }
        if !outcome.violations.is_empty() {
            self.broken.push(outcome);
        }
    }

    /// Adds what became of a mistake: the laws of it that were seen broken.
    pub fn add_mutant(&mut self, mutant: &Mutant, laws: &[Law]) {
        if laws.is_empty() {
            self.escaped.push(mutant.words);
        }
        for law in laws {
            self.caught.entry(*law).or_default().push(mutant.words);
        }
    }

    /// The table, a line a law: its number, how it is checked, in how many runs, and what was caught.
    pub fn table(&self) -> Vec<String> {
        let line = |law: &Law| {
            let (runs, _) = self.checked.get(law).copied().unwrap_or_default();
            let caught = self.caught.get(law).map(|caught| caught.join("; ")).unwrap_or_default();
            format!("{law:?}\t{}\t{runs}\t{caught}", law.how())
        };
        Law::ALL.iter().map(line).collect()
    }

    /// The laws that no run looked at.
    pub fn unchecked(&self) -> Vec<Law> {
        Law::ALL.iter().filter(|law| !self.checked.contains_key(law)).copied().collect()
    }

    /// The laws that no mistake broke.
    pub fn untested(&self) -> Vec<Law> {
        Law::ALL.iter().filter(|law| !self.caught.contains_key(law)).copied().collect()
    }
}
