//! Facts into state: one total match, and the only code that writes a saga.
//!
//! A decision applies each event as it records it, and a recovery applies the same events again, so
//! the two cannot differ (S17). An event that does not fit the state is refused, and with it the
//! saga is quarantined; others go on.

mod heard;
mod steps;

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use self::heard::COORDINATED;
use self::steps::{by_hand, current};
use crate::event::{Event, Started};
use crate::ids::{Direction, RunRef, StepIx};
use crate::mutant::{Mutant, mutated};
use crate::saga::{
    Attention, Exception, Heard, Letter, Run, Saga, Settled, Signal, State, Status, StepState,
    Turn, UndoEnd,
};
use crate::time::{Millis, Time};

/// An event that cannot have happened to this saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IllegalEvent {
    /// Its place in the saga's history.
    pub seq: u64,
    /// Why it does not fit.
    pub why: &'static str,
}

impl fmt::Display for IllegalEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {} does not fit the saga's state: {}", self.seq, self.why)
    }
}

impl core::error::Error for IllegalEvent {}

type Applied = Result<(), &'static str>;

impl Saga {
    /// The saga after its first event.
    pub fn started(started: &Started, at: Time) -> Self {
        let waiting = StepState::Waiting { expression_error: None };
        Self {
            id: started.saga_id,
            seq: 1,
            state: State::Started,
            pinned: started.pinned.clone(),
            data: started.data.clone(),
            business_key: started.business_key.clone(),
            turned: None,
            deadline: started.deadline,
            floats: false,
            paused: None,
            steps: vec![waiting; usize::from(started.steps)],
            signals: Vec::new(),
            attention: Vec::new(),
            exceptions: Vec::new(),
            heard: started.choreographed.then(Heard::default),
            created_at: at,
            updated_at: at,
            ended_at: None,
        }
    }

    /// The saga that these events add up to; the first must be [`Event::Started`].
    pub fn replay<'a>(
        events: impl IntoIterator<Item = (Time, &'a Event)>,
    ) -> Result<Self, IllegalEvent> {
        let mut events = events.into_iter();
        let Some((at, Event::Started(started))) = events.next() else {
            return Err(IllegalEvent { seq: 1, why: "a history begins with the start" });
        };
        let mut saga = Self::started(started, at);
        for (at, event) in events {
            saga.apply(at, event)?;
        }
        Ok(saga)
    }

    /// Takes in one more event. A refused one leaves the saga unfit for use: rebuild it.
    pub fn apply(&mut self, at: Time, event: &Event) -> Result<(), IllegalEvent> {
        let seq = self.seq + 1;
        self.take_in(at, event).map_err(|why| IllegalEvent { seq, why })?;
        self.seq = seq;
        self.updated_at = at;
        Ok(())
    }

