//! One service of a choreography: what follows from what it hears, and from what became of its steps.

use std::collections::BTreeMap;

use amends_core::choreography::{self, Happened, Outcome, Owed, Part, Said, react};
use amends_core::definition::Kind;
use amends_core::{Millis, StepIx, StepSet, Time};
use amends_wire::Direction;
use serde_json::value::RawValue;

use crate::definition::Choreographed;
use crate::event::{Context, Reason, SagaEvent, Word};
use crate::record::{Clock, Record};
use crate::tasks::Task;
use crate::time::{LEFT_FOR, Overdue};

/// A service in a choreography.
#[derive(Clone, Debug)]
pub struct Service {
    pub(crate) of: Choreographed,
    pub(crate) name: String,
    pub(crate) mine: StepSet,
    pub(crate) grace: Millis,
    pub(crate) when_overdue: BTreeMap<StepIx, Overdue>,
}

/// What became of an own step.
#[derive(Clone, Debug)]
pub enum Answered {
    /// The action is done; its result, JSON.
    Completed(Box<RawValue>),
    /// Its condition does not hold.
    Skipped,
    /// The action is refused, and had no effect.
    Refused(Reason),
    /// The compensation is done, or there was nothing to undo.
    Undone,
}

/// An attempt that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InVain {
    /// Why.
    pub why: Reason,
    /// When the next one is of use at the soonest, where the handler says so.
    pub not_before: Option<Millis>,
    /// Whether it is known that nothing was done. What is not known is never given up.
    pub is_known: bool,
    /// Whether the handler was asked. A wait for a database, say, uses up no attempt.
    pub asked: bool,
}

impl InVain {
    /// Of a handler that was asked, and of which it is known that it has done nothing.
    pub const fn of(why: Reason) -> Self {
        Self { why, not_before: None, is_known: true, asked: true }
    }
}

/// The time, and chance, which whoever runs this brings along.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Now.
    pub at: Time,
    /// Up to when what others said has been heard. After an outage it is far behind, and what is late by the
    /// clock may only be unread.
    pub heard: Time,
    /// A random number, for the jitter of pauses.
    pub jitter: u32,
}

/// Why something is not taken in. The record is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It goes by another definition than the record, or is of another saga.
    #[error("it is of another saga, or goes by another definition of it")]
    Foreign,
    /// The definition has no such step.
    #[error("the definition has no such step")]
    NoStep,
    /// It contradicts what the service knows.
    #[error(
        "it contradicts what this service knows: two services may go by one name, or a database was \
         restored from a backup"
    )]
    Contradicts,
    /// The service owes nothing of the kind (any more).
    #[error("nothing of the kind is owed")]
    NotOwed,
    /// The arbiter has run.
    #[error("the saga has passed its point of no return")]
    TooLate,
}

impl From<choreography::NotTaken> for NotTaken {
    fn from(why: choreography::NotTaken) -> Self {
        match why {
            choreography::NotTaken::NoStep => Self::NoStep,
            choreography::NotTaken::Contradicts => Self::Contradicts,
            choreography::NotTaken::NotOwed => Self::NotOwed,
        }
    }
}

impl Service {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The definition.
    pub fn of(&self) -> &Choreographed {
        &self.of
    }

    /// The commands that it has to know: of each own step the action, and the compensation.
    pub fn commands(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.mine.iter().filter_map(|step| {
            let step = self.of.step(step);
            let undo = step.compensation().map(|undo| &*undo.name);
            step.action().map(|action| (&*action.name, undo))
        })
    }

    /// Takes in an event; gives what is to be published about it. A second time it is nothing new.
    ///
    /// # Errors
    ///
    /// It is not taken, and the record is as it was.
    pub fn hear(
        &self,
        record: &mut Record,
        event: &SagaEvent,
        now: Time,
    ) -> Result<Vec<SagaEvent>, NotTaken> {
        if event.saga_id != record.saga_id || event.definition_hash != record.of.hash() {
            return Err(NotTaken::Foreign);
        }
        let step = match &event.step_name {
            Some(name) => Some(self.of.named(name).ok_or(NotTaken::NoStep)?),
            None => None,
        };
        let before = record.part;
        let says = self.react(record, Happened::Heard(said(event.said, step)?))?;
        // Whichever of them is heard first says why.
        let is_why = match event.said {
            Word::Failed => true,
            Word::NeverRan => step.is_some_and(|step| self.of.step(step).kind != Kind::BestEffort),
            _ => false,
        };
        if is_why && let Some(reason) = &event.reason {
            record.note_failure(step, reason.clone());
        }
        if record.part == before {
            return Ok(Vec::new());
        }
        match (event.said, step) {
            (Word::Started, _) => {
                record.data.get_or_insert_with(|| event.context.data.clone());
                record.started_at.get_or_insert(now);
            }
            (Word::Completed, Some(step)) => {
                if let Some(result) = &event.result {
                    record.note_done(step, result.clone());
                }
            }
            _ => {}
        }
        if record.traceparent.is_none() {
            record.traceparent.clone_from(&event.traceparent);
        }
        let events = self.events(record, &says, None, Some(event.id()), now);
        self.look(record, now);
        Ok(events)
    }

