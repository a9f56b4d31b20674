//! The state that is explored: one durable saga, the messages on their way, and what each
//! participant really did.

use std::rc::Rc;

use amends_core::effects::UNDO_SLOW_AFTER;
use amends_core::saga::{Cause, Run, Sendings, Settled, StepState};
use amends_core::{Direction, Millis, RunRef, Saga, Time};

use crate::known::Known;
use crate::shape::ATTEMPT_TIMEOUT;

/// The time of every state. Time passes by moving all of a saga's times towards the past, so that
/// two states that differ only in when they are reached are one.
pub const NOW: Time = Time(1_000_000_000);

/// The most rounds of a command that a participant's memory holds: more than the faults and verbs
/// of any scene open.
pub const ROUNDS: usize = 8;

/// One state.
#[derive(Clone, Debug)]
pub struct World {
    /// What the journal adds up to.
    pub saga: Rc<Known>,
    /// Messages on their way, and jobs that a participant has accepted. Sorted.
    pub packets: Vec<Packet>,
    /// What each participant did, by step and run.
    pub ledgers: Vec<Ledger>,
    /// What may still go wrong.
    pub left: Left,
    /// Services have no room whenever it suits the worst: what is owed is sent some time.
    pub congested: bool,
    /// Whose actions stay without an answer until their time is up. Sorted.
    pub silent: Vec<Silence>,
}

/// What may still go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Left {
    /// Faults of any kind: of the network, a participant, the engine.
    pub faults: u8,
    /// How many of them may be crashes or outages of the engine.
    pub crashes: u8,
    /// Cancels.
    pub cancels: u8,
    /// Operator verbs.
    pub verbs: u8,
}

/// A service that does not answer the action of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Silence {
    /// Which run.
    pub run: RunRef,
    /// Whether commands reach it, so that only the answers are lost.
    pub reached: bool,
}

/// A message on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Packet {
    /// Which run.
    pub run: RunRef,
    /// Which of its commands.
    pub direction: Direction,
    /// Which round.
    pub round: u32,
    /// Which attempt.
    pub attempt: u32,
    /// What it is.
    pub leg: Leg,
    /// It has missed a timer and may come any time: time passes without it.
    pub late: bool,
    /// The network made two of it.
    pub twin: bool,
    /// The exchange it belongs to is gone: nobody will hear the answer.
    pub severed: bool,
}

/// How far a message is on its way there and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Leg {
    /// The command has left.
    Command,
    /// The participant said that it answers later, and works on it.
    Job,
    /// The answer, in the exchange or on the broker.
    Answer(Says),
    /// The answer to a job.
    Callback(Says),
}

/// What a participant says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Says {
    /// The action is done.
    Done,
    /// No.
    Refused,
    /// Not now.
    Busy,
    /// The answer comes later.
    Accepted,
    /// The undo is done, and whether there was something to undo.
    Undone(Option<bool>),
    /// 404 to an undo.
    NotFound,
}

/// What one participant really did for one run, and what it remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ledger {
    /// Effects of the action: F.
    pub done: u8,
    /// Effects of the compensation: C.
    pub undone: u8,
    /// It has refused once; each further refusal is a fault.
    pub refused: bool,
    /// It refuses the action from now on.
    pub tombstone: bool,
    /// The network doubled a sending of the action.
    pub twin: bool,
    /// What it answered under each key: of actions and of undos, by round.
    pub stored: [[Option<Says>; ROUNDS]; 2],
}

impl Ledger {
    /// The answer stored under a key.
    pub fn answer(&self, direction: Direction, key: u32) -> Option<Says> {
        *self.stored[direction as usize].get(key as usize - 1)?
    }

    /// Stores an answer under a key.
    pub fn store(&mut self, direction: Direction, key: u32, says: Says) {
        if let Some(slot) = self.stored[direction as usize].get_mut(key as usize - 1) {
            *slot = Some(says);
        }
    }
}

impl Packet {
    /// May the action it carries, or works on, still be carried out?
    pub fn may_act(&self) -> bool {
        self.direction == Direction::Action && matches!(self.leg, Leg::Command | Leg::Job)
    }
}