    fn take_in(&mut self, at: Time, event: &Event) -> Applied {
        match event {
            Event::Started(_) => Err("it started before"),
            Event::Readied { step, deadline, for_each, inputs } => {
                self.ready(at, *step, *deadline, *for_each, inputs)
            }
            Event::Skipped { step, for_each } => {
                self.leave_waiting(*step, StepState::Skipped { for_each: *for_each, by: None })
            }
            Event::ExpressionFailed { step, failed, fault } => {
                self.expression_failed(at, *step, *failed, fault)
            }
            Event::Sent { command, attempt, until, deadline, terms } => {
                self.sent(at, *command, *attempt, *until, *deadline, *terms)
            }
            Event::NotSent { command, attempt, next_at, fault } => {
                self.not_sent(*command, *attempt, *next_at, fault)
            }
            Event::Accepted { command, attempt, until } => {
                let run = self.known_run(command.run)?;
                run.contract = None;
                let open = current(run, *command)?.open.as_mut();
                let open = open.filter(|open| open.number == *attempt);
                let open = open.ok_or("the attempt is not waited for")?;
                open.accepted = true;
                open.until = *until;
                Ok(())
            }
            Event::AttemptEnded { command, attempt, ending, next_at, fault } => {
                self.attempt_ended(*command, *attempt, *ending, *next_at, fault)
            }
            Event::ContractBroken { run, note } => {
                self.known_run(*run)?.contract = Some(Arc::clone(note));
                Ok(())
            }
            Event::UnboundFound { run } => {
                self.known_run(*run)?.unbound = true;
                Ok(())
            }
            Event::Completed { run, result } => self.completed(*run, result),
            Event::Refused { run, attempt, settled, leaves, next_at, fault } => {
                self.refused(*run, *attempt, *settled, *leaves, *next_at, fault)
            }
            Event::GivenUp { run, unreachable } => self.given_up(*run, *unreachable),
            Event::Overdue { run } => {
                let action = self.known_run(*run)?.action.as_mut();
                action.ok_or("nothing was sent")?.overdue = true;
                Ok(())
            }
            Event::RoundOpened { command, next_at, why } => {
                self.round_opened(at, *command, *next_at, why)
            }
            Event::UndoAcknowledged { run, undone } => {
                self.undo_ended(*run, UndoEnd::Acknowledged { undone: *undone })
            }
            Event::DeadLettered { run, redrives, next_at } => {
                self.dead_letter(*run, Letter::Dead { redrives: *redrives }, *next_at)
            }
            Event::Poisoned { run, next_at } => self.dead_letter(*run, Letter::Poison, *next_at),
            Event::SignalReceived { name, body } => {
                if self.signals.iter().any(|signal| signal.name == *name) {
                    return Err("a signal of this name came before");
                }
                self.signals.push(Signal { name: Arc::clone(name), body: body.clone() });
                Ok(())
            }
            Event::SignalRefused { step, fault } => {
                let run = self.known_run(RunRef::only(*step))?;
                if run.status != Status::Pending {
                    return Err("the step does not wait for a signal");
                }
                run.status = Status::Failed;
                run.settled = Settled::Refused;
                run.error = Some(fault.clone());
                self.left_started();
                Ok(())
            }
            Event::Turned { cause } => {
                if self.turned.is_some() || self.state.ended() {
                    return Err("the decision was made before");
                }
                self.turned = Some(Turn { cause: cause.clone(), at });
                self.state = State::Compensating;
                Ok(())
            }
            Event::Ended { state } => {
                let again = self.state.ended() && !mutated(Mutant::SecondEnd);
                if again || !state.ended() {
                    return Err("a saga ends once");
                }
                self.state = *state;
                self.ended_at = Some(at);
                Ok(())
            }
            Event::Paused(_) => {
                if self.paused.is_some() {
                    return Err("it is paused already");
                }
                self.paused = Some(at);
                Ok(())
            }
            Event::Resumed(_) => {
                let since = self.paused.take().ok_or("it is not paused")?;
                self.make_up_for(at.since(since), at);
                Ok(())
            }
            Event::OutageEnded { lasted } => {
                self.make_up_for(*lasted, at);
                Ok(())
            }
            Event::DeadlineMoved { deadline } | Event::Extended { run: None, deadline, .. } => {
                self.deadline = Some(*deadline);
                Ok(())
            }
            Event::Extended { run: Some(run), deadline, .. } => {
                let run = self.known_run(*run)?;
                run.deadline = *deadline;
                run.deadline_said = *deadline;
                if let Some(action) = &mut run.action {
                    action.overdue = false;
                }
                Ok(())
            }
            Event::RetriedByHand { run, direction, .. } => {
                let run = self.known_run(*run)?;
                run.sendings_mut(*direction).ok_or("nothing was sent")?.next_at = at;
                if let (Direction::Compensation, Some(undo)) = (*direction, &mut run.undo) {
                    undo.by_hand = matches!(undo.letter, Letter::Dead { .. });
                }
                Ok(())
            }
            Event::ActionResolved { run, result, act } => {
                let run = self.known_run(*run)?;
                let done = result.is_some();
                run.status = if done { Status::Completed } else { Status::Failed };
                run.settled = if done { Settled::Succeeded } else { Settled::Refused };
                run.result.clone_from(result);
                run.resolved = true;
                by_hand(run, act);
                self.left_started();
                Ok(())
            }
            Event::ActionSkipped { run, act } => {
                if self.run(*run).is_none() {
                    let state = StepState::Skipped { for_each: false, by: Some(act.clone()) };
                    return self.leave_waiting(run.step, state);
                }
                let run = self.known_run(*run)?;
                run.status = Status::Skipped;
                by_hand(run, act);
                Ok(())
            }
            Event::UndoSettledByHand { run, skipped, act } => {
                let end = if *skipped { UndoEnd::Skipped } else { UndoEnd::Resolved };
                self.undo_ended(*run, end(act.clone()))?;
                self.known_run(*run)?.by = Some(act.clone());
                Ok(())
            }
            Event::AttentionRaised { run, direction, reason } => {
                let known = self.attention.iter().any(|a| a.is(*run, *direction, *reason));
                if known && !mutated(Mutant::AttentionDoubled) {
                    return Err("it has that attention already");
                }
                let (run, direction, reason) = (*run, *direction, *reason);
                self.attention.push(Attention { run, direction, reason, since: at });
                Ok(())
            }
            Event::AttentionCleared { run, direction, reason, .. } => {
                let before = self.attention.len();
                self.attention.retain(|a| !a.is(*run, *direction, *reason));
                if self.attention.len() == before {
                    Err("it has no such attention")
                } else {
                    Ok(())
                }
            }
            Event::Excepted(exception) => {
                if !self.has_exception(exception.run, exception.reason) {
                    self.exceptions.push(exception.clone());
                }
                Ok(())
            }
            Event::Proven { run, reason } => {
                self.exceptions.retain(|e| e.run != *run || e.reason != *reason);
                Ok(())
            }
            Event::Heard { said, result, fault, cause, .. } => {
                self.hears(at, *said, result.as_ref(), fault.as_ref(), cause.as_ref())
            }
            Event::EndAsked { cause } => {
                self.heard.as_mut().ok_or(COORDINATED)?.end_asked = Some(cause.clone());
                Ok(())
            }
        }
    }