    /// Notes that an attempt at an own step, or at its undo, begins that may outlive the service's knowing of
    /// it: of a service whose handler is another process. Nobody tries again before its answer must be there.
    ///
    /// # Errors
    ///
    /// It is not owed (any more), or another has begun it.
    pub fn begin(&self, record: &mut Record, task: Task, now: Time) -> Result<(), NotTaken> {
        let Task { step, direction, .. } = task;
        if !self
            .tasks(record, now)
            .iter()
            .any(|owed| (owed.step, owed.direction) == (step, direction))
        {
            return Err(NotTaken::NotOwed);
        }
        if direction == Direction::Action {
            self.react(record, Happened::Begun(step))?;
        }
        let clock = record.clock(step);
        if direction == Direction::Action {
            // Whoever sent it has died, or has stopped waiting.
            clock.doubtful |= clock.open;
            clock.open = true;
        }
        clock.again_at = Some(now + self.timeout(step, direction) + LEFT_FOR);
        Ok(())
    }

    /// Takes in what became of an own step; gives what is to be published about it. A refusal of a step
    /// that must be done is an attempt in vain, and the next one asks anew.
    ///
    /// # Errors
    ///
    /// It is not owed: meanwhile it was barred.
    pub fn answered(
        &self,
        record: &mut Record,
        step: StepIx,
        answered: Answered,
        now: Moment,
    ) -> Result<Vec<SagaEvent>, NotTaken> {
        let (happened, reason) = match &answered {
            Answered::Completed(_) => (Happened::Ran(step, Outcome::Completed), None),
            Answered::Skipped => (Happened::Ran(step, Outcome::Skipped), None),
            Answered::Refused(why) if self.of.step(step).kind == Kind::Retriable => {
                let says = self.react(record, Happened::Ran(step, Outcome::Refused))?;
                // An arbiter that had begun before a failure was heard: now it is barred.
                if !says.is_empty() {
                    let why = Some((Some(step), why.clone()));
                    let events = self.events(record, &says, why, None, now.at);
                    self.look(record, now.at);
                    return Ok(events);
                }
                let clock = record.clock(step);
                clock.refusals = clock.refusals.saturating_add(1);
                return self.tried(record, step, InVain::of(why.clone()), now);
            }
            Answered::Refused(reason) => {
                (Happened::Ran(step, Outcome::Refused), Some(reason.clone()))
            }
            Answered::Undone => (Happened::Undone(step), None),
        };
        let says = self.react(record, happened)?;
        match answered {
            Answered::Completed(result) => record.note_done(step, result),
            Answered::Refused(reason) if record.part.failed => {
                record.note_failure(Some(step), reason);
            }
            _ => {}
        }
        let why = reason.map(|why| (Some(step), why));
        let events = self.events(record, &says, why, None, now.at);
        self.look(record, now.at);
        Ok(events)
    }

    /// Takes in that an attempt at an own step, or at its undo, came to nothing this time. It is tried
    /// again after the definition's pause; when its attempts are over, it counts as refused. An undo, and
    /// a step that must not be given up, is tried for ever.
    ///
    /// # Errors
    ///
    /// It is not owed any more.
    pub fn tried(
        &self,
        record: &mut Record,
        step: StepIx,
        in_vain: InVain,
        now: Moment,
    ) -> Result<Vec<SagaEvent>, NotTaken> {
        let of = self.of.choreography();
        let owed = record.part.owed(of, self.mine).find(|owed| owed.step() == step);
        let owed = owed.ok_or(NotTaken::NotOwed)?;
        let is_undo = matches!(owed, Owed::Undo(_));
        if !is_undo && !in_vain.is_known {
            // It may be done: nothing bars it until that is known.
            self.react(record, Happened::Begun(step))?;
        }
        let of_step = self.of.step(step);
        // What has begun is owed still after a failure, or past its time, and is given up as soon as it
        // is known that nothing of it was done.
        let is_unwanted = record.part.failed && !record.decided();
        let clock = record.clock(step);
        clock.open = false;
        clock.doubtful |= !in_vain.is_known;
        let tries = clock.tries.saturating_add(1);
        let unasked = clock.unasked.saturating_add(u32::from(!in_vain.asked));
        let are_over = of_step.retry.max_attempts.is_some_and(|max| tries - unasked >= max);
        let gives_up = !is_undo
            && !clock.doubtful
            && (is_unwanted || of_step.kind != Kind::Retriable && (are_over || clock.overdue));
        if gives_up {
            return self.answered(record, step, Answered::Refused(in_vain.why), now);
        }
        let backoff = if is_undo { of_step.undo.backoff } else { of_step.retry.backoff };
        let pause = backoff.pause(tries, now.jitter);
        let pause = pause.max(in_vain.not_before.unwrap_or(Millis::ZERO));
        let clock = record.clock(step);
        (clock.tries, clock.unasked) = (tries, unasked);
        clock.again_at = Some(now.at + pause);
        Ok(Vec::new())
    }

