//! Deadlines: what is late, and when to look again.

pub use amends_core::choreography::GRACE;
use amends_core::choreography::{Happened, Said};
use amends_core::{Millis, StepIx, Time};

use crate::event::{Reason, SagaEvent};
use crate::record::Record;
use crate::service::{Moment, Service};

/// How long a step is left to whoever is about to carry it out, or to note what became of it, who may have
/// died.
pub const LEFT_FOR: Millis = Millis::secs(2);

/// How often it is looked whether what is late by the clock was only unread.
const LOOK_AGAIN: Millis = Millis::secs(5);

/// What a service does about a step that it waits for and that has not come in its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overdue {
    /// What the step's kind asks for: without a best effort the saga goes on; a step before the point of
    /// no return fails it; for one at or behind that it is waited.
    #[default]
    ByKind,
    /// It waits on. Others may ask for the end.
    WaitOn,
}

impl Service {
    /// Waits so much longer for steps of others than they may take.
    #[must_use]
    pub fn with_grace(self, grace: Millis) -> Self {
        Self { grace, ..self }
    }

    /// How much longer it waits for steps of others than they may take.
    pub fn grace(&self) -> Millis {
        self.grace
    }

    /// Says what to do when this step of another service does not come in its time; `false` if there is
    /// no such step.
    pub fn when_overdue(&mut self, step: &str, overdue: Overdue) -> bool {
        let step = self.of.named(step);
        self.when_overdue.extend(step.map(|step| (step, overdue)));
        step.is_some()
    }

    /// Takes in that time has passed; gives the steps that are late by now, each said once, and what is
    /// to be published about it. Others are late only by what was heard of them.
    pub fn late(&self, record: &mut Record, now: Moment) -> (Vec<StepIx>, Vec<SagaEvent>) {
        let heard = now.heard.min(now.at);
        let mut says = Vec::new();
        let is_late = |&(step, at): &(StepIx, Time)| {
            at <= if self.mine.contains(step) { now.at } else { heard }
        };
        let late: Vec<StepIx> =
            self.deadlines(record).filter(is_late).map(|(step, _)| step).collect();
        let now = now.at;
        for &step in &late {
            record.clock(step).overdue = true;
            if self.when_overdue.get(&step) == Some(&Overdue::WaitOn) {
                continue;
            }
            let name = self.of.name(step);
            let after = self.of.step(step).deadline;
            let reason =
                Reason::new("DEADLINE", &format!("the step {name} was not done within {after}"));
            // There is such a step, and lateness contradicts nothing.
            let Ok(said) = self.react(record, Happened::Overdue(step)) else { continue };
            if said.contains(&Said::Failed) {
                record.note_failure(Some(step), reason.clone());
            }
            says.extend(self.events(record, &said, Some((Some(step), reason)), None, now));
        }
        if self.saga_deadline(record).is_some_and(|at| at <= heard) {
            let reason = Reason::new("DEADLINE", "the saga was not done within its deadline");
            says.extend(self.fail(record, None, reason, now).unwrap_or_default());
        }
        self.look(record, now);
        (late, says)
    }

    /// When there is something to do by itself: a task, or a deadline. What is due now is left for a moment
    /// to whoever has just advanced this. `None`: only when something is heard.
    pub fn wakes_at(&self, record: &Record, now: Time) -> Option<Time> {
        let owed = record.part.owed(record.of.choreography(), self.mine);
        let tasks = owed.filter(|_| record.data.is_some()).map(|owed| {
            let clock = record.clocks.get(&owed.step()).copied().unwrap_or_default();
            let at = clock.again_at.or(clock.ready_at).unwrap_or_default();
            if at <= now { now + LEFT_FOR } else { at }
        });
        let late = self.deadlines(record).map(|(_, at)| at).chain(self.saga_deadline(record));
        let late = late.map(|at| if at <= now { now + LOOK_AGAIN } else { at });
        tasks.chain(late).min()
    }

    /// Of the steps that are ready and neither known nor said to be late: the own ones, and those that an
    /// own one waits for.
    fn deadlines(&self, record: &Record) -> impl Iterator<Item = (StepIx, Time)> {
        let of = record.of.choreography();
        let waits = move |step: StepIx| {
            self.mine.iter().any(|own| of.definition().ancestors(own).contains(step))
        };
        record.part.awaited(of).filter_map(move |step| {
            let clock = record.clocks.get(&step).filter(|clock| !clock.overdue)?;
            let is_mine = self.mine.contains(step);
            let grace = if is_mine { Millis::ZERO } else { self.grace };
            let at = clock.ready_at? + self.of.step(step).deadline + grace;
            (is_mine || waits(step)).then_some((step, at))
        })
    }

    /// That of the saga, while it may still be undone and is not.
    fn saga_deadline(&self, record: &Record) -> Option<Time> {
        let of = record.of.choreography();
        if record.part.failed || record.decided() {
            return None;
        }
        let is_arbiter = self.mine.contains(of.arbiter());
        let grace = if is_arbiter { Millis::ZERO } else { self.grace };
        Some(record.started_at? + of.definition().deadline()? + grace)
    }
}
