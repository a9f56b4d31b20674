//! Facts about one step: it became ready, was sent, answered, given up, undone.

use alloc::vec;

use super::Applied;
use crate::event::{CommandRef, Ending, NewRound};
use crate::ids::{Direction, Payload, RunRef, StepIx};
use crate::mutant::{Mutant, mutated};
use crate::saga::{
    Act, Attempt, AttemptSet, Fault, Letter, Run, Saga, Sendings, Settled, Status, StepState,
    Terms, Undo, UndoEnd,
};
use crate::time::Time;

impl Saga {
    pub(super) fn ready(
        &mut self,
        at: Time,
        step: StepIx,
        deadline: Time,
        for_each: bool,
        inputs: &[Option<Payload>],
    ) -> Applied {
        let runs = inputs.iter().map(|input| Run::ready(at, deadline, input.clone())).collect();
        self.leave_waiting(step, StepState::Runs { for_each, runs })
    }

    pub(super) fn expression_failed(
        &mut self,
        at: Time,
        step: StepIx,
        failed: bool,
        fault: &Fault,
    ) -> Applied {
        if !failed {
            let expression_error = Some(fault.clone());
            return self.leave_waiting(step, StepState::Waiting { expression_error });
        }
        let mut run = Run::ready(at, at, None);
        run.status = Status::Failed;
        run.settled = Settled::Unreachable;
        run.error = Some(fault.clone());
        self.leave_waiting(step, StepState::Runs { for_each: false, runs: vec![run] })?;
        self.left_started();
        Ok(())
    }

    pub(super) fn sent(
        &mut self,
        at: Time,
        command: CommandRef,
        attempt: u32,
        until: Time,
        deadline: Option<Time>,
        terms: Terms,
    ) -> Applied {
        let run = self.known_run(command.run)?;
        if run.sendings(command.direction).is_none() {
            if command.round != 1 {
                return Err("the first round is round 1");
            }
            let first = Sendings::opened(1, None, 0, at, at);
            run.set_sendings(command.direction, first);
        }
        let result = run.result.clone();
        let sendings = current(run, command)?;
        if sendings.open.is_some() || attempt != sendings.attempts + 1 {
            return Err("attempts follow one another");
        }
        let intent = !sendings.intent;
        if intent {
            sendings.intent = true;
            sendings.since = at;
            sendings.terms = terms;
        }
        sendings.attempts = attempt;
        sendings.left += 1;
        sendings.unresolved.insert(attempt);
        sendings.doubtful.insert(attempt);
        let open = Attempt { number: attempt, sent_at: at, until, accepted: false, cut_off: false };
        sendings.open = Some(open);
        run.unbound = false;
        match (command.direction, &mut run.undo) {
            (Direction::Compensation, Some(undo)) => {
                if intent {
                    undo.original_result = result;
                    run.contract = None;
                }
                run.status = Status::Compensating;
            }
            _ => {
                if run.status == Status::Pending {
                    run.status = Status::Executing;
                }
                run.deadline = deadline.unwrap_or(run.deadline);
                if run.floats {
                    run.deadline_said = run.deadline_said.max(until);
                }
                run.floats = false;
                self.floats = false;
            }
        }
        Ok(())
    }

    pub(super) fn not_sent(
        &mut self,
        command: CommandRef,
        attempt: u32,
        next_at: Time,
        fault: &Fault,
    ) -> Applied {
        let run = self.known_run(command.run)?;
        let sendings = current(run, command)?;
        if !sendings.may_not_have_left(attempt) {
            return Err("no such attempt is open");
        }
        sendings.left -= 1;
        sendings.unresolved.remove(attempt);
        sendings.doubtful.remove(attempt);
        sendings.close(attempt, next_at);
        if let (Direction::Compensation, Some(undo)) = (command.direction, &mut run.undo) {
            undo.by_hand = false;
        }
        run.fail(command.direction, fault);
        let none_left = run.action.as_ref().is_some_and(|action| action.left == 0);
        if run.settled == Settled::GivenUp && run.undo.is_none() && none_left {
            run.settled = Settled::Unreachable;
            run.status = Status::Failed;
        }
        Ok(())
    }

