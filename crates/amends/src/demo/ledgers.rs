//! The end: what the services wrote in their own ledgers, and what the judge says of it. Nothing of
//! it comes from the engine but how it says that each saga ended.

use std::collections::BTreeMap;
use std::time::Duration;

use amends_example_services::judge::{Ending, SagaFacts, Verdict, judge};

use super::act::{Act, TITLE_CHARS};
use super::scenes::steps;
use super::screen::{Ink, Screen};
use super::stage::Stage;

/// The widths of the columns; all of a line fits 80.
const CELL_CHARS: usize = 8;
const STATE_CHARS: usize = 11;

/// What was found in the ledgers.
pub struct Found {
    tables: Vec<Table>,
    verdict: Verdict,
    services: usize,
}

struct Table {
    title: &'static str,
    headings: [&'static str; 4],
    rows: Vec<Row>,
}

struct Row {
    title: &'static str,
    state: String,
    /// How often each step was done and undone.
    effects: Vec<(u32, u32)>,
}

/// What the ledgers say of a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    AllDone,
    AllUndone,
    InBetween,
}

/// Reads every ledger.
pub fn read(stage: &Stage, acts: &[Act]) -> anyhow::Result<Found> {
    let evidence = stage.services.evidence()?;
    let mut effects: BTreeMap<(&str, &str), (u32, u32)> = BTreeMap::new();
    for effect in evidence.iter().flat_map(|evidence| &evidence.effects) {
        let stands = effects.entry((&effect.saga_id, &effect.step)).or_default();
        stands.0 += effect.forward;
        stands.1 += effect.undone;
    }
    let (mut tables, mut facts) = (Vec::new(), Vec::new());
    for act in acts {
        let mut rows = Vec::new();
        for (part, seen) in act.scene.parts.iter().zip(&act.sagas) {
            let steps = steps(part.worked);
            let of = |step: &&str| effects.get(&(seen.id.as_str(), *step)).copied();
            rows.push(Row {
                title: part.title,
                state: seen.state.clone(),
                effects: steps.iter().map(|step| of(step).unwrap_or_default()).collect(),
            });
            let ending = match seen.state.as_str() {
                "completed" => Ending::Completed,
                "failed" => Ending::Failed,
                _ => Ending::Running,
            };
            facts.push(SagaFacts::sequence(&seen.id, ending, &steps));
        }
        tables.push(Table { title: act.scene.title, headings: act.scene.headings, rows });
    }
    Ok(Found { tables, verdict: judge(&facts, &evidence), services: evidence.len() })
}

impl Row {
    fn stands(&self) -> Stands {
        if self.effects.iter().all(|&effect| effect == (1, 0)) {
            Stands::AllDone
        } else if self.effects.iter().all(|&(done, undone)| done == undone && done <= 1) {
            Stands::AllUndone
        } else {
            Stands::InBetween
        }
    }

    /// Do the ledgers say what the engine says?
    fn agrees(&self) -> bool {
        matches!(
            (self.state.as_str(), self.stands()),
            ("completed", Stands::AllDone) | ("failed", Stands::AllUndone)
        )
    }

    fn line(&self, screen: &Screen) -> String {
        let mut line = format!("  {:TITLE_CHARS$}", self.title);
        for &(done, undone) in &self.effects {
            let (text, ink) = match (done, undone) {
                (0, 0) => ("–".to_owned(), Ink::Faint),
                (1, 0) => ("done".to_owned(), Ink::Good),
                (1, 1) => ("undone".to_owned(), Ink::Undo),
                _ => (format!("{done}× {undone}×"), Ink::Bad),
            };
            line += &screen.paint(&text, ink, CELL_CHARS);
        }
        line += &screen.paint(&self.state, Ink::Plain, STATE_CHARS);
        let (words, ink) = match self.stands() {
            Stands::AllDone => ("all done", Ink::Good),
            Stands::AllUndone => ("all undone", Ink::Undo),
            Stands::InBetween => ("IN BETWEEN", Ink::Bad),
        };
        line + &screen.paint(words, if self.agrees() { ink } else { Ink::Bad }, 0)
    }
}

impl Found {
    /// Is every saga all done or all undone, and was no promise broken?
    pub fn holds(&self) -> bool {
        self.verdict.holds() && self.rows().all(Row::agrees)
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.tables.iter().flat_map(|table| &table.rows)
    }

    /// All of it in words.
    pub fn tell(&self, screen: &Screen, took: Duration) -> String {
        let title = screen.paint("What the services wrote in their own ledgers", Ink::Title, 0);
        let mut told = format!("\n  {title} (– never happened)");
        for table in &self.tables {
            told += &format!("\n\n  {}", screen.paint(table.title, Ink::Title, TITLE_CHARS));
            for heading in table.headings {
                told += &screen.paint(heading, Ink::Faint, CELL_CHARS);
            }
            told += &screen.paint("engine", Ink::Faint, STATE_CHARS);
            told += &screen.paint("ledgers", Ink::Faint, 0);
            for row in &table.rows {
                told += &format!("\n{}", row.line(screen));
            }
        }
        told += "\n";
        for violation in &self.verdict.violations {
            told += &format!("\n  {}", screen.paint(&violation.to_string(), Ink::Bad, 0));
        }
        let count = |stands: Stands| self.rows().filter(|row| row.stands() == stands).count();
        let (done, undone) = (count(Stands::AllDone), count(Stands::AllUndone));
        let Verdict { sagas, effects, calls, violations } = &self.verdict;
        told += &format!(
            "\n  The judge read {} ledgers, {calls} calls, {effects} effects, and found {}.",
            self.services,
            match violations.len() {
                0 => "nothing wrong".to_owned(),
                1 => "1 broken promise".to_owned(),
                n => format!("{n} broken promises"),
            }
        );
        let took = took.as_secs_f64();
        let (last, ink) = if self.holds() {
            let last = format!(
                "{sagas} sagas: {done} all done, {undone} all undone, none in between. {took:.0} s."
            );
            (last, Ink::Good)
        } else {
            let between = count(Stands::InBetween);
            let last = format!(
                "{sagas} sagas: {done} all done, {undone} all undone, {between} in between. A \
                 promise was broken."
            );
            (last, Ink::Bad)
        };
        told + &format!("\n  {}\n", screen.paint(&last, ink, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: &str, effects: &[(u32, u32)]) -> Row {
        Row { title: "", state: state.to_owned(), effects: effects.to_vec() }
    }

    #[test]
    fn only_all_or_nothing_that_the_engine_says_too_is_good() {
        let check = |state, effects: &[(u32, u32)], stands, agrees| {
            let row = row(state, effects);
            assert_eq!((row.stands(), row.agrees()), (stands, agrees), "{state} {effects:?}");
        };
        check("completed", &[(1, 0), (1, 0)], Stands::AllDone, true);
        check("failed", &[(1, 0), (1, 0)], Stands::AllDone, false);
        check("failed", &[(1, 1), (0, 0)], Stands::AllUndone, true);
        check("completed", &[(0, 0), (0, 0)], Stands::AllUndone, false);
        check("failed", &[(1, 0), (0, 0)], Stands::InBetween, false);
        check("completed", &[(2, 0), (1, 0)], Stands::InBetween, false);
        check("failed", &[(2, 2), (1, 1)], Stands::InBetween, false);
        check("pending", &[(1, 0), (0, 0)], Stands::InBetween, false);
    }
}
