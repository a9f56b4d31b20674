//! What a service has to do now, what it asks its handlers, and when it asks again.

use amends_core::definition::Kind;
use amends_core::{Millis, Time};
use amends_definition::{BACKOFF_DEFAULT, Does, INPUT_BYTES_MAX, UNDO_DEFAULT};
use amends_wire::{ActionOutcome, CommandBody, Direction, Undo};
use bytes::Bytes;

use super::event::Event;
use super::record::{Outcome, Record};
use super::service::{Answered, Service};
use crate::event::Reason;
use crate::service::{InVain, Moment};
use crate::time::LEFT_FOR;

/// How often an action is tried that may fail, unless said otherwise: with the pauses between, about the
/// five minutes that a step of a saga has where nothing is said.
pub const ATTEMPTS_MAX: u32 = 65;

/// A command of this service that is to be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// Which reaction's.
    pub(crate) reaction: usize,
    /// Whether it is done or undone.
    pub direction: Direction,
    /// Which round it is, from 1: an action that must be done is asked anew after each refusal.
    pub round: u16,
    /// Which attempt it is, from 1.
    pub attempt: u32,
}

impl Service {
    /// What is to be done now.
    pub fn tasks(&self, record: &Record, now: Time) -> Vec<Task> {
        let owed = self.mine.iter().copied().filter(|&ix| self.owes(record, ix));
        let task = |ix: usize| {
            let clock = record.clocks.get(self.of.key(ix)).copied().unwrap_or_default();
            let direction = match self.reaction(ix).does {
                Does::Act { .. } => Direction::Action,
                Does::Undo(_) | Does::Say => Direction::Compensation,
            };
            let (round, attempt) =
                (clock.refusals.saturating_add(1), clock.tries.saturating_add(1));
            (!clock.rests(now)).then_some(Task { reaction: ix, direction, round, attempt })
        };
        owed.filter_map(task).collect()
    }

    /// Is this still to be done now?
    pub fn is_due(&self, record: &Record, task: Task, now: Time) -> bool {
        self.tasks(record, now).iter().any(|due| due.reaction == task.reaction)
    }

    /// The action that a task carries out, or undoes: `InventoryService.ReserveInventory`.
    pub fn action(&self, task: Task) -> String {
        self.of.action(task.reaction).unwrap_or_default()
    }

    /// When there is something to do by itself. What is due now is left for a moment to whoever has just
    /// advanced this. `None`: only when something is heard.
    pub fn wakes_at(&self, record: &Record, now: Time) -> Option<Time> {
        let owed = self.mine.iter().filter(|&&ix| self.owes(record, ix));
        let at = owed.map(|&ix| {
            let again_at = record.clocks.get(self.of.key(ix)).and_then(|clock| clock.again_at);
            again_at.map(Time).filter(|at| *at > now).unwrap_or(now + LEFT_FOR)
        });
        at.min()
    }

    /// Takes in that an attempt came to nothing: it is made again, later each time, unless all are used
    /// up and the action may fail. What is to be said then.
    pub fn tried(
        &self,
        record: &mut Record,
        task: Task,
        in_vain: InVain,
        now: Moment,
    ) -> Vec<Event> {
        let ix = task.reaction;
        if !self.owes(record, ix) {
            return Vec::new();
        }
        let may_fail = match self.reaction(ix).does {
            Does::Act { kind, .. } => kind != Kind::Retriable,
            Does::Undo(_) | Does::Say => false,
        };
        let backoff = if task.direction == Direction::Action {
            BACKOFF_DEFAULT
        } else {
            UNDO_DEFAULT.backoff
        };
        let clock = record.clocks.entry(self.of.key(ix).to_owned()).or_default();
        // Where its handler was asked, the guard has found nothing of an earlier attempt.
        clock.doubtful = !in_vain.is_known || clock.doubtful && !in_vain.asked;
        clock.tries = clock.tries.saturating_add(1);
        clock.unasked = clock.unasked.saturating_add(u32::from(!in_vain.asked));
        let pause = backoff.pause(clock.tries, now.jitter);
        let pause = pause.max(in_vain.not_before.unwrap_or(Millis::ZERO));
        clock.again_at = Some((now.at + pause).0);
        let are_over = clock.tries - clock.unasked >= self.attempts_max;
        if may_fail && are_over && !clock.doubtful {
            let refused = Answered::Refused(in_vain.why);
            return self.answered(record, task, refused, now).unwrap_or_default();
        }
        Vec::new()
    }

