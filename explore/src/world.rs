//! The state that is explored: one durable saga, the messages on their way, and what each
//! participant really did.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use amends_core::effects::UNDO_SLOW_AFTER;
use amends_core::saga::{Run, Sendings, Settled, StepState};
use amends_core::{Direction, Millis, RunRef, Saga, Time};

use crate::laws::Law;
use crate::shape::ATTEMPT_TIMEOUT;

/// The time of every state. Time passes by moving all of a saga's times towards the past, so that
/// two states that differ only in when they are reached are one.
pub const NOW: Time = Time(1_000_000_000);

/// One state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    /// What the journal adds up to.
    pub saga: Saga,
    /// Messages on their way, and jobs that a participant has accepted. Sorted.
    pub packets: Vec<Packet>,
    /// What each participant did, by step and run.
    pub ledgers: Vec<Ledger>,
    /// What may still go wrong.
    pub left: Left,
    /// Services have no room whenever it suits the worst: what is owed is sent some time.
    pub congested: bool,
    /// The law that the last transition broke.
    pub broken: Option<Law>,
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
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
    /// What it answered under each key (direction, number).
    pub stored: Vec<(Direction, u32, Says)>,
}

impl Ledger {
    /// The answer stored under a key.
    pub fn answer(&self, direction: Direction, key: u32) -> Option<Says> {
        let is = |(d, k, _): &&(Direction, u32, Says)| (*d, *k) == (direction, key);
        self.stored.iter().find(is).map(|&(_, _, says)| says)
    }
}

impl Packet {
    /// May the action it carries, or works on, still be carried out?
    pub fn may_act(&self) -> bool {
        self.direction == Direction::Action && matches!(self.leg, Leg::Command | Leg::Job)
    }
}

impl World {
    /// Lets time pass.
    pub fn pass(&mut self, span: Millis) {
        move_times(&mut self.saga, |time| time - span);
    }

    /// Brings the state into the one form that all equal ones share.
    pub fn normalise(&mut self) {
        self.packets.sort_unstable();
        for ledger in &mut self.ledgers {
            ledger.stored.sort_unstable();
        }
        let saga = &mut self.saga;
        let deadline_counts = saga.turned.is_none() && !saga.state.ended();
        saga.deadline = saga.deadline.map(|deadline| if deadline_counts { deadline } else { NOW });
        // What no decision reads is the same in every state.
        saga.seq = 1;
        saga.created_at = NOW;
        saga.updated_at = NOW;
        saga.ended_at = saga.ended_at.map(|_| NOW);
        for attention in &mut saga.attention {
            attention.since = NOW;
        }
        saga.attention.sort_unstable();
        saga.exceptions.sort_unstable();
        for step in &mut saga.steps {
            if let StepState::Runs { runs, .. } = step {
                runs.iter_mut().for_each(normalise_run);
            }
        }
    }

    /// A hash of what decides whether the saga comes to rest once all faults stop.
    pub fn hash_without_faults(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        hash_saga(&self.saga, &mut hasher);
        for packet in &self.packets {
            Packet { late: false, ..*packet }.hash(&mut hasher);
        }
        self.ledgers.hash(&mut hasher);
        hasher.finish()
    }
}

/// Two states are told apart by all that a decision, a participant or a law can read.
impl Hash for World {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hash_saga(&self.saga, hasher);
        self.packets.hash(hasher);
        self.ledgers.hash(hasher);
        self.left.hash(hasher);
        self.congested.hash(hasher);
        self.broken.hash(hasher);
    }
}

/// The fields that are equal in all sagas of a shape are left out: identity, data, dates.
fn hash_saga<H: Hasher>(saga: &Saga, hasher: &mut H) {
    saga.state.hash(hasher);
    saga.turned.is_some().hash(hasher);
    saga.deadline.hash(hasher);
    (saga.floats && saga.turned.is_none()).hash(hasher);
    saga.paused.hash(hasher);
    saga.steps.hash(hasher);
    saga.signals.len().hash(hasher);
    for signal in &saga.signals {
        signal.name.hash(hasher);
    }
    for attention in &saga.attention {
        (attention.run, attention.direction, attention.reason).hash(hasher);
    }
    for exception in &saga.exceptions {
        (exception.run, exception.reason).hash(hasher);
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
