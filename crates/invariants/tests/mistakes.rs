//! The machine with each of its mistakes built in, through sagas drawn at random: which of them these
//! invariants see, without the explorer, and by which law.
//!
//! One test alone in its program: a mistake is built in for the whole of it.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use amends_core::mutant::{Mutant, mutate};
use amends_invariants::{Draw, INPUTS_MAX, Move, STEPS_MAX, Script};

/// A mistake is looked for in so many drawn sagas.
const DRAWN_MAX: u64 = 4_000;

/// What a saga alone can tell of, with the law that tells. What only its participants can tell of is the
/// explorer's (`docs/proof.md`).
const CAUGHT: [(Mutant, &str); 19] = [
    (Mutant::UndoOnlyCompleted, "S8"),
    (Mutant::NoTombstone, "S6"),
    (Mutant::UndoBeforeAcknowledgement, "S8"),
    (Mutant::CancelInFlightPivot, "S11"),
    (Mutant::UnknownPivotTurns, "L3"),
    (Mutant::CountAnswers, "S16"),
    (Mutant::ForwardAfterTurn, "S12"),
    (Mutant::UnfencedDoubtForgotten, "L1"),
    (Mutant::UnknownIsDone, "S2"),
    (Mutant::OtherBytes, "S4"),
    (Mutant::UndoOfRefused, "S7"),
    (Mutant::ForgedTaken, "S15"),
    (Mutant::AnswerCountsTwice, "S16"),
    (Mutant::FactUnwritten, "S17"),
    (Mutant::AttentionDoubled, "S21"),
    (Mutant::DeadlineEarlier, "S22"),
    (Mutant::TimerEarly, "S22"),
    (Mutant::TimerOverlooked, "S22"),
    (Mutant::UndoTriedOnce, "L3"),
];

/// Numbers that are the same in every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u8 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u8::try_from((z ^ (z >> 31)) % end).expect("it is less than 256")
    }

    fn script(&mut self) -> Script {
        let steps = self.below(STEPS_MAX as u64) + 1;
        let moves = self.below(INPUTS_MAX as u64);
        Script {
            shape: self.below(4),
            deadline: self.below(2) == 1,
            jitter: u32::from_be_bytes([self.below(256); 4]),
            draws: (0..steps).map(|_| self.step()).collect(),
            moves: (0..moves).map(|_| self.happens()).collect(),
        }
    }

    fn step(&mut self) -> Draw {
        Draw {
            kind: self.below(10),
            after: self.below(256),
            fence: self.below(4),
            limits: self.below(4),
            computed: self.below(6),
        }
    }

    fn happens(&mut self) -> Move {
        Move {
            what: self.below(40),
            step: self.below(7),
            run: self.below(3).saturating_sub(1),
            undo: self.below(2) == 1,
            number: self.below(8),
            says: self.below(22),
            flag: self.below(2) == 1,
        }
    }
}

/// The first drawn saga that shows it, and what it says.
fn seen(mutant: Option<Mutant>) -> Option<(u64, String)> {
    mutate(mutant);
    let mut numbers = Numbers(7);
    let seen = (1..=DRAWN_MAX).find_map(|drawn| {
        let script = numbers.script();
        let panic = catch_unwind(AssertUnwindSafe(|| script.play())).err()?;
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
        Some((drawn, said.unwrap_or_default()))
    });
    mutate(None);
    seen
}

#[test]
fn what_a_saga_alone_can_tell_of_is_caught_by_its_law() {
    // The panics are what is looked for, and not worth a word.
    set_hook(Box::new(|_| {}));
    let sound = seen(None);
    let found = CAUGHT.map(|(mutant, law)| (mutant, law, seen(Some(mutant))));
    let _ = take_hook();
    assert_eq!(sound, None, "without a mistake");
    for (mutant, law, seen) in found {
        let (drawn, said) = seen.unwrap_or_else(|| panic!("{mutant:?} is not seen"));
        println!("{mutant:?}: drawn saga {drawn}: {said:.60}");
        assert!(said.contains(law), "{mutant:?} is seen by another law than {law}: {said}");
    }
}
