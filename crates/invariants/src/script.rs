//! A saga and what happens to it, drawn from numbers or read from bytes.

use amends_core::{Payload, Time};

use crate::Watched;
use crate::definition_drawn::{Draw, STEPS_MAX, definition};
use crate::inputs_drawn::{INPUTS_MAX, Move, make};

/// A saga and what happens to it.
#[derive(Clone, Debug)]
pub struct Script {
    /// Where its point of no return is.
    pub shape: u8,
    /// Whether it has a deadline of its own.
    pub deadline: bool,
    /// The chance in its backoffs.
    pub jitter: u32,
    /// Its steps, at least one.
    pub draws: Vec<Draw>,
    /// What happens.
    pub moves: Vec<Move>,
}

impl Script {
    /// Reads one from bytes, whatever they are: four for the saga, five a step, five a move. What is
    /// missing at the end does not happen; without any steps there is no script.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[shape, steps, deadline, jitter], rest) = bytes.split_first_chunk()?;
        let steps = usize::from(steps) % STEPS_MAX + 1;
        let (draws, moves) = rest.split_at_checked(steps * 5)?;
        let draws = draws.as_chunks().0.iter().map(|&[kind, after, fence, limits, computed]| {
            Draw { kind, after, fence, limits, computed }
        });
        let moves = moves.as_chunks().0.iter().take(INPUTS_MAX);
        let moves = moves.map(|&[what, step, which, number, says]| Move {
            what,
            step,
            run: which >> 2 & 1,
            undo: which & 1 != 0,
            number,
            says,
            flag: which & 2 != 0,
        });
        Some(Self {
            shape,
            deadline: deadline & 1 != 0,
            jitter: u32::from_be_bytes([jitter; 4]),
            draws: draws.collect(),
            moves: moves.collect(),
        })
    }

    /// Lets it happen, from the start to the end that the saga comes to once the faults stop, and
    /// asserts every invariant on the way.
    pub fn play(&self) -> Watched {
        let def = definition(&self.draws, self.shape, self.deadline);
        let mut saga = Watched::start(def, Time(1_000_000), Payload::from("{}"));
        saga.jitter = self.jitter;
        for by in &self.moves {
            make(&mut saga, by);
        }
        saga.faults_stop();
        saga.assert_end_means_what_it_says();
        saga
    }
}