    fn known_run(&mut self, run: RunRef) -> Result<&mut Run, &'static str> {
        self.run_mut(run).ok_or("the step has no such run")
    }

    fn leave_waiting(&mut self, step: StepIx, state: StepState) -> Applied {
        match self.steps.get_mut(step.get()) {
            Some(slot @ StepState::Waiting { .. }) => {
                *slot = state;
                Ok(())
            }
            Some(_) => Err("the step has begun"),
            None => Err("there is no such step"),
        }
    }

    /// A deadline counts the participants' time, not ours (section 5, time). So it moves by the whole of
    /// an outage, which is then no wait for room any more, for a command that was owed meanwhile.
    fn make_up_for(&mut self, lasted: Millis, now: Time) {
        let slept = |from: Time| from < now && !mutated(Mutant::OutageTwice);
        let owed_from = |from: Time| if slept(from) { now.min(from + lasted) } else { from };
        self.deadline = self.deadline.map(|deadline| deadline + lasted);
        self.floats = self.deadline.is_some();
        for step in &mut self.steps {
            let StepState::Runs { runs, .. } = step else { continue };
            for run in runs {
                if run.settled == Settled::Open {
                    run.deadline = run.deadline + lasted;
                    run.deadline_said = run.deadline_said + lasted;
                    run.floats = true;
                }
                run.ready_at = owed_from(run.ready_at);
                if let Some(undo) = run.sendings_mut(Direction::Compensation) {
                    undo.since = undo.since + lasted;
                }
                for direction in [Direction::Action, Direction::Compensation] {
                    let Some(sendings) = run.sendings_mut(direction) else { continue };
                    sendings.next_at = owed_from(sendings.next_at);
                    if let Some(open) = &mut sendings.open {
                        open.cut_off = true;
                    }
                }
            }
        }
    }

    fn left_started(&mut self) {
        if self.state == State::Started {
            self.state = State::Pending;
        }
    }
}

impl Attention {
    pub(crate) fn is(
        &self,
        run: Option<RunRef>,
        direction: Direction,
        reason: crate::saga::Reason,
    ) -> bool {
        self.run == run && self.direction == direction && self.reason == reason
    }
}

impl Saga {
    pub(crate) fn has_exception(&self, run: RunRef, reason: crate::saga::ExceptionReason) -> bool {
        self.exceptions.iter().any(|e: &Exception| e.run == run && e.reason == reason)
    }
}
