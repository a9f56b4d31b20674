//! What many runs came to, as a table: each law, how it is checked, in how many runs of a thousand at
//! least, and the mistakes that broke it when they were built in.

use std::collections::{BTreeMap, BTreeSet};

use crate::judge::Law;
use crate::marks::Mark;
use crate::mutants::Mutant;
use crate::run::Outcome;

/// Of so many runs it is said in how many there must have been something to look at.
const OF_RUNS: u64 = 1_000;

/// What many runs came to.
#[derive(Default)]
pub struct Report {
    /// How many runs there were.
    pub runs: u64,
    /// How many sagas they had.
    pub sagas: u64,
    /// How long they took in their own time, in milliseconds.
    pub lasted_ms: u64,
    /// The seeds that broke a law.
    pub broken: BTreeSet<u64>,
    /// In how many runs each law was looked at.
    checked: BTreeMap<Law, u64>,
    /// In how many runs each mark was reached.
    reached: BTreeMap<Mark, u64>,
    /// The mistakes that were caught, by law.
    caught: BTreeMap<Law, Vec<&'static str>>,
    /// The mistakes that were not caught by every law that they break.
    escaped: Vec<&'static str>,
}

impl Report {
    /// Adds a run.
    pub fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.sagas += outcome.sagas as u64;
        self.lasted_ms += outcome.lasted_ms;
        for law in outcome.checked.keys() {
            *self.checked.entry(*law).or_default() += 1;
        }
        for mark in &outcome.marks {
            *self.reached.entry(*mark).or_default() += 1;
        }
        if outcome.is_broken() {
            self.broken.insert(outcome.seed);
        }
    }

    /// Adds what became of a mistake: the laws that were seen broken with it built in.
    pub fn add_mutant(&mut self, mutant: &Mutant, seen: &BTreeSet<Law>) {
        if !mutant.laws.iter().all(|law| seen.contains(law)) {
            self.escaped.push(mutant.words);
        }
        for law in mutant.laws.iter().filter(|law| seen.contains(law)) {
            self.caught.entry(*law).or_default().push(mutant.words);
        }
    }

    /// The table, a line a law, its columns separated by tabs: the law, how it is checked, in how many
    /// runs of a thousand there is something to look at, at least, and the mistakes that it caught. The
    /// number itself changes with every change of the engine; `looked_at` has it.
    pub fn table(&self) -> Vec<String> {
        let line = |law: &Law| {
            let runs = law.runs_min();
            let caught = self.caught.get(law).map(|caught| caught.join("; ")).unwrap_or_default();
            format!("{law:?}\t{}\t{runs}\t{caught}", law.how())
        };
        Law::ALL.iter().map(line).collect()
    }

    /// In how many runs each mark was reached, in words.
    pub fn marks(&self) -> Vec<(u64, &'static str)> {
        let runs = |mark: &Mark| self.reached.get(mark).copied().unwrap_or_default();
        Mark::ALL.iter().map(|mark| (runs(mark), mark.words())).collect()
    }

    /// In how many runs there was something to look at for each law.
    pub fn looked_at(&self) -> Vec<(u64, Law)> {
        let runs = |law: &Law| self.checked.get(law).copied().unwrap_or_default();
        Law::ALL.iter().map(|law| (runs(law), *law)).collect()
    }

    /// What the runs have not shown: laws that few looked at, and marks that none reached.
    pub fn unseen(&self) -> Vec<String> {
        let least = |law: Law| law.runs_min() * self.runs / OF_RUNS;
        let laws = self.looked_at().into_iter().filter(|(runs, law)| *runs < least(*law));
        let laws = laws.map(|(runs, law)| {
            let least = least(law);
            format!("{law:?}: only {runs} runs had anything to look at, and {least} must have")
        });
        let marks = self.marks().into_iter().filter(|(runs, _)| *runs == 0);
        laws.chain(marks.map(|(_, words)| format!("never seen: {words}"))).collect()
    }

    /// What the mistakes have not shown: those that escaped, and laws that caught none.
    pub fn uncaught(&self) -> Vec<String> {
        let escaped = self.escaped.iter().map(|words| format!("not caught: {words}"));
        let idle = Law::ALL.iter().filter(|law| !self.caught.contains_key(law));
        escaped.chain(idle.map(|law| format!("{law:?} caught no mistake"))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::Violation;
    use crate::mutants;

    fn seen() -> Outcome {
        let checked = Law::ALL.iter().map(|law| (*law, 1)).collect();
        let marks = Mark::ALL.iter().copied().collect();
        Outcome { checked, marks, ..Outcome::of(7) }
    }

    #[test]
    fn a_law_that_few_runs_look_at_and_a_mark_that_none_reaches_are_faults() {
        let mut report = Report::default();
        report.add(&seen());
        assert_eq!(report.unseen(), [""; 0]);
        assert!(report.broken.is_empty());
        let mut blind = seen();
        blind.checked.remove(&Law::S10);
        let mut reports = Report::default();
        (0..10).for_each(|_| reports.add(&blind));
        assert_eq!(reports.unseen(), ["S10: only 0 runs had anything to look at, and 2 must have"]);
        blind = seen();
        blind.marks.remove(&Mark::Poison);
        let mut reports = Report::default();
        reports.add(&blind);
        assert_eq!(reports.unseen(), ["never seen: poison"]);
    }

    #[test]
    fn a_run_that_breaks_a_law_or_panics_is_broken() {
        let what = "an end".to_owned();
        let broken = Violation { law: Law::S3, saga: None, what };
        let mut report = Report::default();
        report.add(&Outcome { violations: vec![broken], ..seen() });
        assert_eq!(report.broken.iter().collect::<Vec<_>>(), [&7]);
        let mut report = Report::default();
        report.add(&Outcome { panics: 1, ..seen() });
        assert_eq!(report.broken.iter().collect::<Vec<_>>(), [&7]);
    }

    #[test]
    fn a_mistake_is_caught_when_every_law_that_it_breaks_is_seen_broken() {
        let mut report = Report::default();
        let all: BTreeSet<Law> = Law::ALL.iter().copied().collect();
        mutants::ALL.iter().for_each(|mutant| report.add_mutant(mutant, &all));
        assert_eq!(report.uncaught(), [""; 0], "every law has a mistake that breaks it");
        let two = mutants::ALL.iter().find(|mutant| mutant.laws.len() > 1).expect("some break two");
        report.add_mutant(two, &BTreeSet::from([two.laws[0]]));
        assert_eq!(report.uncaught(), [format!("not caught: {}", two.words)]);
    }
}