    pub(super) fn attempt_ended(
        &mut self,
        command: CommandRef,
        attempt: u32,
        ending: Ending,
        next_at: Time,
        fault: &Option<Fault>,
    ) -> Applied {
        let run = self.known_run(command.run)?;
        let sendings = current(run, command)?;
        match ending {
            Ending::NamedTransient => {
                sendings.unresolved.remove(attempt);
                sendings.doubtful.remove(attempt);
            }
            Ending::Transient => sendings.doubtful.remove(attempt),
            Ending::Unknown | Ending::TimedOut => {}
        }
        sendings.close(attempt, next_at);
        if matches!(ending, Ending::NamedTransient | Ending::Transient) {
            run.contract = None;
        }
        if let Some(fault) = fault {
            run.fail(command.direction, fault);
        }
        Ok(())
    }

    pub(super) fn completed(&mut self, run: RunRef, result: &Payload) -> Applied {
        let run = self.known_run(run)?;
        if run.settled == Settled::Succeeded {
            return Err("it was completed before");
        }
        run.settled = Settled::Succeeded;
        run.result = Some(result.clone());
        if let Some(undo) = run.undo.as_mut().filter(|_| mutated(Mutant::OtherBytes)) {
            undo.original_result = Some(result.clone());
        }
        run.contract = None;
        // An operator went on without it; that stands, and the success is on record.
        let skipped = run.status == Status::Skipped;
        if run.undo.is_none() && !skipped {
            run.status = Status::Completed;
            run.error = None;
        }
        if let Some(action) = &mut run.action {
            action.open = None;
        }
        self.left_started();
        Ok(())
    }

    pub(super) fn refused(
        &mut self,
        run: RunRef,
        attempt: Option<u32>,
        settled: bool,
        leaves: Status,
        next_at: Time,
        fault: &Fault,
    ) -> Applied {
        let run = self.known_run(run)?;
        if matches!(run.settled, Settled::Succeeded | Settled::Refused) {
            return Err("its outcome is settled");
        }
        run.error = Some(fault.clone());
        run.contract = None;
        let action = run.action.as_mut().ok_or("nothing was sent")?;
        if settled {
            run.settled = Settled::Refused;
            action.open = None;
        } else {
            let open = action.open.map(|open| open.number);
            if let Some(answered) = attempt.or(open) {
                action.close(answered, next_at);
            }
            if leaves == Status::Failed {
                run.settled = Settled::GivenUp;
                action.open = None;
            }
        }
        if run.undo.is_none() {
            run.status = leaves;
        }
        self.left_started();
        Ok(())
    }

    pub(super) fn given_up(&mut self, run: RunRef, unreachable: bool) -> Applied {
        let run = self.known_run(run)?;
        if run.settled != Settled::Open {
            return Err("its outcome is settled");
        }
        run.settled = if unreachable { Settled::Unreachable } else { Settled::GivenUp };
        run.status = if unreachable { Status::Failed } else { Status::Unknown };
        if let Some(action) = &mut run.action {
            action.open = None;
        }
        self.left_started();
        Ok(())
    }

    pub(super) fn round_opened(
        &mut self,
        at: Time,
        command: CommandRef,
        next_at: Time,
        why: &NewRound,
    ) -> Applied {
        let run = self.known_run(command.run)?;
        let before = run.sendings(command.direction);
        let (last_round, attempts) = before.map_or((0, 0), |s| (s.round, s.attempts));
        let attempts = if mutated(Mutant::AttemptsRestart) { 0 } else { attempts };
        // Another key and other bytes give the step no more time.
        let overdue = before.is_some_and(|s| s.overdue);
        if command.round != last_round + 1 {
            return Err("rounds follow one another");
        }
        let body = match why {
            NewRound::Edited { body, .. } => Some(body.clone()),
            NewRound::Refused | NewRound::LateSuccess => None,
        };
        let mut opened = Sendings::opened(command.round, body, attempts, at, next_at);
        opened.refused_before = *why == NewRound::Refused;
        opened.overdue = overdue;
        run.set_sendings(command.direction, opened);
        match (command.direction, &mut run.undo) {
            (Direction::Compensation, Some(undo)) => {
                undo.end = None;
                undo.letter = Letter::None;
                undo.by_hand = false;
                undo.second_round |= *why == NewRound::LateSuccess;
                run.status = Status::Compensating;
            }
            _ => {
                run.settled = Settled::Open;
                run.status = Status::Executing;
            }
        }
        Ok(())
    }

