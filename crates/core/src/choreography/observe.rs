//! Who only listens: what the services say becomes facts of a saga like any other.
//!
//! The observer commands nobody. It knows of a saga what was heard, in whatever order; from that follow
//! what is expected next and by when, how the saga ends, and what a person should know.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::{Choreography, End, GRACE, NotTaken, Part, Said};
use crate::definition::Kind;
use crate::effects::UNDO_SLOW_AFTER;
use crate::event::{Event, Started};
use crate::ids::{Direction, Payload, RunRef, StepIx};
use crate::input::Refusal;
use crate::saga::{Act, Attention, Cause, Fault, Reason, Saga, State, StepState};
use crate::time::{Millis, Time};

/// What a service said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What.
    pub said: Said,
    /// Who.
    pub by: Arc<str>,
    /// When, by that one's clock.
    pub at: Time,
    /// The result of a step that is done.
    pub result: Option<Payload>,
    /// Why a step never ran, or the saga is to be undone.
    pub fault: Option<Fault>,
    /// What the saga is to be undone for.
    pub cause: Option<Cause>,
}

/// A saga under observation.
pub struct Observing<'a> {
    of: &'a Choreography,
    saga: &'a mut Saga,
    now: Time,
    facts: &'a mut Vec<Event>,
}

/// When time alone brings something about: a step, or an undo, is not heard of in its time, or the saga is
/// not done within its deadline.
pub fn due(of: &Choreography, saga: &Saga, now: Time) -> Option<Time> {
    expected(of, saga).into_iter().map(|expected| expected.by).filter(|&by| by > now).min()
}

/// Is something late that nobody was told of yet? With `asks`: or that the services are to be asked to undo?
/// Then it is looked at again until all is read that was said.
pub fn waits_until_all_is_read(of: &Choreography, saga: &Saga, now: Time, asks: bool) -> bool {
    let late = late(of, saga, now);
    let is_told = |late: &Expected| saga.attention.iter().any(|held| late.is(held));
    late.iter().any(|late| !is_told(late)) || (asks && to_undo_for(of, saga, &late).is_some())
}

/// Would a cancel ask its services to undo it?
///
/// # Errors
///
/// It is too late for that, or was asked before.
pub fn may_be_cancelled(of: &Choreography, saga: &Saga) -> Result<(), Refusal> {
    let heard = saga.heard.as_ref();
    if saga.state.ended() {
        return Err(Refusal::Ended);
    }
    if heard.is_some_and(|heard| heard.part.inferred(of).decided(of)) {
        return Err(Refusal::TooLate);
    }
    if is_to_end(saga) {
        return Err(Refusal::AlreadyCompensating);
    }
    Ok(())
}

/// Is it undone, or are its services asked to do so?
fn is_to_end(saga: &Saga) -> bool {
    saga.cause().is_some()
}

impl<'a> Observing<'a> {
    /// A saga of which something is heard for the first time.
    pub fn begin(started: Started, now: Time) -> (Saga, Vec<Event>) {
        let started = Started { choreographed: true, ..started };
        (Saga::started(&started, now), vec![Event::Started(started)])
    }

    /// What follows appends the facts that it moves the saga by.
    pub fn new(
        of: &'a Choreography,
        saga: &'a mut Saga,
        now: Time,
        facts: &'a mut Vec<Event>,
    ) -> Self {
        Self { of, saga, now, facts }
    }

    /// Takes in what a service said. A second time it is nothing new.
    ///
    /// # Errors
    ///
    /// There is no such step, or it contradicts what was heard. The saga is as it was.
    pub fn hear(mut self, report: Report) -> Result<(), NotTaken> {
        let (of, part) = (self.of, self.part());
        let steps = of.definition().steps().len();
        if report.said.step().is_some_and(|step| step.get() >= steps) {
            return Err(NotTaken::NoStep);
        }
        // Several may ask for the end, each for what it knows.
        if part.holds(report.said) {
            return Ok(());
        }
        if part.contradicts(of, report.said) {
            return Err(NotTaken::Contradicts);
        }
        let Report { said, by, at: said_at, result, fault, cause } = report;
        self.record(Event::Heard { said, by, said_at, result, fault, cause });
        self.settle();
        Ok(())
    }

    /// Time has passed. What is late may only be unread: nobody is told of it before `all_is_read`. With
    /// `asks` the services are then asked to undo what is late and may still be undone, once.
    pub fn tick(mut self, all_is_read: bool, asks: bool) {
        if all_is_read {
            let late = late(self.of, self.saga, self.now);
            if let Some(cause) = to_undo_for(self.of, self.saga, &late).filter(|_| asks) {
                self.record(Event::EndAsked { cause });
            }
        }
        self.settle();
        if all_is_read {
            self.tell();
        }
    }

    /// The observer was away: what it waits for has so much more time.
    pub fn outage(mut self, lasted: Millis) {
        self.record(Event::OutageEnded { lasted });
        self.settle();
    }

    /// A person asks the services to undo it.
    ///
    /// # Errors
    ///
    /// It is too late for that, or was asked before.
    pub fn cancel(mut self, act: Act) -> Result<(), Refusal> {
        may_be_cancelled(self.of, self.saga)?;
        self.record(Event::EndAsked { cause: Cause::Cancelled(act) });
        self.settle();
        Ok(())
    }

    fn part(&self) -> Part {
        self.saga.heard.as_ref().map(|heard| heard.part).unwrap_or_default()
    }

    fn record(&mut self, event: Event) {
        let applied = self.saga.apply(self.now, &event);
        debug_assert!(applied.is_ok(), "{applied:?}: {event:?}");
        if applied.is_ok() {
            self.facts.push(event);
        }
    }

