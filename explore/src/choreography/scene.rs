//! A choreography on the stage: its services, what may go wrong, and every state that may come.

use std::collections::BTreeSet;

use amends_core::choreography::{Choreography, Owed, Part, Said};
use amends_core::{StepIx, StepSet};

use crate::shape::{Policy, Shape};

/// A scene that is not built yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The definition.
    pub shape: Shape,
    /// Which service has which steps: for each step its service's number.
    pub services: Vec<u8>,
    /// How the services run their steps.
    pub hands: Hands,
    /// How much may go wrong.
    pub faults: u8,
    /// How often a person may cancel.
    pub cancels: u8,
}

/// How a service runs a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hands {
    /// In its own transaction, with the kit: it ran and that is known, or it did not run.
    Kit,
    /// Through a sidecar, by another process: it may have run without that being known.
    Sidecar,
}

/// A choreography that is explored.
#[derive(Debug)]
pub struct Scene {
    /// The definition, suited.
    pub play: Choreography,
    /// The steps of each service.
    pub services: Vec<StepSet>,
    /// How they are run.
    pub hands: Hands,
    pub(super) faults: u8,
    pub(super) cancels: u8,
}

impl Scene {
    /// A definition with the services that it names, without a fault.
    pub fn of(play: Choreography, hands: Hands) -> Self {
        let actions = play.definition().steps().iter().filter_map(|step| step.action());
        let names: BTreeSet<&str> = actions.map(|action| &*action.service).collect();
        let services = names.into_iter().map(|name| play.steps_of(name)).collect();
        Self { play, services, hands, faults: 0, cancels: 0 }
    }

    /// The same with so much that may go wrong.
    pub fn with(self, faults: u8, cancels: u8) -> Self {
        Self { faults, cancels, ..self }
    }

    /// Builds the scene, if the shape can be a choreography.
    pub fn new(spec: &Spec) -> Option<Self> {
        let play = Choreography::new(spec.shape.define(Policy::Plain).ok()?).ok()?;
        let services = spec.services.iter().max().map_or(0, |&last| last + 1);
        let of = |service: u8| -> StepSet {
            play.definition()
                .indices()
                .filter(|step| spec.services[step.get()] == service)
                .collect()
        };
        let services = (0..services).map(of).collect();
        let Spec { hands, faults, cancels, .. } = *spec;
        Some(Self { play, services, hands, faults, cancels })
    }

    /// The service of a step.
    pub(super) fn service_of(&self, step: StepIx) -> usize {
        self.services.iter().position(|mine| mine.contains(step)).unwrap_or(0)
    }

    /// Every word that can be said in it.
    pub(super) fn words(&self) -> impl Iterator<Item = Said> + '_ {
        let of_step = |step| {
            [Said::Completed, Said::Skipped, Said::NeverRan, Said::Compensated]
                .map(|word| word(step))
        };
        [Said::Started, Said::Failed]
            .into_iter()
            .chain(self.play.definition().indices().flat_map(of_step))
    }
}

/// A state of all that is there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// What each service holds.
    pub parts: Vec<Part>,
    /// What was said, once each: whatever comes again is the same word.
    pub said: Words,
    /// What was really done of each step.
    pub ledgers: Vec<Ledger>,
    /// How much may still go wrong.
    pub faults: u8,
    /// How often it may still be cancelled.
    pub cancels: u8,
}

/// What was done of a step, counted where it has its effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ledger {
    /// How often it was done.
    pub done: u8,
    /// How often it was undone.
    pub undone: u8,
}

/// A set of words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Words(u128);

impl Words {
    /// Puts a word in; was it new?
    pub fn insert(&mut self, said: Said) -> bool {
        let before = self.0;
        self.0 |= 1 << place(said);
        self.0 != before
    }

    /// Was it said?
    pub fn contains(self, said: Said) -> bool {
        self.0 & 1 << place(said) != 0
    }
}

/// The most steps that all words about them fit into a number.
pub const STEPS_MAX: usize = 31;

fn place(said: Said) -> u8 {
    match said {
        Said::Started => 0,
        Said::Failed => 1,
        Said::Completed(step) => 2 + 4 * step.0,
        Said::Skipped(step) => 3 + 4 * step.0,
        Said::NeverRan(step) => 4 + 4 * step.0,
        Said::Compensated(step) => 5 + 4 * step.0,
    }
}

impl World {
    /// The saga has been started, and nobody has read it.
    pub fn opening(scene: &Scene) -> Self {
        let mut said = Words::default();
        said.insert(Said::Started);
        Self {
            parts: vec![Part::default(); scene.services.len()],
            said,
            ledgers: vec![Ledger::default(); scene.play.definition().steps().len()],
            faults: scene.faults,
            cancels: scene.cancels,
        }
    }

    /// What a service owes.
    pub(super) fn owed(&self, scene: &Scene, service: usize) -> Vec<Owed> {
        self.parts[service].owed(&scene.play, scene.services[service]).collect()
    }
}