    pub(super) fn undo_ended(&mut self, run: RunRef, end: UndoEnd) -> Applied {
        let run = self.known_run(run)?;
        let undo = run.undo.get_or_insert_with(Undo::unsent);
        if undo.end.is_some() {
            return Err("its undo has ended");
        }
        undo.end = Some(end);
        undo.letter = Letter::None;
        undo.by_hand = false;
        if let Some(sendings) = &mut undo.sendings {
            sendings.open = None;
        }
        run.status = Status::Compensated;
        run.contract = None;
        Ok(())
    }

    pub(super) fn dead_letter(&mut self, run: RunRef, letter: Letter, next_at: Time) -> Applied {
        let undo = self.known_run(run)?.undo.as_mut().ok_or("it has no undo")?;
        undo.letter = letter;
        undo.by_hand = false;
        let sendings = undo.sendings.as_mut().ok_or("its undo was never sent")?;
        sendings.open = None;
        sendings.next_at = next_at;
        Ok(())
    }
}

impl Run {
    pub(super) fn ready(at: Time, deadline: Time, input: Option<Payload>) -> Self {
        Self {
            status: Status::Pending,
            input,
            ready_at: at,
            deadline,
            deadline_said: deadline,
            floats: false,
            action: None,
            settled: Settled::Open,
            result: None,
            error: None,
            contract: None,
            unbound: false,
            undo: None,
            by: None,
            resolved: false,
        }
    }

    /// Keeps an error with the command that it is about.
    fn fail(&mut self, direction: Direction, fault: &Fault) {
        match (direction, &mut self.undo) {
            (Direction::Compensation, Some(undo)) => undo.error = Some(fault.clone()),
            _ => self.error = Some(fault.clone()),
        }
    }

    fn set_sendings(&mut self, direction: Direction, sendings: Sendings) {
        match direction {
            Direction::Action => self.action = Some(sendings),
            Direction::Compensation => {
                self.undo.get_or_insert_with(Undo::unsent).sendings = Some(sendings);
            }
        }
    }
}

impl Undo {
    pub(super) fn unsent() -> Self {
        Self {
            sendings: None,
            original_result: None,
            end: None,
            second_round: false,
            letter: Letter::None,
            by_hand: false,
            error: None,
        }
    }
}

impl Sendings {
    fn opened(round: u32, body: Option<Payload>, attempts: u32, at: Time, next_at: Time) -> Self {
        Self {
            round,
            body,
            intent: false,
            refused_before: false,
            attempts,
            left: 0,
            open: None,
            unresolved: AttemptSet::default(),
            doubtful: AttemptSet::default(),
            next_at,
            terms: Terms { fence: None, flat: true },
            overdue: false,
            since: at,
        }
    }

    fn close(&mut self, attempt: u32, next_at: Time) {
        if self.open.is_some_and(|open| open.number == attempt) {
            self.open = None;
            self.next_at = next_at;
        }
    }
}

pub(super) fn by_hand(run: &mut Run, act: &Act) {
    run.by = Some(act.clone());
    if let Some(action) = &mut run.action {
        action.open = None;
    }
}

pub(super) fn current(run: &mut Run, command: CommandRef) -> Result<&mut Sendings, &'static str> {
    let sendings = run.sendings_mut(command.direction).ok_or("nothing was sent")?;
    if sendings.round == command.round { Ok(sendings) } else { Err("it is not the current round") }
}