impl World {
    /// Brings it into the one form that equal states share.
    pub fn normalise(&mut self) {
        self.packets.sort_unstable();
        let saga = &self.saga;
        self.silent.retain(|silence| saga.run(silence.run).is_some_and(in_its_time));
        self.silent.sort_unstable();
    }

    /// Has everything come that comes in time, so that time passes by itself?
    pub fn punctual(&self) -> bool {
        self.packets.iter().all(|packet| packet.late) && (self.congested || self.idle())
    }

    /// Has the engine nothing to do before something happens?
    pub fn idle(&self) -> bool {
        self.saga.owed.is_empty() && self.saga.evaluations.is_empty()
    }
}

/// Is the action still asked, its time not up?
fn in_its_time(run: &Run) -> bool {
    let overdue = run.action.as_ref().is_some_and(|action| action.overdue);
    run.settled == Settled::Open && !overdue && run.undo.is_none()
}

/// Lets time pass for a saga.
pub fn pass(saga: &mut Saga, span: Millis) {
    move_times(saga, |time| time - span);
}

/// Brings a saga into the one form that all share that no decision, participant or law tells apart.
pub fn normalise(saga: &mut Saga) {
    let deadline_counts = saga.turned.is_none() && !saga.state.ended();
    saga.deadline = saga.deadline.map(|deadline| if deadline_counts { deadline } else { NOW });
    saga.floats &= saga.turned.is_none();
    if let Some(turn) = &mut saga.turned {
        turn.cause = Cause::Deadline;
        turn.at = NOW;
    }
    // What no decision reads is the same in every state.
    saga.seq = 1;
    saga.created_at = NOW;
    saga.updated_at = NOW;
    saga.ended_at = saga.ended_at.map(|_| NOW);
    for attention in &mut saga.attention {
        attention.since = NOW;
    }
    saga.attention.sort_unstable();
    for exception in &mut saga.exceptions {
        exception.note = "".into();
    }
    saga.exceptions.sort_unstable();
    for step in &mut saga.steps {
        if let StepState::Runs { runs, .. } = step {
            runs.iter_mut().for_each(normalise_run);
        }
    }
}

fn normalise_run(run: &mut Run) {
    run.error = None;
    // The times of an action are read until it is settled or its undo has begun.
    let open = run.settled == Settled::Open && run.undo.is_none();
    if !open {
        run.deadline = NOW;
        run.deadline_said = NOW;
    }
    if !open || run.action.is_some() {
        run.ready_at = NOW;
    }
    if let Some(action) = &mut run.action {
        normalise_sendings(action, Millis::ZERO);
        if !open {
            action.next_at = NOW;
        }
    }
    if let Some(undo) = &mut run.undo {
        undo.error = None;
        let slow = if undo.end.is_some() { Millis::ZERO } else { UNDO_SLOW_AFTER };
        if let Some(sendings) = &mut undo.sendings {
            normalise_sendings(sendings, slow);
            // Of an undo it only counts that its time has come.
            sendings.next_at = kept(sendings.next_at, Millis::ZERO);
        }
    }
}

fn normalise_sendings(sendings: &mut Sendings, since_kept: Millis) {
    sendings.since = kept(sendings.since, since_kept);
    if let Some(open) = &mut sendings.open {
        sendings.next_at = NOW;
        open.sent_at = kept(open.sent_at, ATTEMPT_TIMEOUT);
    }
}

fn kept(time: Time, past: Millis) -> Time {
    time.max(NOW - past)
}

fn move_times(saga: &mut Saga, to: impl Fn(Time) -> Time) {
    saga.deadline = saga.deadline.map(&to);
    saga.paused = saga.paused.map(&to);
    for step in &mut saga.steps {
        let StepState::Runs { runs, .. } = step else { continue };
        for run in runs {
            run.ready_at = to(run.ready_at);
            run.deadline = to(run.deadline);
            run.deadline_said = to(run.deadline_said);
            let undo = run.undo.as_mut().and_then(|undo| undo.sendings.as_mut());
            for sendings in run.action.as_mut().into_iter().chain(undo) {
                sendings.next_at = to(sendings.next_at);
                sendings.since = to(sendings.since);
                if let Some(open) = &mut sendings.open {
                    open.sent_at = to(open.sent_at);
                    open.until = to(open.until);
                }
            }
        }
    }
}
