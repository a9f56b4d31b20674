//! Random inputs on random small definitions: nothing panics, every invariant holds, and once the
//! faults stop the saga comes to an end or to a person.

use amends_invariants::{Draw, INPUTS_MAX, Move, STEPS_MAX, Script};
use proptest::collection::vec;
use proptest::prelude::*;

/// How many runs there are at least: most end early, and the rare ones are what it is about.
const RUNS_MIN: u32 = 3_000;

fn draws() -> impl Strategy<Value = Vec<Draw>> {
    let draw = (0u8..10, any::<u8>(), 0u8..4, 0u8..4, 0u8..6).prop_map(
        |(kind, after, fence, limits, computed)| Draw { kind, after, fence, limits, computed },
    );
    vec(draw, 1..=STEPS_MAX)
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = (0u8..40, 0u8..7, 0u8..3, any::<bool>(), 0u8..8, 0u8..22, any::<bool>()).prop_map(
        |(what, step, run, undo, number, says, flag)| {
            // The first run twice as often: most steps have no other.
            Move { what, step, run: run.saturating_sub(1), undo, number, says, flag }
        },
    );
    vec(one, 0..INPUTS_MAX)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(RUNS_MIN),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_the_invariants_hold_and_the_saga_comes_to_an_end_or_to_a_person(
        draws in draws(),
        shape in 0u8..4,
        deadline in any::<bool>(),
        jitter in any::<u32>(),
        moves in moves(),
    ) {
        Script { shape, deadline, jitter, draws, moves }.play();
    }
}