    /// Draws what follows from all that was heard.
    fn settle(&mut self) {
        let part = self.part().inferred(self.of);
        if !self.saga.state.ended() {
            self.turn(part);
            self.expect(part);
            if let Some(end) = part.end(self.of) {
                let state = match end {
                    End::Completed => State::Completed,
                    End::Failed => State::Failed,
                };
                self.record(Event::Ended { state });
            }
        }
        self.untell();
    }

    /// The decision is the arbiter's, which never ran: before that is heard, nothing is undone.
    fn turn(&mut self, part: Part) {
        let arbiter = self.of.arbiter();
        let fell = part.never_ran.contains(arbiter) || part.compensated.iter().next().is_some();
        if !fell || self.saga.turned.is_some() {
            return;
        }
        let cause = self.saga.cause().cloned();
        let cause = cause.unwrap_or(Cause::Step(RunRef::only(arbiter)));
        self.record(Event::Turned { cause });
    }

    /// Notes since when steps are waited for; the arbiter's word also since a failure was heard.
    fn expect(&mut self, part: Part) {
        if self.saga.turned.is_some() {
            return;
        }
        let is_new = |&step: &StepIx| {
            matches!(self.saga.steps.get(step.get()), Some(StepState::Waiting { .. }))
        };
        let ready: Vec<StepIx> = awaited(self.of, self.saga, part).filter(is_new).collect();
        for step in ready {
            let deadline = self.now + self.of.definition().step(step).deadline;
            self.record(Event::Readied { step, deadline, for_each: false, inputs: vec![None] });
        }
    }

    /// What was late and is not any more needs nobody.
    fn untell(&mut self) {
        let late = late(self.of, self.saga, self.now);
        let gone = |held: &&Attention| !late.iter().any(|late| late.is(held));
        let gone: Vec<Attention> = self.saga.attention.iter().filter(gone).cloned().collect();
        for Attention { run, direction, reason, .. } in gone {
            self.record(Event::AttentionCleared { run, direction, reason, act: None });
        }
    }

    /// A person should know what is late.
    fn tell(&mut self) {
        for late in late(self.of, self.saga, self.now) {
            if !self.saga.attention.iter().any(|held| late.is(held)) {
                let Expected { run, direction, reason, .. } = late;
                self.record(Event::AttentionRaised { run, direction, reason });
            }
        }
    }
}

/// What is expected to be heard.
#[derive(Clone, Copy)]
struct Expected {
    run: Option<RunRef>,
    direction: Direction,
    /// Until when.
    by: Time,
    /// What it is when it is late.
    reason: Reason,
}

impl Expected {
    fn is(&self, held: &Attention) -> bool {
        held.is(self.run, self.direction, self.reason)
    }
}

fn late(of: &Choreography, saga: &Saga, now: Time) -> Vec<Expected> {
    let mut expected = expected(of, saga);
    expected.retain(|expected| expected.by <= now);
    expected
}

/// What the services are to be asked to undo the saga for. What is behind the arbiter, or must be done, is
/// waited for.
fn to_undo_for(of: &Choreography, saga: &Saga, late: &[Expected]) -> Option<Cause> {
    let part = saga.heard.as_ref().map(|heard| heard.part.inferred(of))?;
    if is_to_end(saga) || part.decided(of) {
        return None;
    }
    let kind = |run: RunRef| of.definition().step(run.step).kind;
    let asks = |late: &&Expected| {
        late.run.is_none_or(|run| matches!(kind(run), Kind::Compensatable | Kind::Pivot))
    };
    let late = late.iter().find(asks)?;
    Some(late.run.map_or(Cause::Deadline, Cause::Step))
}

/// The steps whose events are waited for: those whose turn it is; and, once a failure was heard, what the
/// arbiter decides.
fn awaited<'a>(
    of: &'a Choreography,
    saga: &'a Saga,
    part: Part,
) -> impl Iterator<Item = StepIx> + 'a {
    let arbiter = of.arbiter();
    let decides = saga.cause().is_some() && !part.known(arbiter);
    let in_turn = move |step: StepIx| part.awaited(of).any(|awaited| awaited == step);
    let steps = of.definition().indices();
    steps.filter(move |&step| in_turn(step) || (decides && step == arbiter))
}

/// All that is expected of an observed saga, and until when: each step, each undo, and its end.
fn expected(of: &Choreography, saga: &Saga) -> Vec<Expected> {
    let Some(heard) = saga.heard.as_ref().filter(|_| !saga.state.ended()) else {
        return Vec::new();
    };
    let part = heard.part.inferred(of);
    if let Some(turned) = &saga.turned {
        let undos = of.definition().indices().filter(|&step| part.is_to_undo(of, step));
        let by = turned.at + UNDO_SLOW_AFTER + GRACE;
        let undo = |step| Expected {
            run: Some(RunRef::only(step)),
            direction: Direction::Compensation,
            by,
            reason: Reason::UndoSlow,
        };
        return undos.map(undo).collect();
    }
    let direction = Direction::Action;
    let step = |step: StepIx| {
        let run = RunRef::only(step);
        let by = saga.run(run)?.deadline + GRACE;
        Some(Expected { run: Some(run), direction, by, reason: Reason::Unheard })
    };
    let mut expected: Vec<Expected> = awaited(of, saga, part).filter_map(step).collect();
    // While it may still be undone.
    if let Some(deadline) = saga.deadline.filter(|_| !part.decided(of)) {
        let by = deadline + GRACE;
        expected.push(Expected { run: None, direction, by, reason: Reason::Overdue });
    }
    expected
}
