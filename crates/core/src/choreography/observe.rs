//! Who only listens: what the services say becomes facts of a saga like any other.
//!
//! The observer commands nobody. It knows of a saga what was heard, in whatever order; from that follow
//! what is expected next and by when, how the saga ends, and what a person should know.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::{Choreography, End, GRACE, NotTaken, Part, Said};
use crate::definition::Kind;
use crate::event::{Event, Started};
use crate::ids::{Direction, Payload, RunRef, StepIx};
use crate::input::Refusal;
use crate::saga::{Act, Cause, Fault, Reason, Saga, State, StepState};
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

/// When time alone brings something about: a step is not heard of in its time, or the saga is not done
/// within its deadline.
pub fn due(of: &Choreography, saga: &Saga, now: Time) -> Option<Time> {
    let part = saga.heard.as_ref().map(|heard| heard.part)?;
    let steps = expected(of, saga, part).map(|(_, at)| at);
    steps.chain(saga_deadline(of, saga, part)).filter(|&at| at > now).min()
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
    if heard.is_some_and(|heard| heard.part.decided(of)) {
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

    /// Time has passed. With `asks_for_the_end` the services are asked to undo what is late and may still
    /// be undone, once.
    pub fn tick(mut self, asks_for_the_end: bool) {
        if let Some(cause) = self.late().filter(|_| asks_for_the_end) {
            self.record(Event::EndAsked { cause });
        }
        self.settle();
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
        let part = self.part();
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
        self.attend();
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

    /// Notes since when steps are waited for.
    fn expect(&mut self, part: Part) {
        if self.saga.turned.is_some() {
            return;
        }
        let is_new = |&step: &StepIx| {
            matches!(self.saga.steps.get(step.get()), Some(StepState::Waiting { .. }))
        };
        let ready: Vec<StepIx> = part.awaited(self.of).filter(is_new).collect();
        for step in ready {
            let deadline = self.now + self.of.definition().step(step).deadline;
            self.record(Event::Readied { step, deadline, for_each: false, inputs: vec![None] });
        }
    }

    /// What a person should know, worked out anew each time: it goes when its cause goes.
    fn attend(&mut self) {
        let part = self.part();
        let is_late = |at: Time| at <= self.now;
        let unheard = expected(self.of, self.saga, part).filter(|&(_, at)| is_late(at));
        let mut wanted: Vec<_> =
            unheard.map(|(step, _)| (Some(RunRef::only(step)), Reason::Unheard)).collect();
        if saga_deadline(self.of, self.saga, part).is_some_and(is_late) {
            wanted.push((None, Reason::Overdue));
        }
        let held: Vec<_> = self.saga.attention.iter().map(|held| (held.run, held.reason)).collect();
        let direction = Direction::Action;
        for &(run, reason) in held.iter().filter(|held| !wanted.contains(held)) {
            self.record(Event::AttentionCleared { run, direction, reason, act: None });
        }
        for (run, reason) in wanted.into_iter().filter(|one| !held.contains(one)) {
            self.record(Event::AttentionRaised { run, direction, reason });
        }
    }

    /// What the services are to be asked to undo the saga for.
    fn late(&self) -> Option<Cause> {
        let part = self.part();
        if is_to_end(self.saga) || part.decided(self.of) {
            return None;
        }
        // A step that is behind, or that must be done, is waited for.
        let asks = |step: StepIx| {
            matches!(self.of.definition().step(step).kind, Kind::Compensatable | Kind::Pivot)
        };
        let step = expected(self.of, self.saga, part)
            .find(|&(step, at)| at <= self.now && asks(step))
            .map(|(step, _)| Cause::Step(RunRef::only(step)));
        let deadline = saga_deadline(self.of, self.saga, part).filter(|&at| at <= self.now);
        step.or(deadline.map(|_| Cause::Deadline))
    }
}

/// The steps that are waited for, and until when. Once the saga is to be undone it is waited for no more
/// steps.
fn expected<'a>(
    of: &'a Choreography,
    saga: &'a Saga,
    part: Part,
) -> impl Iterator<Item = (StepIx, Time)> + 'a {
    let is_forward = saga.turned.is_none() && !saga.state.ended();
    let awaited: Vec<StepIx> = part.awaited(of).filter(|_| is_forward).collect();
    awaited.into_iter().filter_map(|step| {
        let run = saga.run(RunRef::only(step))?;
        Some((step, run.deadline + GRACE))
    })
}

/// That of the saga, while it may still be undone.
fn saga_deadline(of: &Choreography, saga: &Saga, part: Part) -> Option<Time> {
    let is_open = saga.turned.is_none() && !saga.state.ended() && !part.decided(of);
    Some(saga.deadline.filter(|_| is_open)? + GRACE)
}
