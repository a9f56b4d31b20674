//! What a person may decide (`semantics.md`, operator verbs). Each is a fact with who and why.

use crate::definition::{Fence, Kind};
use crate::event::{CommandRef, Event, NewRound};
use crate::ids::{Direction, Payload, RunRef};
use crate::input::{Refusal, Resolution, Verb};
use crate::rules;
use crate::saga::{
    Act, Attempt, Cause, Exception, ExceptionReason, ROUNDS_MAX, Reason, Run, Settled, StepState,
};
use crate::time::Time;

use super::Decision;

impl Decision<'_> {
    pub(super) fn verb(&mut self, verb: Verb, act: Act) -> Result<(), Refusal> {
        match verb {
            Verb::Cancel => self.cancel(act),
            Verb::Pause => self.pause(act),
            Verb::Resume => {
                self.saga.paused.ok_or(Refusal::NotPaused)?;
                self.record(Event::Resumed(act));
                Ok(())
            }
            Verb::Retry { run, direction } => self.retry(run, direction, act),
            Verb::Resolve { run, direction: Direction::Compensation, resolution, force } => {
                if resolution == Resolution::Refused {
                    return Err(Refusal::VerbDoesNotFit); // an undo cannot be refused
                }
                self.settle_undo(run, false, force, act)
            }
            Verb::Resolve { run, direction: Direction::Action, resolution, force } => {
                self.resolve_action(run, resolution, force, act)
            }
            Verb::Skip { run, direction: Direction::Compensation, force } => {
                self.settle_undo(run, true, force, act)
            }
            Verb::Skip { run, direction: Direction::Action, force } => {
                self.skip_action(run, force, act)
            }
            Verb::Edit { run, direction: Direction::Compensation, body, .. } => {
                self.edit_undo(run, body, act)
            }
            Verb::Edit { run, direction: Direction::Action, body, force } => {
                self.edit_action(run, body, force, act)
            }
            Verb::Extend { run, deadline } => self.extend(run, deadline, act),
            Verb::Acknowledge { run } => self.acknowledge(run, act),
        }
    }

    fn cancel(&mut self, act: Act) -> Result<(), Refusal> {
        if self.saga.state.ended() {
            return Err(Refusal::Ended);
        }
        if self.saga.turned.is_some() {
            return Err(Refusal::AlreadyCompensating);
        }
        if rules::point_of_no_return(self.def, self.saga) {
            return Err(Refusal::TooLate);
        }
        self.record(Event::Turned { cause: Cause::Cancelled(act) });
        Ok(())
    }

    fn pause(&mut self, act: Act) -> Result<(), Refusal> {
        if !rules::live(self.def, self.saga) {
            return Err(Refusal::Ended);
        }
        if self.saga.paused.is_some() {
            return Err(Refusal::AlreadyPaused);
        }
        self.record(Event::Paused(act));
        Ok(())
    }

    fn retry(&mut self, run: RunRef, direction: Direction, act: Act) -> Result<(), Refusal> {
        let sendings = self.run(run)?.sendings(direction).ok_or(Refusal::VerbDoesNotFit)?;
        if sendings.open.is_some() {
            return Err(Refusal::AttemptInFlight);
        }
        // While it is paused nothing is sent, yet the retry may wait for the resume.
        let owed = rules::owed_but_for_a_pause(self.def, self.saga, run, direction);
        if owed.is_none() {
            return Err(Refusal::VerbDoesNotFit);
        }
        self.record(Event::RetriedByHand { run, direction, act });
        Ok(())
    }

    fn resolve_action(
        &mut self,
        run: RunRef,
        resolution: Resolution,
        force: bool,
        act: Act,
    ) -> Result<(), Refusal> {
        if self.saga.run(run).is_none() && self.resolves_expression(run, &resolution) {
            self.ready(run.step, false, alloc::vec![None]);
        }
        let state = self.run(run)?;
        let step = self.def.step(run.step);
        let asked = state.action.as_ref();
        let unknown = rules::action_open(state) || state.settled == Settled::GivenUp;
        let open = unknown && !rules::undo_begun(state);
        let unfenced = asked.is_some_and(|action| action.terms.fence() == Fence::None);
        // A success on the far side of the turn would hold the point of no return, and with it
        // every undo, for good.
        let forward = self.saga.turned.is_none();
        let fits = match step.kind {
            Kind::Pivot => forward && asked.is_some(),
            Kind::Retriable => forward && resolution != Resolution::Refused,
            Kind::Compensatable => unfenced && step.compensation().is_some(),
            Kind::BestEffort => false,
        };
        if !fits || !open || self.saga.state.ended() {
            return Err(Refusal::VerbDoesNotFit);
        }
        self.not_in_flight(state, Direction::Action, run, force)?;
        let result = match resolution {
            Resolution::Completed(result) => Some(result),
            Resolution::Refused => None,
        };
        self.except(run, ExceptionReason::ByHand, &act);
        self.record(Event::ActionResolved { run, result, act });
        Ok(())
    }

    /// A retriable step whose expression failed past the point of no return has no run yet: done by
    /// hand, it gets one.
    fn resolves_expression(&self, run: RunRef, resolution: &Resolution) -> bool {
        let known = run.step.get() < self.def.steps().len();
        known
            && self.expression_failed(run)
            && self.def.step(run.step).kind == Kind::Retriable
            && *resolution != Resolution::Refused
            && self.saga.turned.is_none()
            && !self.saga.state.ended()
    }

    fn skip_action(&mut self, run: RunRef, force: bool, act: Act) -> Result<(), Refusal> {
        if run.step.get() >= self.def.steps().len() {
            return Err(Refusal::NoSuchStep);
        }
        if self.def.step(run.step).kind != Kind::Retriable
            || self.saga.turned.is_some()
            || self.saga.state.ended()
        {
            return Err(Refusal::VerbDoesNotFit);
        }
        match self.saga.run(run) {
            Some(state) => {
                if !rules::action_open(state) {
                    return Err(Refusal::VerbDoesNotFit);
                }
                self.not_in_flight(state, Direction::Action, run, force)?;
            }
            None if self.expression_failed(run) => {}
            None => return Err(Refusal::VerbDoesNotFit),
        }
        self.except(run, ExceptionReason::Skipped, &act);
        self.record(Event::ActionSkipped { run, act });
        Ok(())
    }

    fn settle_undo(
        &mut self,
        run: RunRef,
        skipped: bool,
        force: bool,
        act: Act,
    ) -> Result<(), Refusal> {
        let state = self.run(run)?;
        if !rules::owes_undo(self.saga, self.def.step(run.step), state) {
            return Err(Refusal::VerbDoesNotFit);
        }
        self.not_in_flight(state, Direction::Compensation, run, force)?;
        self.not_in_flight(state, Direction::Action, run, force)?;
        let reason = if skipped { ExceptionReason::Skipped } else { ExceptionReason::ByHand };
        self.except(run, reason, &act);
        self.record(Event::UndoSettledByHand { run, skipped, act });
        Ok(())
    }

    fn edit_undo(&mut self, run: RunRef, body: Payload, act: Act) -> Result<(), Refusal> {
        let state = self.run(run)?;
        if !rules::owes_undo(self.saga, self.def.step(run.step), state) {
            return Err(Refusal::VerbDoesNotFit);
        }
        self.not_in_flight(state, Direction::Compensation, run, false)?;
        self.not_in_flight(state, Direction::Action, run, false)?;
        let round = state.sendings(Direction::Compensation).map_or(0, |s| s.round) + 1;
        if round > ROUNDS_MAX {
            return Err(Refusal::VerbDoesNotFit);
        }
        let command = CommandRef { run, direction: Direction::Compensation, round };
        let (next_at, why) = (self.at(), NewRound::Edited { body, act });
        self.record(Event::RoundOpened { command, next_at, why });
        Ok(())
    }

    /// Another body for a step that is known absent, or whose expression failed.
    fn edit_action(
        &mut self,
        run: RunRef,
        body: Payload,
        force: bool,
        act: Act,
    ) -> Result<(), Refusal> {
        if run.step.get() >= self.def.steps().len() {
            return Err(Refusal::NoSuchStep);
        }
        if self.saga.turned.is_some() || self.saga.state.ended() {
            return Err(Refusal::VerbDoesNotFit);
        }
        let sends = self.def.step(run.step).action().is_some();
        if self.saga.run(run).is_none() {
            if !sends || !self.expression_failed(run) {
                return Err(Refusal::VerbDoesNotFit);
            }
            let for_each = self.def.step(run.step).computed.for_each;
            self.ready(run.step, for_each, alloc::vec![None]);
        }
        let state = self.run(run)?;
        self.not_in_flight(state, Direction::Action, run, force)?;
        let absent = rules::action_open(state) && !rules::may_have_left(state);
        if !sends || !absent {
            return Err(Refusal::VerbDoesNotFit);
        }
        let round = state.sendings(Direction::Action).map_or(0, |s| s.round) + 1;
        if round > ROUNDS_MAX {
            return Err(Refusal::VerbDoesNotFit);
        }
        let command = CommandRef { run, direction: Direction::Action, round };
        let (next_at, why) = (self.at(), NewRound::Edited { body, act });
        self.record(Event::RoundOpened { command, next_at, why });
        Ok(())
    }

    fn extend(&mut self, run: Option<RunRef>, deadline: Time, act: Act) -> Result<(), Refusal> {
        let now = match run {
            None if self.saga.state.ended() || self.saga.turned.is_some() => {
                return Err(Refusal::VerbDoesNotFit);
            }
            None => self.saga.deadline.ok_or(Refusal::VerbDoesNotFit)?,
            Some(run) => {
                let state = self.run(run)?;
                if !rules::action_open(state) || self.saga.state.ended() {
                    return Err(Refusal::VerbDoesNotFit);
                }
                state.deadline
            }
        };
        if deadline <= now || deadline <= self.at() {
            return Err(Refusal::NotLater);
        }
        self.record(Event::Extended { run, deadline, act });
        Ok(())
    }

    fn acknowledge(&mut self, run: RunRef, act: Act) -> Result<(), Refusal> {
        let (at, direction, reason) = (Some(run), Direction::Action, Reason::Contradicted);
        if !self.saga.attention.iter().any(|a| a.is(at, direction, reason)) {
            return Err(Refusal::VerbDoesNotFit);
        }
        // While the contradiction stops the undo it is the only thing that says so.
        let owes =
            |(at, run): (RunRef, &Run)| rules::owes_undo(self.saga, self.def.step(at.step), run);
        if rules::point_of_no_return(self.def, self.saga) && self.saga.runs().any(owes) {
            return Err(Refusal::VerbDoesNotFit);
        }
        self.record(Event::AttentionCleared { run: at, direction, reason, act: Some(act) });
        Ok(())
    }

    fn expression_failed(&self, run: RunRef) -> bool {
        let step = &self.saga.steps[run.step.get()];
        run.run == 0 && matches!(step, StepState::Waiting { expression_error: Some(_) })
    }

    /// While an attempt is younger than its time-out, its answer may come any moment.
    fn not_in_flight(
        &self,
        state: &Run,
        direction: Direction,
        run: RunRef,
        force: bool,
    ) -> Result<(), Refusal> {
        let step = self.def.step(run.step);
        let timeout = match direction {
            Direction::Action => step.timeout,
            Direction::Compensation => step.undo.timeout,
        };
        let open = state.sendings(direction).and_then(|sendings| sendings.open);
        // What was accepted is waited for longer than its time-out.
        let until = |open: Attempt| if open.accepted { open.sent_at + timeout } else { open.until };
        let young = open.is_some_and(|open| self.at() < until(open));
        if young && !force { Err(Refusal::AttemptInFlight) } else { Ok(()) }
    }

    fn except(&mut self, run: RunRef, reason: ExceptionReason, act: &Act) {
        let note = act.reason.clone();
        self.record(Event::Excepted(Exception { run, reason, note }));
    }
}