    /// Asks for the end of the saga: a person cancels.
    ///
    /// # Errors
    ///
    /// Its arbiter has run, as far as this service knows.
    pub fn cancel(
        &self,
        record: &mut Record,
        reason: Reason,
        now: Time,
    ) -> Result<Vec<SagaEvent>, NotTaken> {
        if record.decided() {
            return Err(NotTaken::TooLate);
        }
        self.fail(record, None, reason, now)
    }

    /// Says that the saga is to be undone, and bars what of it is this service's.
    pub(crate) fn fail(
        &self,
        record: &mut Record,
        step: Option<StepIx>,
        reason: Reason,
        now: Time,
    ) -> Result<Vec<SagaEvent>, NotTaken> {
        if record.part.failed {
            return Ok(Vec::new());
        }
        let mut says = vec![Said::Failed];
        says.extend(self.react(record, Happened::Heard(Said::Failed))?);
        record.note_failure(step, reason.clone());
        let events = self.events(record, &says, Some((step, reason)), None, now);
        self.look(record, now);
        Ok(events)
    }

    pub(crate) fn react(
        &self,
        record: &mut Record,
        happened: Happened,
    ) -> Result<Vec<Said>, NotTaken> {
        let mut part: Part = record.part;
        let says = react(self.of.choreography(), self.mine, &mut part, happened)?;
        record.part = part;
        Ok(says)
    }

    /// What is said, with all that travels. `why` is of a failure that begins here.
    pub(crate) fn events(
        &self,
        record: &Record,
        says: &[Said],
        why: Option<(Option<StepIx>, Reason)>,
        cause: Option<String>,
        now: Time,
    ) -> Vec<SagaEvent> {
        let empty = || RawValue::from_string("{}".to_owned()).unwrap_or_default();
        let event = |&said: &Said| {
            let (word, mut step) = word(said);
            let mut reason = None;
            if let Some((of, why)) = &why {
                match said {
                    Said::Failed => (step, reason) = (*of, Some(why.clone())),
                    Said::NeverRan(step) if *of == Some(step) => reason = Some(why.clone()),
                    _ => {}
                }
            }
            let context = Context {
                saga_id: record.saga_id.to_string(),
                step: step.map_or(0, |step| u32::from(step.0) + 1),
                data: record.data.clone().unwrap_or_else(empty),
                completed_steps: record.completed_steps(),
            };
            let result = match said {
                Said::Completed(step) => record.results.get(&step).cloned(),
                _ => None,
            };
            SagaEvent {
                result,
                reason,
                cause: cause.clone(),
                traceparent: record.traceparent.clone(),
                ..self.of.say(record.saga_id, &self.name, word, step, context, now)
            }
        };
        says.iter().map(event).collect()
    }

    /// Notes since when steps are ready, and forgets the times of those that are over.
    pub(crate) fn look(&self, record: &mut Record, now: Time) {
        let of = record.of.choreography();
        let awaited: StepSet = record.part.awaited(of).collect();
        let owed: StepSet = record.part.owed(of, self.mine).map(|owed| owed.step()).collect();
        let live = awaited.union(owed);
        record.clocks.retain(|&step, _| live.contains(step));
        for step in live.iter() {
            record.clock(step).ready_at.get_or_insert(now);
        }
    }
}

impl Record {
    fn note_done(&mut self, step: StepIx, result: Box<RawValue>) {
        if !self.order.contains(&step) {
            // What waited for it may have been heard first: of two topics either can be ahead.
            let later = self.of.choreography().definition().descendants(step);
            let place = self.order.iter().position(|&heard| later.contains(heard));
            self.order.insert(place.unwrap_or(self.order.len()), step);
        }
        self.results.entry(step).or_insert(result);
        // What is timed from now on is its undo.
        self.clocks.insert(step, Clock::default());
    }

    pub(crate) fn note_failure(&mut self, step: Option<StepIx>, reason: Reason) {
        let name = step.map(|step| self.of.name(step).to_owned());
        self.failure.get_or_insert((name, reason));
    }
}

pub(crate) fn said(word: Word, step: Option<StepIx>) -> Result<Said, NotTaken> {
    Ok(match word {
        Word::Started => Said::Started,
        Word::Failed => Said::Failed,
        Word::Completed => Said::Completed(step.ok_or(NotTaken::NoStep)?),
        Word::Skipped => Said::Skipped(step.ok_or(NotTaken::NoStep)?),
        Word::NeverRan => Said::NeverRan(step.ok_or(NotTaken::NoStep)?),
        Word::Compensated => Said::Compensated(step.ok_or(NotTaken::NoStep)?),
    })
}

fn word(said: Said) -> (Word, Option<StepIx>) {
    match said {
        Said::Started => (Word::Started, None),
        Said::Failed => (Word::Failed, None),
        Said::Completed(step) => (Word::Completed, Some(step)),
        Said::Skipped(step) => (Word::Skipped, Some(step)),
        Said::NeverRan(step) => (Word::NeverRan, Some(step)),
        Said::Compensated(step) => (Word::Compensated, Some(step)),
    }
}
