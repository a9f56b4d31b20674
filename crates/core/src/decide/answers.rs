//! Answers: what a participant says, what it is worth, and what follows (section 5).

use crate::definition::{Backoff, Fence, Kind};
use crate::event::{CommandRef, Ending, Event, NewRound};
use crate::ids::{Direction, Payload, RunRef};
use crate::input::{Answer, Outcome, Refusal};
use crate::mutant::{Mutant, mutated};
use crate::rules;
use crate::saga::{
    Exception, ExceptionReason, Fault, Letter, ROUNDS_MAX, Reason, Run, Sendings, Settled, Status,
};
use crate::time::{Millis, Time};

use super::sending::{POISON_PAUSE, redrive_pause};
use super::{Decision, RETRY_AFTER_MAX};

impl Decision<'_> {
    pub(super) fn answer(&mut self, answer: Answer) -> Result<(), Refusal> {
        let run = self.run(answer.run)?;
        let sendings = run.sendings(answer.direction).ok_or(Refusal::NeverSent)?;
        let undo = answer.direction == Direction::Compensation;
        let round = match answer.round {
            None if undo && mutated(Mutant::UnnamedClosesSecond) => sendings.round,
            named => named.unwrap_or(1),
        };
        let sent = sendings.round > 1 || sendings.intent;
        if !sent {
            return Err(Refusal::NeverSent);
        }
        let never = round == 0
            || round > sendings.round
            || (round == sendings.round && !sendings.intent)
            || answer.attempt.is_some_and(|attempt| attempt == 0 || attempt > sendings.attempts);
        if never && !mutated(Mutant::ForgedTaken) {
            return Err(Refusal::NoSuchAttempt);
        }
        let current = round == sendings.round;
        match (answer.direction, current) {
            (Direction::Action, true) => self.action_answer(&answer, round),
            (Direction::Action, false) => self.earlier_action_answer(&answer),
            (Direction::Compensation, true) => self.undo_answer(&answer, round),
            (Direction::Compensation, false) => self.earlier_undo_answer(&answer),
        }
        Ok(())
    }

    fn action_answer(&mut self, answer: &Answer, round: u32) {
        let run = answer.run;
        let command = CommandRef { run, direction: Direction::Action, round };
        match &answer.outcome {
            Outcome::Completed { result, .. } => self.action_succeeded(run, result),
            Outcome::Refused(fault) => self.action_refused(answer, round, fault),
            // Its outcome is known; what an earlier sending came to adds nothing.
            _ if !self.saga.run(run).is_some_and(rules::outcome_open) => {}
            Outcome::Accepted => {
                let step = self.def.step(run.step);
                let deadline = self.saga.run(run).map_or(self.at(), |run| run.deadline);
                let until = match step.accepted_timeout {
                    Some(timeout) => self.at() + timeout,
                    // An outage may have left the deadline behind; the attempt still has its time.
                    None => deadline.max(self.at() + step.timeout),
                };
                self.accepted(command, answer.attempt, until);
            }
            Outcome::Transient { fault, named, retry_after } => {
                let named = *named && answer.own_exchange;
                let ending = if named { Ending::NamedTransient } else { Ending::Transient };
                self.ends_attempt(command, answer.attempt, ending, fault, *retry_after);
            }
            Outcome::Unknown { fault, contract } => {
                self.contract_broken(run, contract.as_ref());
                self.ends_attempt(command, answer.attempt, Ending::Unknown, fault, None);
            }
            Outcome::Gone { .. } => {
                let fault = Fault::new("GONE", "an action was answered as if it were an undo");
                self.ends_attempt(command, answer.attempt, Ending::Unknown, &fault, None);
            }
            Outcome::NotSent(fault) => self.not_sent(command, answer.attempt, fault),
        }
    }

    /// A success speaks for every sending, whenever it is heard.
    fn action_succeeded(&mut self, run: RunRef, result: &Payload) {
        let Some(state) = self.saga.run(run) else { return };
        if state.settled == Settled::Succeeded {
            return;
        }
        if state.resolved {
            // An operator said that it was refused.
            return self.raise(Some(run), Direction::Action, Reason::Contradicted);
        }
        let kind = self.def.step(run.step).kind;
        self.record(Event::Completed { run, result: result.clone() });
        self.proof_heard(run);
        self.second_round(run);
        let undone_by_hand = self.saga.run(run).is_some_and(|run| {
            use crate::saga::UndoEnd::{Resolved, Skipped};
            run.undo.as_ref().is_some_and(|undo| {
                matches!(undo.end, Some(Resolved(_) | Skipped(_))) && undo.original_result.is_none()
            })
        });
        // What is never undone and stands on the wrong side of the turn is a person's (S13); so is
        // an undo that a person settled before the success was heard.
        let stranded = self.saga.turned.is_some() && matches!(kind, Kind::Pivot | Kind::Retriable);
        if (stranded && !mutated(Mutant::StrandedUnsaid)) || undone_by_hand {
            self.raise(Some(run), Direction::Action, Reason::Contradicted);
        }
    }

    fn action_refused(&mut self, answer: &Answer, round: u32, fault: &Fault) {
        let run = answer.run;
        let Some(state) = self.saga.run(run) else { return };
        let command = CommandRef { run, direction: Direction::Action, round };
        let settled = rules::refusal_settles(state, answer);
        match state.settled {
            Settled::Succeeded if state.resolved => {
                self.raise(Some(run), Direction::Action, Reason::Contradicted);
            }
            Settled::Succeeded | Settled::Refused | Settled::Unreachable => {}
            Settled::GivenUp if settled => {
                self.refused(answer, true, Status::Failed, fault);
            }
            Settled::GivenUp => {}
            Settled::Open if !rules::action_open(state) => {}
            Settled::Open => match (self.def.step(run.step).kind, settled) {
                (Kind::Compensatable | Kind::Pivot, true) | (Kind::BestEffort, _) => {
                    self.refused(answer, settled, Status::Failed, fault);
                }
                (Kind::Compensatable, false) => {
                    if state.status != Status::Unknown && !rules::undo_begun(state) {
                        self.refused(answer, false, Status::Unknown, fault);
                        // The decision first: what is given up may wait for a person instead.
                        self.turn_if_failed();
                        self.attempts_used_up(run);
                    } else {
                        let ending = Ending::Unknown;
                        self.ends_attempt(command, answer.attempt, ending, fault, None);
                    }
                }
                (Kind::Retriable, true)
                    if round < ROUNDS_MAX && !mutated(Mutant::RefusedUnderSameKey) =>
                {
                    let next_at = self.refused(answer, true, Status::Failed, fault);
                    let command = CommandRef { round: round + 1, ..command };
                    self.record(Event::RoundOpened { command, next_at, why: NewRound::Refused });
                }
                (Kind::Pivot, false) | (Kind::Retriable, _) => {
                    self.ends_attempt(command, answer.attempt, Ending::Transient, fault, None);
                }
            },
        }
    }

    fn refused(&mut self, answer: &Answer, settled: bool, leaves: Status, fault: &Fault) -> Time {
        let run = answer.run;
        let next_at = self.next_try(run, Direction::Action, None);
        let (attempt, fault) = (answer.attempt, fault.clone());
        self.record(Event::Refused { run, attempt, settled, leaves, next_at, fault });
        if settled {
            self.proof_heard(run);
        }
        next_at
    }

    /// A reply to a round that a later one has taken the place of. A success still speaks for the
    /// step; nothing else does.
    fn earlier_action_answer(&mut self, answer: &Answer) {
        if let Outcome::Completed { result, .. } = &answer.outcome {
            self.action_succeeded(answer.run, result);
        }
    }

    fn undo_answer(&mut self, answer: &Answer, round: u32) {
        let run = answer.run;
        let command = CommandRef { run, direction: Direction::Compensation, round };
        if self.saga.run(run).is_none_or(rules::undo_ended) {
            return self.earlier_undo_answer(answer);
        }
        match &answer.outcome {
            Outcome::Completed { undone, .. } => self.undo_acknowledged(run, *undone, true),
            Outcome::Gone { proven } => self.undo_acknowledged(run, Some(false), *proven),
            Outcome::Accepted => {
                let step = self.def.step(run.step);
                let timeout = step.accepted_timeout.unwrap_or(step.undo.timeout);
                self.accepted(command, answer.attempt, self.at() + timeout);
            }
            // An undo cannot be refused.
            Outcome::Refused(fault) => {
                self.ends_attempt(command, answer.attempt, Ending::Transient, fault, None);
            }
            Outcome::Transient { fault, retry_after, .. } => {
                let ending = Ending::Transient;
                self.ends_attempt(command, answer.attempt, ending, fault, *retry_after);
            }
            Outcome::Unknown { fault, contract } => {
                self.contract_broken(run, contract.as_ref());
                self.ends_attempt(command, answer.attempt, Ending::Unknown, fault, None);
            }
            Outcome::NotSent(fault) => self.not_sent(command, answer.attempt, fault),
        }
    }

    /// An acknowledgement after the end of the undo, or of its first round: it opens and closes
    /// nothing, but that something was undone is proof.
    fn earlier_undo_answer(&mut self, answer: &Answer) {
        let proof = matches!(answer.outcome, Outcome::Completed { undone: Some(true), .. });
        if proof {
            self.proof_heard(answer.run);
        }
    }

    /// What was unproven is no longer (S6).
    fn proof_heard(&mut self, run: RunRef) {
        let reason = ExceptionReason::Unproven;
        if self.saga.has_exception(run, reason) && !mutated(Mutant::ProofUnheard) {
            self.record(Event::Proven { run, reason });
        }
    }

    fn undo_acknowledged(&mut self, run: RunRef, undone: Option<bool>, proven: bool) {
        self.record(Event::UndoAcknowledged { run, undone });
        let unproven = self.saga.run(run).is_some_and(|state| is_unproven(state, undone));
        if unproven || !proven {
            let note = if proven {
                "undone without ever hearing what the action came to"
            } else {
                "the answer to the undo may be a wrong address as well as nothing to undo"
            };
            let reason = ExceptionReason::Unproven;
            self.record(Event::Excepted(Exception { run, reason, note: note.into() }));
        }
        self.second_round(run);
    }

    fn second_round(&mut self, run: RunRef) {
        let Some(state) = self.saga.run(run) else { return };
        if !rules::owes_second_round(state) {
            return;
        }
        let Some(before) = state.sendings(Direction::Compensation) else { return };
        let round = before.round + 1;
        let command = CommandRef { run, direction: Direction::Compensation, round };
        let next_at = self.at();
        self.record(Event::RoundOpened { command, next_at, why: NewRound::LateSuccess });
        self.proof_heard(run);
    }

    fn accepted(&mut self, command: CommandRef, attempt: Option<u32>, until: Time) {
        let Some(sendings) = self.sendings(command) else { return };
        let Some(open) = sendings.open else { return };
        if !open.accepted && attempt.is_none_or(|attempt| attempt == open.number) {
            let attempt = open.number;
            self.record(Event::Accepted { command, attempt, until: until.max(open.until) });
        }
    }

    /// Ends the attempt that an answer names; unnamed, the current one, once.
    fn ends_attempt(
        &mut self,
        command: CommandRef,
        attempt: Option<u32>,
        ending: Ending,
        fault: &Fault,
        retry_after: Option<Millis>,
    ) {
        let Some(sendings) = self.sendings(command) else { return };
        let open = sendings.open.map(|open| open.number);
        let Some(attempt) = attempt.or(open) else { return };
        let says_something = match ending {
            Ending::NamedTransient => sendings.unresolved.contains(attempt),
            Ending::Transient => sendings.doubtful.contains(attempt),
            Ending::Unknown | Ending::TimedOut => false,
        };
        if open == Some(attempt) || says_something || mutated(Mutant::AnswerCountsTwice) {
            self.attempt_over(command, attempt, ending, Some(fault.clone()), retry_after);
        }
    }

    /// Ends an attempt without a definite answer, and says what follows.
    pub(super) fn attempt_over(
        &mut self,
        command: CommandRef,
        attempt: u32,
        ending: Ending,
        fault: Option<Fault>,
        retry_after: Option<Millis>,
    ) {
        let open = self.sendings(command).and_then(|sendings| sendings.open);
        let open = open.filter(|open| open.number == attempt);
        let next_at = self.next_try(command.run, command.direction, retry_after);
        self.record(Event::AttemptEnded { command, attempt, ending, next_at, fault });
        let Some(open) = open else { return };
        let unanswered = matches!(ending, Ending::Unknown | Ending::TimedOut);
        if open.cut_off && unanswered && !self.repeat_may_double(command) {
            // That time was ours: another attempt follows, and what that one comes to counts
            // (section 5, time).
            return;
        }
        match command.direction {
            Direction::Compensation => self.undo_attempt_over(command.run),
            Direction::Action => self.attempts_used_up(command.run),
        }
    }

    /// May a repeat of this command have its effect a second time? So it may where the service has no
    /// fence, and there `max_attempts` is what its owner says against it: no time of ours makes us
    /// send more.
    fn repeat_may_double(&self, command: CommandRef) -> bool {
        let unfenced = |sendings: &Sendings| sendings.terms.fence() == Fence::None;
        command.direction == Direction::Action && self.sendings(command).is_some_and(unfenced)
    }

    /// A crash took the exchange of an open attempt with it. It counts as sent and for ever
    /// unanswered, and what follows is a new attempt, whatever `max_attempts` says, of the step or of
    /// its undo (section 5, crash), unless a repeat may do harm.
    pub(super) fn lost(&mut self, run: RunRef, direction: Direction) -> Result<(), Refusal> {
        let sendings = self.run(run)?.sendings(direction).ok_or(Refusal::NotOwed)?;
        let out = sendings.open.filter(|open| !open.accepted).ok_or(Refusal::NotOwed)?;
        let command = CommandRef { run, direction, round: sendings.round };
        let fault =
            Fault::new("RESTARTED", "the engine was restarted while its answer was awaited");
        let next_at = self.next_try(run, direction, None);
        let (attempt, ending) = (out.number, Ending::Unknown);
        self.record(Event::AttemptEnded { command, attempt, ending, next_at, fault: Some(fault) });
        if self.repeat_may_double(command) {
            self.attempts_used_up(run);
        }
        Ok(())
    }

    /// A step whose `max_attempts` are sent, none of them open any more, has had its time.
    fn attempts_used_up(&mut self, run: RunRef) {
        let limit = self.def.step(run.step).retry.max_attempts;
        let action = self.saga.run(run).and_then(|run| run.action.as_ref());
        let used_up = |action: &Sendings| {
            action.open.is_none() && limit.is_some_and(|limit| action.left >= limit)
        };
        if action.is_some_and(used_up) {
            self.time_is_up(run);
        }
    }

    fn not_sent(&mut self, command: CommandRef, attempt: Option<u32>, fault: &Fault) {
        let Some(sendings) = self.sendings(command) else { return };
        let Some(attempt) = attempt.filter(|&a| sendings.may_not_have_left(a)) else { return };
        let next_at = self.next_try(command.run, command.direction, None);
        self.record(Event::NotSent { command, attempt, next_at, fault: fault.clone() });
        let past = self.saga.run(command.run).is_some_and(|run| {
            run.settled == Settled::Open && run.undo.is_none() && run.deadline_said <= self.at()
        });
        if command.direction == Direction::Action && past {
            self.time_is_up(command.run);
        }
    }

    fn contract_broken(&mut self, run: RunRef, note: Option<&alloc::sync::Arc<str>>) {
        let first = self.saga.run(run).is_some_and(|run| run.contract.is_none());
        if let Some(note) = note.filter(|_| first) {
            self.record(Event::ContractBroken { run, note: note.clone() });
        }
    }

    fn sendings(&self, command: CommandRef) -> Option<&Sendings> {
        let sendings = self.saga.run(command.run)?.sendings(command.direction)?;
        (sendings.round == command.round).then_some(sendings)
    }

    /// The earliest time of the next try of a command.
    fn next_try(&self, run: RunRef, direction: Direction, retry_after: Option<Millis>) -> Time {
        let step = self.def.step(run.step);
        let state = self.saga.run(run);
        let letter = state.and_then(|run| run.undo.as_ref()).map(|undo| undo.letter);
        // A dead letter keeps the redriver's pace: what does not count does not hurry it either.
        match (direction, letter) {
            (Direction::Compensation, Some(Letter::Dead { redrives })) => {
                return self.at() + redrive_pause(redrives);
            }
            (Direction::Compensation, Some(Letter::Poison)) => return self.at() + POISON_PAUSE,
            _ => {}
        }
        let sendings = state.and_then(|run| run.sendings(direction));
        let overdue = sendings.is_some_and(|sendings| sendings.overdue);
        let backoff: Backoff = match direction {
            Direction::Compensation => step.undo.backoff,
            Direction::Action if overdue && step.kind == Kind::Pivot => step.undo.backoff,
            Direction::Action => step.retry.backoff,
        };
        let soonest = self.backoff(backoff, sendings.map_or(1, |sendings| sendings.attempts));
        let asked = retry_after.map(|pause| self.at() + pause.min(RETRY_AFTER_MAX));
        asked.map_or(soonest, |asked| asked.max(soonest))
    }
}

/// Is it open whether there was something to undo (section 5, settle)?
fn is_unproven(run: &Run, undone: Option<bool>) -> bool {
    let asked = run.action.as_ref();
    let in_doubt = asked.is_some_and(|action| {
        action.terms.fence() != Fence::Barrier && !action.unresolved.is_empty()
    });
    in_doubt
        && !mutated(Mutant::UnprovenUnsaid)
        && undone != Some(true)
        && !matches!(run.settled, Settled::Succeeded | Settled::Refused)
}
