//! What is known of the sagas of a scene: each kept once, with what each input makes of it.
//!
//! Most states differ only in what is on its way and in what the participants did. What the machine
//! makes of an input depends on the saga alone, so it is asked once, the laws that speak about
//! decisions are judged once, and all other states look the answer up.

use std::cell::RefCell;
use std::hash::BuildHasher;
use std::ops::Deref;
use std::rc::Rc;

use amends_core::event::Event;
use amends_core::{Direction, Millis, RunRef, Saga, StepIx, effects, rules};
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use crate::laws::{self, Law};
use crate::machine::{self, Touch};
use crate::marks;
use crate::model::Scene;
use crate::rest;
use crate::world::{NOW, normalise};

/// A saga, and what is asked of it in every state that it is in.
#[derive(Debug)]
pub struct Known {
    saga: Saga,
    /// Its number among the sagas of its scene.
    pub number: u32,
    /// The commands that would be sent now.
    pub owed: Vec<(RunRef, Direction)>,
    /// The steps whose expressions are to be evaluated now.
    pub evaluations: Vec<StepIx>,
    /// In what time its next timer is due.
    pub due: Option<Millis>,
    /// Whether anything keeps it alive.
    pub live: bool,
    /// Whether all that may happen next is looked at, and not only how it comes to rest.
    pub followed: bool,
    /// Whether it is not followed to its rest either: it has long had the time to come there.
    pub astray: bool,
    /// What each run's ledger is judged by.
    pub standings: Vec<Standing>,
    /// Whether it is at rest, and for whom.
    pub rest: rest::Rest,
}

/// What the saga says of a run, as far as its ledger is judged by it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    /// There is such a run.
    pub ran: bool,
    /// It was undone, and nobody ever said what its action came to.
    pub in_doubt: bool,
    /// The saga does not vouch for it.
    pub excused: bool,
    /// A person is told that an answer contradicts what the saga is.
    pub contradicted: bool,
}

impl Deref for Known {
    type Target = Saga;

    fn deref(&self) -> &Saga {
        &self.saga
    }
}

/// What an input made of a saga.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The saga after it.
    pub after: Rc<Known>,
    /// Whether it was taken; a refused one changes nothing.
    pub accepted: bool,
    /// The law that is broken by it, or in what it led to.
    pub broken: Option<Law>,
}

/// All sagas of a scene so far.
#[derive(Default)]
pub struct Sagas {
    hasher: DefaultHashBuilder,
    numbers: HashTable<u32>,
    known: Vec<Rc<Known>>,
    broken: Vec<Option<Law>>,
    taken: HashMap<(u32, Touch), Taken>,
}

/// The sagas of a scene, which grow while it is explored.
pub type Memory = RefCell<Sagas>;

impl Scene {
    /// What the machine makes of this.
    pub(crate) fn take(&self, saga: &Rc<Known>, touch: Touch) -> Taken {
        if let Some(taken) = self.memory.borrow().taken.get(&(saga.number, touch)) {
            return taken.clone();
        }
        let played = machine::play(self, saga, touch);
        let (after, broken) = self.know(played.saga);
        let broken = played.broken.or(broken);
        let taken = Taken { after, accepted: played.accepted, broken };
        self.memory.borrow_mut().taken.insert((saga.number, touch), taken.clone());
        taken
    }

    /// The facts that this brings about.
    pub(crate) fn facts(&self, saga: &Known, touch: Touch) -> Vec<Event> {
        machine::play(self, saga, touch).facts
    }

    /// The one copy of a saga, and the law that it breaks by itself.
    pub(crate) fn know(&self, mut saga: Saga) -> (Rc<Known>, Option<Law>) {
        normalise(&mut saga);
        let memory = &mut *self.memory.borrow_mut();
        let Sagas { hasher, numbers, known, broken, .. } = memory;
        let hash = hasher.hash_one(&saga);
        let same = |&number: &u32| known[number as usize].saga == saga;
        if let Some(&number) = numbers.find(hash, same) {
            return (Rc::clone(&known[number as usize]), broken[number as usize]);
        }
        let number = known.len() as u32;
        broken.push(laws::broken_in_saga(self, &saga));
        marks::of_saga(&saga);
        known.push(Rc::new(Known::of(self, saga, number)));
        numbers.insert_unique(hash, number, |&n| hasher.hash_one(&known[n as usize].saga));
        (Rc::clone(&known[number as usize]), broken[number as usize])
    }

    /// The saga of that number.
    pub(crate) fn known(&self, number: u32) -> Rc<Known> {
        Rc::clone(&self.memory.borrow().known[number as usize])
    }
}

impl Sagas {
    /// About how many bytes they take.
    pub fn bytes(&self) -> usize {
        // A run with both its sendings, the lists in them, and what is kept beside the saga.
        const RUN_BYTES: usize = size_of::<amends_core::saga::Run>() + 256;
        let runs: usize = self.known.first().map_or(0, |known| known.standings.len());
        let saga = size_of::<Saga>() + size_of::<Known>() + runs * RUN_BYTES;
        let taken = size_of::<((u32, Touch), Taken)>() + 1;
        self.known.len() * saga + self.taken.capacity() * taken
    }
}

impl Known {
    fn of(scene: &Scene, saga: Saga, number: u32) -> Self {
        let owed = effects::owed(&scene.def, &saga).filter(|owed| owed.from <= NOW);
        Self {
            number,
            owed: owed.map(|owed| (owed.run, owed.direction)).collect(),
            evaluations: effects::evaluations(&scene.def, &saga),
            due: effects::next_due(&scene.def, &saga, NOW).map(|due| due.since(NOW)),
            live: rules::live(&scene.def, &saga),
            followed: scene.followed(&saga),
            astray: scene.astray(&saga),
            standings: laws::standings(scene, &saga),
            rest: rest::of(scene, &saga),
            saga,
        }
    }
}