    /// It must be done, and whoever has stored the refusal would say it again.
    pub(super) fn ask_anew(&self, record: &mut Record, ix: usize, now: Moment) {
        let clock = record.clocks.entry(self.of.key(ix).to_owned()).or_default();
        clock.refusals = clock.refusals.saturating_add(1);
        clock.tries = clock.tries.saturating_add(1);
        clock.again_at = Some((now.at + BACKOFF_DEFAULT.pause(clock.tries, now.jitter)).0);
    }

    /// What cannot be asked is refused, or waits for whoever mends it.
    pub(super) fn unprepared(
        &self,
        record: &mut Record,
        task: Task,
        why: Reason,
        now: Moment,
    ) -> Vec<Event> {
        let must_be = match self.reaction(task.reaction).does {
            Does::Act { kind, .. } => kind == Kind::Retriable,
            Does::Undo(_) | Does::Say => true,
        };
        if must_be {
            return self.tried(record, task, InVain::of(why), now);
        }
        self.answered(record, task, Answered::Refused(why), now).unwrap_or_default()
    }

    /// Is a handler to be asked for it? Where an action and its undo are both to come, only for the undo.
    pub(super) fn owes(&self, record: &Record, ix: usize) -> bool {
        self.is_set_off(record, ix)
            && match self.reaction(ix).does {
                Does::Say => false,
                Does::Undo(action) => !self.is_undone(record, action),
                Does::Act { .. } => {
                    let is_undone = self.is_undone(record, ix);
                    !is_undone && !self.undos(ix).any(|undo| self.is_set_off(record, undo))
                }
            }
    }

    /// The command of the participant protocol by which a handler is asked: the same bytes at each attempt.
    pub(super) fn body(&self, record: &Record, task: Task) -> Result<Bytes, Reason> {
        let data = self.carried(record, task.reaction).data.to_json();
        if data.len() > INPUT_BYTES_MAX {
            let why = format!("what the events carry has more than {INPUT_BYTES_MAX} bytes");
            return Err(Reason::new("TOO_LARGE", &why));
        }
        let action = match self.reaction(task.reaction).does {
            Does::Undo(action) => action,
            Does::Act { .. } | Does::Say => task.reaction,
        };
        let Does::Act { command, compensation, .. } = &self.reaction(action).does else {
            return Err(Reason::new("NO_COMMAND", "the reaction has no command"));
        };
        let done = record.taken.get(self.of.key(action));
        let done = done.filter(|taken| taken.outcome == Outcome::Done);
        let (command, undo) = if task.direction == Direction::Action {
            (Some(command), None)
        } else {
            let outcome = done.map_or(ActionOutcome::Unknown, |_| ActionOutcome::Completed);
            let result = done.and_then(|done| Some(done.result.as_ref()?.get().as_bytes()));
            (
                compensation.as_ref(),
                Some(Undo { action_round: 1, outcome, original_result: result }),
            )
        };
        let command = command.map(|command| format!("{}.{}", command.service, command.name));
        let body = CommandBody {
            saga_id: record.saga_id,
            saga_type: self.of.name(),
            step_name: &self.of.action(action).unwrap_or_default(),
            command: &command.unwrap_or_default(),
            round: task.round,
            data: data.as_bytes(),
            flat: false,
            undo,
        };
        body.render().map_err(|why| Reason::new("BAD_DATA", &why.to_string()))
    }
}
