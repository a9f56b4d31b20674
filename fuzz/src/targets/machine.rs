//! A drawn saga and what happens to it: every invariant after every input, and the history through
//! its bytes and back.

use amends_core::{Event, Saga, Time};
use amends_engine::persist::{decode, encode};
use amends_invariants::Script;

use super::Target;

pub(super) const TARGET: Target = Target {
    name: "machine",
    what: "any definition and any inputs → every invariant of semantics.md that a saga can tell",
    run,
    seeds,
};

/// Four shapes of four steps, each with room, answers of every kind, time, and verbs in turn.
fn seeds() -> Vec<Vec<u8>> {
    (0..4u8)
        .flat_map(|shape| [0, 1].map(|deadline| (shape, deadline)))
        .map(|(shape, deadline)| {
            let mut bytes = vec![shape, 3, deadline, 128];
            for step in 0..4u8 {
                bytes.extend([4 + step % 3, 0b0101 << shape, step + shape, step, step % 4 + 2]);
            }
            for turn in 0..40u8 {
                let what = [0, 10, 12, 24, 37, 15, 32, 28][usize::from(turn % 8)];
                bytes.extend([what, turn / 8, turn, turn % 8, turn.wrapping_mul(7)]);
            }
            bytes
        })
        .collect()
}

fn run(bytes: &[u8]) {
    let Some(script) = Script::from_bytes(bytes) else { return };
    let saga = script.play();
    let mut journal = Vec::new();
    for (at, event) in &saga.history {
        encode(*at, std::slice::from_ref(event), &mut journal);
    }
    let read: Result<Vec<(Time, Event)>, _> = decode(&journal).collect();
    let history = read.expect("what was written is read");
    let replayed = Saga::replay(history.iter().map(|(at, event)| (*at, event)));
    assert_eq!(replayed.as_ref(), Ok(&saga.saga), "S17: through its bytes it is another saga");
}
