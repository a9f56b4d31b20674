//! One saga, to which things happen: every input asserts the invariants.

use amends_core::definition::{Definition, Fence};
use amends_core::event::Started;
use amends_core::input::Refusal;
use amends_core::saga::{Pinned, StepState, Terms};
use amends_core::{
    Direction, Event, Input, Moment, Payload, RunRef, Saga, SagaId, Time, decide, effects, start,
};

use crate::broken_by;

/// How many commands may leave at one moment: more than a saga of some steps has runs, so that one
/// that sends without end is found out and not waited for.
const SENDINGS_AT_ONCE_MAX: usize = 200;

/// A saga, its history and its time.
pub struct Watched {
    /// Its definition.
    pub def: Definition,
    /// Its state.
    pub saga: Saga,
    /// Every fact it has had, with the time of each.
    pub history: Vec<(Time, Event)>,
    /// The time now.
    pub now: Time,
    /// The chance that a decision may use.
    pub jitter: u32,
    /// What the binding of its services says of their fence.
    pub service_fence: Option<Fence>,
}

/// An attempt that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenAttempt {
    /// Which run.
    pub run: RunRef,
    /// Which of its commands.
    pub direction: Direction,
    /// In which round.
    pub round: u32,
    /// Its number.
    pub number: u32,
}

impl Watched {
    /// A saga of this definition, started at this time with this data.
    pub fn start(def: Definition, at: Time, data: Payload) -> Self {
        let started = Started {
            saga_id: SagaId(7),
            pinned: Pinned { saga_type: def.saga_type().clone(), version: 1, hash: [7; 32] },
            steps: def.steps().len() as u8,
            data,
            business_key: None,
            deadline: def.deadline().map(|deadline| at + deadline),
            choreographed: false,
        };
        let (saga, facts) = start(&def, started, Moment { at, jitter: 0 });
        let history = facts.into_iter().map(|fact| (at, fact)).collect();
        let watched = Self { def, saga, history, now: at, jitter: 0, service_fence: None };
        watched.assert_invariants(&watched.saga);
        watched
    }

    /// One input, and every invariant that must hold after it.
    pub fn give(&mut self, input: Input) -> Result<(), Refusal> {
        let before = self.saga.clone();
        let mut facts = Vec::new();
        let now = Moment { at: self.now, jitter: self.jitter };
        let told = decide(&self.def, &mut self.saga, now, input.clone(), &mut facts);
        if told.is_err() {
            assert_eq!(self.saga, before, "a refused input changes nothing: {input:?}");
            assert!(facts.is_empty(), "a refused input records nothing: {input:?}");
        }
        if let Some(law) = broken_by(&self.def, &before, self.now, &facts) {
            panic!("{law}: {input:?} led to {facts:?} from {before:#?}");
        }
        self.history.extend(facts.into_iter().map(|fact| (self.now, fact)));
        self.assert_invariants(&before);
        self.assert_twice_is_once(&input);
        told
    }

    /// Every timer that is due fires.
    pub fn tick(&mut self) {
        self.give(Input::Tick).expect("a tick is taken");
    }

    /// Time passes until then; every timer fires in its turn. With `room` the services have room all
    /// along, without it nothing is sent.
    pub fn pass(&mut self, until: Time, room: bool) {
        assert!(until >= self.now, "time does not go back");
        loop {
            if room {
                self.room_for_all();
            }
            let due = effects::next_due(&self.def, &self.saga, self.now);
            let Some(due) = due.filter(|&due| due <= until) else { break };
            self.now = self.now.max(due);
            self.tick();
        }
        self.now = until;
        self.tick();
        if room {
            self.room_for_all();
        }
    }

    /// The services have room for everything that is owed by now.
    pub fn room_for_all(&mut self) {
        for _ in 0..SENDINGS_AT_ONCE_MAX {
            let Some((run, direction)) = self.owed_now().first().copied() else { return };
            self.give(self.room(run, direction)).expect("it is owed");
        }
        panic!("it sends without end: {:#?}", self.saga);
    }

    /// Room at the service of this command.
    pub fn room(&self, run: RunRef, direction: Direction) -> Input {
        Input::Room { run, direction, terms: Terms { fence: self.service_fence, flat: true } }
    }

    /// The commands that are owed by now.
    pub fn owed_now(&self) -> Vec<(RunRef, Direction)> {
        let owed = effects::owed(&self.def, &self.saga).filter(|owed| owed.from <= self.now);
        owed.map(|owed| (owed.run, owed.direction)).collect()
    }

    /// Every attempt that is waited for.
    pub fn open_attempts(&self) -> Vec<OpenAttempt> {
        let both = [Direction::Action, Direction::Compensation];
        let commands =
            self.saga.runs().flat_map(|(at, run)| both.map(|direction| (at, run, direction)));
        commands
            .filter_map(|(at, run, direction)| {
                let sendings = run.sendings(direction)?;
                let number = sendings.open?.number;
                Some(OpenAttempt { run: at, direction, round: sendings.round, number })
            })
            .collect()
    }

    /// A command in words: `a`, `undo a`, and with the number of its run where it has one.
    pub fn name(&self, at: RunRef, direction: Direction) -> String {
        let numbered = match &self.saga.steps[at.step.get()] {
            StepState::Runs { for_each, .. } => *for_each,
            _ => false,
        };
        let undo = if direction == Direction::Compensation { "undo " } else { "" };
        let name = &self.def.step(at.step).name;
        if numbered { format!("{undo}{name}.{}", at.run) } else { format!("{undo}{name}") }
    }
}
